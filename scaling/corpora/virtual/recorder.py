"""Noise and limits of a recorder, on the electrodes of each record.

Noise belongs to the nine electrodes (right arm, left arm, left leg, V1 to V6, against the
right leg); leads I, II and V1 to V6 are their differences, so neighbouring leads share noise
as real ones do and the limb-lead identities hold.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scaling.corpora.virtual.lead_field import smoothing_s
from scaling.corpora.virtual.population import Device
from scaling.corpora.virtual.reproducible import Draws

ELECTRODES = 9
KNOT_S = 0.0625  # spacing of the finest knots of slow noise
OCTAVES = 8  # knots 0.0625 to 8 s apart
MOTION_OCTAVES = 4  # of these, 0.0625 to 0.5 s are motion, the rest is wander


def record(eight: Tensor, device: Device, draws: Draws, breath_hz: Tensor, fs_hz: float) -> Tensor:
    """What the recorder makes of noise-free leads I, II, V1 to V6: (B, 8, T) float32 in mV.

    ``breath_hz`` (B,) is the respiratory rate.
    """
    samples = eight.shape[2]
    noise = _fast(device, draws, fs_hz, samples)
    noise += _slow(device, draws, breath_hz, fs_hz, samples)
    _add_mains(noise, device, draws, fs_hz)
    _add_pops(noise, device, draws, fs_hz)
    gain = 1.0 + device.gain_error * draws.at_visit("gain", 8)
    leads = eight * gain.float()[..., None] + _leads(noise)
    if device.high_pass_hz:
        leads = _high_passed(leads, device.high_pass_hz, fs_hz)
    _lose_contact(leads, device, draws, fs_hz)
    if device.range_mv:
        leads = leads.clamp(-device.range_mv, device.range_mv)
    if device.step_mv:
        leads = torch.round(leads * (1.0 / device.step_mv)) * device.step_mv
    return leads


def _high_passed(x: Tensor, corner_hz: float, fs_hz: float) -> Tensor:
    """First-order high-pass that has settled on the first sample: (B, 8, T).

    The recursion of its slow part runs in all blocks of 32 samples at once from nothing, and
    what each block inherits from the one before is added.
    """
    block, samples = 32, x.shape[2]
    blocks = math.ceil(samples / block)
    keep = math.exp(-2.0 * math.pi * corner_hz / fs_hz)
    padded = torch.nn.functional.pad(x, (0, blocks * block - samples))
    inputs = padded.reshape(*x.shape[:2], blocks, block).permute(3, 0, 1, 2).contiguous()
    slow = torch.empty_like(inputs)
    state = torch.zeros_like(inputs[0])
    for k in range(block):
        torch.mul(state, keep, out=slow[k])
        state = slow[k].add_(inputs[k], alpha=1.0 - keep)
    carried = [x[..., 0]]
    for k in range(blocks - 1):
        carried.append(carried[-1] * keep**block + state[..., k])
    inherited = torch.stack(carried, -1)
    for k in range(block):
        slow[k].add_(inherited, alpha=keep ** (k + 1))
    return x - slow.permute(1, 2, 3, 0).reshape(*x.shape[:2], -1)[..., :samples]


def _leads(noise: Tensor) -> Tensor:
    """Potentials of the electrodes (B, 9, T) to leads I, II, V1 to V6 (B, 8, T)."""
    right, left, foot = noise[:, 0], noise[:, 1], noise[:, 2]
    terminal = (right + left + foot) * (1.0 / 3.0)
    limb = torch.stack([left - right, foot - right], 1)
    return torch.cat([limb, noise[:, 3:] - terminal[:, None]], 1)


def white_mv(device: Device, draws: Draws) -> Tensor:
    """Standard deviation of the white noise of an electrode, (B,) in millivolts."""
    return device.white_mv * torch.exp(device.spread * draws.visit.normal("white", 1)[:, 0])


def _fast(device: Device, draws: Draws, fs_hz: float, samples: int) -> Tensor:
    """White and muscle noise, (B, 9, T).

    Muscle noise is a difference of short means of the same white noise, which peaks between
    20 and 80 Hz at any rate, with a swelling amplitude and bursts.
    """
    span = max(1, round(0.006 * fs_hz))
    lag = max(1, round(0.010 * fs_hz))
    taps = _low_pass(fs_hz, device.low_pass_hz)
    before = span + lag
    total = samples + before + 2 * (len(taps) // 2)
    x = draws.visit.fast_normals("fast", ELECTRODES, total)
    x = _filtered(x, taps)
    muscle = x[..., before:].clone()
    for k in range(1, span):
        muscle += x[..., before - k : total - 2 * (len(taps) // 2) - k]
    for k in range(span):
        muscle -= x[..., before - lag - k : x.shape[-1] - lag - k]
    size = device.muscle_mv * torch.exp(device.muscle_spread * draws.visit.normal("muscle", 1))
    uneven = torch.exp(0.3 * draws.visit.normal("muscle electrodes", ELECTRODES))
    uneven = uneven * uneven.new_tensor([device.limbs] * 3 + [1.0] * 6)
    unit = 1.0 / math.sqrt(2.0 * span)
    arms = muscle[:, 0] * _tremor(device, draws, unit) if device.tremor_mv else None
    muscle *= (size * uneven).float()[..., None] * unit
    if arms is not None:  # one arm against the other: it cancels in the terminal of V1 to V6
        muscle[:, 0] += arms
        muscle[:, 1] -= arms
    muscle *= _swell(draws, fs_hz, samples)[:, None]
    white = white_mv(device, draws).float()[:, None, None]
    return muscle.add_(x[..., before:] * white)


def _tremor(device: Device, draws: Draws, unit: float) -> Tensor:
    """Amplitude of the noise between the arms, (B, 1)."""
    size = torch.exp(device.muscle_spread * draws.visit.normal("tremor", 1))
    return (device.tremor_mv * unit * size).float()


def _swell(draws: Draws, fs_hz: float, samples: int) -> Tensor:
    """Amplitude of muscle noise over the record, (B, T), median 1."""
    spacing = max(1, round(0.5 * fs_hz))
    knots = _knots(samples, spacing)
    log = 0.5 * draws.visit.normal("swell", knots)
    burst = draws.visit.normal("bursts", knots)
    log = log + 0.7 * (burst - 1.6).clamp(min=0.0)
    return _spline(torch.exp(log).float()[:, None], spacing, samples)[:, 0]


def _low_pass(fs_hz: float, low_pass_hz: float) -> list[float]:
    """Taps of the recorder's Gaussian low-pass, with unit energy.

    Where the sampling rate is the limit, the decimation filter instead: maximally flat, with
    no gain at half the rate.
    """
    if low_pass_hz and low_pass_hz < 0.4 * fs_hz:
        sigma = smoothing_s(fs_hz, low_pass_hz) * fs_hz
        reach = math.ceil(3.0 * sigma)
        taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
    else:  # 1 - sin(w/2)^8
        taps = [float(k == 4) - (-1) ** k * math.comb(8, k) / 256.0 for k in range(9)]
    energy = math.sqrt(sum(tap * tap for tap in taps))
    return [tap / energy for tap in taps]


def _filtered(x: Tensor, taps: list[float]) -> Tensor:
    length = x.shape[-1] - len(taps) + 1
    out = x[..., :length] * taps[0]
    for k in range(1, len(taps)):
        out.add_(x[..., k : k + length], alpha=taps[k])
    return out


def _knots(samples: int, spacing: int) -> int:
    return math.ceil(samples / spacing) + 4


def _spline(knots: Tensor, spacing: int, samples: int) -> Tensor:
    """Uniform cubic B-spline with coefficients (B, E, K) ``spacing`` samples apart: (B, E, T)."""
    count = math.ceil(samples / spacing)
    parts = [knots[..., k : k + count] for k in range(4)]
    phases = []
    for phase in range(spacing):
        u = phase / spacing
        out = parts[0] * ((1.0 - u) ** 3 / 6.0)
        out.add_(parts[1], alpha=(3.0 * u**3 - 6.0 * u**2 + 4.0) / 6.0)
        out.add_(parts[2], alpha=(-3.0 * u**3 + 3.0 * u**2 + 3.0 * u + 1.0) / 6.0)
        phases.append(out.add_(parts[3], alpha=u**3 / 6.0))
    return torch.stack(phases, -1).flatten(-2)[..., :samples]


def _refined(knots: Tensor, count: int) -> Tensor:
    """The same spline with knots half as far apart, its first ``count`` coefficients."""
    a, b, c = knots[..., :-2], knots[..., 1:-1], knots[..., 2:]
    pair = torch.stack([(a + b) * 0.5, (a + 6.0 * b + c) * 0.125], -1)
    return pair.flatten(-2)[..., :count]


def _slow(device: Device, draws: Draws, breath_hz: Tensor, fs_hz: float, samples: int) -> Tensor:
    """Wander, respiration and motion: (B, 9, T), as one spline with many octaves of knots."""
    visit = draws.visit

    def size(name: str, median: float) -> Tensor:
        both = device.spread * visit.normal(name, 1)
        uneven = 0.5 * visit.normal(name + " electrodes", ELECTRODES)
        return (median * torch.exp(both + uneven)).float()[..., None]

    spacing = max(1, round(KNOT_S * fs_hz))
    counts = [_knots(samples, spacing)]
    for _ in range(OCTAVES - 1):
        counts.append(counts[-1] // 2 + 4)
    octaves = range(MOTION_OCTAVES, OCTAVES)
    # Longer waves are larger; sizes give 1 rms together (a spline of unit normals has 0.69).
    weights = {k: 2.0 ** (0.5 * (k - OCTAVES)) for k in octaves}
    norm = 1.0 / (0.69 * math.sqrt(sum(w * w for w in weights.values())))
    total = torch.zeros(len(breath_hz), ELECTRODES, counts[-1], device=breath_hz.device)
    wander = size("wander", device.wander_mv)
    for k in reversed(range(OCTAVES)):
        if k < OCTAVES - 1:
            total = _refined(total, counts[k])
        if k >= MOTION_OCTAVES:
            total = total + wander * (norm * weights[k]) * _coefficients(draws, k, counts[k])
        elif device.motion_mv:
            episode = _episodes(draws, k, counts[k])
            motion = size("motion", device.motion_mv) * episode[:, None]
            total = total + 0.75 * motion * _coefficients(draws, k, counts[k])
    at = (torch.arange(counts[0], device=breath_hz.device) - 1.0) * (spacing / fs_hz)
    phase = 2.0 * math.pi * visit.uniform("breath phase", 1)
    breath = math.sqrt(2.0) * torch.sin(2.0 * math.pi * breath_hz[:, None] * at + phase)
    total = total + size("respiration", device.respiration_mv) * breath.float()[:, None]
    return _spline(total, spacing, samples)


def _coefficients(draws: Draws, octave: int, count: int) -> Tensor:
    # A stream for each electrode, so that a longer window continues a shorter one.
    return draws.visit.fast_normals(f"slow {octave}", ELECTRODES, count)


def _episodes(draws: Draws, octave: int, count: int) -> Tensor:
    """When the wearer moves: 0 to about 2 over the knots of an octave, (B, count)."""
    step = 2.0 ** (MOTION_OCTAVES - octave) * 2.0  # knots a second apart, about
    at = torch.arange(count, device=draws.visit.keys.device) / step
    coarse = draws.visit.normal("episodes", int(count / step) + 2)
    index, u = at.floor().long(), (at - at.floor()).float()
    between = coarse.float()[:, index] * (1 - u) + coarse.float()[:, index + 1] * u
    return (between - 0.2).clamp(min=0.0)


def _add_mains(noise: Tensor, device: Device, draws: Draws, fs_hz: float) -> None:
    """Add the power line and its third harmonic, where the rate can carry them."""
    if not device.mains_mv:
        return
    visit = draws.visit
    t = torch.arange(noise.shape[2], device=noise.device, dtype=torch.float64) / fs_hz
    hz = device.mains_hz + 0.03 * visit.normal("mains hz", 1)
    phase = 2.0 * math.pi * visit.uniform("mains phase", 2)
    uneven = 0.8 * visit.normal("mains electrodes", ELECTRODES)
    size = device.mains_mv * torch.exp(device.spread * visit.normal("mains", 1) + uneven)
    sign = torch.sign(visit.uniform("mains sign", ELECTRODES) - 0.3)
    smooth = smoothing_s(fs_hz, device.low_pass_hz)
    for k, share in ((1, 1.0), (3, 0.25)):
        if k * device.mains_hz >= 0.5 * fs_hz:
            continue
        passed = share * math.exp(-0.5 * (2.0 * math.pi * k * device.mains_hz * smooth) ** 2)
        wave = torch.sin(2.0 * math.pi * k * hz * t + phase[:, :1] + k)
        amount = (math.sqrt(2.0) * passed * size * sign).float()
        noise.addcmul_(amount[..., None], wave.float()[:, None])


def _add_pops(noise: Tensor, device: Device, draws: Draws, fs_hz: float) -> None:
    """Add steps of a contact that decay within a second; at most one begins each second."""
    if not device.pops_per_min:
        return
    visit, samples = draws.visit, noise.shape[2]
    seconds = math.ceil(samples / fs_hz) + 1
    begins = visit.uniform("pop", seconds) < device.pops_per_min / 60.0
    row, second = torch.nonzero(begins, as_tuple=True)
    onset = second - 1.0 + visit.uniform("pop onset", seconds)[row, second]
    electrode = (visit.uniform("pop electrode", seconds)[row, second] * ELECTRODES).long()
    size = 0.25 * visit.normal("pop size", seconds)[row, second]
    length = math.ceil(fs_hz)
    begin = torch.ceil(onset * fs_hz)
    ticks = torch.arange(length, device=noise.device)
    t = (begin[:, None] + ticks) / fs_hz - onset[:, None]
    fade = (1.0 - t).clamp(min=0.0)
    value = (size[:, None] * torch.exp(-t / 0.25) * fade).float()
    place = begin.long()[:, None] + ticks
    inside = (place >= 0) & (place < samples)
    flat = (row[:, None] * ELECTRODES + electrode[:, None]) * samples + place.clamp(0, samples - 1)
    for parity in (0, 1):  # windows of one second never meet those two seconds later
        chosen = inside & (second % 2 == parity)[:, None]
        noise.view(-1).scatter_add_(0, flat[chosen], value[chosen])


def _lose_contact(leads: Tensor, device: Device, draws: Draws, fs_hz: float) -> None:
    """Flatten one of V1 to V6 for part of the time where its electrode loses contact."""
    if not device.loss:
        return
    visit = draws.visit
    lost = visit.uniform("loss", 1)[:, 0] < device.loss
    electrode = (visit.uniform("loss electrode", 1)[:, 0] * 6).long() + 2
    begin = 12.0 * visit.uniform("loss begin", 1) - 4.0
    end = begin + 1.0 + 12.0 * visit.uniform("loss length", 1) ** 2
    t = torch.arange(leads.shape[2], device=leads.device) / fs_hz
    off = lost[:, None] & (t >= begin) & (t < end)
    rows = torch.arange(len(leads), device=leads.device)
    leads[rows, electrode] = torch.where(off, 0.0, leads[rows, electrode])
