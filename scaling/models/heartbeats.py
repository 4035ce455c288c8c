"""Heartbeats: a record cut into beats around its R peaks, as tokens of a Transformer.

After HeartLang's QRS tokenizer (Jin et al. 2025). The boundary between two beats is the midpoint
of their R peaks; the outer beats reach half a token to the outside. A beat is placed so that its
R peak is in the middle of the token, with zeros around it, or cropped where it is longer. All
leads are cut at the same places; tokens are ordered by lead, then by time, and cut off or padded
to a fixed number. A record without R peaks is cut into whole tokens on a fixed grid.

Everything runs on the records' device without a loop over records.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

WIDTH = 96  # samples of a token: 0.96 s at 100 Hz
MIDDLE = WIDTH // 2
SECOND = 100  # samples of a step of the time index, and the rate that tokens are made for


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeats:
    """Tokens of a batch of records.

    Attributes:
        beats_BSW: (B, S, ``WIDTH``) float32, zeros where a token is padding.
        leads_BS: (B, S) int64, 1 for the first lead; 0 where a token is padding.
        times_BS: (B, S) int64, second of the R peak, counted from 1; 0 where it is padding.
        real_BS: (B, S) bool, False where a token is padding.
    """

    beats_BSW: Tensor
    leads_BS: Tensor
    times_BS: Tensor
    real_BS: Tensor


def tokenize(x_BLT: Tensor, r_peaks_BP: Tensor, tokens: int) -> Heartbeats:
    """Cut records into ``tokens`` heartbeats each.

    Args:
        x_BLT: (B, L, T) signals at 100 Hz.
        r_peaks_BP: (B, P) sample indices of R peaks, ascending, negative behind the last.
        tokens: slots a record has; beats of the last leads that do not fit are cut off.
    """
    _, leads, samples = x_BLT.shape
    peaks_BP = _with_grid(r_peaks_BP.long(), samples)
    counts_B1 = (peaks_BP >= 0).sum(dim=1, keepdim=True).clamp_min(1)
    starts_BP, stops_BP = _bounds(peaks_BP, counts_B1)
    slot_1S = torch.arange(tokens, device=x_BLT.device)[None]
    lead_BS = torch.div(slot_1S, counts_B1, rounding_mode="floor")
    beat_BS = slot_1S - lead_BS * counts_B1
    real_BS = lead_BS < leads
    lead_BS = lead_BS.clamp_max(leads - 1)
    peak_BS = peaks_BP.gather(1, beat_BS)
    place_BSW = peak_BS[..., None] + torch.arange(-MIDDLE, WIDTH - MIDDLE, device=x_BLT.device)
    inside_BSW = (place_BSW >= starts_BP.gather(1, beat_BS)[..., None]) & (
        place_BSW < stops_BP.gather(1, beat_BS)[..., None]
    )
    inside_BSW = inside_BSW & (place_BSW >= 0) & (place_BSW < samples) & real_BS[..., None]
    index_BSW = lead_BS[..., None] * samples + place_BSW.clamp(0, samples - 1)
    beats_BSW = x_BLT.flatten(1).gather(1, index_BSW.flatten(1)).view_as(index_BSW)
    seconds_BS = torch.div(peak_BS, SECOND, rounding_mode="floor") + 1
    return Heartbeats(
        beats_BSW=beats_BSW * inside_BSW,
        leads_BS=(lead_BS + 1) * real_BS,
        times_BS=seconds_BS * real_BS,
        real_BS=real_BS,
    )


def _with_grid(peaks_BP: Tensor, samples: int) -> Tensor:
    """R peaks; where a record has none, the middles of whole tokens laid end to end."""
    grid_G = torch.arange(MIDDLE, max(samples - MIDDLE, MIDDLE) + 1, WIDTH, device=peaks_BP.device)
    missing = max(0, len(grid_G) - peaks_BP.shape[1])
    peaks_BP = torch.nn.functional.pad(peaks_BP, (0, missing), value=-1)
    grid_P = torch.nn.functional.pad(grid_G, (0, peaks_BP.shape[1] - len(grid_G)), value=-1)
    return torch.where(peaks_BP[:, :1] >= 0, peaks_BP, grid_P)


def _bounds(peaks_BP: Tensor, counts_B1: Tensor) -> tuple[Tensor, Tensor]:
    """First sample of each beat, and the first after it."""
    midpoints = torch.div(peaks_BP[:, 1:] + peaks_BP[:, :-1], 2, rounding_mode="floor")
    starts_BP = torch.cat([peaks_BP[:, :1] - MIDDLE, midpoints], dim=1)
    outer_BP = peaks_BP + (WIDTH - MIDDLE)
    stops_BP = torch.cat([midpoints, outer_BP[:, -1:]], dim=1)
    last_BP = torch.arange(peaks_BP.shape[1], device=peaks_BP.device)[None] == counts_B1 - 1
    return starts_BP, torch.where(last_BP, outer_BP, stops_BP)
