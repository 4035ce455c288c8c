"""The codebook stage: heartbeat codebooks; and how a later stage says which it predicts."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from scaling.identity import CODEBOOK, Training
from sweeps.errors import Mistake
from sweeps.stages.base import Stage, Start, crossed
from sweeps.stages.keys import CODEBOOK_FAMILY, Checked, Context, Families, NameToo


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


class CodebookChoice(Checked):
    """Which codebook a masked stage predicts the codes of: one trained before, or a file's."""

    size: str | None = None
    path: str | None = None

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """One of both."""
        if len(given) > 1:
            message = "give the codebook either as its 'size' or as the 'path' of a file"
            yield Mistake(loc=(), message=message)


def _as_codebook(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


CodebookOrPath = Annotated[CodebookChoice, BeforeValidator(_as_codebook), NameToo()]
