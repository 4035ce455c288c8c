"""How the signal and the findings of a virtual record change with its latents.

A record is x = h(z, s) + noise, where z are the latents (independent standard normals a priori)
and s are disorders that are there or not. Around the truth h is linear: h(z + d) = h(z) + J' d.
A disorder that might as well be absent (or present) is told from the truth by

    D^2 = min over d of |h(z + d, other s) - h(z, s)|^2 + |d|^2,

what other latents cannot explain of it.

Every continuous latent is a smooth function of standard normals with names, so derivatives are
taken by shifting one normal at a time, through the generator itself. Changes of the signal are
expressed in units of the recorder's noise. Beats stay where they are, since their jitter would
hide what shifts them: they tell the mean rate as well as their scatter allows, and the interval
from P to QRS, but not, say, the age of the patient.

Spectra of the noise are medians over some records that the recorder makes of nothing: of slow
noise (wander, respiration, motion, mains, steps) as it comes, of fast noise (white, muscle) as a
shape, which is scaled to the amplitudes of a record. Electrodes are shared by leads, which gives
the leads a covariance. Bursts, uneven electrodes and lost contacts are left out, and so is what
the limb electrodes have more of (``limbs``, ``tremor_mv``): a median over leads is that of V1 to
V6.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.processes import in_order, one_thread
from scaling.corpora.virtual import generate, recorder
from scaling.corpora.virtual.cohorts.base import Cohort
from scaling.corpora.virtual.latents import chances, develop
from scaling.corpora.virtual.lead_field import heart, leads
from scaling.corpora.virtual.population import Device, Population
from scaling.corpora.virtual.reproducible import Draws, Stream
from scaling.corpora.virtual.rhythm import Events, events

Array = NDArray[np.float64]

# Standard deviations by which a latent is shifted: in double precision rounding is far below
# the noise, and no bend of a wave is left.
STEP = 1e-5
REFITS = 12  # attempts to explain a disorder by other latents
SHORTEST = 0.01  # length of a step, as a share of the one proposed, below which one gives up
SPECTRUM_RECORDS = 64  # whose median spectrum is taken
# Disorders that may leave hardly a trace, and the finding each is read from: what the signal
# says of them is a likelihood ratio.
HARDLY_VISIBLE = {
    "cardiomyopathy": "ef_percent", "aortic_stenosis": "aortic_stenosis",
    "mitral_regurgitation": "mitral_regurgitation", "effusion": "effusion", "lvh": "lv_mass",
    "rvh": "rv_load", "left_atrium": "left_atrium", "right_atrium": "right_atrium",
    "digitalis": "digitalis", "hyperkalaemia": "potassium", "hypokalaemia": "potassium",
    "hypercalcaemia": "calcium", "hypocalcaemia": "calcium",
}  # fmt: skip


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


@dataclasses.dataclass(frozen=True, slots=True)
class Probe(Draws):
    """Random numbers that remember which normals were used, and may force a choice.

    Attributes:
        used: name -> (B, count) values before any shift; filled while drawing.
        forced: name of a uniform -> (B,) its value; NaN leaves it.
    """

    used: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    forced: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    def _shifted(self, name: str, values: Tensor) -> Tensor:
        self.used[name] = values
        shift = self.shifts.get(name)
        return values if shift is None else values + shift

    def uniform(self, name: str) -> Tensor:
        """Uniform of the patient for a discrete choice, (B,)."""
        values = self.patient.uniform(name, 1)[:, 0]
        forced = self.forced.get(name)
        return values if forced is None else torch.where(forced.isnan(), values, forced)


@dataclasses.dataclass(frozen=True, slots=True)
class Same(Stream):
    """The numbers of one record in every row, hashed once: ``known`` is shared by such streams."""

    known: dict[tuple[str, str, int, int], Tensor] = dataclasses.field(default_factory=dict)

    def uniform(self, name: str, count: int, start: int = 0) -> Tensor:
        """See ``Stream``."""
        return self._once("uniform", name, count, start)

    def normal(self, name: str, count: int, start: int = 0) -> Tensor:
        """See ``Stream``."""
        return self._once("normal", name, count, start)

    def _once(self, kind: str, name: str, count: int, start: int) -> Tensor:
        key = (kind, name, count, start)
        if key not in self.known:
            self.known[key] = getattr(Stream(self.keys[:1]), kind)(name, count, start)
        return self.known[key].expand(len(self.keys), -1)

    def rows(self, count: int) -> Same:
        """The same record ``count`` times."""
        return Same(self.keys[:1].expand(count), self.known)


def surroundings(
    cohort: Cohort,
    seed: int,
    indices: Iterable[int],
    fs_hz: float,
    samples: int,
    names: tuple[str, ...],
    workers: int = 1,
) -> Iterator[Surroundings]:
    """Linearise records of the split ``bayes``, which no study uses, for the findings ``names``."""
    return in_order(
        functools.partial(_around, cohort, seed, fs_hz, samples, names), indices, workers
    )


def _around(
    cohort: Cohort, seed: int, fs_hz: float, samples: int, names: tuple[str, ...], index: int
) -> Surroundings:
    with one_thread():
        return _linearised(Neighbours(cohort, seed, index, fs_hz, samples, names), names)


def _linearised(record: Neighbours, names: tuple[str, ...]) -> Surroundings:
    count, switches = len(record.normals), len(record.switches)
    signal, slopes = record.changes(STEP * np.eye(count), np.full(count, -1))
    jacobian = signal / STEP
    moved, distance2 = refit(lambda z, s: record.changes(z, s)[0], jacobian, switches)
    toggled = record.changes(moved, np.arange(switches))[1] if switches else {}
    return Surroundings(
        findings={name: record.findings[name] for name in names},
        normals=record.normals,
        gram=jacobian @ jacobian.T,
        slopes={name: slopes[name] / STEP for name in names},
        toggled={name: toggled.get(name, np.zeros(0)) for name in names},
        distance2=distance2,
        log_odds=np.array([odds for _, _, odds in record.switches]),
    )


class Neighbours:
    """A record, and what it would be with other latents.

    Attributes:
        normals: (K,) true values of its latents, the gains of the leads last.
        switches: (uniform, value that toggles it, prior log odds of the other state) of each
            disorder that may be hardly visible, and of sex, where a label depends on it.
        findings: finding -> its true value.
    """

    def __init__(
        self,
        cohort: Cohort,
        seed: int,
        index: int,
        fs_hz: float,
        samples: int,
        names: tuple[str, ...],
    ) -> None:
        self.cohort, self.fs_hz, self.samples = cohort, fs_hz, samples
        fresh, _ = generate.draws(cohort, seed, "bayes", index, index + 1)
        self._patient, self._visit = Same(fresh.patient.keys), Same(fresh.visit.keys)
        one = Probe(self._patient, self._visit)
        self.switches = _switches(cohort.population, one, names)
        truth = develop(cohort.population, one)
        self._beats, self._pr_ms = events(truth, samples / fs_hz), truth["pr_ms"]
        one.used.clear()
        self._signal, self._values = self._render(one)
        self._spots = {name: values.shape[1] for name, values in one.used.items()}
        values = [one.used[name][0] for name in self._spots]
        self.normals = torch.cat([*values, one.at_visit("gain", 8)[0]]).numpy()
        self.findings = {name: float(value[0]) for name, value in self._values.items()}
        self._power = spectrum(cohort.device, one, fs_hz, samples)

    def changes(self, moved: Array, toggled: NDArray[np.int64]) -> tuple[Array, dict[str, Array]]:
        """Changes from the true record, for each row.

        Args:
            moved: (rows, K) shifts of the latents.
            toggled: (rows,) place in ``switches`` of the one toggled, -1 for none.

        Returns:
            Change of the signal in units of the noise (rows, M), and of each finding (rows,).
        """
        shifts, column = {}, 0
        for name, count in self._spots.items():
            shifts[name] = torch.from_numpy(moved[:, column : column + count])
            column += count
        forced = {}
        for place, (name, value, _) in enumerate(self.switches):
            choice = np.where(toggled == place, value, np.nan)
            forced[name] = torch.from_numpy(choice)
        rows = len(moved)
        probe = Probe(self._patient.rows(rows), self._visit.rows(rows), shifts, {}, forced)
        signal, values = self._render(probe)
        gain = self.cohort.device.gain_error * moved[:, column:, None]
        white = whitened(signal * (1.0 + gain) - self._signal, self._power)
        rate = (values["base_rate_bpm"] - self._values["base_rate_bpm"]) / self._rate_error()
        together = np.concatenate([white, rate[:, None]], axis=1)
        return together, {name: values[name] - self._values[name] for name in values}

    def place(self, name: str, position: int = 0) -> int:
        """Where a named normal stands among the latents."""
        before = list(self._spots).index(name)
        return sum(list(self._spots.values())[:before]) + position

    def _render(self, probe: Probe) -> tuple[Array, dict[str, Array]]:
        """Leads I, II, V1-V6 (rows, 8, samples) in mV without noise, and findings (rows,)."""
        x = develop(self.cohort.population, probe)
        beats, whole = _repeated(self._beats, len(x["pr_ms"])), heart(x)
        longer = (x["pr_ms"] - self._pr_ms) / 1e3
        beats = dataclasses.replace(beats, p_s=beats.p_s - longer[:, None])
        values = generate.findings(x, whole, beats, self.samples / self.fs_hz)
        values["base_rate_bpm"] = x["base_rate_bpm"]
        low_pass = self.cohort.device.low_pass_hz
        signal = leads(x, whole, beats, self.fs_hz, self.samples, low_pass, torch.float64)
        return signal.numpy(), {name: value.numpy() for name, value in values.items()}

    def _rate_error(self) -> float:
        """Standard error of the rate from the scatter of the intervals; 1 % at least."""
        times = self._beats.qrs_s[0]
        intervals = times[~times.isnan()].diff()
        scatter = float(intervals.std() / intervals.mean()) / math.sqrt(len(intervals))
        return float(self._values["base_rate_bpm"][0]) * max(0.01, scatter)


def _repeated(beats: Events, rows: int) -> Events:
    fields = [field.name for field in dataclasses.fields(beats)]
    more = {name: getattr(beats, name) for name in fields}
    return Events(**{name: value.expand(rows, *value.shape[1:]) for name, value in more.items()})


def _switches(
    population: Population, one: Draws, names: tuple[str, ...]
) -> list[tuple[str, float, float]]:
    """(uniform, value that toggles it, prior log odds of the other state)."""
    x = develop(population, one)
    prior = chances(population, (x["age_years"] - population.age_mean) / population.age_sd)
    both = {"male": (population.male, bool(x["male"][0]))} if "male" in names else {}
    for name, finding in HARDLY_VISIBLE.items():
        if finding in names and (p := float(prior[name][0])) > 0.0:
            both["state." + name] = p, bool(x.states[name][0])
    switches = []
    for name, (p, present) in both.items():
        odds = math.log(p / (1.0 - p))
        switches.append((name, 1.0 - 1e-12, -odds) if present else (name, 1e-12, odds))
    return switches


def spectrum(device: Device, draws: Draws, fs_hz: float, samples: int) -> Array:
    """Spectrum of the noise of one record at an electrode, (samples // 2 + 1,).

    In mV^2 per sample, as white noise of that variance would have at every frequency.
    """
    white = float(recorder.white_mv(device, draws))
    size = math.exp(device.muscle_spread * float(draws.visit.normal("muscle", 1)))
    muscle = device.muscle_mv * size
    slow, of_white, of_muscle, of_both = _templates(device, fs_hz, samples)
    # Both come from the same numbers, so their sum has a cross term.
    cross = 0.5 * (of_both - of_white - of_muscle)
    apart = white**2 * of_white + muscle**2 * of_muscle
    fast = np.maximum(apart + 2.0 * white * muscle * cross, 0.01 * apart)
    return slow + fast + device.step_mv**2 / 12.0


@functools.lru_cache(maxsize=8)
def _templates(device: Device, fs_hz: float, samples: int) -> tuple[Array, Array, Array, Array]:
    """Spectra of slow noise, and of white, muscle and both at 1 mV."""
    # The high-pass takes as much from the signal as from the noise: it is left out of both.
    linear = dataclasses.replace(
        device, gain_error=0.0, step_mv=0.0, range_mv=0.0, loss=0.0, high_pass_hz=0.0
    )
    slow = dataclasses.replace(linear, white_mv=0.0, muscle_mv=0.0)
    silent = ("wander_mv", "respiration_mv", "mains_mv", "pops_per_min", "motion_mv")
    none = dataclasses.replace(linear, **dict.fromkeys((*silent, "spread", "muscle_spread"), 0.0))
    kinds = [
        dataclasses.replace(none, white_mv=white, muscle_mv=muscle)
        for white, muscle in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    ]
    of_slow, *of_fast = (_median_spectrum(kind, fs_hz, samples) for kind in (slow, *kinds))
    return of_slow, of_fast[0], of_fast[1], of_fast[2]


def _median_spectrum(device: Device, fs_hz: float, samples: int) -> Array:
    index = torch.arange(SPECTRUM_RECORDS)
    draws = Draws(Stream(index * 7919 + 1), Stream(index * 104729 + 2))
    nothing = torch.zeros(SPECTRUM_RECORDS, 8, samples)
    breath = torch.linspace(0.17, 0.31, SPECTRUM_RECORDS, dtype=torch.float64)
    noise = recorder.record(nothing, device, draws, breath, fs_hz).double().numpy()
    power = np.abs(np.fft.rfft(noise)) ** 2 / samples
    # A periodogram is exponentially distributed: its median is ln 2 of its mean. The mixing
    # of electrodes, which the leads are freed of later, is taken out of the level.
    mixed = (lead_mixing() ** 2).sum(axis=1)[:, None]
    level: Array = np.median((power / mixed).reshape(-1, power.shape[-1]), axis=0) / math.log(2.0)
    return level


def whitened(signals: Array, power: Array) -> Array:
    """Leads I, II, V1-V6 in mV (rows, 8, samples) to (rows, numbers) in units of the noise.

    The leads are noise-free, or differences of such; ``power`` is a ``spectrum``.
    """
    samples = signals.shape[-1]
    mixing = lead_mixing()
    root = np.linalg.inv(np.linalg.cholesky(mixing @ mixing.T))
    parts = np.fft.rfft(root @ signals)
    twice = np.full(parts.shape[-1], 2.0)  # both signs of a frequency
    twice[0] = 1.0
    if samples % 2 == 0:
        twice[-1] = 1.0
    parts *= np.sqrt(twice / samples / power)
    flat = parts.reshape(len(signals), -1)
    return np.concatenate([flat.real, flat.imag], axis=1)


def lead_mixing() -> Array:
    """Leads I, II, V1 to V6 from the potentials of nine electrodes: (8, 9)."""
    mixing = np.zeros((8, 9))
    mixing[0, [0, 1]] = -1.0, 1.0
    mixing[1, [0, 2]] = -1.0, 1.0
    mixing[2:, 3:] = np.eye(6)
    mixing[2:, :3] = -1.0 / 3.0
    return mixing
