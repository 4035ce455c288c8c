"""The finetune stage: supervised, all weights, from the backbones of earlier trials.

Shares of the labels, label sets and data sizes are its axes, so that what pretraining is worth can
be read from how its loss falls with each, beside the same trials from scratch. This is S1's
transfer of an SSL backbone to few labels; effective data (Hernandez et al. 2021, Eq. 2) is fitted
to its trials.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from scaling.identity import START, Training
from sweeps.stages.base import Measured, Parents, Start


class Finetune(Measured):
    """The finetune stage: supervised, all weights, from the backbones of ``parents``."""

    name: ClassVar[str] = "finetune"
    roles: ClassVar[tuple[str, ...]] = (START,)

    parents: Parents
    scratch: bool | None = None

    @property
    def parent_rule(self) -> Parents | None:
        """Which trials of earlier stages it starts from."""
        return self.parents

    def paradigms_trained(self) -> list[str]:
        """Labels alone."""
        return ["sl"]

    def starts(self, parents: Mapping[str, Training]) -> Iterator[Start]:
        """Each parent, and with ``scratch`` each of their sizes from nothing.

        A size that several parents have is trained from nothing once.
        """
        for name, parent in parents.items():
            yield Start(family=parent.family, size=parent.size, paradigm="sl", parent=name)
        if self.scratch:
            for family, size in dict.fromkeys((t.family, t.size) for t in parents.values()):
                yield Start(family=family, size=size, paradigm="sl")
