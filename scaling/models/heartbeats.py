"""Heartbeats: a record cut into beats around its R peaks, as tokens of a Transformer.

After HeartLang's QRS tokenizer (Jin et al. 2025). The boundary between two beats is the midpoint
of their R peaks; the outer beats reach half a token to the outside. Each beat is laid into its
token with the R peak at ``MIDDLE``: zeros fill what is beyond its boundaries or the record's ends,
and what reaches further than the token is cropped. All leads are cut at the same places; tokens
are ordered by lead, then by time, and cut off or padded to a fixed number. A record without R
peaks is cut into whole tokens on a fixed grid.

Everything runs on the records' device without a loop over records.

Most slots of most records are padding, which says nothing. ``parts_of`` says how a batch can be
computed without most of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from scaling.models.sizes import FS_HZ, TOKEN_WIDTH, heartbeats_cannot_read

WIDTH = TOKEN_WIDTH
MIDDLE = WIDTH // 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeats:
    """Tokens of a batch of records."""

    beats_BSW: Tensor  # (B, S, ``WIDTH``) float32, zeros where a token is padding
    # (B, S) int64, 1 for the first of the leads the model reads; 0 where a token is padding
    leads_BS: Tensor
    times_BS: Tensor  # (B, S) int64, second of the R peak, counted from 1; 0 where it is padding
    real_BS: Tensor  # (B, S) bool, False where a token is padding


def tokenize(x_BLT: Tensor, r_peaks_BP: Tensor, tokens: int) -> Heartbeats:
    """Cut records into ``tokens`` heartbeats each.

    Args:
        x_BLT: (B, L, T) signals at 100 Hz, any unit.
        r_peaks_BP: (B, P) sample indices of R peaks, ascending, negative behind the last; on any
            device.
        tokens: S, slots a record has; beats of the last leads that do not fit are cut off
            (``scaling.compatible`` counts them).

    Raises:
        ValueError: records shorter than a token, or with more seconds or leads than the tables
            of ``scaling.models.sizes`` have rows.
    """
    records, leads, samples = x_BLT.shape
    if problem := heartbeats_cannot_read(samples, leads):
        raise ValueError(problem)
    # A GPU is not waited for: so few numbers are copied when their turn comes.
    peaks_BP = _with_grid(r_peaks_BP.to(x_BLT.device, torch.int64, non_blocking=True), samples)
    counts_B1 = (peaks_BP >= 0).sum(dim=1, keepdim=True)
    slot_1S = torch.arange(tokens, device=x_BLT.device)[None]
    lead_BS = torch.div(slot_1S, counts_B1, rounding_mode="floor")
    beat_BS = slot_1S - lead_BS * counts_B1
    real_BS = lead_BS < leads
    lead_BS = lead_BS.clamp_max(leads - 1)
    peak_BS = peaks_BP.gather(1, beat_BS)
    record_B1 = torch.arange(records, device=x_BLT.device)[:, None]
    # A view: window i of the padded record is the token of a beat with its R peak at sample i.
    windows_BLTW = pad(x_BLT, (MIDDLE, WIDTH - MIDDLE)).unfold(-1, WIDTH, 1)
    kept_BPW = _kept(peaks_BP, counts_B1).to(x_BLT.dtype)
    beats_BSW = windows_BLTW[record_B1, lead_BS, peak_BS] * kept_BPW[record_B1, beat_BS]
    seconds_BS = torch.div(peak_BS, FS_HZ, rounding_mode="floor") + 1
    return Heartbeats(
        beats_BSW=beats_BSW * real_BS[..., None],
        leads_BS=(lead_BS + 1) * real_BS,
        times_BS=seconds_BS * real_BS,
        real_BS=real_BS,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Records of a batch that are computed together."""

    rows: Tensor | slice  # their places in the batch: (b,) int64, or a slice that means all
    slots: int  # for heartbeats, as many as the longest of them needs


def parts_of(x_BLT: Tensor, r_peaks_BP: Tensor, tokens: int) -> list[Part]:
    """A batch as two halves by number of heartbeats, each without most of its padding.

    One slot of padding is left: the convolution over tokens is circular, and beats at both ends
    would become neighbours. A record that fills all slots leaves none, as in the full form. On a
    GPU, where twice the kernels cost more than padding, the batch stays whole; and no slot is left
    out where R peaks are not on the CPU, since how many there are would have to be waited for.
    """
    everything = slice(None)
    if r_peaks_BP.device.type != "cpu" or not len(r_peaks_BP):
        return [Part(everything, tokens)]
    _, leads, samples = x_BLT.shape
    counts_B = leads * (_with_grid(r_peaks_BP.long(), samples) >= 0).sum(dim=1)
    sorted_B, order_B = counts_B.sort(stable=True)
    middle = len(order_B) // 2
    few, most = (min(tokens, int(sorted_B[place]) + 1) for place in (middle - 1, -1))
    if x_BLT.device.type != "cpu" or not middle or few == most:
        return [Part(everything, most)]
    return [Part(order_B[:middle], few), Part(order_B[middle:], most)]


def put_back(found: Sequence[Tensor], parts: Sequence[Part]) -> Tensor:
    """What was computed of each part, (b, ...), in the order of the batch, (B, ...)."""
    if len(parts) == 1:
        return found[0]
    order_B = torch.cat([part.rows for part in parts if isinstance(part.rows, Tensor)])
    return torch.cat(list(found))[order_B.argsort()]


def _with_grid(peaks_BP: Tensor, samples: int) -> Tensor:
    """R peaks; where a record has none, the middles of whole tokens laid end to end."""
    grid_G = torch.arange(MIDDLE, samples - MIDDLE + 1, WIDTH, device=peaks_BP.device)
    missing = max(0, len(grid_G) - peaks_BP.shape[1])
    peaks_BP = pad(peaks_BP, (0, missing), value=-1)
    grid_P = pad(grid_G, (0, peaks_BP.shape[1] - len(grid_G)), value=-1)
    return torch.where(peaks_BP[:, :1] >= 0, peaks_BP, grid_P)


def _kept(peaks_BP: Tensor, counts_B1: Tensor) -> Tensor:
    """Samples of each token that are within the boundaries of its beat, (B, P, ``WIDTH``)."""
    midpoints = torch.div(peaks_BP[:, 1:] + peaks_BP[:, :-1], 2, rounding_mode="floor")
    starts_BP = torch.cat([peaks_BP[:, :1] - MIDDLE, midpoints], dim=1)
    outer_BP = peaks_BP + (WIDTH - MIDDLE)
    stops_BP = torch.cat([midpoints, outer_BP[:, -1:]], dim=1)
    last_BP = torch.arange(peaks_BP.shape[1], device=peaks_BP.device)[None] == counts_B1 - 1
    stops_BP = torch.where(last_BP, outer_BP, stops_BP)
    place_BPW = peaks_BP[..., None] + torch.arange(-MIDDLE, WIDTH - MIDDLE, device=peaks_BP.device)
    return (place_BPW >= starts_BP[..., None]) & (place_BPW < stops_BP[..., None])
