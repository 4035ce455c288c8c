"""Restoration: how well hidden leads are restored from observed ones, beside the best FIR filter.

Of a record with the true lead x and the restored lead y, each of T samples, hidden from the model:

- **correlation**: Pearson's, sum (x - mean x)(y - mean y) / (T SD x SD y), in [-1, 1]; 0 where y is
  constant, which says nothing of x.
- **error**: the normalised squared error, sum (x - y)^2 / sum (x - mean x)^2: 0 is perfect, 1 is
  what the lead's own mean would give. Of leads that were z-scored it is the mean squared error.

Both are means over records, and over leads the mean of the leads' means. A record in which a lead
is flat says nothing of it and is left out there; ``n`` of a row says how many are left.

The rival is linear: a two-sided FIR filter from the observed leads to each hidden one, the least
squares of the training records. With G the products of the observed samples within reach of each
sample, and C their products with the hidden one, both summed over all samples of all records, its
weights solve G w = C. Records are continued by zeros, as convolutions of a network do. Squares are
taken as they are, or relative to the variance of the hidden lead in its record, as the error
above; which of both, and how far the filter reaches, is chosen for each lead on validation, by that
error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv1d, pad

from scaling.corpora.signals.leads import lead_order, lead_positions
from scaling.corpora.signals.presets import FLAT
from scaling.data.batches import Batch, Split, in_parts
from scaling.records.patients import (
    Estimate,
    Resamples,
    Row,
    divide,
    estimate_row,
    mean_known,
    value_row,
)

TAPS = (1, 11, 21, 41, 81, 161)  # reaches that are tried, in samples, half to each side
QUIET = 0.02  # SD of a lead, in mV or of z-scores, from which errors are relative to it
RIDGE = 1e-9  # of the mean of G's diagonal: leads that others determine leave G singular

Restore = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fir:
    """A two-sided FIR filter from the observed leads to each hidden one.

    Attributes:
        leads: names of all L leads, in the order of signals.
        input_leads: the K observed ones.
        hidden: the H others, in the order of ``leads``.
        taps: (H,) how many samples of each observed lead it sees, an odd number a hidden lead.
        weights_HKT: (H, K, largest of ``taps``) float64, centred; zeros beyond a lead's taps.
    """

    leads: tuple[str, ...]
    input_leads: tuple[str, ...]
    hidden: tuple[str, ...]
    taps: tuple[int, ...]
    weights_HKT: Tensor

    def restore(self, x_BLT: Tensor) -> Tensor:
        """All leads (B, L, T) from the observed ones, which stay as they are.

        Hidden leads of ``x_BLT`` are not looked at; the unit is that of the fit.
        """
        weights_HKT = self.weights_HKT.to(x_BLT)
        observed_BKT = x_BLT[:, lead_order(self.leads, self.input_leads)]
        found_BLT = x_BLT.clone()
        found_BLT[:, lead_order(self.leads, self.hidden)] = conv1d(
            observed_BKT, weights_HKT, padding=weights_HKT.shape[-1] // 2
        )
        return found_BLT


def fit_fir(
    train: Split,
    validation: Split,
    leads: Sequence[str],
    input_leads: Sequence[str],
    taps: Sequence[int] = TAPS,
) -> Fir:
    """The FIR filter with the least squared error on ``train``, of the taps best on ``validation``.

    Both hold all ``leads``, in that order. Each hidden lead gets the number of ``taps`` (odd) with
    the lowest mean error on validation records, the fewest of equals, of squares as they are or
    relative to the lead's variance in its record.

    Raises:
        CorpusError: an unknown, repeated or missing lead, by name.
        ValueError: no lead is hidden or none observed, an even number of taps, or no records.
    """
    lead_order(leads, input_leads)
    observed = tuple(lead_positions(input_leads))
    hidden = tuple(lead for lead in lead_positions(leads) if lead not in observed)
    if not hidden or not observed:
        raise ValueError(f"nothing to restore: {len(hidden)} hidden and {len(observed)} inputs")
    if not taps or any(count < 1 or count % 2 == 0 for count in taps):
        raise ValueError(f"taps {tuple(taps)}: a two-sided filter has an odd number of them")
    if not len(train) or not len(validation):
        raise ValueError("a filter needs training and validation records")
    absolute = [_Sums.of(train, leads, observed, hidden, max(taps))]
    relative = [_Sums.of(train, leads, observed, (h,), max(taps), relative=True) for h in hidden]
    tried = [
        Fir(
            leads=tuple(lead_positions(leads)),
            input_leads=observed,
            hidden=hidden,
            taps=(count,) * len(hidden),
            weights_HKT=torch.cat([of.solve(count) for of in sums]),
        )
        for count in sorted(taps)
        for sums in (absolute, relative)
    ]
    errors_FH = np.stack([_mean_errors(fir, validation) for fir in tried])
    # A lead that is flat in all validation records has no error, and the fewest taps.
    best_H = np.nan_to_num(errors_FH, nan=np.inf).argmin(axis=0)
    weights = [_widen(tried[f].weights_HKT[i], max(taps)) for i, f in enumerate(best_H)]
    chosen = tuple(tried[f].taps[0] for f in best_H)
    margin = (max(taps) - max(chosen)) // 2
    return dataclasses.replace(
        tried[0],
        taps=chosen,
        weights_HKT=torch.stack(weights)[..., margin : max(taps) - margin].contiguous(),
    )


def _mean_errors(fir: Fir, split: Split) -> NDArray[np.float64]:
    """Mean error of each hidden lead, (H,); NaN where all records are flat."""
    errors_NH = hidden_quality(fir.restore, split, fir)[1]
    known_NH = ~np.isnan(errors_NH)
    return mean_known(errors_NH.T, known_NH.T)


def _widen(weights_KT: Tensor, count: int) -> Tensor:
    """The same filter with ``count`` taps."""
    margin = (count - weights_KT.shape[-1]) // 2
    return pad(weights_KT, (margin, margin))


@dataclasses.dataclass(frozen=True, slots=True)
class _Sums:
    """G and C of the widest filter; those of a narrower one are their middle.

    Attributes:
        gram_KTKT: products of observed samples at two places within reach, (K, T, K, T).
        cross_KTH: their products with the hidden sample, (K, T, H).
    """

    gram_KTKT: Tensor
    cross_KTH: Tensor

    @classmethod
    def of(
        cls,
        split: Split,
        leads: Sequence[str],
        input_leads: Sequence[str],
        hidden: Sequence[str],
        taps: int,
        *,
        relative: bool = False,
    ) -> _Sums:
        """Summed over the records of ``split``, a few at a time, in float64.

        ``relative`` to the variance of the one hidden lead in each record; see ``relative_to``.
        """
        order = lead_order(leads, (*input_leads, *hidden))
        inputs, reach, samples = len(input_leads), taps // 2, split.signals.shape[-1]
        spectrum_KLF = torch.zeros((), dtype=torch.complex128)
        # Products of the first and of the last samples, with the zeros beyond them.
        edges = [torch.zeros((), dtype=torch.float64)] * 2
        for batch in split.chunks():
            x_BLT = batch.x_BLT.cpu().double()[:, order]
            if relative:
                x_BLT = x_BLT / relative_to(x_BLT[:, -1:]).sqrt()[..., None]
            # Long enough that lags within reach do not wrap around.
            f_BLF = torch.fft.rfft(x_BLT, samples + taps)
            spectrum_KLF = spectrum_KLF + torch.einsum(
                "bkf,blf->klf", f_BLF[:, :inputs].conj(), f_BLF
            )
            continued = pad(x_BLT[:, :inputs], (2 * reach, 2 * reach))
            for side, start in enumerate((0, samples + reach)):
                part = continued[..., start : start + 3 * reach]
                edges[side] = edges[side] + torch.einsum("bks,bjt->ksjt", part, part)
        # Sum over t of x_k[t] x_l[t + lag]; negative lags stand at the end.
        lags_KLN = torch.fft.irfft(spectrum_KLF, samples + taps)
        places = torch.arange(taps) - reach
        gram_KTKT = lags_KLN[:, :inputs, places[None] - places[:, None]].permute(0, 2, 1, 3)
        # So far the sum is over all centres, also those before and behind a record.
        for edge in edges:
            for start in range(reach):
                seen = slice(start, start + taps)
                gram_KTKT = gram_KTKT - edge[:, seen, :, seen]
        return cls(gram_KTKT, lags_KLN[:, inputs:, -places].transpose(1, 2))

    def solve(self, count: int) -> Tensor:
        """Weights (H, K, ``count``) of the filter with ``count`` taps."""
        inputs, taps, hidden = self.cross_KTH.shape
        margin = (taps - count) // 2
        middle = slice(margin, margin + count)
        size = inputs * count
        gram = self.gram_KTKT[:, middle, :, middle].reshape(size, size)
        cross = self.cross_KTH[:, middle].reshape(size, hidden)
        mean = gram.diagonal().mean()
        ridge = RIDGE * mean if mean > 0 else torch.ones(())  # inputs without any signal
        gram = gram + ridge * torch.eye(size, dtype=gram.dtype)
        weights: Tensor = torch.linalg.solve(gram, cross)
        return weights.T.reshape(hidden, inputs, count)


def relative_to(true_BLT: Tensor) -> Tensor:
    """What squared errors of a lead in a record are divided by, (B, L): its variance.

    A lead of less than ``QUIET`` has the square of that, so that no single record in millivolts
    outweighs a hundred others. A flat one has infinity: nothing is to be restored there.
    """
    variance_BL = true_BLT.var(dim=-1, correction=0)
    flat_BL = variance_BL.sqrt() < FLAT
    return variance_BL.clamp_min(QUIET**2).masked_fill(flat_BL, torch.inf)


def lead_quality(true_BLT: Tensor, restored_BLT: Tensor) -> tuple[Tensor, Tensor]:
    """Correlation and error of each record and lead, each (B, L) float64 on the CPU.

    Both signals are (B, L, T), in one unit. NaN where the true lead is flat; see the module's text.
    """
    true_BLT, restored_BLT = true_BLT.double(), restored_BLT.double()
    x_BLT = true_BLT - true_BLT.mean(dim=-1, keepdim=True)
    y_BLT = restored_BLT - restored_BLT.mean(dim=-1, keepdim=True)
    x_BL, y_BL = x_BLT.square().mean(dim=-1), y_BLT.square().mean(dim=-1)
    flat_BL, constant_BL = x_BL.sqrt() < FLAT, y_BL.sqrt() < FLAT
    together_BL = (x_BLT * y_BLT).mean(dim=-1)
    correlations_BL = (together_BL / (x_BL * y_BL).sqrt()).clamp(-1.0, 1.0)
    correlations_BL = correlations_BL.masked_fill(constant_BL, 0.0).masked_fill(flat_BL, torch.nan)
    errors_BL = (true_BLT - restored_BLT).square().mean(dim=-1) / x_BL
    return correlations_BL.cpu(), errors_BL.masked_fill(flat_BL, torch.nan).cpu()


@torch.no_grad()
def hidden_quality(
    restore: Restore, split: Split, fir: Fir
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlation and error of the hidden leads of all records, (N, H) each; NaN where flat.

    ``restore`` maps (B, L, T) to (B, L, T) and is given zeros in place of the leads that ``fir``
    takes for hidden, so nothing of them reaches it. A model must be in evaluation mode.
    """
    hidden = lead_order(fir.leads, fir.hidden)

    def measure(batch: Batch) -> Tensor:
        seen_BLT = batch.x_BLT.clone()
        seen_BLT[:, hidden] = 0.0
        restored_BLT = restore(seen_BLT)
        return torch.stack(lead_quality(batch.x_BLT[:, hidden], restored_BLT[:, hidden]), dim=1)

    found_N2H = torch.cat([in_parts(measure, batch) for batch in split.chunks()]).numpy()
    return found_N2H[:, 0], found_N2H[:, 1]


def restoration_rows(name: str, split: Split, restore: Restore, fir: Fir) -> list[Row]:
    """Rows of an evaluation: a restoration beside the FIR filter, on the records of a split.

    Of each hidden lead ``correlation:<lead>``, ``error:<lead>``, both again of the filter
    (``correlation_fir:<lead>``, ``error_fir:<lead>``), the paired ``correlation_gain:<lead>`` of
    the restoration over the filter, and ``taps_fir:<lead>``. Over all hidden leads ``error``,
    ``error_fir``, and ``error_ratio``, the first by the second. Standard errors and 95 % intervals
    are of the patient bootstrap, on the same resamples for both; the filter is held fixed.

    Args:
        name: of the split, such as ``test``: patients that neither has seen.
        split: its records, with all leads of ``fir``.
        restore: see ``hidden_quality``.
        fir: fitted on the records that the restoration was trained on.
    """
    resamples = Resamples.draw(split.patients)
    ours, rival = (hidden_quality(of, split, fir) for of in (restore, fir.restore))
    # Of the filter, which is finite: a restoration that is not must not count as a flat lead.
    known_NH = ~np.isnan(rival[1])
    rows: list[Row] = []
    for h, lead in enumerate(fir.hidden):
        found = {
            "correlation": ours[0][:, h],
            "error": ours[1][:, h],
            "correlation_fir": rival[0][:, h],
            "error_fir": rival[1][:, h],
            "correlation_gain": ours[0][:, h] - rival[0][:, h],
        }
        known_N = known_NH[:, h]
        some, n = resamples.of(known_N), int(known_N.sum())
        for metric, values_N in found.items():
            estimate = Estimate.of(some.mean(values_N[known_N]))
            rows.append(estimate_row(name, f"{metric}:{lead}", estimate, n))
        rows.append(value_row(name, f"taps_fir:{lead}", fir.taps[h], n))
    error_R, error_fir_R = (_over_leads(resamples, of[1], known_NH) for of in (ours, rival))
    ratio_R = divide(error_R, error_fir_R)
    overall = {"error": error_R, "error_fir": error_fir_R, "error_ratio": ratio_R}
    for metric, values_R in overall.items():
        rows.append(estimate_row(name, metric, Estimate.of(values_R), len(split)))
    return rows


def _over_leads(
    resamples: Resamples, errors_NH: NDArray[np.float64], known_NH: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Mean over leads of each one's mean over its known records, (R,).

    A lead without any is left out; a resample without any of another lead is NaN.
    """
    total_R, leads = np.zeros(resamples.weights_NR.shape[1]), 0
    for errors_N, known_N in zip(errors_NH.T, known_NH.T, strict=True):
        if known_N.any():
            total_R += resamples.of(known_N).mean(errors_N[known_N])
            leads += 1
    return total_R / leads if leads else np.full_like(total_R, np.nan)
