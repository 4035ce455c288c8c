"""What a stage is: keys of a grid, what its trials begin as, and what they may be given.

A stage is a class: its fields are the keys that a grid may say, its class variables and methods
all that the rest of the program asks. ``STAGES`` is the table of them.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Set
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError

from scaling.identity import CODEBOOK, RESTORATION, START, TEACHER, Training
from scaling.models.families import FAMILIES
from scaling.objectives.registry import OBJECTIVES, ObjectiveInfo, default_objective
from scaling.records.names import suggest
from sweeps.errors import Loc, Mistake
from sweeps.stages.keys import (
    NETWORKS,
    AnySize,
    Axis,
    Cell,
    Checked,
    Context,
    Count,
    LabelSet,
    Network,
    NonNegative,
    ObjectiveChoice,
    ObjectiveOrName,
    Paradigm,
    Share,
    SourceName,
    StageRecipe,
    TaskOrName,
    no_size,
    steps_that_do_not_fit,
)

PURPOSES = {
    START: "start from",
    TEACHER: "learn from",
    RESTORATION: "be given restored signals of",
}
UNTRAINED = "untrained"  # the objective of weights as initialised
CODES = "codes"  # a setting: the size of the codebook, which is known from the codebook
STAGES: dict[str, type["Stage"]] = {}  # filled by ``sweeps.stages``, one row a stage


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a trial begins as."""

    family: str
    size: str
    paradigm: str
    parent: str = ""  # id of the training whose backbone it starts from
    cell: Cell | None = None  # the explicit combination it is of
    objective: ObjectiveChoice | None = None  # of a stage with several; None: that of the stage
    input_leads: tuple[str, ...] = ()  # leads that it is given; empty for all


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What is measured of the trials of a stage beside their own loss."""

    tasks: tuple[Any, ...] = ()  # corpora and labels that frozen features are probed on
    external: tuple[Any, ...] = ()  # other corpora that trained heads are measured on
    shares: tuple[float, ...] = (1.0,)  # of a task's labelled training records given to a probe
    trajectory: bool = False  # whether every evaluated step is probed too
    predictions: bool = False  # whether logits are kept
    metrics: str = ""  # beside those that every evaluation has, where labels are predicted


def starting_stages() -> list[str]:
    """Stages whose trials another can start from."""
    return [name for name, stage in STAGES.items() if stage.gives == START]


def named_stage(given: Any, names: list[str]) -> Any:
    """A word of a grid that must be one of these stages."""
    *first, last = names
    if given not in names:
        expected = f"{', '.join(map(repr, first))} or {last!r}" if first else repr(last)
        raise PydanticKnownError("literal_error", {"expected": expected})
    return given


def stages_of(info: ObjectiveInfo) -> list[str]:
    """Stages that an objective may run in."""
    families = set(info.families)
    able = [
        name
        for name, stage in STAGES.items()
        if families & set(stage.families_trained) and not stage.for_methods
    ]
    return list(info.stages) or able


class ParentStage:
    """In the JSON Schema: the name of one of some stages, or of all that others can start from."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"enum": self.names or starting_stages(), "type": "string"}


def _parent_stage(name: Any) -> Any:
    return named_stage(name, starting_stages())


class Parents(Checked):
    """Which trials of earlier stages a stage starts from: all that match, or the best of them."""

    stage: Annotated[str, BeforeValidator(_parent_stage), ParentStage()] | None = None
    sources: Axis[SourceName] | None = None
    families: Axis[Network] | None = None
    sizes: Axis[AnySize] | None = None
    paradigms: Axis[Paradigm] | None = None
    data: Axis[Count] | None = None
    seeds: Axis[NonNegative] | None = None
    best: Literal["loss", "macro_auroc"] | None = None

    # Fields of trainings of which each value has a best of its own, since children follow it.
    # Where any start will do they compete.
    best_of_each: ClassVar[tuple[str, ...]] = ()

    @property
    def stage_name(self) -> str:
        """Name of the stage that the parents are of."""
        return self.stage or "pretrain"

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """A metric to choose the best by that they have."""
        paradigms = self.paradigms or []
        if self.best == "macro_auroc" and {"ssl", "random"} & set(paradigms):
            message = "only trials of the paradigm 'sl' have a macro_auroc of their own; use loss"
            yield Mistake(loc=("best",), message=message)
        if self.best is not None and "random" in paradigms:
            message = "untrained parents have no validation loss to choose by; remove 'best'"
            yield Mistake(loc=("best",), message=message, at_key=True)


class Stage(Checked):
    """What every stage may say, and what is asked of it."""

    name: ClassVar[str]  # as written in grids
    families_trained: ClassVar[tuple[str, ...]] = tuple(NETWORKS)
    gives: ClassVar[str] = START  # the role that a trial of it has as a parent
    roles: ClassVar[tuple[str, ...]] = ()  # of the parents of its trials
    # Those of them that must be there to measure a trained model by its own loss.
    measured_with: ClassVar[tuple[str, ...]] = ()
    for_laws: ClassVar[bool] = False  # whether laws are fitted to trials of it without parents
    for_methods: ClassVar[bool] = False  # whether its methods are compared with each other

    corpus: TaskOrName | None = None
    data: Axis[Count] | None = None
    seeds: Axis[NonNegative] = Field(default_factory=lambda: [0])
    objective: ObjectiveOrName | None = None
    recipe: StageRecipe = Field(default_factory=StageRecipe)

    # What a plan asks.

    def starts(self, parents: Mapping[str, Training]) -> Iterator[Start]:
        """What its trials begin as.

        Args:
            parents: the trainings it may start from, by id; empty where it names none.
        """
        raise NotImplementedError

    def paradigms_trained(self) -> list[str]:
        """Paradigms of its trials; of those with parents that the grid does not tell, "sl"."""
        raise NotImplementedError

    @property
    def parent_rule(self) -> Parents | None:
        """Which trials of earlier stages it starts from; None for none."""
        return None

    @property
    def parent_rules(self) -> Mapping[str, tuple[str, Parents]]:
        """By role, the key that says which trials of earlier stages have it, and what it says."""
        return {} if self.parent_rule is None else {START: ("parents", self.parent_rule)}

    @property
    def more_labels(self) -> bool:
        """Whether a teacher may have seen labels that its student has not."""
        return False

    @property
    def seeds_and_draws(self) -> list[tuple[int, int]]:
        """Seeds of trials, each with the draw of labelled records that goes with it."""
        return [(seed, 0) for seed in self.seeds]

    @property
    def sizes_by_family(self) -> Mapping[str, list[str]]:
        """Architectures that it crosses with data, and sizes of each."""
        return {}

    @property
    def listed(self) -> list[Cell]:
        """Combinations that it lists instead."""
        return []

    @property
    def codebook_size(self) -> str | None:
        """Which of the codebooks before it its masked trials predict, if it says."""
        return None

    @property
    def codebook_file(self) -> str | None:
        """Path of the converted codebook that its masked trials predict, if it names one."""
        return None

    @property
    def label_axes(self) -> tuple[list[float], list[str]]:
        """Shares of the labels, and label sets, of its supervised trials."""
        return [1.0], [""]

    @property
    def measurement(self) -> Measurement:
        """What is measured beside the loss of its own."""
        return Measurement()

    def objective_of(self, start: Start) -> str:
        """The objective it names, or the one a paradigm means for a family."""
        if (chosen := self.choice_of(start)) is not None:
            return chosen.name
        # Paradigm and family are checked to go together; 'simulated' names what it stands for.
        return default_objective(start.paradigm, start.family) or "supervised"

    def choice_of(self, start: Start) -> ObjectiveChoice | None:
        """The objective that the grid names for a trial, with settings; None without one."""
        return start.objective or self.objective

    def data_sizes(self) -> Iterator[tuple[Loc, int]]:
        """Every D, and where it stands."""
        yield from ((("data", i), size) for i, size in enumerate(self.data or ()))
        yield from ((("cells", i, "data"), cell.data) for i, cell in enumerate(self.listed))

    def place_of(self, family: str, size: str) -> Loc:
        """Where it names the family and size of a trial."""
        sizes = self.sizes_by_family.get(family, ())
        if size in sizes:
            return ("families", family, list(sizes).index(size))
        for i, cell in enumerate(self.listed):
            if (cell.family, cell.size) == (family, size):
                return ("cells", i, "size")
        return ("parents",)

    def place_of_objective(self, name: str) -> Loc:
        """Where it names an objective of its trials, or what leads to it."""
        return ("objective",)

    def place_of_setting(self, training: Training, key: str) -> Loc:
        """Where it says the setting ``key`` of a trial's objective."""
        return ("objective", key)

    # What is wrong with it.

    @classmethod
    def note(cls, whole: Self | None, context: Context) -> None:
        """Later stages may start from it."""
        context.read[cls.name] = whole

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """What cannot run: of the stage itself, and after the stages before it."""
        wrong = given.keys() - self.model_fields_set
        yield from self.size_mistakes()
        if not {"cells", "data"} & given.keys():
            crossed = "cells" in type(self).model_fields and "parents" not in given
            listed = " (or list 'cells')" if crossed else ""
            yield Mistake(loc=(), message=f"the key 'data' is missing{listed}")
        if set(self.paradigms_trained()) != {"random"}:
            yield from self._recipe_mistakes(given, wrong)
        if self.objective is not None:
            for mistake in self.choice_mistakes(self.objective, given["objective"], wrong):
                yield mistake._replace(loc=("objective", *mistake.loc))
        yield from self.own_mistakes(given, context)
        for role, (key, rule) in self.parent_rules.items():
            if rule.stage_name not in [name for name, _ in context.stages]:
                place: Loc = (key, "stage") if rule.stage else (key,)
                purpose = PURPOSES[role]
                message = f"there is no {rule.stage_name} stage before this one for it to {purpose}"
                yield Mistake(loc=place, message=message, at_key=True)
        if "corpus" not in given:
            yield from self._simulated_mistakes(context.simulated)
        elif self.corpus is not None:
            yield from self._simulated_mistakes(self.corpus.is_simulated)

    def own_mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """What only this kind of stage can have wrong."""
        yield from ()

    def size_mistakes(self) -> Iterator[Mistake]:
        """Families that it can train, and sizes that these have."""
        for family, sizes in self.sizes_by_family.items():
            here = ("families", family)
            if family not in FAMILIES:
                message = f"no family {family!r}; {suggest(family, FAMILIES)}"
                yield Mistake(loc=here, message=message, at_key=True)
                continue
            if elsewhere := self._not_trained(family):
                yield Mistake(loc=here, message=elsewhere, at_key=True)
            for i, size in enumerate(sizes):
                if problem := no_size(family, size):
                    yield Mistake(loc=(*here, i), message=problem)
        for i, cell in enumerate(self.listed):
            if elsewhere := self._not_trained(cell.family):
                yield Mistake(loc=("cells", i, "family"), message=elsewhere)

    def _not_trained(self, family: str) -> str | None:
        """That the stage does not train a family, and what does; None where it does."""
        if family in self.families_trained:
            return None
        if home := FAMILIES[family].stage:
            return f"a {home} stage trains the family {family!r}, a {self.name} stage does not"
        own = " or ".join(map(repr, self.families_trained))
        return f"a {self.name} stage trains the family {own}, not {family!r}"

    def families_named(self) -> list[str]:
        """Architectures that it names, crossed or listed."""
        return [*self.sizes_by_family, *(cell.family for cell in self.listed)]

    def _recipe_mistakes(self, given: Mapping[str, Any], wrong: Set[str]) -> Iterator[Mistake]:
        """Sizes that there are, and steps that fit into the cap."""
        families = self.families_named()
        if self.parent_rule is not None or {"families", "cells", "parents"} & wrong:
            families = list(FAMILIES)  # any family's size will do
        base = self.recipe.axes()
        recipes: list[tuple[Loc, dict[str, Any]]] = [(("recipe",), base)]
        for size in self.recipe.by_size:
            here: Loc = ("recipe", "by_size", size)
            recipes.append((here, self.recipe.of_size(size)))
            if not any(FAMILIES[name].has(size) for name in families if name in FAMILIES):
                message = f"no family of this stage has a size {size!r}"
                yield Mistake(loc=here, message=message, at_key=True)
        for i, cell in enumerate(self.listed):
            if over := cell.recipe.axes():
                recipes.append((("cells", i, "recipe"), base | over))
        written = given.get("recipe")
        unread = (written.keys() if isinstance(written, dict) else set()) - base.keys()
        for here, axes in recipes:
            for mistake in steps_that_do_not_fit(axes, unread):
                yield mistake._replace(loc=(*here, *mistake.loc))

    def choice_mistakes(
        self, chosen: ObjectiveChoice, given: Any, wrong: Set[str]
    ) -> Iterator[Mistake]:
        """An objective that the stage and its families can have, with settings that it has."""
        info = OBJECTIVES[chosen.name]
        if message := self._unfit(info, wrong):
            yield Mistake(loc=("name",), message=message)
        settings = {key: value for key, value in info.options if key != CODES}
        for key, axis in (chosen.model_extra or {}).items():
            here: Loc = (key,)
            if key == CODES and CODEBOOK in info.roles:
                message = "the number of codes is that of the codebook; remove 'codes'"
                yield Mistake(loc=here, message=message, at_key=True)
            elif key not in settings:
                about = suggest(key, settings) if settings else "it has none"
                message = f"objective {info.name!r} has no setting {key!r}; {about}"
                yield Mistake(loc=here, message=message, at_key=True)
            else:
                for i, value in enumerate(axis):
                    if problem := info.problem(key, value):
                        place = (*here, i) if isinstance(given[key], list) else here
                        yield Mistake(loc=place, message=problem)

    def _unfit(self, info: ObjectiveInfo, wrong: Set[str]) -> str | None:
        if self.name not in (stages := stages_of(info)):
            return f"objective {info.name!r} belongs to a {' or '.join(stages)} stage"
        paradigms = self.paradigms_trained()
        if "paradigms" not in wrong and any(word != info.paradigm for word in paradigms):
            return (
                f"objective {info.name!r} is of the paradigm {info.paradigm!r}; "
                f"this stage trains {', '.join(dict.fromkeys(paradigms))}"
            )
        for family in self.families_named():
            if family not in info.families:
                return f"objective {info.name!r} trains {', '.join(info.families)}, not {family}"
        return None

    def _simulated_mistakes(self, simulated: bool | None) -> Iterator[Mistake]:
        """The simulated family goes with simulated corpora and tasks, and with nothing else."""
        if simulated is None:
            return
        rule = "the family 'simulated' goes with sources 'simulated/...', networks with all others"
        for family in self.sizes_by_family:
            if (family == "simulated") != simulated:
                yield Mistake(loc=("families", family), message=rule, at_key=True)
        for i, cell in enumerate(self.listed):
            if (cell.family == "simulated") != simulated:
                yield Mistake(loc=("cells", i, "family"), message=rule)
        for i, task in enumerate(self.measurement.tasks):
            if task.is_simulated != simulated:
                message = "simulated tasks go with simulated corpora, and with nothing else"
                yield Mistake(loc=("tasks", i), message=message)


class Measured(Stage):
    """A stage whose models are measured on tasks, and may be trained on some labels only.

    Each of ``draws`` is a draw of the labelled records and a seed at once, for trials that are to
    tell how much both scatter.
    """

    labels: Axis[Share] | None = None
    draws: Axis[NonNegative] | None = None
    label_sets: Axis[LabelSet] | None = None
    tasks: list[TaskOrName] = Field(default_factory=list)
    external: list[TaskOrName] = Field(default_factory=list)
    few_shot: Axis[Share] | None = None
    trajectory: bool | None = None
    predictions: bool | None = None
    metrics: Literal["multilabel"] | None = None

    @property
    def label_axes(self) -> tuple[list[float], list[str]]:
        """Shares of the labels, and label sets, of its supervised trials."""
        return self.labels or [1.0], self.label_sets or [""]

    @property
    def seeds_and_draws(self) -> list[tuple[int, int]]:
        """Seeds of trials, each with the draw of labelled records that goes with it."""
        if self.draws is None:
            return super().seeds_and_draws
        return [(draw, draw) for draw in self.draws]

    @property
    def measurement(self) -> Measurement:
        """What is measured beside the loss of its own."""
        return Measurement(
            tasks=tuple(self.tasks),
            external=tuple(self.external),
            shares=tuple(self.few_shot or [1.0]),
            trajectory=bool(self.trajectory),
            predictions=bool(self.predictions),
            metrics=self.metrics or "",
        )

    def own_mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """Labels only where labels are used, probes only of tasks."""
        if {"draws", "seeds"} <= given.keys():
            message = "each draw is also a seed; remove 'seeds'"
            yield Mistake(loc=("seeds",), message=message, at_key=True)
        for key in ("labels", "label_sets", "draws"):
            if key in given and "sl" not in self.paradigms_trained():
                message = f"no trial of this stage uses labels; remove {key!r}"
                yield Mistake(loc=(key,), message=message, at_key=True)
        wrong = given.keys() - self.model_fields_set
        for key, value in (("few_shot", self.few_shot), ("trajectory", self.trajectory)):
            if value and not self.tasks and "tasks" not in wrong:
                message = f"{key!r} is about the probes of tasks, and there is no task; add 'tasks'"
                yield Mistake(loc=(key,), message=message, at_key=True)
        headless = "sl" not in self.paradigms_trained()
        if self.external and headless and "paradigms" not in wrong:
            message = (
                "no trial of this stage predicts labels, which are measured on another corpus; "
                "remove 'external', or probe the corpus by 'tasks'"
            )
            yield Mistake(loc=("external",), message=message, at_key=True)
        unlabelled = headless and not self.tasks
        if self.metrics and unlabelled and not {"paradigms", "tasks"} & wrong:
            message = "no trial here predicts labels, and there is no task; remove 'metrics'"
            yield Mistake(loc=("metrics",), message=message, at_key=True)


def crossed(sizes_by_family: Mapping[str, list[str]], paradigms: list[str]) -> Iterator[Start]:
    """A start for each size under each paradigm."""
    for family, sizes in sizes_by_family.items():
        for size in sizes:
            for paradigm in paradigms:
                yield Start(family=family, size=size, paradigm=paradigm)
