"""What is deployed, by name: one model, or a restoration net before a student.

``family/size`` is a classifier; ``restoration+student``, each a ``family/size``, is a system that
sees some of the leads: the first restores the others, the second classifies what it restored.
S2 (LiteHeart) has three such pairs and one teacher, which sees all leads (sections 4.5 and 2.6,
Figure 4). Importing this module needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from scaling.models.families import FAMILIES, build, problem

if TYPE_CHECKING:
    from torch import nn

TEACHER = "convtx/d512n12"  # 50.5 M parameters
PAIRS = {
    "tiny": "unet/c16+convtx/d64n1",  # 0.36 M and 0.26 M parameters
    "small": "unet/c32+convtx/d128n1",  # 1.43 M and 1.00 M
    "base": "unet/c64+convtx/d128n4",  # 5.71 M and 1.60 M
}
RESTORATION = "unet"  # the family that restores leads


class Ratios(NamedTuple):
    """How many times less a system costs than the teacher."""

    latency: float
    memory: float
    macs: float


# As S2 prints them (section 2.6): batch 4, 6,144 samples, on a device that it does not name. It
# compares 6.48 ms, 357.2 MB and 39.45 G of the teacher with 3.1 ms, 24.1 MB and 1.1 G (tiny), and
# 4.5 ms, 176.9 MB and 4.7 G (base). Its accuracy is of the base pair.
S2 = {PAIRS["tiny"]: Ratios(2.09, 14.82, 35.86), PAIRS["base"]: Ratios(1.44, 2.02, 8.4)}


def check_system(name: str, samples: int, leads: int) -> None:
    """Whether a system exists and reads records of ``samples`` samples and ``leads`` leads.

    Raises:
        ValueError: it does not; the message says why, and what there is.
    """
    for family, size in _parts(name):
        rate = FAMILIES[family].fs_hz or 0  # windows are in samples: any rate will do
        if wrong := problem(family, size, rate, samples, leads):
            raise ValueError(f"{name}: {wrong}")


def _parts(name: str) -> list[tuple[str, str]]:
    """Family and size of the restoration net, where there is one, and of the classifier.

    Raises:
        ValueError: no such system.
    """
    *restoring, (family, _) = parts = [_split(part) for part in name.split("+")]
    if len(restoring) > 1 or any(before != RESTORATION for before, _ in restoring):
        raise ValueError(f"{name}: only one restoration net ({RESTORATION}/...) stands before +")
    if not FAMILIES[family].builder:
        raise ValueError(f"{name}: {family} is no backbone of a classifier")
    return parts


def _split(part: str) -> tuple[str, str]:
    """Family and size of ``family/size``.

    Raises:
        ValueError: no such family or size.
    """
    family, _, size = part.partition("/")
    if family not in FAMILIES:
        there = ", ".join(name for name, info in FAMILIES.items() if info.builder)
        raise ValueError(f"{part}: no family {family!r}; there are {RESTORATION}, {there}")
    if not FAMILIES[family].has(size):
        sizes = ", ".join(FAMILIES[family].sizes)
        raise ValueError(f"{part}: family {family} has no size {size!r}; it has {sizes}")
    return family, size


def build_system(
    name: str,
    leads: Sequence[str],
    input_leads: Sequence[str],
    outputs: int,
    *,
    millivolts: bool = False,
) -> nn.Module:
    """The untrained system, whose ``forward(x_BLT, r_peaks_BP)`` gives logits (B, ``outputs``).

    Args:
        name: as in the module's text.
        leads: of the records.
        input_leads: what a pair sees of them; one model alone sees all.
        outputs: classes.
        millivolts: whether records are in millivolts, so that hidden limb leads follow from two of
            them, and not z-scored as in S2.

    Raises:
        ValueError: no such system, or leads that are none.
    """
    from scaling.models.restorer import Restorer
    from scaling.models.system import System
    from scaling.models.unet import UNet
    from scaling.objectives.labels import Classifier

    *restoring, (family, size) = _parts(name)
    student = Classifier(build(family, size, len(leads)), outputs)
    if not restoring:
        return student
    net = UNet(restoring[0][1], len(leads))
    restorer = Restorer(net, leads, input_leads, millivolts=millivolts)
    return System(student, leads, input_leads, restorer)
