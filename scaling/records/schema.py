"""The tables of a study: every column once, with its type, unit and meaning.

What pandas and Parquet hold, what a record is checked against and the tables of
``docs/records.md`` are made from it. ``python -m scaling.records`` prints the latter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, NamedTuple

SCHEMA = 1  # of records and of ``study.json``

Kind = Literal["text", "integer", "count", "number", "flag"]
Place = Literal["id", "row", "optional", "config"]


class ColumnType(NamedTuple):
    """What values of a kind are in pandas, in Arrow, and in words."""

    pandas: str
    arrow: str
    words: str


KINDS: Mapping[Kind, ColumnType] = {
    "text": ColumnType("string", "string", "text"),
    "integer": ColumnType("Int64", "int64", "a whole number"),
    "count": ColumnType("float64", "int64", "a whole number"),
    "number": ColumnType("float64", "double", "a number"),
    "flag": ColumnType("boolean", "bool", "true or false"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str  # its name
    meaning: str  # what it holds, in Markdown
    # ``text``, ``integer``, ``count`` (a whole number that analysis reads as a float), ``number``
    # or ``flag``. Any may be empty, but for ids
    kind: Kind = "text"
    unit: str = ""  # of its values; empty for none
    # where a record has it: ``row`` (always in its row), ``optional`` (in its row, not in older
    # ones), ``config`` (in its configuration), ``id`` (known from elsewhere)
    place: Place = "row"

    @property
    def always(self) -> bool:
        """Whether the oldest tables have it."""
        return self.place in ("id", "row")


TRIALS = (
    Column("study", "name of the study", place="id"),
    Column("stage", "`codebook`, `pretrain`, `restore`, `finetune`, `distill`"),
    Column("trial", "training id; joins the tables"),
    Column(
        "parents",
        "training ids that it rests on, joined by `;`: start, codebook, teacher, restoration",
    ),
    Column("family", "architecture"),
    Column("size", "point on the family's ladder"),
    Column("paradigm", "`sl`, `ssl`, or `random` for weights as initialised"),
    Column("objective", "what was minimised"),
    Column("corpus", "corpus and task, `virtual/code` or `ptbxl:superclass`"),
    Column("preprocessing", "name of the preset"),
    Column("recipe", "compact JSON of the recipe"),
    Column("labels_fraction", "share of the training records whose labels were used", "number"),
    Column("num_labels", "classes of the head", "integer"),
    Column("leads", "number of leads", "integer"),
    Column("N", "backbone parameters (head, embedding and codebook are counted apart)", "integer"),
    Column("params_total", "parameters of all groups", "integer"),
    Column("D", "unique training records", "integer", "records"),
    Column("patients", "how many patients they come from", "integer"),
    Column("lr", "peak learning rate", "number"),
    Column(
        "batch",
        "labelled records a step; a student may have unlabelled ones beside them",
        "integer",
        "records",
    ),
    Column("seed", "of initial weights and batch order", "integer"),
    Column("status", "`done`, `failed`, `diverged`, `budget_limited`"),
    Column("steps", "optimiser steps run", "integer"),
    Column(
        "C", "training FLOPs spent in all: 6 x MACs x records of a step x steps", "number", "FLOP"
    ),
    Column(
        "macs",
        "multiply-accumulates of one forward pass on one record, of what is computed with all "
        "slots of a Transformer filled",
        "count",
    ),
    Column("started", "ISO 8601, UTC"),
    Column("duration_s", "of the training", "number", "s"),
    Column("device", "what it ran on"),
    Column("commit", "git commit of the code"),
    Column("dirty", "whether the work tree differed from it", "flag"),
    Column(
        "label_set",
        "which classes of the task were trained on (`tail-0.1`), empty for all; tables older "
        "than it lack the column and are read as empty",
        place="config",
    ),
    Column(
        "macs_full",
        "`macs` with every token in every block, as the field counts ([models](models.md)); empty "
        "in older records and tables, whose `C` and `macs` were counted so",
        "count",
        place="optional",
    ),
    Column("C_full", "`C` counted with `macs_full`; laws use `C`", "number", "FLOP", "optional"),
    Column(
        "input_leads",
        "leads that the model is given, joined by `+`; the others are zero, or restored; empty for "
        "all, as in tables older than it",
        place="optional",
    ),
    Column("teacher", "training id of the teacher; empty without one", place="optional"),
    Column(
        "restoration",
        "training id of the net that restores leads; empty where they are zero",
        place="optional",
    ),
    Column("labelled", "training records whose labels were used", "integer", "records", "optional"),
    Column(
        "unlabelled",
        "training records that were used without their labels",
        "integer",
        "records",
        "optional",
    ),
    Column("labelled_draw", "seed of the draw of labelled records", "integer", place="optional"),
    Column(
        "N_system",
        "parameters of what is deployed: all of the model's and of the restoration net's",
        "integer",
        place="optional",
    ),
    Column(
        "macs_system",
        "multiply-accumulates of what is deployed, on one record",
        "count",
        place="optional",
    ),
    Column(
        "C_teacher",
        "FLOPs of the teacher's forward passes: 2 x its MACs on each record it was shown",
        "number",
        "FLOP",
        "optional",
    ),
    Column(
        "C_parents",
        "`C` and `C_teacher` of all trainings that it rests on, each counted once; empty where one "
        "has no record here",
        "number",
        "FLOP",
        "optional",
    ),
    Column(
        "options",
        'settings of the objective that differ from its defaults, as JSON (`{"tau": 2.0}`), empty '
        "for none; tables older than it lack the column and are read as empty",
        place="config",
    ),
)
EVALUATIONS = (
    Column("evaluation", "evaluation id; of a training curve, the training id", place="id"),
    Column("trial", "training id of the model", place="id"),
    Column("step", "optimiser step of the weights", "integer"),
    Column("C", "training FLOPs spent by `step`", "number", "FLOP"),
    Column("task", "corpus and task measured on, as `corpus` above"),
    Column("split", "`train`, `validation` or `test`"),
    Column("metric", "see below"),
    Column("protocol", "see below"),
    Column("value", "of the metric", "number"),
    Column("n", "records measured on", "integer", "records"),
    Column(
        "value_se",
        "standard error over patients (clustered for losses, bootstrap for the others)",
        "number",
    ),
    Column("low", "2.5 % percentile of the patient bootstrap", "number", place="optional"),
    Column("high", "97.5 % percentile of it", "number", place="optional"),
)
TABLES: Mapping[str, tuple[Column, ...]] = {"trials": TRIALS, "evaluations": EVALUATIONS}

INTERVAL = ("low", "high")  # a row has both or none

# Arrays of a file of predictions, over validation and test records.
PREDICTION_ARRAYS = ("split", "row", "record", "patient", "labels", "logits", "classes")
PREDICTED_SPLITS = ("validation", "test")  # and their numbers in the array ``split``
# Test records whose signals, and whose features, pictures of students have if no other number is
# asked for; see ``explained``.
EXPLAINED_RECORDS, EXPLAINED_POINTS = 3, 1000


def names(table: tuple[Column, ...], *places: Place) -> tuple[str, ...]:
    """Names of the columns of a table in these places; of all without any."""
    return tuple(c.name for c in table if not places or c.place in places)


def dtypes(table: tuple[Column, ...], *, always: bool | None = None) -> dict[str, str]:
    """Pandas' dtype of each column: of those that the oldest tables have, of the others, or all."""
    return {c.name: KINDS[c.kind].pandas for c in table if always is None or c.always == always}


def as_markdown(table: tuple[Column, ...]) -> str:
    """A table of the columns, as ``docs/records.md`` shows it."""
    rows = [f"| `{c.name}` | {c.kind} | {c.unit} | {c.meaning} |" for c in table]
    return "\n".join(["| column | type | unit | meaning |", "|---|---|---|---|", *rows])
