"""The codebook stage: heartbeat codebooks, before the stages that predict their codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from scaling.identity import CODEBOOK, Training
from sweeps.stages.base import Stage, Start, crossed
from sweeps.stages.keys import CODEBOOK_FAMILY, Families


class CodebookStage(Stage):
    """The codebook stage: heartbeat codebooks, before the stages that predict their codes."""

    name: ClassVar[str] = "codebook"
    families_trained: ClassVar[tuple[str, ...]] = (CODEBOOK_FAMILY,)
    gives: ClassVar[str] = CODEBOOK

    families: Families

    @property
    def sizes_by_family(self) -> Mapping[str, list[str]]:
        """Sizes of the codebook family."""
        return self.families

    def paradigms_trained(self) -> list[str]:
        """A codebook reconstructs heartbeats: no labels."""
        return ["ssl"]

    def starts(self, parents: Mapping[str, Training]) -> Iterator[Start]:
        """Every size, from nothing."""
        return crossed(self.families, self.paradigms_trained())
