"""Objectives: what each minimises, for whom, and its settings. No torch needed."""

from __future__ import annotations

import dataclasses

from scaling.identity import CODEBOOK, TEACHER, Options
from scaling.models.families import FAMILIES

Settings = dict[str, float | int | str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveInfo:
    """One objective."""

    name: str  # as written in grids
    paradigm: str  # ``sl``, ``ssl`` or ``random``
    implementation: str  # ``module:class``, an ``Objective``
    stages: tuple[str, ...] = ()  # stages it may run in; empty for any that trains its families
    asks: str = ""  # what a family must offer (``Family.offers``); empty for any with a backbone
    # its settings and their defaults; what a grid sets is an ``Options`` of these
    options: Options = ()
    # (option, lowest, highest) of the values that make sense
    limits: tuple[tuple[str, float, float], ...] = ()
    # (option, words that it may be) of the options that are one of some words
    choices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    roles: tuple[str, ...] = ()  # of the parents that it needs: a codebook, a teacher
    least_batch: int = 1  # records that a batch must have at least
    least_classes: int = 1  # classes that its task must have at least
    # whether a student can imitate a model of it: it has a logit of each label by itself
    teaches: bool = False
    # whether a grid that names no objective means it, under its paradigm
    default: bool = False

    @property
    def numerics(self) -> str:
        """Module whose version enters training ids."""
        return f"objectives.{self.name}"

    @property
    def families(self) -> tuple[str, ...]:
        """Those that can be trained by it."""
        return tuple(
            family.name
            for family in FAMILIES.values()
            if self.paradigm in family.paradigms
            and (self.asks in family.offers if self.asks else family.builder)
        )

    def problem(self, name: str, value: object) -> str | None:
        """What is wrong with a value of option ``name``: of another kind, or out of its limits."""
        default = dict(self.options)[name]
        if isinstance(default, str):
            words = dict(self.choices).get(name)
            if words and value not in words:
                return f"must be {' or '.join(words)}, not {value!r}"
            return None if isinstance(value, str) else f"must be text, not {value!r}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be a number, not {value!r}"
        if isinstance(default, int) and not isinstance(value, int):
            return f"must be a whole number, not {value!r}"
        for low, high in (ends for option, *ends in self.limits if option == name):
            if not low <= value <= high:
                return f"must be from {low:g} to {high:g}, not {value!r}"
        return None

    def settings(self, options: Options) -> Settings:
        """Defaults with ``options`` over them.

        Raises:
            ValueError: an option it does not have, or a value that makes no sense for it.
        """
        known = dict(self.options)
        for name, value in options:
            if name not in known:
                have = ", ".join(known) or "none"
                raise ValueError(f"objective {self.name} has no option {name!r}; it has {have}")
            if wrong := self.problem(name, value):
                raise ValueError(f"option {name!r} of objective {self.name} {wrong}")
        return known | dict(options)


def unlabelled_records(batch: int, share: float) -> int:
    """Unlabelled records of a step of ``batch`` labelled ones, at least one where there are any."""
    return max(1, round(share * batch)) if share else 0


# Boxes (CutMix over leads and time, S2 Eq. 4-10); defaults are those of the authors' other code.
BOXES: Options = (("boxes", "none"), ("box_border", "clip"), ("box_shape", 0.75))
BOX_CHOICES = (("boxes", ("none", "record", "batch")), ("box_border", ("clip", "inside")))
BOX_LIMITS = (("box_shape", 0.01, 100.0),)


TEMPERATURE = (("temperature", 0.01, 100.0),)


def _distillation(
    name: str,
    options: Options = (),
    limits: tuple[tuple[str, float, float], ...] = (),
    *,
    alpha: float = 1.0,
    least_batch: int = 1,
    least_classes: int = 1,
    implementation: str,
) -> ObjectiveInfo:
    """A method of the stage ``distill`` with its own options, and those that all methods have.

    Defaults are those that were best on validation in ``sweeps/grids/liteheart-tuning.yaml``. All
    have ``alpha``, the weight of its imitation of the teacher; ``unlabelled``, how many
    unlabelled records a step has for each labelled one; and those of boxes.
    """
    return ObjectiveInfo(
        name=name,
        paradigm="sl",
        stages=("distill",),
        implementation=f"scaling.objectives.distill.{implementation}",
        options=(("alpha", alpha), *options, ("unlabelled", 0.0), *BOXES),
        limits=(("alpha", 0.0, 1e6), *limits, ("unlabelled", 0.0, 16.0), *BOX_LIMITS),
        choices=BOX_CHOICES,
        roles=(TEACHER,),
        teaches=True,
        least_batch=least_batch,
        least_classes=least_classes,
    )


OBJECTIVES: dict[str, ObjectiveInfo] = {
    info.name: info
    for info in (
        ObjectiveInfo(
            name="supervised",
            paradigm="sl",
            default=True,
            implementation="scaling.objectives.labels:Supervised",
            teaches=True,
            options=BOXES,
            limits=BOX_LIMITS,
            choices=BOX_CHOICES,
        ),
        ObjectiveInfo(
            name="focal",
            paradigm="sl",
            implementation="scaling.objectives.labels:Focal",
            teaches=True,
            options=(("gamma", 2.0),),
            limits=(("gamma", 0.0, 10.0),),
        ),
        ObjectiveInfo(
            name="categorical",
            paradigm="sl",
            implementation="scaling.objectives.labels:Categorical",
        ),
        ObjectiveInfo(
            name="contrastive",
            paradigm="ssl",
            default=True,
            implementation="scaling.objectives.contrastive:Contrastive",
            asks="halves",
            options=(("temperature", 0.1),),
            limits=(("temperature", 0.001, 10.0),),
            least_batch=2,
        ),
        ObjectiveInfo(
            name="masked",
            paradigm="ssl",
            default=True,
            implementation="scaling.objectives.masked:Masked",
            asks="masking",
            options=(("codes", 8192), ("mask_ratio", 0.5)),
            limits=(("codes", 2, 32768), ("mask_ratio", 0.01, 0.99)),
            roles=(CODEBOOK,),
        ),
        ObjectiveInfo(
            name="codebook",
            paradigm="ssl",
            default=True,
            stages=("codebook",),
            implementation="scaling.objectives.codebook:CodebookObjective",
            asks="codes",
            options=(("commitment", 1.0), ("decay", 0.99)),
            limits=(("commitment", 0.0, 100.0), ("decay", 0.0, 0.9999)),
        ),
        ObjectiveInfo(
            name="restoration",
            paradigm="ssl",
            default=True,
            stages=("restore",),
            implementation="scaling.objectives.restoration:Restoration",
            asks="restoration",
            options=(("error", "squared"),),
            choices=(("error", ("squared", "relative")),),
        ),
        ObjectiveInfo(
            name="none",
            paradigm="sl",
            stages=("distill",),
            implementation="scaling.objectives.distill.none:NoTeacher",
            teaches=True,
            options=BOXES,
            limits=BOX_LIMITS,
            choices=BOX_CHOICES,
        ),
        _distillation(
            "kd",
            (("temperature", 1.0),),
            TEMPERATURE,
            alpha=3.0,
            implementation="kd:KnowledgeDistillation",
        ),
        _distillation(
            "dkd",
            (("others", 8.0), ("target", 1.0), ("temperature", 1.0)),
            (("others", 0.0, 100.0), ("target", 0.0, 100.0), *TEMPERATURE),
            alpha=0.5,
            implementation="dkd:DecoupledDistillation",
        ),
        _distillation(
            "cc",
            (("gamma", 0.4),),
            (("gamma", 0.01, 10.0),),
            alpha=60.0,
            least_batch=2,
            implementation="cc:CorrelationCongruence",
        ),
        _distillation(
            "rkd",
            (("angle", 2.0), ("distance", 1.0)),
            (("angle", 0.0, 100.0), ("distance", 0.0, 100.0)),
            alpha=3.0,
            least_batch=3,
            implementation="rkd:RelationalDistillation",
        ),
        _distillation(
            "dist",
            (("inter", 1.0), ("intra", 1.0), ("temperature", 1.0)),
            (("inter", 0.0, 100.0), ("intra", 0.0, 100.0), *TEMPERATURE),
            alpha=3.0,
            least_batch=3,
            least_classes=3,
            implementation="dist:CorrelatedDistillation",
        ),
        _distillation("pkt", alpha=60.0, least_batch=3, implementation="pkt:ProbabilisticTransfer"),
        _distillation(
            "psm",
            (("temperature", 1.0),),
            TEMPERATURE,
            alpha=0.6,
            least_classes=2,
            implementation="psm:PartialSoftmax",
        ),
        _distillation(
            "wkd",
            (("iterations", 10), ("temperature", 1.0), ("transport", 10.0)),
            (("iterations", 1, 1000), ("transport", 0.0, 1e4), *TEMPERATURE),
            alpha=0.4,
            least_classes=2,
            implementation="wkd:WassersteinDistillation",
        ),
        _distillation(
            "mvkt",
            (("contrast", 0.004), ("negatives", 1024), ("temperature", 1.0)),
            (("contrast", 0.0, 100.0), ("negatives", 1, 65536), *TEMPERATURE),
            least_batch=2,
            implementation="mvkt:MultiViewTransfer",
        ),
        _distillation(
            "liteheart",
            (("beta", 0.03), ("temperature", 1.0)),
            (("beta", 0.0, 1e6), *TEMPERATURE),
            alpha=3.0,
            least_batch=2,
            implementation="liteheart:LiteHeart",
        ),
        ObjectiveInfo(
            name="untrained",
            paradigm="random",
            default=True,
            implementation="scaling.objectives.base:UntrainedObjective",
            stages=("pretrain",),
        ),
    )
}


def default_objective(paradigm: str, family: str) -> str | None:
    """The objective that a paradigm means for a family where a grid names none.

    None where none trains it. Simulated trainings, which none trains, are called supervised.
    """
    if family == "simulated":
        return "supervised" if paradigm == "sl" else None
    fit = [i for i in OBJECTIVES.values() if i.paradigm == paradigm and family in i.families]
    return next((info.name for info in sorted(fit, key=lambda i: not i.default)), None)
