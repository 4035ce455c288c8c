"""A block of students as tables: what each method reaches, its order, gaps closed, rivals.

Tables are cells of text; ``method_text`` sets them for a terminal or as Markdown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.compare.methods import leads_words
from analysis.compare.paired import BETTER, WORSE
from analysis.compare.roles import (
    BASELINE,
    BEST,
    CEILING,
    KD,
    LITEHEART,
    LITEHEART_I,
    LITEHEART_II,
    TEACHER,
)

Plain = Mapping[str, Any]
METRIC_NAMES = {
    "ranking_loss": "ranking loss",
    "coverage": "coverage",
    "map": "MAP",
    "macro_auroc": "macro-AUROC",
    "macro_f1": "macro-F1",
    "macro_f2": "macro-F2",
    "macro_f1_s2": "macro-F1 (S2)",
}
_SECOND = "macro_f1_s2"  # F1 once more, at other thresholds: not one of the six of the tables
HEADLINE = ("macro_auroc", "macro_f1")  # of the order, the shares and the rivals
ROLE_NAMES = {
    TEACHER: "teacher",
    CEILING: "ceiling",
    BASELINE: "none",
    KD: "KD",
    LITEHEART_I: "LiteHeart-I",
    LITEHEART_II: "LiteHeart-II",
    LITEHEART: "LiteHeart",
    BEST: "best matched",
}
_OBJECTIVES = {"none": "none", "liteheart": "LiteHeart"}  # others are written in capitals


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells of text below a title.

    Attributes:
        title: a sentence.
        header: of its columns; the first is of the names.
        rows: of as many cells.
        foot: sentences below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    foot: Sequence[str] = ()


def block_title(one: Plain, block: Plain) -> str:
    """What a block is of: task, share of the labels, student, leads, records, teacher."""
    s = block["settings"]
    parts = [one["task"] if one["protocol"] == "held-out" else f"{one['task']} ({one['protocol']})"]
    if s["labels_fraction"]:
        parts.append(f"{100 * float(s['labels_fraction']):g} % labels")
    parts.append(f"{s['family']} {s['size']}")
    parts.append(leads_words(s["input_leads"]) if s["input_leads"] else "all leads")
    parts.append(f"D {s['D']}")
    parts += [s["label_set"]] if s["label_set"] else []
    parts += [f"teacher {key} {value}" for key, value in sorted(block["taught_by"].items())]
    return ", ".join(parts)


def block_tables(one: Plain, block: Plain, metrics: Sequence[str]) -> list[Table]:
    """The tables of a block, those without rows left out.

    Args:
        one: a comparison, of which the block is.
        block: of ``blocks.block_numbers``.
        metrics: that were measured.
    """
    objectives = {m["name"]: m["settings"].get("objective", "") for m in one["methods"]}
    shown = [m for m in metrics if m in HEADLINE] or list(metrics)
    found = [
        _values(one, block, [m for m in metrics if m != _SECOND] or list(metrics), objectives),
        _order(block, shown, objectives),
        _shares(block, shown, objectives),
        _rivals(block, shown, objectives),
    ]
    return [table for table in found if table.rows]


def objective_name(objective: str) -> str:
    """``KD`` or ``LiteHeart``."""
    return _OBJECTIVES.get(objective, objective.upper())


def role_rows(block: Plain, objectives: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Role, its name in words and its method, in the order of ``ROLE_NAMES``."""
    for role, words in ROLE_NAMES.items():
        if (method := block["roles"].get(role)) is not None:
            which = f" ({objective_name(objectives.get(method, ''))})" if role == BEST else ""
            yield role, words + which, method


def _values(
    one: Plain, block: Plain, metrics: Sequence[str], objectives: Mapping[str, str]
) -> Table:
    by_name = {m["name"]: m["values"] for m in one["methods"]}
    return Table(
        title="What each reaches on the test records, with 95 % intervals.",
        header=["", *(METRIC_NAMES[m] for m in metrics)],
        rows=[
            [words, *(interval(by_name[method][m]) for m in metrics)]
            for _, words, method in role_rows(block, objectives)
        ],
        foot=[f"{role_words(block)}."],
    )


def role_words(block: Plain) -> str:
    """Which methods the roles of a block have."""
    roles = block["roles"]
    named = [
        f"{words}{' on validation' * (role == BEST)}: {roles[role]}"
        for role, words in ROLE_NAMES.items()
        if role in roles
    ]
    absent = [ROLE_NAMES[role] for role in (TEACHER, CEILING) if role not in roles]
    return "; ".join(named + [f"no {words} with predictions" for words in absent])


def _names(block: Plain, objectives: Mapping[str, str]) -> dict[str, str]:
    """Method -> what its role is called; the best matched rival is one of the matched."""
    roles = {method: words for role, words, method in role_rows(block, objectives)}
    matched = {m: f"{objective_name(objectives.get(m, ''))}, matched" for m in block["matched"]}
    return roles | matched


def _order(block: Plain, metrics: Sequence[str], objectives: Mapping[str, str]) -> Table:
    names = _names(block, objectives)
    forms = list(dict.fromkeys(n for d in block["order"] for n in (d["method"], d["against"])))
    return Table(
        title=f"Order as published, {' > '.join(names[n] for n in forms)}: is the interval of each "
        "step on the better side of zero?",
        header=["", *(METRIC_NAMES[m] for m in metrics)],
        rows=[
            [f"{names[d['method']]} less {names[d['against']]}",
             *(f"{interval(d['values'][m], '+.4f')} {_STEPS.get(d['values'][m]['verdict'], 'no')}"
               for m in metrics)]
            for d in block["order"]
        ],
    )  # fmt: skip


_STEPS = {BETTER: "yes", WORSE: "no, worse"}


def _shares(block: Plain, metrics: Sequence[str], objectives: Mapping[str, str]) -> Table:
    cells = {(s["method"], s["to"]): s["values"] for s in block["shares"]}
    ends = list(dict.fromkeys(to for _, to in cells))
    wanted = [(to, m) for to in ends for m in metrics]
    gaps = {(to, m): cells[method, to][m]["gap"] for method, to in cells for m in metrics}
    words = {method: name for _, name, method in role_rows(block, objectives)}
    return Table(
        title="Share closed of the gap from none.",
        header=["", *(f"to {to}, {METRIC_NAMES[m]}" for to, m in wanted)],
        rows=[
            [words[name], *(share(cells[name, to][m]) for to, m in wanted)]
            for name in dict.fromkeys(name for name, _ in cells)
        ],
        foot=[
            "Gaps: "
            + "; ".join(
                f"{to} less none {interval(gap, '+.4f')} {METRIC_NAMES[m]}"
                for (to, m), gap in gaps.items()
            )
            + "."
        ],
    )  # fmt: skip


def _rivals(block: Plain, metrics: Sequence[str], objectives: Mapping[str, str]) -> Table:
    return Table(
        title="LiteHeart less each rival at the same restored leads, boxes and unlabelled records.",
        header=["", *(METRIC_NAMES[m] for m in metrics)],
        rows=[
            [objective_name(objectives.get(d["against"], "")),
             *(_half_width(d["values"][m]) for m in metrics)]
            for d in block["rivals"]
        ],
        foot=[_VERDICTS.format(d["values"][metrics[0]]["margin"]) for d in block["rivals"][:1]],
    )  # fmt: skip


_VERDICTS = (
    "± is half the 95 % interval. Better or worse: it leaves out zero; equal: it lies within "
    "±{:g} of zero; else open."
)


def _half_width(value: Plain) -> str:
    return f"{told(value['value'], '+.4f')} ± {told(value['half_width'], '.4f')} {value['verdict']}"


def share(value: Plain) -> str:
    """A share of a gap: ``71 % [52, 93]``, ``71 % [unbounded]`` or ``no gap``."""
    if value["value"] is None:
        return "no gap"
    ends = (
        f"{100 * value['low']:.0f}, {100 * value['high']:.0f}" if value["bounded"] else "unbounded"
    )
    return f"{100 * value['value']:.0f} % [{ends}]"


def interval(value: Plain, form: str = ".3f") -> str:
    """``0.612 [0.601, 0.624]``, with dashes for what is not known."""
    return f"{told(value['value'], form)} [{told(value['low'], form)}, {told(value['high'], form)}]"


def told(number: float | None, form: str) -> str:
    """A number, or a dash for none."""
    return "-" if number is None else f"{number:{form}}"
