"""What the keys of a grid may hold: axes, names that exist, and the mappings that stages share.

Here and in the stages annotations are values, not strings, which pydantic would read again for each
class. A mapping that is ``Checked`` reports all of its mistakes at once: values that are wrong in
themselves, which pydantic finds, and values that do not go together, which ``mistakes`` yields.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.signals.presets import PRESETS
from scaling.data.label_sets import parse
from scaling.identity import LEADS, Recipe
from scaling.models.families import FAMILIES
from scaling.objectives.registry import OBJECTIVES, default_objective
from scaling.records.names import PARADIGMS, suggest
from sweeps.errors import Loc, Mistake

T = TypeVar("T")
MISTAKE = "mistake"  # type of the errors of pydantic that carry one of ours
CODEBOOK_FAMILY = "vq-hbr"
RESTORATION_FAMILY = "unet"
NETWORKS = [name for name, info in FAMILIES.items() if not info.stage]  # of no stage of their own
ALL_LEADS = "all"


class ScalarToo:
    """In the JSON Schema, say that a single value may stand for a list of one."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        return {"anyOf": [schema["items"], schema]}


class NameToo:
    """In the JSON Schema, say that a name may stand for a mapping."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) else value


def _as_task(value: Any) -> Any:
    """``source`` and ``source:task`` as a mapping."""
    if not isinstance(value, str):
        return value
    source, colon, task = value.partition(":")
    return {"source": source, "task": task} if colon else {"source": source}


def refused(message: str, at_key: bool = False) -> PydanticCustomError:
    """A mistake as an error of pydantic."""
    return PydanticCustomError(MISTAKE, "{message}", {"message": message, "at_key": at_key})


def known(what: str, words: Iterable[str]) -> AfterValidator:
    """A word must be one of these, else ``no <what> 'wrod'`` and the nearest is suggested."""
    listed = list(words)

    def check(word: str) -> str:
        if word not in listed:
            raise refused(f"no {what} {word!r}; {suggest(word, listed)}")
        return word

    return AfterValidator(check)


def _some_size(size: str) -> str:
    if not any(info.has(size) for info in FAMILIES.values()):
        every = [known for info in FAMILIES.values() for known in info.sizes]
        raise refused(f"no family has a size {size!r}; {suggest(size, every)}")
    return size


def _label_set(word: str) -> str:
    try:
        parse(word)
    except ValueError as error:
        raise refused(str(error)) from None
    return word


def leads_named(words: str) -> tuple[str, ...]:
    """Leads as a grid writes them (``I``, ``II+V1+V5``, ``all``), in the usual order.

    Raises:
        ValueError: a lead that there is not, or one named twice.
    """
    if words == ALL_LEADS:
        return ()
    names = words.split("+")
    for name in names:
        if name not in LEADS:
            raise ValueError(f"no lead {name!r}; {suggest(name, [*LEADS, ALL_LEADS])}")
        if names.count(name) > 1:
            raise ValueError(f"lead {name} is named twice")
    return tuple(lead for lead in LEADS if lead in names) if len(names) < len(LEADS) else ()


def _leads(words: str) -> str:
    try:
        leads_named(words)
    except ValueError as error:
        raise refused(f"{error}; write leads as I or II+V1+V5, or all") from None
    return words


Axis = Annotated[list[T], Field(min_length=1), BeforeValidator(_as_list), ScalarToo()]
Families = Annotated[dict[str, Axis[str]], Field(min_length=1)]

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Precision = Literal["float32", "bf16"]

SourceName = Annotated[str, known("source", SOURCES)]
Paradigm = Annotated[str, known("paradigm", PARADIGMS)]
Family = Annotated[str, known("family", FAMILIES)]
Network = Annotated[str, known("family", NETWORKS)]
AnySize = Annotated[str, AfterValidator(_some_size)]
LabelSet = Annotated[str, AfterValidator(_label_set)]
InputLeads = Annotated[str, AfterValidator(_leads)]


class Keys(BaseModel):
    """A mapping of a grid file: no other keys, and no value of another kind."""

    # Only what a grid file is made of is built, once, with ``Grid``.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


@dataclasses.dataclass(slots=True)
class Context:
    """What is known of a grid while it is checked, from its top down."""

    simulated: bool | None = None  # whether the corpus of the study is; None: not known
    # The stages of the item that is read, by name, as far as they are right; then those before it.
    read: dict[str, Any] = dataclasses.field(default_factory=dict)
    stages: list[tuple[str, Any]] = dataclasses.field(default_factory=list)


class Checked(Keys):
    """A mapping whose values must go together."""

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(
        cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Values that are right are checked against one another although others are wrong."""
        context = info.context if isinstance(info.context, Context) else Context()
        whole: Self | None = None
        found: list[InitErrorDetails] = []
        try:
            whole = handler(value)
        except ValidationError as error:
            found = _details(error)
            wrong = [each["loc"] for each in error.errors()]
            for kept in (_without(value, wrong), _without(value, [loc[:1] for loc in wrong])):
                with contextlib.suppress(ValidationError):
                    whole = whole or handler(kept)
        given = value if isinstance(value, Mapping) else {}
        if whole is not None:
            found += [
                InitErrorDetails(type=refused(m.message, m.at_key), loc=m.loc, input=None)
                for m in whole.mistakes(given, context)
            ]
        cls.note(whole, context)
        if found or whole is None:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return whole

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """What does not go together.

        Args:
            given: what the file says, whether it is right or not.
            context: the rest of the grid, as far as it was read.
        """
        yield from ()

    @classmethod
    def note(cls, whole: Self | None, context: Context) -> None:
        """Tell the context what was read; None where too little of it is right."""


def _without(value: Any, wrong: Iterable[Loc]) -> Any:
    """A copy of a mapping without what is wrong: of each place the innermost key there is."""
    kept = copy.deepcopy(value)
    for loc in wrong:
        node, at = kept, None
        for part in loc:
            if isinstance(node, dict) and part in node:
                at = (node, part)
            elif not (isinstance(node, list) and isinstance(part, int) and part < len(node)):
                break
            node = node[part]
        if at is not None:
            del at[0][at[1]]
    return kept


def _details(error: ValidationError) -> list[InitErrorDetails]:
    return [
        InitErrorDetails(
            type=PydanticCustomError(MISTAKE, "{message}", each["ctx"])
            if each["type"] == MISTAKE
            else each["type"],
            loc=each["loc"],
            input=each["input"],
            ctx=each.get("ctx", {}),
        )
        for each in error.errors(include_url=False)
    ]


class _Source(Checked):
    """What both the training corpus and a task may say."""

    source: SourceName
    task: str | None = None
    root: str | None = None
    records: Count | None = None
    validation: Count | None = None
    test: Count | None = None
    fold: Axis[NonNegative] | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether nothing is recorded or drawn: losses come from a law."""
        return self.source.startswith("simulated/")

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """Tasks, sizes and folds that the source has."""
        info, name = SOURCES[self.source], self.source
        if self.task is not None and self.task not in info.tasks:
            tasks = [task for task in info.tasks if task]
            about = suggest(self.task, tasks) if tasks else "leave the task out"
            message = f"source {name!r} has no task {self.task!r}; {about}"
            yield Mistake(loc=("task",), message=message)
        for key in ("records", "validation", "test"):
            if info.kind == "files" and getattr(self, key) is not None:
                message = f"source {name!r} is read from files, all of them; remove {key!r}"
                yield Mistake(loc=(key,), message=message, at_key=True)
        if info.kind != "files" and self.root is not None:
            message = f"source {name!r} needs no files; remove 'root'"
            yield Mistake(loc=("root",), message=message, at_key=True)
        for i, fold in enumerate(self.fold or ()):
            if fold and not info.folds:
                message = f"source {name!r} has no folds; remove 'fold'"
                yield Mistake(loc=("fold", i), message=message)
                return
            if fold > info.folds:
                message = f"has folds 1 to {info.folds} (0 is the official split), not {fold}"
                yield Mistake(loc=("fold", i), message=f"source {name!r} {message}")


Preset = Annotated[str, known("preprocessing", PRESETS)]


class Task(_Source):
    """A corpus and the labels of it; what is left out is taken from the training corpus."""

    fs_hz: Count | None = None
    window_s: Rate | None = None
    preprocessing: Preset | None = None
    seed: NonNegative | None = None


TaskOrName = Annotated[Task, BeforeValidator(_as_task), NameToo()]


class Corpus(_Source):
    """The corpus trained on. ``records``, ``validation`` and ``test`` size virtual cohorts."""

    fs_hz: Count = 100
    window_s: Rate = 10.0
    preprocessing: Preset = "none"
    seed: NonNegative = 0

    @classmethod
    def note(cls, whole: Self | None, context: Context) -> None:
        """The families of stages go with it."""
        context.simulated = None if whole is None else whole.is_simulated


class RecipeAxes(Keys):
    """Fields of a training recipe; each may be a list, and is an axis then."""

    max_steps: Axis[Count] | None = None
    batch: Axis[Count] | None = None
    lr: Axis[Rate] | None = None
    warmup_steps: Axis[NonNegative] | None = None
    weight_decay: Axis[Decay] | None = None
    grad_clip: Axis[Decay] | None = None
    dropout: Axis[Dropout] | None = None
    eval_every: Axis[Count] | None = None
    min_steps: Axis[NonNegative] | None = None
    patience: Axis[Count] | None = None
    min_delta: Axis[Decay] | None = None
    precision: Axis[Precision] | None = None
    activation_checkpointing: Axis[bool] | None = None

    def axes(self) -> dict[str, list[Any]]:
        """Values of the fields that are said."""
        return self.model_dump(exclude_none=True, exclude={"by_size"})


class StageRecipe(RecipeAxes):
    """A recipe, and what differs from it for single sizes."""

    by_size: dict[str, RecipeAxes] = Field(default_factory=dict)

    def of_size(self, size: str) -> dict[str, list[Any]]:
        """Values of the fields that are said for a size."""
        return self.axes() | (self.by_size[size].axes() if size in self.by_size else {})


def steps_that_do_not_fit(axes: Mapping[str, list[Any]], wrong: Set[str]) -> Iterator[Mistake]:
    """Warm-up and the first evaluation must come before the cap on steps.

    ``axes`` has the values of the fields of a recipe; those of ``wrong`` could not be read.
    """
    if "max_steps" in wrong:
        return
    defaults = dataclasses.asdict(Recipe())
    cap = min(axes.get("max_steps", [defaults["max_steps"]]))
    for key in ("warmup_steps", "eval_every"):
        if key in wrong:
            continue
        worst = max(axes.get(key, [defaults[key]]))
        if worst > cap or (key == "warmup_steps" and worst == cap):
            origin = "" if key in axes else " (the default)"
            message = f"{key} {worst}{origin} does not fit in max_steps {cap}; set {key}"
            yield Mistake(loc=(key if key in axes else "max_steps",), message=message)


class ObjectiveChoice(Keys):
    """What is minimised: its name, and settings of its own, each of which may be a list."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Axis[Any]]

    name: Annotated[str, known("objective", OBJECTIVES)]


def _as_objective(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


ObjectiveOrName = Annotated[ObjectiveChoice, BeforeValidator(_as_objective), NameToo()]


class Cell(Checked):
    """One explicit combination. What is left out follows the stage."""

    family: Family
    size: str
    data: Count
    seed: NonNegative | None = None
    paradigm: Paradigm | None = None
    recipe: RecipeAxes = Field(default_factory=RecipeAxes)

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """A size and a paradigm that the family has."""
        if message := no_size(self.family, self.size):
            yield Mistake(loc=("size",), message=message)
        if self.paradigm and (message := not_trained_as(self.paradigm, [self.family])):
            yield Mistake(loc=("paradigm",), message=message)


def no_size(family: str, size: str) -> str | None:
    """That a family has no such size, and what it has; None where it has it."""
    info = FAMILIES[family]
    if info.has(size):
        return None
    sizes = suggest(size, info.sizes) if info.sizes else f"sizes look like {info.pattern}"
    return f"family {family!r} has no size {size!r}; {sizes}"


def not_trained_as(paradigm: str, families: Iterable[str]) -> str | None:
    """That one of the families has no objective of the paradigm; None where all have."""
    for family in families:
        if family in FAMILIES and default_objective(paradigm, family) is None:
            return f"family {family!r} is not trained as {paradigm!r}"
    return None
