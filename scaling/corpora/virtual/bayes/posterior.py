"""What a signal leaves unknown of the findings: Laplace's method around the true patient.

A record is x = h(z, s) + noise, where z are the latents (independent standard normals a priori)
and s are disorders that are there or not. Around the truth h is linear: h(z + d) = h(z) + J' d.
With noise of unit variance the posterior of z is normal with covariance S = (J J' + I)^-1, and
its mean is scattered about the truth with covariance S - S S and a pull of -S z towards the
prior. A disorder that might as well be absent (or present) is told from the truth by

    D^2 = min over d of |h(z + d, other s) - h(z, s)|^2 + |d|^2,

what other latents cannot explain of it. It has the posterior log odds log(prior odds) - D^2 / 2
- D e with e standard normal, exactly so for two normals of equal covariance. Several disorders
are taken as independent given the signal. For the method, see MacKay 2003, "Information Theory,
Inference, and Learning Algorithms", ch. 27.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Array = NDArray[np.float64]

REFITS = 12  # attempts to explain a disorder by other latents
SHORTEST = 0.01  # length of a step, as a share of the one proposed, below which one gives up


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A record, how its signal and findings change with its latents, in units of the noise.

    Attributes:
        findings: finding -> its true value.
        normals: (K,) the latents' true values.
        gram: (K, K) products of the signal's derivatives, J J'.
        slopes: finding -> (K,) its derivatives.
        toggled: finding -> (S,) its change when a disorder is toggled and the other latents
            are fitted again to the same signal.
        distance2: (S,) what the signal then still says against it, D^2.
        log_odds: (S,) prior log odds of the toggled state against the true one.
    """

    findings: dict[str, float]
    normals: Array
    gram: Array
    slopes: dict[str, Array]
    toggled: dict[str, Array]
    distance2: Array
    log_odds: Array


def refit(
    change: Callable[[Array, NDArray[np.int64]], Array], jacobian: Array, count: int
) -> tuple[Array, Array]:
    """Latents that explain each toggled disorder best: Gauss and Newton with a fixed J.

    A step that does not help is taken back and tried again, a quarter as long. A disorder is
    left alone when it is explained, hopeless, or no longer gains.

    Args:
        change: shifts of the latents (rows, K) and the disorder toggled in each row (rows,) ->
            change of the signal (rows, M) in units of the noise.
        jacobian: (K, M) derivatives of the signal at the truth.
        count: number of disorders S.

    Returns:
        The best shifts found (S, K), and their D^2 (S,).
    """
    precision = jacobian @ jacobian.T + np.eye(len(jacobian))
    best = np.zeros((count, len(jacobian)))
    least = np.full(count, np.inf)
    direction, length = np.zeros_like(best), np.ones(count)
    open_ = np.arange(count)
    for _ in range(REFITS):
        if not len(open_):
            break
        moved = best[open_] + length[open_, None] * direction[open_]
        rest = change(moved, open_)
        distance2 = (rest**2).sum(axis=1) + (moved**2).sum(axis=1)
        better = distance2 < least[open_]
        gained = least[open_] - distance2 > 0.02 * distance2 + 0.02
        chosen = open_[better]
        best[chosen], least[chosen] = moved[better], distance2[better]
        slope = rest[better] @ jacobian.T + moved[better]
        direction[chosen] = -np.linalg.solve(precision, slope.T).T
        length[chosen] = 1.0
        length[open_[~better]] /= 4.0
        open_ = open_[(gained | ~better) & (length[open_] > SHORTEST)]
    return best, least


def draw_findings(
    around: Surroundings, rng: np.random.Generator, outer: int, inner: int
) -> dict[str, Array]:
    """Findings as a perfect model would have to imagine them.

    Args:
        around: the record.
        rng: source of randomness.
        outer: noisy signals of this record.
        inner: posterior draws for each.

    Returns:
        Finding -> (outer, inner).
    """
    values, vectors = np.linalg.eigh(around.gram)
    spread = 1.0 / (1.0 + np.maximum(values, 0.0))  # eigenvalues of S
    pull = spread * (vectors.T @ around.normals)
    scatter = np.sqrt(np.maximum(spread - spread**2, 0.0))
    centre = scatter * rng.normal(size=(outer, 1, len(values))) - pull
    moves = centre + np.sqrt(spread) * rng.normal(size=(outer, inner, len(values)))
    seen = rng.normal(size=(outer, len(around.distance2))) * np.sqrt(around.distance2)
    odds = around.log_odds - 0.5 * around.distance2 - seen
    chance = 0.5 * (1.0 + np.tanh(0.5 * odds))
    other = rng.random((outer, inner, len(around.distance2))) < chance[:, None, :]
    drawn = {}
    for name, true in around.findings.items():
        slope = vectors.T @ around.slopes[name]
        drawn[name] = true + moves @ slope + other @ around.toggled[name]
    return drawn


def entropy(p: Array) -> Array:
    """Entropy of a Bernoulli in nats; ``p`` in [0, 1], rounding aside."""
    inside = np.clip(p, 0.0, 1.0)
    nats: Array = entr(inside) + entr(1.0 - inside)
    return nats


def hidden_entropy(p: Array, weight: Array, known: Array | None = None) -> tuple[Array, Array]:
    """Entropy that the uncertainty of the findings adds to a label.

    Args:
        p: (..., inner) P(label | findings) at posterior draws.
        weight: (..., inner) P(the record belongs to the task | findings), in [0, 1].
        known: (..., inner) entropies of ``p`` where ``p`` is an estimate, of which ``entropy``
            would be too small; None for ``entropy(p)``.

    Returns:
        H(mean p) - mean H(p) over the draws and the mean weight, (...). The first term is
        biased downwards by a finite number of draws, to leading order by 1 / inner of the
        difference, which is put right.
    """
    mean_weight = weight.mean(axis=-1)
    share = weight / np.maximum(weight.sum(axis=-1, keepdims=True), 1e-300)
    mean = (share * p).sum(axis=-1)
    inner = p.shape[-1]
    gain = entropy(mean) - (share * (entropy(p) if known is None else known)).sum(axis=-1)
    # Estimates scatter: what is below zero makes up for what is above.
    gain = np.maximum(gain, 0.0) if known is None else gain
    return gain * inner / (inner - 1.0), mean_weight
