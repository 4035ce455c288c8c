"""The restore stage: nets that restore all leads from some, before students that are given theirs.

A net that was trained on other patients goes on with those of its own corpus where the stage names
it as a parent (S2, section 4.5); labels are never used.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from scaling.identity import RESTORATION, START, Training
from sweeps.errors import Mistake
from sweeps.stages.base import Parents, ParentStage, Stage, Start, named_stage
from sweeps.stages.keys import RESTORATION_FAMILY, Axis, Context, Families, InputLeads, leads_named


def _restore(name: Any) -> Any:
    return named_stage(name, ["restore"])


class RestorationParents(Parents):
    """Which trials of earlier restore stages are meant: all that match, or the best of them."""

    stage: Annotated[str, BeforeValidator(_restore), ParentStage("restore")] | None = None
    input_leads: Axis[InputLeads] | None = None

    best_of_each: ClassVar[tuple[str, ...]] = ("input_leads",)

    @property
    def stage_name(self) -> str:
        """Restore, whatever comes between."""
        return "restore"


class Restore(Stage):
    """The restore stage: ``families`` from nothing, or ``parents`` that go on."""

    name: ClassVar[str] = "restore"
    families_trained: ClassVar[tuple[str, ...]] = (RESTORATION_FAMILY,)
    gives: ClassVar[str] = RESTORATION
    roles: ClassVar[tuple[str, ...]] = (START,)

    families: Families | None = None
    parents: RestorationParents | None = None
    input_leads: Axis[InputLeads] | None = None

    @property
    def parent_rule(self) -> Parents | None:
        """Which nets it goes on from, if any."""
        return self.parents

    @property
    def sizes_by_family(self) -> Mapping[str, list[str]]:
        """Sizes of the restoration family."""
        return self.families or {}

    def paradigms_trained(self) -> list[str]:
        """A net restores leads: no labels."""
        return ["ssl"]

    def starts(self, parents: Mapping[str, Training]) -> Iterator[Start]:
        """Each size with each set of leads, or each parent with its own."""
        for name, parent in parents.items():
            yield Start(
                family=parent.family,
                size=parent.size,
                paradigm="ssl",
                parent=name,
                input_leads=parent.input_leads,
            )
        for family, sizes in self.sizes_by_family.items():
            for size in sizes:
                for words in self.input_leads or ():
                    leads = leads_named(words)
                    yield Start(family=family, size=size, paradigm="ssl", input_leads=leads)

    def own_mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """Either new nets with their leads, or parents, which have theirs."""
        if {"families", "parents"} <= given.keys():
            message = "a trial with a parent has its family and size; remove 'families'"
            yield Mistake(loc=("families",), message=message, at_key=True)
        elif not {"families", "parents"} & given.keys():
            yield Mistake(loc=(), message="the key 'families' is missing (or name 'parents')")
        if "parents" in given and "input_leads" in given:
            message = "a trial with a parent has its leads; remove 'input_leads'"
            yield Mistake(loc=("input_leads",), message=message, at_key=True)
        elif "families" in given and "input_leads" not in given:
            message = (
                "the key 'input_leads' is missing: say which leads the net is given, such as I"
            )
            yield Mistake(loc=(), message=message)
        for i, words in enumerate(self.input_leads or ()):
            if not leads_named(words):
                message = "all leads are given, so there is none to restore; name some of them"
                yield Mistake(loc=("input_leads", i), message=message)
