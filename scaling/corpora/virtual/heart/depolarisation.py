"""QRS: five phases of activation, and what scars, hypertrophy and blocks make of them.

Directions were set by hand near the mean vectors of normal adults and of each conduction
disorder, and vary between patients around them.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from scaling.corpora.virtual.heart.waves import (
    Waves,
    dot,
    in_chest,
    join,
    near_field,
    turned,
    vector,
    waves_of,
)
from scaling.corpora.virtual.latents import (
    ANTERIOR_DELAY_MS,
    DELTA_MS,
    LEFT_DELAY_MS,
    POSTERIOR_DELAY_MS,
    RIGHT_DELAY_MS,
    Latents,
    hypertrophy,
)
from scaling.corpora.virtual.smooth import power

# Septum, early, main, late, base: fraction of QRS, width (sigma) as such, dipole in mV.
SEQUENCE = ((0.20, 0.070), (0.33, 0.070), (0.455, 0.085), (0.58, 0.080), (0.72, 0.085))
NORMAL = (
    (-0.14, -0.02, -0.32), (0.55, 0.18, -0.24), (1.50, 0.60, 0.36), (0.25, 0.24, 0.62),
    (-0.13, 0.02, 0.42),
)  # fmt: skip
LEFT_BLOCK = (
    (0.12, 0.05, -0.34), (0.64, 0.10, 1.10), (0.80, 0.06, 1.90), (0.80, -0.20, 1.60),
    (0.48, -0.34, 0.75),
)  # fmt: skip
LEFT_SEQUENCE = (0.16, 0.29, 0.43, 0.60, 0.77)  # fractions of QRS, and a wider sigma
LEFT_SIGMA = 0.088
# Of the dipole: potentials near the heart that no dipole explains, in V1 to V6.
NEAR = 0.21
NEAR_LATE = (0.0, 0.0, -0.08, -0.09, -0.02, 0.04)  # of the late phase, mV
NEAR_SCAR = (0.0, 0.0, -0.30, -0.38, -0.10, 0.0)  # of an anterior scar
NEAR_RIGHT = (0.06, -0.36, -0.16, -0.08, 0.0, 0.02)  # of the late forces of right block
NEAR_LEFT = (0.0, 0.0, -0.48, -0.60, -0.45, -0.30)  # of left bundle-branch block
NEAR_ANTERIOR = (0.0, 0.0, -0.10, -0.28, -0.34, -0.30)  # of left anterior block, late
MEAN_AXIS_DEG = 42.0  # frontal axis that the means above give
PATHWAYS = ((-0.55, 0.60, -0.50), (0.55, -0.65, -0.45), (0.75, 0.45, 0.40), (0.30, 0.85, 0.35))
FOCI = (  # where ventricular beats begin: direction of the QRS they make
    (0.35, 0.90, 0.45), (-0.75, 0.55, -0.60), (-0.55, -0.80, -0.50), (0.75, -0.50, 0.65),
    (0.60, 0.25, 0.90), (-0.30, 0.75, -0.75),
)  # fmt: skip


def supraventricular(x: Latents) -> Waves:
    """QRS of a beat that comes through the atrioventricular node: (B, 12) waves, ms."""
    shift = DELTA_MS * x["preexcitation"]
    span = sequence_ms(x)
    parts = [_sequence(x, shift, span), _notches(x, shift, span)]
    parts += [_late_right(x, shift, span), _delta(x), _j_notch(x, shift, span)]
    waves = join(parts)
    near = None if waves.near is None else waves.near * torch.exp(x["log_voltage"])[:, None, None]
    return Waves(waves.centre, waves.left, waves.right, _posture(x, waves.vector), near)


def _posture(x: Latents, v: Tensor, share: float = 1.0) -> Tensor:
    """Rotations of the heart in the chest, and voltage."""
    v = turned(v, share * x["turn_deg"], 0, 2)
    v = turned(v, share * x["tilt_deg"], 1, 2)
    return v * torch.exp(share * x["log_voltage"])[:, None, None]


def _sequence(x: Latents, shift: Tensor, span: Tensor) -> Waves:
    """The five phases of activation, after scars, hypertrophy and blocks."""
    left = left_share(x)[:, None]
    normal = left.new_tensor(NORMAL)
    mean = normal + left[..., None] * (left.new_tensor(LEFT_BLOCK) - normal)
    size = dot(mean, mean).sqrt()[..., None]
    n = x.shape("qrs", 20)
    v = mean * torch.exp(0.15 * n[:, :5])[..., None] + 0.16 * size * n[:, 5:].reshape(-1, 5, 3)
    v = _axis(x, _scarred(x, _loaded(x, v)))
    fraction = left.new_tensor([c for c, _ in SEQUENCE])
    fraction = fraction + left * (left.new_tensor(LEFT_SEQUENCE) - fraction)
    sigma = left.new_tensor([s for _, s in SEQUENCE])
    sigma = sigma + left * (LEFT_SIGMA - sigma)
    centre = shift[:, None] + span[:, None] * (fraction + 0.008 * x.shape("qrs time", 5))
    width = span[:, None] * sigma * torch.exp(0.08 * x.shape("qrs width", 5))
    own = NEAR * dot(v, v).sqrt()[..., None] * near_field(x.shape("near qrs", 30).reshape(-1, 5, 6))
    near = own + in_chest(_near(x, left))
    return Waves(centre, width, width, v, near)


def _near(x: Latents, left: Tensor) -> Tensor:
    """Mean of what V1 to V6 show beyond the dipole in the five phases, (B, 5, 6) mV.

    The front wall is nearest V3 and V4: what it loses to a scar, and what comes late in left
    bundle-branch block, is deeper there than far away.
    """
    scar = x["scar_anterior"][:, None, None] * left.new_tensor(NEAR_SCAR)
    block = left[..., None] * left.new_tensor(NEAR_LEFT)
    course = left.new_tensor(((0.0,), (0.5,), (1.0,), (0.9,), (0.4,)))
    late = left.new_tensor(((0.0,), (0.0,), (0.0,), (1.0,), (0.6,))) * left.new_tensor(NEAR_LATE)
    fascicle = (x["lafb"].clamp(max=1.0)[:, None, None] - 0.1) * left.new_tensor(NEAR_ANTERIOR)
    end = left.new_tensor(((0.0,), (0.0,), (0.0,), (1.0,), (0.8,)))
    return course * (scar + block) + (late + end * fascicle) * (1.0 - left[..., None])


def sequence_ms(x: Latents) -> Tensor:
    """Duration of the five phases of activation, (B,): QRS without delta and right delay."""
    return x["base_qrs_ms"] + (
        LEFT_DELAY_MS * x["lbbb"] + ANTERIOR_DELAY_MS * x["lafb"] + POSTERIOR_DELAY_MS * x["lpfb"]
    )


def left_share(x: Latents) -> Tensor:
    """How far activation has gone over to left bundle-branch block, 0 to 1, (B,)."""
    t = (x["lbbb"] / 0.75).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _loaded(x: Latents, v: Tensor) -> Tensor:
    """Hypertrophy of either side, and poor progression of R."""
    h, rv, poor = hypertrophy(x.findings), x["rv_load"], x["poor_progression"]
    gain = 1.0 + h[:, None] * h.new_tensor((0.1, 0.2, 0.3, 0.45, 0.2))
    add = [
        vector(h, 0.0, 0.0, 0.24 * poor),
        vector(h, 0.08 * h - 0.15 * rv, 0.0, 0.32 * poor + 0.1 * h - 0.2 * rv),
        vector(h, 0.2 * h - 0.65 * rv, 0.0, 0.28 * poor + 0.35 * h - 0.75 * rv),
        vector(h, 0.15 * h - 0.45 * rv, 0.1 * rv, 0.35 * h - 0.75 * rv),
        vector(h, -0.2 * rv, -0.1 * rv, 0.1 * h - 0.25 * rv),
    ]
    v = v * gain[..., None] + torch.stack(add, 1)
    # In right block the front of the heart is late: it opposes what would point backwards.
    back = v[..., 2].clamp(min=0.0) * h.new_tensor((0.0, 0.85, 1.05, 1.0, 0.95))
    right = (x["rbbb"] / 0.8).clamp(max=1.0) * (0.85 + 0.15 * x.draws.share("right s"))
    back = back + h.new_tensor((0.0, 0.05, 0.2, 0.1, 0.0))
    side = 1.0 - right[:, None] * h.new_tensor((0.0, 0.1, 0.35, 0.3, 0.0))
    return torch.stack([side * v[..., 0], v[..., 1], v[..., 2] - right[:, None] * back], -1)


def _scarred(x: Latents, v: Tensor) -> Tensor:
    """Infarcts: the first 40 ms point away from the dead region."""
    a, i = x["scar_anterior"], x["scar_inferior"]
    s, p = x["scar_lateral"], x["scar_posterior"]
    add = [
        vector(a, -0.10 * s + 0.58 * i, -0.22 * i, 0.42 * a - 0.05 * p),
        vector(a, -0.12 * a - 0.55 * s + 0.80 * i, -0.24 * i, 0.55 * a - 0.25 * p),
        vector(a, -0.25 * a - 0.45 * s + 0.2 * i, 0.0 * i, 0.30 * a - 0.60 * p),
        vector(a, -0.05 * a - 0.10 * s, -0.08 * i, 0.08 * a - 0.45 * p),
        vector(a, 0.0, 0.05 * i, -0.15 * p),
    ]
    return v + torch.stack(add, 1)


def _axis(x: Latents, v: Tensor) -> Tensor:
    """Frontal turn of the whole loop, and of its later part alone in fascicular blocks."""
    turn = x["base_axis_deg"] - MEAN_AXIS_DEG
    up, down = ((x[name] / 0.75).clamp(max=1.0) for name in ("lafb", "lpfb"))
    spread = 9.0 * x.draws.one("fascicular axis")
    phases = [turned(v[:, 0], turn + 18.0 * up - 22.0 * down, 0, 1)]
    for k, late in enumerate((25.0, 52.0, 84.0, 98.0), start=1):
        # A blocked fascicle sets the direction of what comes late, whatever it was before.
        anterior = up * (spread - 26.0 - late - turn)
        posterior = down * (spread + 14.0 + 0.9 * late - turn)
        phases.append(turned(v[:, k], turn + anterior + posterior, 0, 1))
    return torch.stack(phases, 1)


def _notches(x: Latents, shift: Tensor, span: Tensor) -> Waves:
    """Two small notches anywhere in QRS, larger with scars and delay."""
    scar = x["scar_anterior"] + x["scar_inferior"] + x["scar_lateral"]
    size = 0.05 + 0.10 * scar + 0.16 * x["ivcd"] + 0.05 * x["lbbb"]
    place = torch.special.ndtr(x.draws.normal("notch place", 2))
    v = x.shape("notch", 6).reshape(-1, 2, 3) * size[:, None, None]
    centre = shift[:, None] + span[:, None] * (0.22 + 0.66 * place)
    width = (0.055 * span)[:, None].expand_as(centre)
    return Waves(centre, width, width, v)


def _late_right(x: Latents, shift: Tensor, span: Tensor) -> Waves:
    """Late forces of right bundle-branch block: to the right and to the front."""
    r = x["rbbb"]
    start = shift + 0.66 * span
    rest = 0.34 * span + RIGHT_DELAY_MS * r
    n = x.draws.normal("late right", 8)
    grown = power(r.clamp(max=1.2), 0.8)
    one = vector(r, -0.37, 0.00, -0.92) * torch.exp(0.3 * n[:, :1]) + 0.16 * n[:, 1:4]
    two = vector(r, -0.37, -0.06, -0.54) * torch.exp(0.3 * n[:, 4:5]) + 0.14 * n[:, 5:8]
    late = waves_of([
        (start + 0.36 * rest, 0.19 * rest, one * grown[:, None]),
        (start + 0.66 * rest, 0.16 * rest, two * grown[:, None]),
    ])  # fmt: skip
    near = in_chest(grown[:, None, None] * r.new_tensor((NEAR_RIGHT, NEAR_RIGHT)))
    return dataclasses.replace(late, near=near)


def _delta(x: Latents) -> Waves:
    """Slow start of QRS through an accessory pathway."""
    w = x["preexcitation"]
    pathway = x.draws.patient.choice("pathway", (0.4, 0.3, 0.2, 0.1))
    way = w.new_tensor(PATHWAYS)[pathway] + 0.15 * x.draws.normal("delta", 3)
    return waves_of([
        (18.0 + 0.0 * w, 9.0 + 0.0 * w, 0.20 * w[:, None] * way),
        (36.0 + 0.0 * w, 11.0 + 0.0 * w, 0.42 * w[:, None] * way),
    ])  # fmt: skip


def _j_notch(x: Latents, shift: Tensor, span: Tensor) -> Waves:
    """J wave of early repolarisation, inferior and lateral."""
    degree = x["early_repolarisation"]
    v = vector(degree, 0.10, 0.09, -0.03) + 0.04 * x.draws.normal("j wave", 3)
    return waves_of([(shift + 0.97 * span, 8.0 + 0.0 * span, v * degree[:, None])])


def ventricular(x: Latents) -> Waves:
    """QRS of a beat that begins in the ventricles, the spike of pacing last: (B, 6), ms."""
    draws = x.draws
    paced = x.states["paced"]
    focus = torch.where(paced, 3, draws.patient.choice("focus", (0.3, 0.15, 0.15, 0.15, 0.15, 0.1)))
    way = x["rbbb"].new_tensor(FOCI)[focus] + 0.22 * draws.normal("focus", 3)
    span = ventricular_qrs_ms(x)
    size = 1.15 * torch.exp(0.30 * draws.one("focus size"))
    n = draws.normal("ectopic", 15).reshape(-1, 5, 3)
    items = []
    for k, (fraction, amplitude) in enumerate(
        ((0.17, 0.28), (0.34, 0.75), (0.50, 1.00), (0.66, 0.75), (0.82, 0.30))
    ):
        v = amplitude * size[:, None] * (way + 0.22 * n[:, k])
        items.append((fraction * span, 0.095 * span, v))
    spike = (paced.double() * (0.4 + 2.2 * draws.share("spike")))[:, None]
    items.append((
        -6.0 + 0.0 * span, 0.9 + 0.0 * span,
        spike * (vector(span, 0.4, -0.8, 0.3) + 0.3 * draws.normal("spike", 3)),
    ))  # fmt: skip
    waves = waves_of(items)
    return Waves(waves.centre, waves.left, waves.right, _posture(x, waves.vector, 0.5))


def without_spike(qrs: Waves) -> Waves:
    """``ventricular`` without the spike of a pacemaker, (B, 5)."""
    return Waves(qrs.centre[:, :-1], qrs.left[:, :-1], qrs.right[:, :-1], qrs.vector[:, :-1])


def ventricular_qrs_ms(x: Latents) -> Tensor:
    """QRS duration of ventricular beats, (B,)."""
    return 148.0 + 12.0 * x.draws.one("ectopic qrs") + 0.3 * (x["base_qrs_ms"] - 80.0)
