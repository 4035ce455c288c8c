"""Boxes of other records' signals: the mixing of region-aware distillation (LiteHeart Eq. 4-10).

As in CutMix (Yun et al. 2019, arXiv 1905.04899), a box over leads and time of a record i is
replaced by that of its partner j, and the labels follow the share of cells that are replaced:

    x_n = M x_i + (1 - M) x_j,  y_n = y_i (1 - share) + y_j share                  (4, 5, 10)
    lambda ~ Beta(shape, shape),  r_w = T sqrt(1 - lambda),  r_h = L sqrt(1 - lambda)    (6, 7)

The same boxes mix the real signals, which the teacher sees, and the restored ones, which the
student sees: draw once, mix twice.

Choices where the paper is silent:

- **share** is that of the cells really replaced, not the r_w r_h / (L T) of Eq. 10: leads are
  whole, and a box may be cut at a border. With shape 0.75 it is 0.50 on average with ``inside``
  and 0.32 with ``clip``, the mean of (r - r^2 / 4)^2 over r = sqrt(1 - lambda) (edges are rounded
  to the next cell; rounded down, as in the code of both, it is 0.28);
- **border**: ``clip`` draws the middle of the box anywhere and cuts it there, as CutMix and the
  same authors' H-Tuning do; ``inside`` draws its corner so that it fits;
- **per**: a box for each ``record``, or one for the whole ``batch`` as in H-Tuning;
- partners are by one random shift of the set; a record whose partner is a copy of itself stays
  whole;
- neighbouring leads are those next to each other in the order of the model's leads.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from scaling.data.batches import Batch
from scaling.objectives.distill.sets import partners
from scaling.objectives.registry import Settings

PER = ("record", "batch")
BORDERS = ("clip", "inside")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """A box and a partner for each of B records of L leads and T samples.

    Attributes:
        leads_BL: bool, leads that the box covers; none where a record stays whole.
        samples_BT: bool, samples that it covers.
        partner_B: int64, place of the record that the box is taken from.
        share_B: float32, share of a record's L T cells that come from its partner, in [0, 1].
    """

    leads_BL: Tensor
    samples_BT: Tensor
    partner_B: Tensor
    share_B: Tensor

    @property
    def inside_BLT(self) -> Tensor:  # noqa: N802
        """Cells that come from the partner, (B, L, T) bool: 1 - M of Eq. 4."""
        return self.leads_BL[:, :, None] & self.samples_BT[:, None, :]

    def mix(self, x_BLT: Tensor) -> Tensor:
        """Eq. 4 and 5: records with their boxes replaced, of the same shape; no copy of labels."""
        here = self.to(x_BLT.device)
        return torch.where(here.inside_BLT, x_BLT[here.partner_B], x_BLT)

    def mix_labels(self, y_BC: Tensor) -> Tensor:
        """Eq. 10: labels (B, C) weighted by the realised shares; those of whole records as is."""
        here = self.to(y_BC.device)
        # lerp: a label that both have stays exactly as it is.
        return torch.lerp(y_BC, y_BC[here.partner_B], here.share_B[:, None].to(y_BC.dtype))

    def to(self, device: torch.device) -> Boxes:
        """The same boxes on ``device``."""
        if self.leads_BL.device == device:
            return self
        names = [field.name for field in dataclasses.fields(self)]
        return Boxes(**{name: getattr(self, name).to(device) for name in names})


def joined(parts: Sequence[Boxes]) -> Boxes:
    """Boxes of sets one behind the other in a batch; partners are of the same set."""
    before = itertools.accumulate((len(part.partner_B) for part in parts), initial=0)
    return Boxes(
        leads_BL=torch.cat([part.leads_BL for part in parts]),
        samples_BT=torch.cat([part.samples_BT for part in parts]),
        partner_B=torch.cat([p.partner_B + n for p, n in zip(parts, before, strict=False)]),
        share_B=torch.cat([part.share_B for part in parts]),
    )


def sets_of(batch: Batch) -> tuple[slice, ...]:
    """Places of the labelled records of a batch, and of the unlabelled ones behind them."""
    labelled = len(batch.rows_B) - batch.unlabelled
    both = (slice(0, labelled), slice(labelled, None))
    return both if batch.unlabelled else both[:1]


def boxes_of(batch: Batch, settings: Settings, generator: torch.Generator) -> Boxes | None:
    """Boxes of a batch as the settings of an objective have them (``registry.BOXES``), or None."""
    per, border = str(settings["boxes"]), str(settings["box_border"])
    if per == "none":
        return None
    leads, samples = batch.x_BLT.shape[1:]
    shape = float(settings["box_shape"])
    return joined(
        [
            draw_boxes(batch.rows_B[places], leads, samples, shape, per, border, generator)
            for places in sets_of(batch)
        ]
    )


def draw_boxes(
    records_B: Tensor,
    leads: int,
    samples: int,
    shape: float,
    per: str,
    border: str,
    generator: torch.Generator,
) -> Boxes:
    """Boxes and partners for a set of records, on the device of ``records_B``.

    Args:
        records_B: (B,) int64; equal numbers are one record, which is no partner of itself.
        leads: L.
        samples: T.
        shape: of the Beta distribution, above 0. Small: a record is mostly one or the other.
        per: ``record`` or ``batch``, what has a box of its own.
        border: ``clip`` or ``inside``.
        generator: on the CPU; all that is random comes from it.

    Raises:
        ValueError: ``per`` or ``border`` is none of these.
    """
    if per not in PER:
        raise ValueError(f"boxes are per {' or '.join(PER)}, not {per!r}")
    partner_B, other_B = partners(records_B, generator)
    count = 1 if per == "batch" else len(records_B)
    edge_N = (1.0 - _beta(shape, count, generator)).sqrt()
    covered = [
        _covered(size, edge_N, border, generator).expand(len(records_B), size)
        for size in (leads, samples)
    ]
    leads_BL, samples_BT = (axis.to(records_B.device) for axis in covered)
    leads_BL = leads_BL & other_B[:, None]
    cells_B = leads_BL.sum(dim=1) * samples_BT.sum(dim=1)
    return Boxes(
        leads_BL=leads_BL,
        samples_BT=samples_BT,
        partner_B=partner_B,
        share_B=cells_B.float() / (leads * samples),
    )


def _beta(shape: float, count: int, generator: torch.Generator) -> Tensor:
    """Draws of Beta(shape, shape), (count,) float64.

    By the inverse of its distribution: torch's own sampler draws from the global stream only.
    """
    from scipy.special import betaincinv

    uniform_N = torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.from_numpy(betaincinv(shape, shape, uniform_N.numpy()))


def _covered(size: int, edge_N: Tensor, border: str, generator: torch.Generator) -> Tensor:
    """Cells of an axis of ``size`` that boxes cover, (N, size) bool.

    ``edge_N`` is a box's length as a share of the axis; it is rounded to whole cells.
    """
    uniform_N = torch.rand(len(edge_N), generator=generator, dtype=torch.float64)
    cells_N = (edge_N * size).round()
    if border == "inside":
        low_N = (uniform_N * (size - cells_N + 1)).floor()
    elif border == "clip":  # cells beyond the axis are not there
        low_N = (uniform_N * size - cells_N / 2).round()
    else:
        raise ValueError(f"border is {' or '.join(BORDERS)}, not {border!r}")
    place_S = torch.arange(size)
    return (place_S >= low_N[:, None]) & (place_S < (low_N + cells_N)[:, None])
