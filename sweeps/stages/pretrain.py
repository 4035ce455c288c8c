"""The pretrain stage: sizes crossed with data, combinations listed, or trials that go on."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from scaling.identity import CODEBOOK, START, Training
from scaling.objectives.registry import OBJECTIVES, default_objective
from scaling.records.names import suggest
from sweeps.errors import Mistake
from sweeps.stages.base import STAGES, Measured, Parents, Start, crossed
from sweeps.stages.codebook import CodebookOrPath
from sweeps.stages.keys import (
    CODEBOOK_FAMILY,
    Axis,
    Cell,
    Context,
    Families,
    Paradigm,
    not_trained_as,
)

LEADS_TO_OBJECTIVE = {"objective", "families", "cells", "paradigms", "parents"}


class Pretrain(Measured):
    """A pretrain stage: ``families`` and ``data`` crossed, ``cells`` listed, or ``parents``."""

    name: ClassVar[str] = "pretrain"
    roles: ClassVar[tuple[str, ...]] = (CODEBOOK, START)
    measured_with: ClassVar[tuple[str, ...]] = (CODEBOOK,)
    for_laws: ClassVar[bool] = True

    families: Families | None = None
    cells: Annotated[list[Cell], Field(min_length=1)] | None = None
    paradigms: Axis[Paradigm] | None = None
    parents: Parents | None = None
    codebook: CodebookOrPath | None = None

    @property
    def parent_rule(self) -> Parents | None:
        """Which trials of earlier stages it goes on from, if any."""
        return self.parents

    @property
    def sizes_by_family(self) -> Mapping[str, list[str]]:
        """Architectures that it crosses with data, and sizes of each."""
        return self.families or {}

    @property
    def listed(self) -> list[Cell]:
        """Combinations that it lists instead."""
        return self.cells or []

    @property
    def codebook_size(self) -> str | None:
        """Which of the codebooks before it its masked trials predict, if it says."""
        return self.codebook.size if self.codebook is not None else None

    @property
    def codebook_file(self) -> str | None:
        """Path of the converted codebook that its masked trials predict, if it names one."""
        return self.codebook.path if self.codebook is not None else None

    def paradigms_trained(self) -> list[str]:
        """Those it says, those of its parents, else supervised; and those of its cells."""
        of_parents = self.parents.paradigms if self.parents is not None else None
        of_cells = [cell.paradigm for cell in self.listed if cell.paradigm]
        return [*(self.paradigms or of_parents or ["sl"]), *of_cells]

    def starts(self, parents: Mapping[str, Training]) -> Iterator[Start]:
        """Each parent under each paradigm, each cell, or each size."""
        if self.parents is not None:
            for name, parent in parents.items():
                for paradigm in self.paradigms or [parent.paradigm]:
                    yield Start(
                        family=parent.family, size=parent.size, paradigm=paradigm, parent=name
                    )
        elif self.cells is not None:
            for cell in self.cells:
                for paradigm in [cell.paradigm] if cell.paradigm else self.paradigms or ["sl"]:
                    yield Start(family=cell.family, size=cell.size, paradigm=paradigm, cell=cell)
        else:
            yield from crossed(self.families or {}, self.paradigms or ["sl"])

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """One way to say what is trained; then what every stage can have wrong."""
        if "cells" in given and {"families", "data"} & given.keys():
            message = "give either families and data, or cells, not both"
            yield Mistake(loc=("cells",), message=message, at_key=True)
        elif not {"cells", "families", "parents"} & given.keys():
            message = "the key 'families' is missing (or list 'cells')"
            yield Mistake(loc=(), message=message)
        for i, paradigm in enumerate(self.paradigms or ()):
            if problem := not_trained_as(paradigm, self.sizes_by_family):
                yield Mistake(loc=("paradigms", i), message=problem)
        yield from super().mistakes(given, context)

    def own_mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """Parents that leave nothing open, and the codebook of masked trials."""
        yield from super().own_mistakes(given, context)
        for key in ("families", "cells"):
            if key in given and "parents" in given:
                message = f"a trial with a parent has its family and size; remove {key!r}"
                yield Mistake(loc=(key,), message=message, at_key=True)
        of_parents = self.parents.paradigms if self.parents is not None else None
        if "random" in (of_parents or ()) and "paradigms" not in given:
            message = "parents that are not trained give no paradigm; give the stage 'paradigms'"
            yield Mistake(loc=("parents", "paradigms"), message=message)
        yield from self._codebook_mistakes(given, context)

    def _codebook_mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """Masked trials need a codebook, and nothing else does."""
        if LEADS_TO_OBJECTIVE & (given.keys() - self.model_fields_set):
            return  # what is wrong there decides
        masked = sorted(name for name in self._objectives() if CODEBOOK in OBJECTIVES[name].roles)
        before = [stage for name, stage in context.stages if STAGES[name].gives == CODEBOOK]
        if not masked:
            if "codebook" in given:
                message = "no trial of this stage predicts codes; remove 'codebook'"
                yield Mistake(loc=("codebook",), message=message, at_key=True)
        elif "codebook" not in given:
            if not before:
                message = (
                    f"objective {masked[0]!r} predicts the codes of a codebook: put a codebook "
                    "stage before this one, or give the file of a converted one as 'codebook'"
                )
                yield Mistake(loc=(), message=message, at_key=True)
        elif self.codebook is not None and (size := self.codebook.size) is not None:
            last = before[-1] if before else None
            sizes = last.sizes_by_family.get(CODEBOOK_FAMILY, []) if last is not None else []
            if size not in sizes:
                about = suggest(size, sizes) if sizes else "there is no codebook stage before it"
                message = f"no codebook of size {size!r} is trained before this stage; {about}"
                yield Mistake(loc=("codebook", "size"), message=message)

    def _objectives(self) -> set[str]:
        """Objectives of its trials, as far as the grid tells."""
        if self.objective is not None:
            return {self.objective.name}
        families = self.families_named()
        if self.parents is not None:
            families = self.parents.families or ["resnet", "transformer"]
        found = {default_objective(p, f) for p in self.paradigms_trained() for f in families}
        return {name for name in found if name is not None}
