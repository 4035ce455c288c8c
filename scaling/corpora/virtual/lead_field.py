"""From latents and beats to the noise-free leads I, II, V1 to V6.

The lead field is Dower's (1968) transform with each patient's torso and electrode positions
around it.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from scaling.corpora.virtual.atria import atrial, atrial_activity
from scaling.corpora.virtual.latents import Latents
from scaling.corpora.virtual.reproducible import angle_deg, power
from scaling.corpora.virtual.rhythm import Events
from scaling.corpora.virtual.ventricles import (
    Repolarisation,
    after_ventricular,
    repolarisation,
    supraventricular,
    ventricular,
    without_spike,
)
from scaling.corpora.virtual.waves import Canvas, Waves, dot, kinds

# Rows I, II, V1 to V6; columns x (left), y (feet), z (back).
DOWER = (
    (0.632, -0.235, 0.059), (0.235, 1.066, -0.132), (-0.515, 0.157, -0.917),
    (0.044, 0.164, -1.387), (0.882, 0.098, -1.277), (1.213, 0.127, -0.601),
    (1.125, 0.127, -0.086), (0.831, 0.076, 0.230),
)  # fmt: skip
# Seconds from the onset of P or QRS in which waves are rendered. Fixed, since a window that
# followed the batch would cut tails differently. What is cut off begins with less than a
# microvolt in nearly all records.
P_WINDOW = (-0.06, 0.48)
QRS_WINDOW = (-0.03, 0.27)
T_WINDOW = (0.05, 1.00)
LONGEST_QT_S = 0.68
VENTRICULAR_QT_MS = 35.0  # what QT of a ventricular beat is longer
# The atria lie behind the ventricles: P is smaller in V1 to V6 than the lead field has it.
ATRIA_IN_CHEST = (1.0, 1.0, 0.92, 0.27, 0.23, 0.26, 0.32, 0.47)
# Of the mean lead field: torsos are wider than Dower's model, most in V3 to V6.
CHEST = (1.0, 1.0, 0.80, 1.05, 0.92, 0.88, 0.90, 0.92)


@dataclasses.dataclass(frozen=True, slots=True)
class Heart:
    """The waves of each record in its leads, before they are placed in time.

    Attributes:
        atrial: sinus and ectopic P; times in ms.
        qrs: conducted and ventricular QRS; times in ms.
        after: what follows each.
        field: (B, 8, 3) lead field.
        axis_deg: (B,) frontal axis of QRS, by area: of the ventricular one where every beat is.
    """

    atrial: tuple[Waves, Waves]
    qrs: tuple[Waves, Waves]
    after: tuple[Repolarisation, Repolarisation]
    field: Tensor
    axis_deg: Tensor


def heart(x: Latents) -> Heart:
    """Lay out the waves of each record."""
    conducted, ectopic = supraventricular(x), ventricular(x)
    field = lead_field(x)
    own, through_node = _axis_deg(without_spike(ectopic), field), _axis_deg(conducted, field)
    axis = torch.where(x.ventricular, own, through_node)
    return Heart(
        atrial=atrial(x),
        qrs=(conducted, ectopic),
        after=(repolarisation(x, conducted), after_ventricular(x, ectopic)),
        field=field,
        axis_deg=axis,
    )


def _axis_deg(qrs: Waves, field: Tensor) -> Tensor:
    """Frontal axis by area, (B,)."""
    area = (qrs.vector * qrs.left[..., None]).unbind(1)
    total = torch.zeros_like(area[0])
    for part in area:
        total = total + part
    one, two = dot(field[:, 0], total), dot(field[:, 1], total)
    return angle_deg((two - 0.5 * one) * (2.0 / math.sqrt(3.0)), one)


def lead_field(x: Latents) -> Tensor:
    """(B, 8, 3) millivolts in a lead per millivolt of dipole."""
    mean = x["age_years"].new_tensor(DOWER) * x["age_years"].new_tensor(CHEST)[:, None]
    torso = x.shape("torso", 24).reshape(-1, 8, 3)
    placed = x.draws.at_visit("electrodes", 24).reshape(-1, 8, 3)
    field = mean * (1.0 + 0.09 * torso) + 0.05 * torso + 0.035 * placed
    limb = torch.exp(x["limb_voltage"] - x["log_voltage"])
    scale = torch.stack([limb, limb, *[torch.ones_like(limb)] * 6], 1)
    return field * scale[..., None]


def leads(
    x: Latents,
    h: Heart,
    e: Events,
    fs_hz: float,
    samples: int,
    low_pass_hz: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Noise-free leads I, II, V1 to V6: (B, 8, samples) in millivolts, computed in ``dtype``.

    ``low_pass_hz`` is the -3 dB frequency of the recorder's Gaussian low-pass; 0 for none. What
    the rate could not carry (above 0.4 fs) is always removed.
    """
    canvas = Canvas(h.field, fs_hz, samples, smoothing_s(fs_hz, low_pass_hz), dtype)
    breathing = _breathing(x, e)
    p = _beats(x, e, "p beat", 0.10)
    canvas.add(e.p_s, e.p_ectopic, kinds(h.atrial, 1e-3), P_WINDOW, 2, p, chest=ATRIA_IN_CHEST)
    canvas.add(e.qrs_s, e.ventricular, kinds(h.qrs, 1e-3), QRS_WINDOW, 2, breathing)
    qt = qt_s(x, e)
    after = kinds((h.after[0].waves, h.after[1].waves), 1.0)
    step = torch.stack([r.step for r in h.after], 1)
    j = torch.stack([r.j_ms for r in h.after], 1) / 1e3
    t = breathing * _beats(x, e, "t beat", 0.035)
    canvas.add(e.qrs_s, e.ventricular, after, T_WINDOW, 4, t, stretch=qt, step=step, j_s=j)
    out = canvas.signal()
    return atrial_activity(x, h.field, out, fs_hz, canvas.smooth_s)


def smoothing_s(fs_hz: float, low_pass_hz: float) -> float:
    """Standard deviation in seconds of a Gaussian low-pass with that -3 dB frequency."""
    cut = min(low_pass_hz or math.inf, 0.4 * fs_hz)
    return math.sqrt(math.log(2.0)) / (2.0 * math.pi * cut)


def qt_s(x: Latents, e: Events) -> Tensor:
    """QT of each beat in seconds by Fridericia, mostly after the mean RR: (B, K)."""
    rr = 0.8 * e.mean_rr_s[:, None] + 0.2 * e.rr_s.clamp(0.3, 2.0)
    qt = x["qtf_ms"][:, None] / 1e3 * power(rr.clamp(0.28, 2.2), 1.0 / 3.0)
    # From beat to beat QT varies by a few ms (Berger et al. 1997, Circulation 96:1557).
    qt = qt * (1.0 + 0.008 * x.draws.visit.normal("qt beat", qt.shape[1]).clamp(-2.5, 2.5))
    return (qt + VENTRICULAR_QT_MS / 1e3 * e.ventricular).clamp(max=LONGEST_QT_S)


def _beats(x: Latents, e: Events, name: str, spread: float) -> Tensor:
    """Amplitude of a wave from beat to beat: (B, K) around one."""
    return 1.0 + spread * x.draws.visit.normal(name, e.qrs_s.shape[1]).clamp(-2.5, 2.5)


def _breathing(x: Latents, e: Events) -> Tensor:
    """QRS amplitude of each beat, which moves with respiration: (B, K) around one."""
    phase = 2.0 * math.pi * x.draws.visit.uniform("breath phase", 1)
    depth = 0.035 * torch.exp(0.5 * x.draws.at_visit("breath depth", 1))
    return 1.0 + depth * torch.sin(2.0 * math.pi * e.breath_hz[:, None] * e.qrs_s + phase)
