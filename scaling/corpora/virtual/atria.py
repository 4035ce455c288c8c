"""The atria: P waves, f waves of fibrillation and F waves of flutter."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from scaling.corpora.virtual.latents import Latents
from scaling.corpora.virtual.reproducible import softplus
from scaling.corpora.virtual.rhythm import flutter_cycle_s
from scaling.corpora.virtual.waves import Waves, in_chest, join, near_field, vector, waves_of

# What V1 to V6 show beyond the dipole of the right atrium and of atrial repolarisation, mV.
NEAR_P = (0.007, 0.0, 0.0, 0.0, 0.0, 0.0)
NEAR_TA = (-0.008, -0.012, -0.012, -0.010, -0.006, -0.003)


def atrial(x: Latents) -> tuple[Waves, Waves]:
    """P: sinus, with repolarisation and notches (B, 6), and ectopic (B, 2); ms from P onset."""
    draws = x.draws
    span = p_duration_ms(x)
    n = x.shape("p", 8)
    high = softplus((x["potassium"] - 5.8) / 0.4) * 0.4
    size = torch.exp(
        x["p_voltage"] + 0.3 * x["log_voltage"] + 0.30 * draws.one("p size") - 0.35 * high
    )
    right = vector(span, 0.096, 0.064, -0.078) * (1 + 0.9 * x["right_atrium"])[:, None]
    left = vector(span, 0.100, 0.029, 0.02) + x["left_atrium"][:, None] * vector(
        span, 0.025, 0.01, 0.055
    )
    right = (right * torch.exp(0.25 * n[:, :1]) + 0.018 * n[:, 1:4]) * size[:, None]
    left = (left * torch.exp(0.25 * n[:, 4:5]) + 0.018 * n[:, 5:8]) * size[:, None]
    times = ((0.36 * span, 0.155 * span), (0.64 * span, 0.155 * span))
    # Repolarisation of the atria turns against P and outlasts it: the level before QRS is lower
    # than that before P (Ta: some -40 uV, 300 ms long; Jayaraman et al. 2015, Anatolian Journal
    # of Cardiology 15:605).
    strength = 0.27 * torch.exp(0.4 * draws.one("ta size"))[:, None]
    late = (1.0 * span + 75.0, 80.0 + 0.0 * span, -strength * (right + left))
    sinus = waves_of([(*times[0], right), (*times[1], left), late])
    shown = size.new_tensor((NEAR_P, (0.0,) * 6, NEAR_TA))
    sinus = dataclasses.replace(sinus, near=in_chest(size[:, None, None] * shown))
    sinus = join([sinus, _detail(x, span, size)])
    other = draws.normal("ectopic p", 6)
    # Retrograde where it comes from the node, anywhere in the atria otherwise.
    back = x.states["junctional"] | x.states["svt"]
    down = torch.where(back, -1.0, torch.sign(draws.uniform("ectopic p") - 0.45))
    way = vector(span, 0.03, 0.085 * down, 0.0)
    first = (way + 0.03 * other[:, :3]) * size[:, None]
    second = (way + 0.03 * other[:, 3:]) * size[:, None]
    return sinus, waves_of(
        [(0.85 * times[0][0], 0.13 * span, first), (0.85 * times[1][0], 0.13 * span, second)]
    )


def _detail(x: Latents, span: Tensor, size: Tensor) -> Waves:
    """Notches of P: parts of the atria are reached one after the other, (B, 3)."""
    place = torch.special.ndtr(x.draws.normal("p detail place", 3))
    centre = span[:, None] * (0.25 + 0.55 * place)
    width = (0.075 * span)[:, None].expand_as(centre)
    limb = 0.012 * x.shape("p detail", 9).reshape(-1, 3, 3)
    chest = 0.020 * near_field(x.shape("p detail near", 18).reshape(-1, 3, 6))
    return Waves(centre, width, width, size[:, None, None] * limb, size[:, None, None] * chest)


def p_duration_ms(x: Latents) -> Tensor:
    """Duration of the P wave, (B,)."""
    own = (
        123.0 + 8.0 * x.draws.one("p duration") + 22.0 * x["left_atrium"]
        + 0.15 * (x["pr_ms"] - 165.0)
    ).clamp(80.0, 180.0)  # fmt: skip
    return torch.minimum(own, x["pr_ms"] - 24.0)  # over before QRS or a delta wave


def atrial_activity(
    x: Latents, field: Tensor, signal: Tensor, fs_hz: float, smooth_s: float
) -> Tensor:
    """Add f and F waves to noise-free leads ``signal`` (B, 8, T) in mV where a record has them.

    ``field`` is the (B, 8, 3) lead field, ``smooth_s`` the low-pass's standard deviation.
    """
    t = torch.arange(signal.shape[2], device=signal.device, dtype=torch.float64) / fs_hz
    signal = signal.clone()
    for name, course in (("af", _fibrillation), ("flutter", _flutter)):
        rows = torch.nonzero(x.states[name])[:, 0]
        if not len(rows):
            continue
        dipole = course(x, rows, t, smooth_s)  # (n, 3, T)
        amount = field[rows][..., None]  # (n, 8, 3, 1)
        wave = amount[:, :, 0] * dipole[:, None, 0]
        wave = wave + amount[:, :, 1] * dipole[:, None, 1]
        signal[rows] += (wave + amount[:, :, 2] * dipole[:, None, 2]).to(signal.dtype)
    return signal


def _passed(hz: Tensor, smooth_s: float) -> Tensor:
    """Share of a sine of that frequency that the low-pass lets through."""
    return torch.exp(-0.5 * (2.0 * math.pi * hz * smooth_s) ** 2)


def _fibrillation(x: Latents, rows: Tensor, t: Tensor, smooth_s: float) -> Tensor:
    """Two wandering sources with harmonics, largest towards V1: (n, 3, T) in millivolts."""
    draws = x.draws
    size = 0.015 * torch.exp(0.80 * draws.one("f size")) * torch.exp(0.3 * x["log_voltage"])
    rate = draws.normal("f rate", 2)
    phase = 2.0 * math.pi * draws.visit.uniform("f phase", 10)
    way = draws.normal("f way", 6)
    total = torch.zeros(len(rows), 3, len(t), dtype=torch.float64, device=t.device)
    for source in range(2):
        hz = (6.3 + 1.0 * rate[rows, source]).clamp(4.0, 9.5)[:, None]
        p = phase[rows, 5 * source : 5 * source + 5, None].unbind(1)
        theta = 2.0 * math.pi * hz * t + p[0]
        theta = theta + 1.1 * torch.sin(2.0 * math.pi * 0.83 * t + p[1])
        theta = theta + 0.5 * torch.sin(2.0 * math.pi * 2.1 * t + p[2])
        swell = 1.0 + 0.45 * torch.sin(2.0 * math.pi * 0.37 * t + p[3])
        wave = _passed(hz, smooth_s) * torch.sin(theta)
        wave = wave + 0.4 * _passed(2 * hz, smooth_s) * torch.sin(2.0 * theta + p[4])
        mean = t.new_tensor((-0.4, 0.75, -1.0)) * (1.0 if source == 0 else 0.4)
        direction = mean + 0.4 * way[rows, 3 * source : 3 * source + 3]
        total += (size[rows, None] * direction)[..., None] * (swell * wave)[:, None]
    return total


def _flutter(x: Latents, rows: Tensor, t: Tensor, smooth_s: float) -> Tensor:
    """Saw teeth, downwards in II, III and aVF, and another phase towards V1: (n, 3, T)."""
    draws = x.draws
    hz = (1.0 / flutter_cycle_s(x))[rows, None]
    theta = 2.0 * math.pi * (hz * t + draws.visit.uniform("F phase", 1)[rows])
    size = 0.10 * torch.exp(0.4 * draws.one("F size"))[rows, None]
    way = draws.normal("F way", 6)[rows]
    sign = torch.where(draws.uniform("F way") < 0.75, 1.0, -1.0)[rows, None]
    saw = torch.zeros_like(theta)
    bump = torch.zeros_like(theta)
    for k in range(1, 5):
        share = _passed(k * hz, smooth_s) / k**1.3
        saw = saw + share * torch.sin(k * theta)
        bump = bump + share * torch.cos(k * theta)
    down = size * (sign * t.new_tensor((0.0, -1.0, 0.0)) + 0.25 * way[:, :3])
    front = 0.6 * size * (t.new_tensor((-0.2, 0.0, -1.0)) + 0.3 * way[:, 3:])
    return down[..., None] * saw[:, None] + front[..., None] * bump[:, None]
