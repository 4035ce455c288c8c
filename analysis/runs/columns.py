"""Which column of a table is N, D, C, the loss, and which sets data sets apart: by their names.

Names are compared without case, punctuation and unit: ``Params (M)``, ``num_params`` and
``n_parameters`` are all N. What a name cannot tell is asked for with ``--map``.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.laws import FloatArray, Law
from analysis.runs.tables import RunsError, Table

COUNTS = ("N", "D", "S", "C")
MEANINGS = {
    "N": "parameters", "D": "training data", "S": "samples seen in training",
    "C": "training FLOPs", "loss": "loss",
}  # fmt: skip
# BESIDE: what a word beside others makes of a column.
VOCABULARY: Mapping[str, Mapping[str, list[str]]] = tomllib.loads(
    Path(__file__).with_name("words.toml").read_text(encoding="utf-8")
)
EXACT, BESIDE = VOCABULARY["names"], {k: frozenset(v) for k, v in VOCABULARY["beside"].items()}
WORDS = {role: frozenset(words) for role, words in VOCABULARY["words"].items()}
_UNITS: Mapping[str, float] = {
    **dict.fromkeys(("k", "thousand", "thousands"), 1e3),
    **dict.fromkeys(("m", "mn", "mio", "million", "millions", "mega"), 1e6),
    **dict.fromkeys(("b", "bn", "g", "billion", "billions", "giga", "mrd", "md", "mds"), 1e9),
    **dict.fromkeys(("t", "tn", "trillion", "trillions", "tera"), 1e12),
    **{f"{p}flop{s}": 10.0**e for s in ("", "s") for p, e in
       (("", 0), ("k", 3), ("m", 6), ("g", 9), ("t", 12), ("p", 15), ("e", 18), ("z", 21))},
    **dict.fromkeys(("pf days", "pfdays", "pflop s days", "petaflop s days", "pfs days"), 8.64e19),
}  # fmt: skip
_UNSCALED = {"nats", "nat", "bits", "bit", "nats token", "bits token", "nats per token", "count",
          "bits per byte", "bpb"}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_TIMES = r"[x×·⋅*]?\s*"  # before a factor
_NOUNS = WORDS["N"] | WORDS["D"] | {"of", "x", "in"}

_HEADER = "from its header"  # where a factor comes from
_ENOUGH = 6  # rows that a text column of another name must leave in half of its sets


class Header(NamedTuple):
    """A header taken apart."""

    column: str  # as it stands in the file
    words: tuple[str, ...]  # of the name, in lower case
    unit: str = ""  # as written
    factor: float | None = None  # that a known unit stands for

    @property
    def name(self) -> str:
        """The words in one."""
        return "_".join(self.words)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoleColumn:
    """A column and what it is taken for."""

    role: str  # such as ``N``
    column: str  # its header
    factor: float = 1.0  # that its numbers are multiplied by
    why: str = ""  # where the factor comes from; empty for 1
    others: tuple[str, ...] = ()  # columns that could have been taken as well
    label: str = ""  # of an axis in figures


def header_of(column: str) -> Header:
    """Name and unit of a header: ``params (M)``, ``tokens_B``, ``N in millions``, ``D / 1e9``."""
    forms = (
        r"(?P<name>.*\S)\s*[\(\[\{](?P<unit>[^)\]}]*)[\)\]\}]\s*",
        r"(?P<name>.+?)[\s_]+in[\s_]+(?P<unit>.+)",
        r"(?P<name>.+?)\s*,\s*(?P<unit>.+)",
        r"(?P<name>.+?)\s*/\s*(?P<unit>(?:1e|10\^|10\*\*|10(?=[⁰¹²³⁴-⁹]))[\d⁰¹²³⁴-⁹]+)",
        r"(?P<name>.*[^\W_])[\s_.-]+(?P<unit>[^\W\d_]+)",
    )
    for i, form in enumerate(forms):
        match = re.fullmatch(form, column.strip())
        if match is None:
            continue
        factor = _factor(match["unit"])
        if i == len(forms) - 1 and match["unit"].lower() in _NOUNS | WORDS["C"]:
            break  # train_tokens and total_flops are names
        if factor is not None or i == 0:
            return Header(column, _words(match["name"]), match["unit"].strip(), factor)
    words = _words(column)
    factor = _UNITS.get(words[0]) if len(words) == 1 and words[0].endswith(("flops", "flop")) else 0
    if factor and factor != 1.0:  # a column called GFLOPs
        return Header(column, ("flops",), column, factor)
    return Header(column, words)


def _words(text: str) -> tuple[str, ...]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text)
    return tuple(w.lower() for w in re.split(r"[^0-9A-Za-z]+", apart) if w)


def _factor(unit: str) -> float | None:
    """What a unit stands for; None where it is not known."""
    text = re.sub(r"(?<=10)[⁰¹²³⁴-⁹]", lambda m: f"^{m[0]}", unit.strip().lower())
    text = text.translate(_RAISED)
    if match := re.fullmatch(rf"{_TIMES}(?:1e\+?|10\s*(?:\^|\*\*)\s*)(\d+)(?:\s+\w+)?", text):
        return float(10.0 ** int(match[1]))
    if match := re.fullmatch(rf"{_TIMES}(1(?:[, ]?000)+)(?:s|\s+\w+)?", text):
        return float(re.sub(r"\D", "", match[1]))
    words = [w for w in re.split(r"[^a-z]+", text) if w]
    known = [w for w in words if w not in _NOUNS]
    if " ".join(words) in _UNSCALED or (set(words) - {"x"} and not known and text.isascii()):
        return None if re.search(r"\d", text) else 1.0
    return _UNITS.get(" ".join(known))


def numeric(table: Table, column: str) -> bool:
    """Whether most cells are numbers and they are not all 0 or 1, as flags are."""
    values, other = table.numbers(column)
    held = values[np.isfinite(values)]
    return len(held) > len(other) and not bool(np.isin(held, (0.0, 1.0)).all())


def candidates(table: Table, role: str) -> list[str]:
    """Columns whose name fits a role, the likeliest first."""
    text = role in ("seed", "trial", "step", "split", "status")
    ranked = [
        (rank, place, column)
        for place, column in enumerate(table.columns)
        if (rank := _rank(role, header_of(column))) is not None and (text or numeric(table, column))
    ]
    return [column for *_, column in sorted(ranked)]


def _rank(role: str, header: Header) -> int | None:
    """How well a header fits a role, 0 the best; None where it does not."""
    words, exact = set(header.words), EXACT.get(role, [])
    if role not in EXACT:  # an axis of another kind of law: by its own name
        return 0 if header.column.strip().lower() == role.lower() else None
    if role == "loss":
        return _loss_rank(header)
    if role == "N" and words & BESIDE["embedding"]:
        return _embedding_rank(words, exact)
    if header.name in exact:
        return exact.index(header.name)
    if role == "split":
        return len(exact) if header.words and header.words[0] == "split" else None
    fits = bool(words & WORDS.get(role, frozenset()))
    if role == "S":
        fits = bool(words & BESIDE["seen"] and words & {"d", *WORDS["D"]})
    elif role == "D":
        fits = fits or header.name in EXACT["S"][1:]
    return len(exact) if fits and not words & BESIDE["never"] else None


def _embedding_rank(words: set[str], exact: Sequence[str]) -> int | None:
    """Parameters without embeddings come first; those of the embedding alone are never N."""
    if words & BESIDE["never"] or not words & {*WORDS["N"], "n"}:
        return None
    if words & BESIDE["without"]:
        return exact.index("params_non_embedding")
    return len(exact) if words & BESIDE["with"] else None


def _loss_rank(header: Header) -> int | None:
    """0 for a loss of no other name, 1 for one of a name of its own, 2 for that of training."""
    words = set(header.words)
    if words & (BESIDE["never"] | BESIDE["added"] | {"in", "delta", "scale"}):
        return None
    if words & {"best", "min", "lowest"} and header.words[-1] in BESIDE["when"]:
        return None  # the step of the best loss
    entropy = {"cross", "entropy"} <= words or bool(words & {"nll", "xent", "crossentropy"})
    if not (entropy or any(w.startswith("loss") for w in words)):
        return None
    if words & BESIDE["training"]:
        return 2  # after one that is held out
    return 0 if words <= BESIDE["held_out"] else 1


def choose(table: Table, law: Law, given: Mapping[str, str]) -> dict[str, RoleColumn]:
    """The column of every role that ``law`` needs, and of those that help, as far as known.

    Args:
        table: of the runs.
        law: whose axes and response are looked for.
        given: column by role, over what names say; ``params*1e6`` multiplies.

    Raises:
        RunsError: a role or column that is not there, or an axis that no column fits.
    """
    needed = tuple(dict.fromkeys((*law.axes, law.response)))
    helpful = ("C", *law.held, "seed", "trial", "step", "split", "status")
    chosen: dict[str, RoleColumn] = {}
    for role, text in given.items():
        if role not in (*needed, *helpful):
            raise table.error(
                f"{role!r} is nothing that {law.name} takes: "
                f"{', '.join(dict.fromkeys((*needed, *helpful)))}"
            )
        chosen[role] = _given(table, role, text)
    used = {c.column for c in chosen.values()}
    if "S" in law.axes and "D" in law.axes:  # data seen more than once: both are known apart
        order = tuple(sorted(needed, key=lambda role: role != "S"))
    else:
        order = needed
    for role in (*order, *helpful):
        if role in chosen:
            continue
        fitting = [c for c in candidates(table, role) if c not in used]
        if role == "D":
            fitting = _data_order(fitting, unique="S" in law.axes)
        if role == "D" and not fitting and "N" in chosen and chosen["N"].column.strip() == "n":
            fitting = [c for c in table.columns if c.strip() == "t" and numeric(table, c)]
        if fitting:
            chosen[role] = taken(role, *fitting)
            used.add(fitting[0])
    if missing := [role for role in needed if role not in chosen]:
        raise _not_found(table, law, missing, chosen)
    return {role: _cells_first(table, own) for role, own in chosen.items()}


def _cells_first(table: Table, own: RoleColumn) -> RoleColumn:
    """The factor of a header as it is applied: not to cells such as 20M, which say their own."""
    suffixed = table.suffixed(own.column) if own.why == _HEADER else np.zeros(0, dtype=np.bool_)
    if not suffixed.any():
        return own
    if len(table.texts(own.column)) - table.texts(own.column).count("") == int(suffixed.sum()):
        return dataclasses.replace(own, factor=1.0, why="")
    return dataclasses.replace(own, why=f"{_HEADER}, save in cells with a suffix of their own")


def _data_order(columns: list[str], *, unique: bool) -> list[str]:
    """All data seen before unique data, or the other way round; D itself first."""

    def key(column: str) -> int:
        header = header_of(column)
        if header.name == "d":
            return 0
        return 1 if ("unique" in header.words) == unique else 2

    return sorted(columns, key=key)


def _given(table: Table, role: str, text: str) -> RoleColumn:
    """The column that ``text`` names, with a factor after a star."""
    name, factor, why = text.strip(), 1.0, ""
    if name not in table.cells and (match := re.fullmatch(r"(.*\S)\s*\*\s*(\S+)", name)):
        try:
            name, factor, why = match[1], float(match[2]), "as asked for"
        except ValueError:
            raise RunsError(f"{text!r}: {match[2]!r} is not a number to multiply by") from None
        if not (np.isfinite(factor) and factor > 0):
            raise RunsError(f"{text!r}: multiply by a positive number, not {match[2]}")
    if name not in table.cells:
        raise table.error(f"no column {name!r} for {role}; there are: {listed(table.columns)}")
    own = taken(role, name)
    if why:
        return dataclasses.replace(own, factor=factor, why=why)
    return own


def taken(role: str, *columns: str) -> RoleColumn:
    """The first of ``columns`` for a role, its unit from its header; the others are named."""
    header = header_of(columns[0])
    scaled = role in COUNTS and header.factor not in (None, 1.0)
    return RoleColumn(
        role=role,
        column=columns[0],
        factor=(header.factor or 1.0) if scaled else 1.0,
        why=_HEADER if scaled else "",
        others=tuple(columns[1:]),
        label=_label(role, header),
    )


def _label(role: str, header: Header) -> str:
    """What an axis is called: the role and the column's own name, without its unit."""
    idle = {"n", "num", role.lower()} if len(header.words) > 1 else set()
    name = " ".join(w for w in header.words if w not in idle)
    unit = header.unit if role not in COUNTS and header.unit else ""
    if role == "loss":
        return ", ".join(v for v in (header.column if not unit else name, unit) if v)
    if name == role.lower() or (role == "C" and set(header.words) <= WORDS["C"]):
        name = MEANINGS.get(role, "")
    return f"{role}, {name}" if name and role in MEANINGS else role


def _not_found(
    table: Table, law: Law, missing: Sequence[str], chosen: Mapping[str, RoleColumn]
) -> RunsError:
    what = ", ".join(f"{r} ({MEANINGS[r]})" if r in MEANINGS else r for r in missing)
    text = f"no column for {what} of {law.name}; there are: {listed(table.columns)}"
    if unread := [why for role in missing for why in _unread(table, role, chosen)]:
        return table.error(f"no numbers for {what} of {law.name}: {'; '.join(unread)}")
    names = {c.lower() for c in table.columns}
    if {"metric", "value"} <= names and law.response in missing:
        return table.error(f"{text}. Rows of several metrics: --where metric=loss --map loss=value")
    hints = [f"--map {','.join(f'{r}=COLUMN' for r in missing)} says which"]
    marginal = {"D": "n_law", "N": "d_law"}
    if len(missing) == 1 and law.axes == ("N", "D") and missing[0] in marginal:
        other = "N" if missing[0] == "D" else "D"
        hints.append(f"--law {marginal[missing[0]]} needs {other} and loss alone")
    if missing == ["D"] and "N" in chosen and (flops := candidates(table, "C")):
        hints.append(f"where {flops[0]} is 6 N D, add a column D = {flops[0]} / (6 N)")
    return table.error(f"{text}. {'; '.join(hints)}")


def _unread(table: Table, role: str, chosen: Mapping[str, RoleColumn]) -> list[str]:
    """Why the columns whose name fits a role hold no numbers for it."""
    said = []
    used = {own.column for own in chosen.values()}
    for column in table.columns:
        rank = _rank(role, header_of(column))
        if column in used or rank is None or numeric(table, column):
            continue
        other = table.numbers(column)[1]
        if not any(table.texts(column)):
            why = f"is empty in all {len(table.places)} rows"
        elif other:
            first = other[0]
            why = (
                f": {table.places[first]} holds {table.texts(column)[first]!r}, which is no number"
            )
            why += f" ({len(other)} such rows)" if len(other) > 1 else ""
        else:
            why = "holds only 0 and 1, as flags do"
        said.append(f"column {column}{'' if why.startswith(':') else ' '}{why}")
    return said


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names with commas, up to ``most`` of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def values_of(table: Table, chosen: RoleColumn) -> FloatArray:
    """The numbers of a column, times its factor; NaN where missing.

    The unit of a header does not multiply a cell that has a suffix: 20M under ``params (M)`` is
    20 million.

    Raises:
        RunsError: text, with its line.
    """
    values, other = table.numbers(chosen.column)
    if other:
        first = other[0]
        more = f" ({len(other)} such rows)" if len(other) > 1 else ""
        raise table.error(
            f"{table.places[first]}, column {chosen.column}: "
            f"{table.cells[chosen.column][first]!r} is not a number{more}: correct it, or leave "
            "the cell empty, and the row is left out"
        )
    if chosen.why.startswith(_HEADER):
        return np.where(table.suffixed(chosen.column), values, values * chosen.factor)
    return values * chosen.factor


def data_sets(
    table: Table, frame: pd.DataFrame, chosen: Mapping[str, RoleColumn], by: Sequence[str] | None
) -> dict[str, list[str]]:
    """The columns that set data sets apart, with their values; the fewest that tell all apart.

    Args:
        table: of the runs.
        frame: its numbers by role, row by row.
        chosen: columns that have a role already.
        by: the columns where they are known; None finds them.

    Raises:
        RunsError: no column of a name in ``by``.
    """
    if by is not None:
        for column in by:
            if column not in table.cells:
                raise table.error(f"no column {column!r}; there are: {listed(table.columns)}")
        return {column: table.texts(column) for column in by}
    used = {c for own in chosen.values() for c in (own.column, *own.others)}
    texts = {c: table.texts(c) for c in table.columns if c not in used}
    texts = {c: v for c, v in texts.items() if _is_set(table, c, v, frame)}
    order = sorted(texts, key=lambda c: -len(set(texts[c])))
    kept: list[str] = []
    for column in order:  # a source that follows from the experiment tells nothing more
        pairs = {tuple(texts[c][i] for c in (*kept, column)) for i in range(len(frame))}
        if len(pairs) > len({p[:-1] for p in pairs}) or not kept:
            kept.append(column)
    return {c: texts[c] for c in table.columns if c in kept}


def _is_set(table: Table, column: str, values: list[str], frame: pd.DataFrame) -> bool:
    """Whether a column names data sets, and not the sizes, budgets, runs or flags of one."""
    distinct = set(values)
    if not 2 <= len(distinct) <= len(values) / 2:
        return False
    if {v.lower() for v in distinct} <= {"true", "false", "yes", "no", "0", "1", ""}:
        return False
    named = bool(set(header_of(column).words) & BESIDE["data_set"])
    text = len(table.numbers(column)[1]) > len(values) / 2
    if not text and not (named and len(header_of(column).words) == 1):
        return False
    for role in ("N",) if named else ("N", "D", "S", "C"):  # a name of each size or budget
        if role in frame and len(set(zip(values, frame[role], strict=True))) == len(distinct):
            return False
    sizes = sorted(values.count(v) for v in distinct)
    return named or sizes[len(sizes) // 2] >= _ENOUGH


def set_names(groups: Mapping[str, list[str]], count: int) -> list[str]:
    """The name of each row's data set; empty where there is one."""
    if not groups:
        return [""] * count
    return [", ".join(v or "(empty)" for v in row) for row in zip(*groups.values(), strict=True)]
