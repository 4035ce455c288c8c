"""Training and Evaluation: frozen configurations with content ids.

An id is a hash of everything that can change the result and of nothing else: device,
number of workers, paths and executor never enter it. The same id never runs twice.
This module needs only the standard library, so a plan can be made without torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from scaling.numerics import NUMERICS
from scaling.records.names import BEST, EXTERNAL, OF_THE_HEAD

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# What another training is to this one: whose codes it predicts, whose weights it begins with, whose
# outputs it imitates, or what mends its signals before it sees them.
ROLES = CODEBOOK, START, TEACHER, RESTORATION = "codebook", "start", "teacher", "restoration"
UNSAID = {CODEBOOK, START}  # roles that an id does not hold: it is older than they are

LATER = {"later": True}  # marks a field that joined after the first studies; see ``to_dict``

Versions = tuple[tuple[str, int], ...]
Options = tuple[tuple[str, float | int | str], ...]


class Parent(NamedTuple):
    """Another training that one rests on: what for, and its id."""

    role: str
    id: str


def content_id(prefix: str, value: Mapping[str, Any]) -> str:
    """Return ``prefix`` plus 16 hexadecimal digits of the SHA-256 of canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return prefix + hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Configuration:
    """What has a JSON form."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form, which ``from_dict`` inverts (the class itself where values are plain).

        A field that joined after the first studies (``LATER``) must not change their ids: it is
        left out at its default, which says what the code did before there was a choice.
        """
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if not (field.metadata.get("later") and getattr(self, field.name) == field.default)
        }


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, _Configuration):
        return value.to_dict()
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSpec(_Configuration):
    """Which prepared corpus: enough to make it again on any machine."""

    source: str  # registered source, such as ``virtual/code`` or ``ptbxl``
    fs_hz: int = 100  # sampling rate in hertz after preparation
    window_s: float = 10.0  # seconds of signal per record
    # training records of a virtual cohort; of a source of files at most so many are prepared, the
    # first by patient, and None takes all
    records: int | None = None
    validation: int | None = None  # the same for validation records
    test: int | None = None  # the same for test records
    preprocessing: str = "none"  # name of a preset of ``scaling.corpora.signals.presets``
    seed: int = 0  # seed of a virtual cohort
    # content id of the source's tables and record headers (which hold a checksum of every lead);
    # empty for virtual cohorts
    fingerprint: str = ""
    # fold that is tested on, of a source that has folds: the one before it (cyclically) is for
    # validation and the others are for training; 0 is the official split
    fold: int = dataclasses.field(default=0, metadata=LATER)

    def __post_init__(self) -> None:
        # 5 and 5.0 are the same window and must be the same id.
        object.__setattr__(self, "window_s", float(self.window_s))

    @property
    def is_simulated(self) -> bool:
        """Whether nothing is recorded or drawn: losses come from a law."""
        return self.source.startswith("simulated/")

    @property
    def samples(self) -> int:
        """Samples per lead and record."""
        return round(self.fs_hz * self.window_s)

    def identity(self) -> dict[str, Any]:
        """Everything that can change a weight.

        A virtual patient depends only on (cohort, seed, index), so the size of the
        training pool is left out: a grown pool re-runs nothing. Nor does a test record.
        """
        value = self.to_dict()
        del value["records"], value["test"]
        return value

    @property
    def key(self) -> str:
        """Content id of the prepared corpus on disk: pool size and versions included.

        The versions of everything below ``scaling.corpora`` count, so that a corpus made by
        older code is made again rather than taken for a new one.
        """
        made_by = {k: v for k, v in NUMERICS.items() if k.startswith("corpora.")}
        return content_id("c", self.to_dict() | {"made_by": made_by})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(_Configuration):
    """How weights are trained. Every field is part of the training id."""

    # cap on optimiser steps; a trial that ends there without converging is ``budget_limited``
    max_steps: int = 400
    batch: int = 64  # records per step
    lr: float = 3e-3  # peak learning rate of Adam
    # linear warm-up, in steps; cosine decay to zero follows until ``max_steps``
    warmup_steps: int = 40
    weight_decay: float = 0.0  # decoupled weight decay (0 is plain Adam)
    grad_clip: float = 1.0  # largest global gradient norm; 0 switches clipping off
    dropout: float = 0.0  # dropout rate inside the backbone
    eval_every: int = 20  # steps between evaluations
    # steps before which early stopping does not act (the validation loss is noisy while the
    # learning rate is high)
    min_steps: int = 0
    patience: int = 5  # evaluations without a better validation loss before stopping
    # smallest improvement of the validation loss that counts, as a fraction
    min_delta: float = 0.001
    precision: str = "float32"  # ``float32`` or ``bf16`` (autocast)
    # recompute the activations of each block in the backward pass instead of keeping them: less
    # memory, about a third more time
    activation_checkpointing: bool = dataclasses.field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type == "float":
                object.__setattr__(self, field.name, float(getattr(self, field.name)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Training(_Configuration):
    """One training run, fully specified."""

    stage: str  # one of ``STAGES``
    corpus: CorpusSpec  # what it trains on
    task: str  # label set of the corpus (``ptbxl`` has several; a virtual cohort one)
    family: str  # architecture, such as ``resnet``
    size: str  # point on the family's ladder, such as ``d3w24``
    paradigm: str  # ``sl``, ``ssl``, or ``random`` for weights as initialised
    objective: str  # what is minimised, such as ``supervised``
    data: int  # D, unique training records
    recipe: Recipe  # how it is trained
    seed: int = 0  # initial weights and batch order
    labels_fraction: float = 1.0  # share of the training records whose labels are used, in (0, 1]
    leads: tuple[str, ...] = LEADS  # lead names, in order
    # the trainings this one rests on, each with its role; see ``ROLES``
    parents: tuple[Parent, ...] = ()
    numerics: Versions = ()  # versions of the modules involved
    # settings of the objective that differ from its defaults, sorted by name
    options: Options = dataclasses.field(default=(), metadata=LATER)
    # which classes of the task are trained on; empty for all. See ``scaling.data.label_sets``
    label_set: str = dataclasses.field(default="", metadata=LATER)
    # leads that the model is given, by name; the others are zero, or restored where it has a parent
    # of that role. Empty for all
    input_leads: tuple[str, ...] = dataclasses.field(default=(), metadata=LATER)
    # which records are labelled: the seed of ``scaling.corpora.format.splits.labelled_subset``
    labelled_draw: int = dataclasses.field(default=0, metadata=LATER)

    @property
    def id(self) -> str:
        """Content id, ``t`` and 16 hexadecimal digits.

        The size of the training pool counts where class frequencies in it choose the classes.
        """
        value = self.to_dict()
        if UNSAID.issuperset(value.get("roles", ())):
            value.pop("roles", None)
        value["corpus"] = self.corpus.identity()
        if self.label_set:
            value["corpus"]["records"] = self.corpus.records
        return content_id("t", value)

    @property
    def parent_ids(self) -> tuple[str, ...]:
        """Ids of its parents, in order."""
        return tuple(parent.id for parent in self.parents)

    @property
    def labelled(self) -> int:
        """Training records whose labels are used; see ``labels_fraction``."""
        return max(1, round(self.labels_fraction * self.data))

    @property
    def hidden_leads(self) -> tuple[str, ...]:
        """Leads that the model is not given, in order."""
        given = self.input_leads or self.leads
        return tuple(lead for lead in self.leads if lead not in given)

    def parents_of_role(self, role: str) -> tuple[str, ...]:
        """Ids of those of its parents that have a role."""
        return tuple(parent.id for parent in self.parents if parent.role == role)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; ``from_dict`` inverts it. Roles stand beside ``parents``, which are ids."""
        value = _Configuration.to_dict(self) | {"parents": list(self.parent_ids)}
        if self.parents:
            value["roles"] = [parent.role for parent in self.parents]
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Build from ``to_dict`` output."""
        fields = dict(value)
        fields["options"] = tuple((str(k), v) for k, v in fields.get("options", ()))
        fields["corpus"] = CorpusSpec(**fields["corpus"])
        fields["recipe"] = Recipe(**fields["recipe"])
        fields["leads"] = tuple(fields["leads"])
        fields["input_leads"] = tuple(fields.get("input_leads", ()))
        ids = fields["parents"]
        roles = fields.pop("roles", None) or _old_roles(fields["objective"], len(ids))
        fields["parents"] = tuple(map(Parent, roles, ids))
        fields["numerics"] = tuple((str(k), int(v)) for k, v in fields["numerics"])
        return cls(**fields)


def _old_roles(objective: str, count: int) -> list[str]:
    """Roles of the parents of a configuration that does not say them.

    It is of a version that had one objective which predicts codes; its codebook came first.
    """
    codebooks = 1 if objective == "masked" else 0
    return [CODEBOOK if i < codebooks else START for i in range(count)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(_Configuration):
    """One model measured on one task."""

    training: str  # id of the training whose backbone is measured
    corpus: CorpusSpec  # the corpus measured on
    task: str  # label set of that corpus
    # ``held-out`` (the trained head), ``linear-probe`` (frozen features), or ``external`` (the
    # trained head on another corpus, on the classes that both have)
    protocol: str
    # which weights, ``best-validation`` or ``trajectory`` (those of every evaluated step that were
    # kept)
    checkpoint: str = BEST
    numerics: Versions = ()  # versions of the modules involved
    # share of the task's training records a probe may use, in (0, 1]
    labels_fraction: float = dataclasses.field(default=1.0, metadata=LATER)
    # whether the logits of each validation and test record are kept too
    predictions: bool = dataclasses.field(default=False, metadata=LATER)
    # metrics beside those that every evaluation has: ``multilabel``, or empty for none
    metrics: str = dataclasses.field(default="", metadata=LATER)

    @property
    def id(self) -> str:
        """Content id, ``e`` and 16 hexadecimal digits.

        The size of the training pool counts where the protocol trains on it: a linear probe
        changes with it, the held-out loss of a trained head does not. Of another corpus a trained
        head sees test records alone: its validation records are those of its own.
        """
        value = self.to_dict()
        if self.protocol in OF_THE_HEAD:
            del value["corpus"]["records"]
        if self.protocol == EXTERNAL:
            del value["corpus"]["validation"]
        return content_id("e", value)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Build from ``to_dict`` output."""
        fields = dict(value)
        fields["corpus"] = CorpusSpec(**fields["corpus"])
        fields["numerics"] = tuple((str(k), int(v)) for k, v in fields["numerics"])
        return cls(**fields)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job(_Configuration):
    """What one worker is given: a training and the evaluations of it still missing.

    When the training's record and weights exist already, only the evaluations run.
    """

    training: Training
    evaluations: tuple[Evaluation, ...] = ()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Build from ``to_dict`` output."""
        return cls(
            training=Training.from_dict(value["training"]),
            evaluations=tuple(Evaluation.from_dict(e) for e in value["evaluations"]),
        )
