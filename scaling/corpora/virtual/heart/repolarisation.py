"""ST segment, T and U of a batch of visits, as fractions of the QT interval.

The ST level is a smooth step from the J point to the T wave, not a bell; T is a bell with a
slow rise and a faster fall. Where depolarisation takes another way, T turns against it.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from scaling.corpora.virtual.heart.depolarisation import (
    MEAN_AXIS_DEG,
    left_share,
    ventricular_qrs_ms,
)
from scaling.corpora.virtual.heart.waves import Waves, in_chest, near_field, turned, vector
from scaling.corpora.virtual.latents import REGIONS, Latents
from scaling.corpora.virtual.smooth import softplus

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
    change = torch.stack([1.0 - 2.0 * x["t_" + r].clamp(max=1.5) for r in
                          ("lateral", "inferior", "anterior")], -1)  # fmt: skip
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
