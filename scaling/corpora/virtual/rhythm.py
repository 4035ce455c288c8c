"""When the atria and the ventricles beat.

Every record has two clocks, atrial and ventricular; in most rhythms the second follows the
first after the PR interval. Intervals of all slots are drawn at once; only their running sum
goes slot by slot. RR of sinus rhythm has a respiratory and a low-frequency (Mayer) component
and slow 1/f-like drift (McSharry et al. 2003); that of fibrillation is irregular with a short
memory; ectopic ventricular beats leave the atrial clock alone, which makes their pause
compensatory, and atrial ones reset it.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from scaling.corpora.virtual.latents import DELTA_MS, NEVER_PREMATURE, Latents, wide_escape
from scaling.corpora.virtual.reproducible import power, sigmoid
from scaling.corpora.virtual.ventricles import sequence_ms, ventricular_qrs_ms

EARLIEST_S = 3.0  # events begin this long before the record
SHORTEST_RR_S = 0.26
REFRACTORY_S = 0.25


@dataclasses.dataclass(frozen=True, slots=True)
class Events:
    """Beats of a batch, K slots a record; NaN where a slot has none.

    Attributes:
        p_s: (B, K) onset of P in seconds.
        p_ectopic: (B, K) bool.
        qrs_s: (B, K) onset of QRS in seconds.
        ventricular: (B, K) bool, QRS that begins in the ventricles or is paced.
        premature: (B, K) 0 none, 1 atrial, 2 ventricular premature beat.
        rr_s: (B, K) interval before this QRS.
        mean_rr_s: (B,) mean of the rhythm, whatever the window.
        breath_hz: (B,) respiratory rate.
    """

    p_s: Tensor
    p_ectopic: Tensor
    qrs_s: Tensor
    ventricular: Tensor
    premature: Tensor
    rr_s: Tensor
    mean_rr_s: Tensor
    breath_hz: Tensor


def events(x: Latents, duration_s: float) -> Events:
    """Place the beats of each record from ``EARLIEST_S`` before it to its end.

    The slots of a shorter window are the first of a longer one's.
    """
    slots = math.ceil((duration_s + EARLIEST_S + 1.0) / SHORTEST_RR_S) + 2
    mean = 60.0 / x["base_rate_bpm"]
    breath = 0.16 + 0.16 * torch.special.ndtr(x.draws.at_visit("breath", 1)[:, 0])
    pp = _sinus(x, mean, breath, slots)
    pp = torch.where(x.states["af"][:, None], _fibrillation(x, mean, slots), pp)
    pp = torch.where(x.states["flutter"][:, None], _flutter(x, slots), pp)
    regular = x.states["svt"] | x.states["vt"] | x.states["atrial_tachycardia"]
    steady = mean[:, None] * (1.0 + 0.006 * x.draws.visit.normal("steady", slots))
    pp = torch.where(regular[:, None], steady, pp)
    premature = _premature(x, slots)
    pp = _with_atrial(x, pp, premature, slots)
    atrial = _running(x, pp, mean)
    delay, conducted = _conduction(x, slots)
    qrs = torch.where(conducted, atrial + delay, torch.nan)
    qrs = _with_ventricular(x, qrs, pp, premature, slots)
    qrs, ventricular = _own_clock(x, qrs, premature, slots)
    p, ectopic = _p_waves(x, atrial, qrs, premature)
    mean = _mean_rr(x, mean)
    rr = _intervals(qrs, mean)
    return Events(p, ectopic, qrs, ventricular, premature, rr, mean, breath)


def _running(x: Latents, intervals: Tensor, first: Tensor) -> Tensor:
    """Times from intervals, (B, K); slot by slot, so that bits do not depend on the batch."""
    start = -EARLIEST_S + first * x.draws.visit.uniform("start", 1)[:, 0]
    times = [start]
    for interval in intervals.unbind(1)[1:]:
        times.append(times[-1] + interval)
    return torch.stack(times, 1)


def _sinus(x: Latents, mean: Tensor, breath: Tensor, slots: int) -> Tensor:
    visit = x.draws.visit
    about = mean[:, None] * torch.arange(slots, device=mean.device, dtype=torch.float64)
    phase = 2.0 * math.pi * visit.uniform("rsa phase", 2)
    young = ((60.0 - x["age_years"]) / 40.0).clamp(0.0, 1.0)
    rsa = 0.012 + 0.03 * young * torch.special.ndtr(x.draws.one("rsa"))
    rsa = rsa + 0.15 * x["sinus_arrhythmia"] * x.states["sinus_arrhythmia"]
    rsa = rsa * (mean / 0.85).clamp(0.3, 1.3)
    slow = 0.015 * torch.exp(0.4 * x.draws.one("lf")) * (mean / 0.85).clamp(0.3, 1.3)
    wave = rsa[:, None] * torch.sin(2.0 * math.pi * breath[:, None] * about + phase[:, :1])
    wave = wave + slow[:, None] * torch.sin(2.0 * math.pi * 0.095 * about + phase[:, 1:])
    jitter = visit.normal("rr", slots)
    drift = 0.006 * jitter
    for span in (2, 4, 8):  # held over ever longer spans: about 1/f
        held = visit.normal(f"rr {span}", slots // span + 1)
        drift = drift + 0.006 * held.repeat_interleave(span, 1)[:, :slots]
    intervals: Tensor = mean[:, None] * (1.0 + wave + drift)
    return intervals


def _fibrillation(x: Latents, mean: Tensor, slots: int) -> Tensor:
    n = x.draws.visit.normal("af rr", slots + 1)
    memory = 0.94 * n[:, 1:] - 0.34 * n[:, :-1]
    spread = (0.15 * torch.exp(0.4 * x.draws.one("af irregularity"))).clamp(0.07, 0.40)
    return (mean[:, None] * torch.exp(spread[:, None] * memory)).clamp(min=0.31)


def _mean_rr(x: Latents, mean: Tensor) -> Tensor:
    """Mean interval between beats of the ventricles, where not every atrial beat arrives."""
    ratio = 2.0 + _flutter_ratio(x)
    mean = torch.where(x.states["flutter"], ratio * flutter_cycle_s(x), mean)
    group = 2.0 + _wenckebach_group(x)
    mean = torch.where(x.states["av_block2"], mean * group / (group - 1.0), mean)
    return torch.where(_two_to_one(x), 2.0 * mean, mean)


def _flutter_ratio(x: Latents) -> Tensor:
    return x.draws.patient.choice("flutter ratio", (0.35, 0.15, 0.45, 0.05))


def _wenckebach_group(x: Latents) -> Tensor:
    return x.draws.patient.choice("wenckebach", (0.25, 0.35, 0.25, 0.15))


def _two_to_one(x: Latents) -> Tensor:
    """Atrial tachycardia of which every second beat is blocked."""
    return x.states["atrial_tachycardia"] & (x.draws.uniform("at block") < 0.25)


def _vvi(x: Latents) -> Tensor:
    """Pacing of the ventricles alone: the atria are not followed."""
    return x.states["paced"] & (x.draws.uniform("paced vvi") < 0.6)


def flutter_cycle_s(x: Latents) -> Tensor:
    """Length of a flutter wave in seconds, (B,)."""
    return 60.0 / (290.0 + 28.0 * x.draws.one("flutter rate")).clamp(220.0, 350.0)


def _flutter(x: Latents, slots: int) -> Tensor:
    """Every second to fifth flutter wave is conducted, mostly the same one."""
    usual = 2 + _flutter_ratio(x)
    changing = x.draws.uniform("flutter block") < 0.45
    u = x.draws.visit.uniform("flutter change", slots)
    other = torch.where(u < 0.2, usual[:, None] - 1, usual[:, None])
    other = torch.where(u > 0.75, usual[:, None] + 1, other).clamp(min=2)
    ratio = torch.where(changing[:, None], other, usual[:, None])
    jitter = 0.010 * x.draws.visit.normal("flutter rr", slots)
    return ratio * flutter_cycle_s(x)[:, None] + jitter


def _premature(x: Latents, slots: int) -> Tensor:
    """0, 1 (atrial) or 2 (ventricular) for each slot."""
    u = x.draws.visit.uniform("premature", slots)
    burden = 0.05 + 0.22 * torch.special.ndtr(x.draws.one("ectopy")) ** 2
    kind = torch.zeros(u.shape, dtype=torch.int64, device=u.device)
    chance = torch.where(x.states["pacs"], burden, 0.003)[:, None]
    kind = torch.where(u < chance, 1, kind)
    chance = torch.where(x.states["pvcs"], burden, 0.002)[:, None]
    kind = torch.where(u > 1.0 - chance, 2, kind)
    # The first of these events must be inside most windows that are called by their name.
    k = torch.arange(slots, device=u.device) + (u[:, :1] * 6).long()
    kind = torch.where(x.states["bigeminy"][:, None], 2 * (k % 2 == 0), kind)
    kind = torch.where(x.states["trigeminy"][:, None], 2 * (k % 3 == 0), kind)
    after = torch.cat([torch.zeros_like(kind[:, :1]), kind[:, :-1]], 1)
    kind = torch.where(after > 0, 0, kind)  # no couplets
    none = [x.states[name] for name in NEVER_PREMATURE]
    none.append(_two_to_one(x))  # a beat would be timed by the blocked one before it
    return torch.where(torch.stack(none).any(0)[:, None], 0, kind)


def _with_atrial(x: Latents, pp: Tensor, premature: Tensor, slots: int) -> Tensor:
    """Atrial premature beats come early and reset the clock."""
    early = 0.52 + 0.28 * x.draws.visit.uniform("coupling a", slots)
    pp = torch.where(premature == 1, pp * early, pp)
    after = torch.cat([torch.zeros_like(premature[:, :1]), premature[:, :-1]], 1)
    pp = torch.where(after == 1, pp * 1.10, pp)
    return pp.clamp(min=SHORTEST_RR_S)


def _conduction(x: Latents, slots: int) -> tuple[Tensor, Tensor]:
    """Delay from atrial to ventricular onset in seconds, and whether it is conducted."""
    pr = x["pr_ms"][:, None] / 1e3
    group = 2 + _wenckebach_group(x)
    offset = (x.draws.visit.uniform("group", 1) * group[:, None]).long()
    place = (torch.arange(slots, device=pr.device) + offset) % group[:, None]
    blocked = x.states["av_block2"][:, None]
    type2 = (x["av_block2_type2"] > 0.3)[:, None]
    growth = (0.06 + 0.06 * x.draws.share("wenckebach growth"))[:, None]
    more = torch.where(blocked & ~type2, growth * power(place.double(), 0.7), 0.0)
    dropped = blocked & (place == group[:, None] - 1)
    dropped = dropped | (_two_to_one(x)[:, None] & (torch.arange(slots, device=pr.device) % 2 == 1))
    none = x.states["af"] | x.states["flutter"] | x.states["svt"] | x.states["vt"]
    delay = torch.where(none[:, None], 0.0, pr + more)
    jitter = 0.004 * x.draws.visit.normal("pr jitter", slots)
    return delay + torch.where(none[:, None], 0.0, jitter), ~dropped


def _with_ventricular(x: Latents, qrs: Tensor, pp: Tensor, premature: Tensor, slots: int) -> Tensor:
    """Ventricular premature beats come early; the atrial clock goes on.

    A beat that would follow within the refractory time is not conducted.
    """
    early = 0.50 + 0.22 * sigmoid(0.8 * x.draws.one("coupling v"))
    early = early[:, None] + 0.02 * x.draws.visit.normal("coupling v", slots)
    before = torch.cat([qrs[:, :1] - pp[:, :1], qrs[:, :-1]], 1)
    coupling = (early * pp).clamp(min=0.34)
    qrs = torch.where(premature == 2, before + coupling, qrs)
    since = torch.cat([torch.full_like(qrs[:, :1], torch.inf), qrs[:, 1:] - qrs[:, :-1]], 1)
    return torch.where((since < REFRACTORY_S) & (premature == 0), torch.nan, qrs)


def _own_clock(x: Latents, qrs: Tensor, premature: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """Ventricles that do not follow the atria: escape in complete block, and pacing."""
    ventricular = (premature == 2) | x.states["vt"][:, None]
    apart = x.states["av_block3"] | _vvi(x)
    mean = 60.0 / x["base_rate_bpm"][:, None]
    steady = mean * (1.0 + 0.004 * x.draws.visit.normal("escape", slots))
    own = _running(x, steady, mean[:, 0])
    wide = wide_escape(x.states, x.draws)
    qrs = torch.where(apart[:, None], own, qrs)
    paced = x.states["paced"][:, None] & (premature != 2)
    return qrs, ventricular | wide[:, None] | paced


def _p_waves(x: Latents, atrial: Tensor, qrs: Tensor, premature: Tensor) -> tuple[Tensor, Tensor]:
    """Onset of P and whether it is ectopic."""
    states = x.states
    p = atrial
    # In complete block and ventricular pacing the atria have their own, faster rate.
    apart = states["av_block3"] | states["paced"]
    slots = atrial.shape[1]
    own = (62.0 + 22.0 * torch.special.ndtr(x.draws.one("atrial rate"))).reciprocal() * 60.0
    jitter = 1.0 + 0.015 * x.draws.visit.normal("atrial own", slots)
    free = _running(x, own[:, None] * jitter, own)
    vvi = _vvi(x)
    p = torch.where((states["av_block3"] | vvi)[:, None], free, p)
    silent = vvi & (x.draws.uniform("paced af") < 0.5)
    # Junctional and re-entrant beats send P backwards: just before, inside or after QRS.
    after = -0.07 + 0.20 * x.draws.uniform("retrograde")
    after = torch.where(states["svt"], 0.07 + 0.06 * x.draws.uniform("retrograde"), after)
    back = states["junctional"] | states["svt"]
    hidden = back & (x.draws.uniform("hidden p") < 0.5)
    p = torch.where(back[:, None], qrs + after[:, None], p)
    none = states["af"] | states["flutter"] | states["vt"] | silent | hidden
    p = torch.where(none[:, None], torch.nan, p)
    changing = states["wandering"][:, None] & (
        torch.sin(0.9 * torch.arange(slots, device=p.device)) > 0.0
    )
    ectopic = (premature == 1) | (back | states["atrial_tachycardia"])[:, None] | changing
    return p, ectopic & ~apart[:, None]


def _intervals(qrs: Tensor, mean: Tensor) -> Tensor:
    """Interval before each QRS, over dropped beats; the mean before the first."""
    last = qrs[:, 0]
    rows = [mean]
    for now in qrs.unbind(1)[1:]:
        rows.append(torch.where(last.isnan(), mean, now - last))
        last = torch.where(now.isnan(), last, now)
    return torch.stack(rows, 1)


def r_peaks_s(x: Latents, e: Events) -> Tensor:
    """Times of the R peaks: (B, K), NaN where a slot has no QRS."""
    shift = DELTA_MS * x["preexcitation"]
    span = sequence_ms(x)
    peak = torch.where(
        e.ventricular, 0.5 * ventricular_qrs_ms(x)[:, None], (shift + 0.46 * span)[:, None]
    )
    return e.qrs_s + peak / 1e3
