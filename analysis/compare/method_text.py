"""Compared methods as text for a terminal, and as Markdown for the README of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.compare.method_tables import Table, block_tables, block_title, interval, share
from analysis.compare.roles import BASELINE
from scaling.records.multilabel import METRICS

Numbers = Mapping[str, Any]
MOST_BLOCKS = 6  # in Markdown and in figures; all are in the JSON
_COLUMNS = 3  # of numbers beside each other on a terminal
_OPEN = "unbounded: the interval of the gap itself holds zero"


def methods_as_text(numbers: Numbers, every: bool = False) -> str:
    """The comparisons as text.

    Args:
        numbers: of ``compare_methods``.
        every: whether all methods are printed also where blocks have roles.

    Returns:
        Of each task and protocol the tables of its blocks; where it has none, every metric of
        every method.
    """
    lines = [
        f"{numbers['study']}: 95 % intervals of {numbers['resamples']} resamples of the patients, "
        "and of draws or seeds where there are several"
    ]
    if numbers["published"]:
        lines.append(f"as published in {numbers['published']}; the predictions behind it are not")
    for one in numbers["comparisons"]:
        lines += ["", f"{one['task']} ({one['protocol']}): {one['records']} records of "
                  f"{one['patients']} patients, each tested once"]  # fmt: skip
        for block in one["blocks"]:
            lines += _block_lines(one, block, numbers["metrics"])
        for metric in numbers["metrics"] if every or not one["blocks"] else ():
            lines += _metric_lines(one, metric)
    if not any(one["differences"] or one["blocks"] for one in numbers["comparisons"]):
        lines += ["", "no differences: name a method as the baseline"]
    return "\n".join([*lines, *(["", *numbers["notes"]] if numbers["notes"] else [])])


def _block_lines(one: Numbers, block: Numbers, metrics: Sequence[str]) -> list[str]:
    lines = ["", block_title(one, block)]
    for table in block_tables(one, block, metrics):
        lines += ["", f"  {table.title}"]
        for begin in range(1, len(table.header), _COLUMNS):
            part = slice(begin, begin + _COLUMNS)
            cells = [[row[0], *row[part]] for row in (table.header, *table.rows)]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            lines += [
                "    " + "  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip()
                for row in cells
            ]
        lines += [f"    {foot}" for foot in _feet(table)]
    return lines + [f"  note: {note}" for note in block["notes"]]


def _feet(table: Table) -> list[str]:
    open_ends = any("[unbounded]" in cell for row in table.rows for cell in row)
    return [*table.foot, *([f"{_OPEN[0].upper()}{_OPEN[1:]}."] if open_ends else [])]


def _metric_lines(one: Numbers, metric: str) -> list[str]:
    """A metric of each method, with what it is more than the baseline, and then of pairs."""
    better, baseline = "higher" if METRICS[metric] else "lower", one["roles"].get(BASELINE)
    against = {(d["method"], d["against"]): d["values"][metric] for d in one["differences"]}
    closed = {(s["method"], s["to"]): s["values"][metric] for s in one["shares"]}
    than = f", less {baseline}" if any(b == baseline for _, b in against) else ""
    than += "".join(f", share to {one['roles'][to]}" for to in dict.fromkeys(t for _, t in closed))
    lines = [f"  {metric} ({better} is better){than}"]
    width = max(len(m["name"]) for m in one["methods"])
    for method in one["methods"]:
        name = method["name"]
        line = f"    {name:{width}}  {interval(method['values'][metric], '.4f')}"
        if found := against.get((name, baseline)):
            line += f"  {interval(found, '+.4f')} {found['verdict']}"
        line += "".join(f"  {share(found)}" for (n, _), found in closed.items() if n == name)
        lines.append(line)
    for (name, other), found in against.items():
        if other != baseline:
            lines.append(f"    {name} less {other}: {interval(found, '+.4f')} {found['verdict']}")
    return lines


def methods_as_markdown(numbers: Numbers) -> str:
    """The blocks of a study as Markdown, the largest first; plain text where there is none."""
    blocks = [(one, block) for one in numbers["comparisons"] for block in one["blocks"]]
    if not blocks:
        return f"```text\n{methods_as_text(numbers)}\n```\n"
    lines = [
        f"95 % intervals of {numbers['resamples']} resamples of the patients, and of draws or "
        "seeds where there are several; every difference is paired.",
        "",
    ]
    for one, block in blocks[:MOST_BLOCKS]:
        lines += [f"### {block_title(one, block)}", ""]
        lines += [f"{one['records']} test records of {one['patients']} patients.", ""]
        for table in block_tables(one, block, numbers["metrics"]):
            lines += [
                f"**{table.title}**",
                "",
                _row(table.header),
                _row(["---"] * len(table.header)),
            ]
            lines += [*map(_row, table.rows), "", *(f"{foot}\n" for foot in _feet(table))]
        lines += [f"- {note}" for note in block["notes"]]
        lines += [""] if block["notes"] else []
    if left := len(blocks) - MOST_BLOCKS:
        lines += [f"{left} more blocks are in `methods.json`.", ""] if left > 0 else []
    lines += [f"- {note}" for note in numbers["notes"]]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
