"""The heart: from a patient's latents to a dipole, and through a lead field to 12 leads.

Axes of the dipole: x to the left, y to the feet, z to the back. Each wave is a Gaussian in
time along a fixed direction, after McSharry et al. 2003 (IEEE Trans. Biomed. Eng. 50:289)
in three dimensions. The lead field is Dower's (1968) transform for leads I, II and V1-V6;
the other four limb leads follow from Einthoven and Goldberger exactly.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Rows: I, II, V1..V6. Columns: x, y, z.
DOWER: Array = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
WAVES = ("P", "Q", "R", "S", "RBBB", "LBBB", "T1", "T2")
# Dipole of each wave in millivolts, for a patient with all perturbations zero.
DIRECTIONS: Array = np.array(
    [
        [0.10, 0.16, -0.03],
        [-0.13, -0.04, -0.14],
        [1.00, 0.78, 0.22],
        [-0.18, -0.16, 0.46],
        [-0.62, -0.08, -0.60],
        [0.62, 0.12, 0.50],
        [0.16, 0.13, -0.12],
        [0.20, 0.16, -0.14],
    ]
)
TIMING = ("pr_ms", "qtc_ms", "rbbb", "lbbb", "width")  # the latents wave shapes depend on
P_SIGMA_MS = 20.0  # at a PR interval of 160 ms
P_WIDENING = 0.15  # ms of P width per ms of PR: slow atria delay both
P_ONSET = 2.2  # the P wave is taken to begin 2.2 sigma before its peak
QRS_ONSET_MS = 38.0  # before the R peak, in a normal complex


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """What shapes the noise-free record of one visit.

    Attributes:
        pr_ms: PR interval, P onset to QRS onset, in milliseconds.
        qtc_ms: QT corrected by Bazett, in milliseconds.
        rbbb, lbbb: degree of bundle-branch delay, 0 none, about 1 complete.
        af: degree of atrial fibrillation: P waves fade and f waves grow from 0 to 1.
        t_change: 0 upright T waves, about 1 flat, above inverted.
        log_voltage: logarithm of the voltage scale.
        axis_deg: turn of the frontal axis, clockwise positive, degrees from the mean (48).
        turn_deg: turn in the horizontal plane, degrees.
        width: scale of the QRS widths.
        waves: (8, 3) relative perturbation of each wave's dipole, fractions of its length.
        torso: (8, 3) perturbation of the lead field, fractions of the mean entry.
        gains: (8,) lead gains.
        f_phase: phase of the f waves in radians.
        f_hz: frequency of the f waves.
    """

    pr_ms: float
    qtc_ms: float
    rbbb: float
    lbbb: float
    af: float
    t_change: float
    log_voltage: float
    axis_deg: float
    turn_deg: float
    width: float
    waves: Array
    torso: Array
    gains: Array
    f_phase: float
    f_hz: float


def directions(latents: Latents) -> Array:
    """Dipole of each wave, (8, 3) in millivolts."""
    lengths = np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
    d = DIRECTIONS + 0.15 * lengths * latents.waves
    d[0] *= max(1.0 - latents.af, 0.0)
    d[1] *= max(1.0 - latents.lbbb, 0.0)
    d[4] *= latents.rbbb
    d[5] *= latents.lbbb
    # Bundle-branch blocks turn repolarisation against the late forces.
    d[6:8] *= 1.0 - latents.t_change
    d[6:8] -= 0.20 * d[4] + 0.45 * d[5]
    d[1:8] *= np.exp(latents.log_voltage)
    return _turn(d, latents.axis_deg, latents.turn_deg)


def _turn(d: Array, frontal_deg: float, horizontal_deg: float) -> Array:
    a, b = np.deg2rad(frontal_deg), np.deg2rad(horizontal_deg)
    frontal = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
    horizontal = np.array([[np.cos(b), 0, np.sin(b)], [0, 1.0, 0], [-np.sin(b), 0, np.cos(b)]])
    turned: Array = d @ frontal @ horizontal
    return turned


def timing_ms(latents: Latents, rr_s: float) -> tuple[Array, Array]:
    """Centres and widths (sigma) of the waves, (8,) each, in ms from the R peak."""
    w = latents.width
    qt = latents.qtc_ms * np.sqrt(rr_s)
    onset = -QRS_ONSET_MS * w
    t_end = onset + qt
    broad = 1.0 + 0.7 * latents.lbbb
    p_sigma = max(P_SIGMA_MS + P_WIDENING * (latents.pr_ms - 160.0), 12.0)
    centres = [
        onset - latents.pr_ms + P_ONSET * p_sigma,
        -22.0 * w,
        0.0,
        24.0 * w * broad,
        (34.0 + 22.0 * latents.rbbb) * w,
        (22.0 + 20.0 * latents.lbbb) * w,
        t_end - 115.0,
        t_end - 70.0,
    ]
    sigmas = [p_sigma, 7.0 * w, 9.5 * w * broad, 8.0 * w, 13.0 * w, 15.0 * w, 42.0, 28.0]
    return np.array(centres), np.array(sigmas)


def clean_leads(latents: Latents, beats_s: Array, rr_s: float, fs_hz: int, samples: int) -> Array:
    """Noise-free leads I, II, V1-V6: (8, samples) in millivolts.

    Args:
        latents: the visit.
        beats_s: times of the R peaks in seconds, some before 0 and after the end.
        rr_s: mean RR interval, which sets the QT interval.
        fs_hz: sampling rate in hertz.
        samples: number of samples.
    """
    return project(latents, wave_shapes(latents, beats_s, rr_s, fs_hz, samples), fs_hz)


def wave_shapes(latents: Latents, beats_s: Array, rr_s: float, fs_hz: int, samples: int) -> Array:
    """Course of each wave over the record, (8, samples), peak 1 in every beat."""
    t = np.arange(samples) / fs_hz
    centres, sigmas = timing_ms(latents, rr_s)
    shapes = np.zeros((len(WAVES), samples))
    for wave, (centre, sigma) in enumerate(zip(centres / 1e3, sigmas / 1e3, strict=True)):
        u = (t[None, :] - beats_s[:, None] - centre) / sigma
        shapes[wave] = np.exp(-0.5 * u * u).sum(axis=0)
    return shapes


def project(latents: Latents, shapes: Array, fs_hz: int) -> Array:
    """Waves of given ``shapes`` (8, samples) through dipole and lead field: leads (8, samples)."""
    dipole = directions(latents).T @ shapes
    dipole += _f_waves(latents, np.arange(shapes.shape[1]) / fs_hz)
    field = DOWER * (1.0 + 0.10 * latents.torso)
    leads: Array = latents.gains[:, None] * (field @ dipole)
    return leads


def _f_waves(latents: Latents, t: Array) -> Array:
    """Fibrillatory waves, largest towards V1: (3, samples) in millivolts."""
    phase = 2.0 * np.pi * latents.f_hz * t + latents.f_phase
    wave = np.sin(phase + 0.8 * np.sin(2.0 * np.pi * 0.7 * t)) + 0.4 * np.sin(2.0 * phase)
    direction = np.array([-0.02, 0.035, -0.045])
    f_waves: Array = max(latents.af, 0.0) * direction[:, None] * wave
    return f_waves


def twelve_leads(eight: Array) -> Array:
    """Leads I, II, V1-V6 (8, T) to the twelve standard leads (12, T), in ``LEADS`` order."""
    one, two = eight[0], eight[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.concatenate([np.stack(limb), eight[2:]])
