"""The ventricles: QRS, and the ST segment, T and U after it.

QRS has five phases of activation; scars, hypertrophy and blocks make something else of them. ST, T
and U are laid out in fractions of the QT interval: the ST level is a smooth step from the J point
to the T wave, not a bell; T is a bell with a slow rise and a faster fall. Where depolarisation
takes another way, T turns against it. Directions were set by hand near the mean vectors of normal
adults and of each conduction disorder, and vary between patients around them.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from scaling.corpora.virtual.latents import (
    ANTERIOR_DELAY_MS,
    DELTA_MS,
    LEFT_DELAY_MS,
    POSTERIOR_DELAY_MS,
    REGIONS,
    RIGHT_DELAY_MS,
    Latents,
    hypertrophy,
)
from scaling.corpora.virtual.reproducible import power, softplus
from scaling.corpora.virtual.waves import (
    Waves,
    dot,
    in_chest,
    join,
    near_field,
    turned,
    vector,
    waves_of,
)

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
    late = waves_of(
        [
            (start + 0.36 * rest, 0.19 * rest, one * grown[:, None]),
            (start + 0.66 * rest, 0.16 * rest, two * grown[:, None]),
        ]
    )
    near = in_chest(grown[:, None, None] * r.new_tensor((NEAR_RIGHT, NEAR_RIGHT)))
    return dataclasses.replace(late, near=near)


def _delta(x: Latents) -> Waves:
    """Slow start of QRS through an accessory pathway."""
    w = x["preexcitation"]
    pathway = x.draws.patient.choice("pathway", (0.4, 0.3, 0.2, 0.1))
    way = w.new_tensor(PATHWAYS)[pathway] + 0.15 * x.draws.normal("delta", 3)
    return waves_of(
        [
            (18.0 + 0.0 * w, 9.0 + 0.0 * w, 0.20 * w[:, None] * way),
            (36.0 + 0.0 * w, 11.0 + 0.0 * w, 0.42 * w[:, None] * way),
        ]
    )


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
    items.append(
        (
            -6.0 + 0.0 * span,
            0.9 + 0.0 * span,
            spike * (vector(span, 0.4, -0.8, 0.3) + 0.3 * draws.normal("spike", 3)),
        )
    )
    waves = waves_of(items)
    return Waves(waves.centre, waves.left, waves.right, _posture(x, waves.vector, 0.5))


def without_spike(qrs: Waves) -> Waves:
    """``ventricular`` without the spike of a pacemaker, (B, 5)."""
    return Waves(qrs.centre[:, :-1], qrs.left[:, :-1], qrs.right[:, :-1], qrs.vector[:, :-1])


def ventricular_qrs_ms(x: Latents) -> Tensor:
    """QRS duration of ventricular beats, (B,)."""
    return 148.0 + 12.0 * x.draws.one("ectopic qrs") + 0.3 * (x["base_qrs_ms"] - 80.0)


NEAR_T = (-0.012, 0.08, -0.18, -0.24, -0.14, -0.01)  # mean of V1 to V6 beyond the dipole, mV
# Dipole that lifts the leads of a region by one, see the lead field.
TOWARDS = {"anterior": (0.0, 0.0, -0.85), "inferior": (0.0, 0.85, 0.0), "lateral": (1.10, 0.0, 0.0)}


@dataclasses.dataclass(frozen=True, slots=True)
class Repolarisation:
    """What follows QRS in beats of one kind.

    Attributes:
        waves: T, its early part and U, then the fine structure of conducted beats: (B, 3) or
            (B, 7), times in fractions of QT from QRS onset.
        step: (B, 3) dipole of the ST segment in millivolts.
        j_ms: (B,) J point from QRS onset.
    """

    waves: Waves
    step: Tensor
    j_ms: Tensor


def repolarisation(x: Latents, qrs: Waves) -> Repolarisation:
    """After a beat through the node whose QRS is ``qrs``."""
    draws = x.draws
    young = (54.0 - x["age_years"]) / 16.0
    male = x["male"]
    t = vector(male, 0.50, 0.16, 0.0) + (0.19 + 0.09 * male)[:, None] * vector(male, 0, 0, -1.0)
    size = torch.exp(
        0.22 * draws.one("t size") + 0.10 * young + 0.06 * draws.at_visit("t", 1)[:, 0]
    )
    peaked = 1.0 + 0.25 * softplus((x["potassium"] - 5.4) / 0.3)
    t = (t + x.shape("t", 3) * t.new_tensor((0.032, 0.030, 0.100))) * (size * peaked)[:, None]
    t = turned(t[:, None], 0.35 * (x["base_axis_deg"] - MEAN_AXIS_DEG), 0, 1)[:, 0]
    change = torch.stack(
        [1.0 - 2.0 * x["t_" + r].clamp(max=1.5) for r in ("lateral", "inferior", "anterior")], -1
    )
    against = _against(x, qrs)
    left = left_share(x)[:, None]
    t = t * change * (1.0 - 0.75 * left) * torch.exp(0.5 * x["log_voltage"])[:, None] - against
    # Beyond the dipole: the front wall is nearest V2, and its T higher there than in V4.
    near = in_chest(t.new_tensor(NEAR_T)) + 0.12 * near_field(x.shape("near t", 6))
    height = size * torch.exp(0.5 * x["log_voltage"])
    near = near * change[:, 2:] * (1.0 - left) * height[:, None]
    early = 0.04 * x.shape("early t", 3) * size[:, None] + 0.25 * (t * (change < 0))
    u = (0.018 * torch.exp(0.4 * draws.one("u size")) + 0.10 * x["u_wave"])[:, None] * vector(
        male, 0.6, 0.5, -0.9
    )
    waves = _in_time(x, torch.stack([t, early, u], 1), near, peaked)
    # A normal ST segment rises towards T in V1 to V3, more so in men.
    step = (0.040 + 0.03 * male)[:, None] * vector(male, -0.1, -0.2, -1.0)
    for region in REGIONS:
        step = step + x[f"st_{region}_mv"][:, None] * t.new_tensor(TOWARDS[region])
    return Repolarisation(waves, step - 0.14 * against, x["conducted_qrs_ms"])


def _in_time(x: Latents, vectors: Tensor, near: Tensor, peaked: Tensor) -> Waves:
    """T, its early part and U with their fine structure: (B, 7).

    Args:
        x: the visits.
        vectors: (B, 3, 3) dipoles of the three.
        near: (B, 8) what T has beyond its dipole.
        peaked: (B,) height of T by potassium; a high one is narrow.
    """
    narrow = 1.0 - 0.12 * (peaked - 1.0).clamp(max=2.0)
    shape = x.shape("t shape", 3)
    peak = 0.765 + 0.012 * shape[:, 0]
    fall = 0.105 * torch.exp(0.10 * shape[:, 1]) * narrow
    rise = 0.130 * torch.exp(0.16 * shape[:, 2]) * narrow
    one = torch.ones_like(peak)
    detail = _detail(x)
    assert detail.near is not None
    return Waves(
        torch.cat([torch.stack([peak, peak - 0.17, 1.19 * one], 1), detail.centre], 1),
        torch.cat([torch.stack([rise, 0.09 * one, 0.07 * one], 1), detail.left], 1),
        torch.cat([torch.stack([fall, 0.09 * one, 0.08 * one], 1), detail.right], 1),
        torch.cat([vectors, detail.vector], 1),
        torch.cat([torch.stack([near, 0.0 * near, 0.0 * near], 1), detail.near], 1),
    )


def _detail(x: Latents) -> Waves:
    """What each lead sees of neighbouring regions that repolarise one after the other: (B, 4).

    Real ST segments and T waves are no single bells: narrow parts of some 10 uV, in each lead
    another, come back in every beat.
    """
    place = torch.special.ndtr(x.draws.normal("t detail place", 4))
    centre = 0.42 + 0.48 * place
    width = torch.full_like(centre, 0.036)
    size = 0.015 * torch.exp(0.5 * x["log_voltage"])[:, None, None]
    limb = x.shape("t detail", 12).reshape(-1, 4, 3) * 0.7
    chest = near_field(x.shape("t detail near", 24).reshape(-1, 4, 6))
    return Waves(centre, width, width, size * limb, size * chest)


def _against(x: Latents, qrs: Waves) -> Tensor:
    """Dipole of T that abnormal activation brings, pointing along it; (B, 3)."""
    left = left_share(x)
    right = x["rbbb"]
    v = qrs.vector.unbind(1)
    main = 0.25 * (v[1] + v[2] + v[3] + v[4])  # early to base
    late, delta = 0.5 * (v[7] + v[8]), 0.5 * (v[9] + v[10])
    n = torch.exp(0.3 * x.draws.one("secondary t"))
    total = 0.48 * left[:, None] * main + 0.40 * right[:, None] * late + 0.5 * delta
    return total * n[:, None]


def after_ventricular(x: Latents, qrs: Waves) -> Repolarisation:
    """After a beat that began in the ventricles: T against QRS."""
    main = qrs.vector[:, 2]
    t = -main * (0.42 * torch.exp(0.25 * x.draws.one("ectopic t")))[:, None]
    zero = torch.zeros_like(t)
    one = torch.ones_like(x["conducted_qrs_ms"])
    waves = Waves(
        torch.stack([0.80 * one, 0.62 * one, 1.2 * one], 1),
        torch.stack([0.14 * one, 0.09 * one, 0.07 * one], 1),
        torch.stack([0.11 * one, 0.09 * one, 0.07 * one], 1),
        torch.stack([t, zero, zero], 1),
    )
    return Repolarisation(waves, 0.18 * t, ventricular_qrs_ms(x))
