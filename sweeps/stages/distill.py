"""The distill stage: students of some leads, by several methods, from a teacher of all of them.

``methods`` is an axis like sizes and data, and ``settings`` hold for all methods that have them, so
that rivals are compared at the same inputs, boxes and unlabelled records. Without ``restoration``
the leads that a student is not given are zero.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from scaling.identity import RESTORATION, START, TEACHER, Training
from scaling.objectives.registry import OBJECTIVES
from scaling.records.names import suggest
from sweeps.errors import Loc, Mistake
from sweeps.stages.base import Measured, Parents, Start
from sweeps.stages.keys import (
    Axis,
    Context,
    Families,
    InputLeads,
    ObjectiveChoice,
    ObjectiveOrName,
    leads_named,
)
from sweeps.stages.restore import RestorationParents


class Teachers(Parents):
    """Which trials of earlier stages teach: all that match, or the best of them."""

    best_of_each: ClassVar[tuple[str, ...]] = ("labels_fraction", "labelled_draw", "data")

    oracle: bool | None = None

    @property
    def stage_name(self) -> str:
        """Name of the stage that the teachers are of."""
        return self.stage or "finetune"


def _as_choices(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


Methods = Annotated[list[ObjectiveOrName], Field(min_length=1), BeforeValidator(_as_choices)]


class Distill(Measured):
    """The distill stage: students of ``families``, or those that ``parents`` began as."""

    name: ClassVar[str] = "distill"
    roles: ClassVar[tuple[str, ...]] = (START, TEACHER, RESTORATION)
    measured_with: ClassVar[tuple[str, ...]] = (RESTORATION,)
    for_methods: ClassVar[bool] = True

    families: Families | None = None
    parents: Parents | None = None
    methods: Methods
    settings: dict[str, Axis[Any]] = Field(default_factory=dict)
    teacher: Teachers | None = None
    restoration: RestorationParents | None = None
    input_leads: Axis[InputLeads]

    @property
    def parent_rule(self) -> Parents | None:
        """Which trials its students begin as, if any."""
        return self.parents

    @property
    def parent_rules(self) -> Mapping[str, tuple[str, Parents]]:
        """Which trials have each of its roles."""
        rules = {
            START: ("parents", self.parents),
            TEACHER: ("teacher", self.teacher),
            RESTORATION: ("restoration", self.restoration),
        }
        return {role: (key, rule) for role, (key, rule) in rules.items() if rule is not None}

    @property
    def more_labels(self) -> bool:
        """Whether a teacher may have seen labels that its student has not."""
        return self.teacher is not None and bool(self.teacher.oracle)

    @property
    def sizes_by_family(self) -> Mapping[str, list[str]]:
        """Sizes of its students."""
        return self.families or {}

    def paradigms_trained(self) -> list[str]:
        """Labels, and a teacher."""
        return ["sl"]

    def starts(self, parents: Mapping[str, Training]) -> Iterator[Start]:
        """Each student by each method with each set of leads."""
        students = [(t.family, t.size, name) for name, t in parents.items()]
        students += [(f, size, "") for f, sizes in self.sizes_by_family.items() for size in sizes]
        for family, size, parent in students:
            for words in self.input_leads:
                for method in self.methods:
                    yield Start(
                        family=family,
                        size=size,
                        paradigm="sl",
                        parent=parent,
                        objective=self._with_settings(method),
                        input_leads=leads_named(words),
                    )

    def _with_settings(self, method: ObjectiveChoice) -> ObjectiveChoice:
        """A method with those settings of the stage that it has and does not say itself."""
        known = dict(OBJECTIVES[method.name].options)
        shared = {key: axis for key, axis in self.settings.items() if key in known}
        return ObjectiveChoice.model_construct(
            _fields_set=None, name=method.name, **(shared | (method.model_extra or {}))
        )

    def place_of_objective(self, name: str) -> Loc:
        """Where it names a method."""
        return ("methods", [method.name for method in self.methods].index(name))

    def place_of_setting(self, training: Training, key: str) -> Loc:
        """Where a method, or the stage for all of them, says a setting."""
        for i, method in enumerate(self.methods):
            if method.name == training.objective and key in (method.model_extra or {}):
                return ("methods", i, key)
        return ("settings", key)

    def own_mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """Students, methods and what these need."""
        yield from super().own_mistakes(given, context)
        wrong = given.keys() - self.model_fields_set
        if not {"families", "parents"} & given.keys():
            message = "the key 'families' is missing: which students are trained (or 'parents')"
            yield Mistake(loc=(), message=message)
        elif {"families", "parents"} <= given.keys():
            message = "a student with a parent has its family and size; remove 'families'"
            yield Mistake(loc=("families",), message=message, at_key=True)
        if "objective" in given:
            message = "name what students learn by as 'methods'; remove 'objective'"
            yield Mistake(loc=("objective",), message=message, at_key=True)
        written = given["methods"] if isinstance(given.get("methods"), list) else []
        for i, method in enumerate(self.methods if "methods" not in wrong else ()):
            one = written[i] if i < len(written) else given.get("methods")
            as_mapping = {"name": one} if isinstance(one, str) else one
            place = ("methods", i) if written else ("methods",)
            for mistake in self.choice_mistakes(method, as_mapping, wrong):
                yield mistake._replace(loc=(*place, *mistake.loc))
            yield from self._unmet(method, given, place)
        yield from self._setting_mistakes(given)
        if self.restoration is not None:
            for i, words in enumerate(self.input_leads):
                if not leads_named(words):
                    message = (
                        "all leads are given, so there is none to restore; remove 'restoration'"
                    )
                    yield Mistake(loc=("input_leads", i), message=message)

    def _unmet(
        self, method: ObjectiveChoice, given: Mapping[str, Any], place: tuple[str | int, ...]
    ) -> Iterator[Mistake]:
        """A teacher for methods that have one, unlabelled records for those that use them."""
        info = OBJECTIVES[method.name]
        if TEACHER in info.roles and "teacher" not in given:
            message = (
                f"method {method.name!r} learns from a teacher: say which trials teach, such as "
                "teacher: {stage: finetune}"
            )
            yield Mistake(loc=place, message=message)
        options = dict(info.options) | (self._with_settings(method).model_extra or {})
        shares = options.get("unlabelled", 0.0)
        wanted = any(shares) if isinstance(shares, list) else bool(shares)
        if wanted and 1.0 in (self.labels or [1.0]):
            message = (
                f"method {method.name!r} uses unlabelled records, and with all labels there are "
                "none; give 'labels' below 1, or set its 'unlabelled' to 0"
            )
            where = ("labels", (self.labels or []).index(1.0)) if "labels" in given else place
            yield Mistake(loc=where, message=message)

    def _setting_mistakes(self, given: Mapping[str, Any]) -> Iterator[Mistake]:
        """Settings that some method has, with values that it can take."""
        written = given.get("settings")
        for key, axis in self.settings.items():
            having = [
                OBJECTIVES[m.name] for m in self.methods if key in dict(OBJECTIVES[m.name].options)
            ]
            if not having:
                known = {k for m in self.methods for k, _ in OBJECTIVES[m.name].options}
                message = f"no method of this stage has a setting {key!r}; {suggest(key, known)}"
                yield Mistake(loc=("settings", key), message=message, at_key=True)
                continue
            listed = isinstance(written, dict) and isinstance(written.get(key), list)
            for i, value in enumerate(axis):
                for problem in {p for info in having if (p := info.problem(key, value))}:
                    place = ("settings", key, i) if listed else ("settings", key)
                    yield Mistake(loc=place, message=problem)
