"""Anyone's runs as rows that a law is fitted to, one frame for each data set.

    from analysis.runs.read import read_runs

    runs = read_runs("runs.csv")
    print(runs)                     # which columns were taken, what was left out
    fits = {name: fit_law(rows) for name, rows in runs.sets.items()}

Nothing is pooled that a column sets apart, nothing is left out in silence, and no unit is guessed:
what was taken and assumed is said.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.laws import Law, get
from analysis.runs.columns import (
    BESIDE,
    COUNTS,
    MEANINGS,
    RoleColumn,
    candidates,
    choose,
    data_sets,
    header_of,
    listed,
    set_names,
    taken,
    values_of,
)
from analysis.runs.files import read_table
from analysis.runs.rows import (
    PICKING,
    SIDES,
    Reading,
    held_doubts,
    keep_where,
    last_steps,
    marked,
    parted,
    steps_of,
    steps_overlooked,
    uses_of,
    word_of,
)
from analysis.runs.tables import MISSING, RunsError, Table, frame_table
from analysis.studies.fit_rows import Data, is_study
from analysis.text import count, number

__all__ = ["Runs", "RunsError", "law_columns", "read_runs"]

_SMALLEST_N = 1000  # parameters, or tokens; fewer, or a fraction of one, need a unit
_SMALLEST_D = 100  # of the largest number of other data
_SHOWN = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Runs of one file or frame.

    Attributes:
        name: of the file, empty for a frame.
        sets: rows to fit by data set; its name is empty where there is one only. Columns are the
            axes and the response of the law, ``C`` (FLOPs) where there is one, and ``trial``
            where runs have several rows. The index is the row of the table, from 0.
        held: rows that a column ``split`` holds out, by data set, as ``sets``.
        places: where each row of the table stands, such as ``line 7``.
        response: what the law gives, such as ``loss``.
        chosen: the column of each role.
        took: what was read, in sentences.
        warnings: what was left out or is doubtful.
        unscaled: of N and D, those whose numbers are too small for their unit to be one.
        few: whether the column of runs names too few for a law, and is not used.
    """

    name: str
    sets: Mapping[str, pd.DataFrame]
    held: Mapping[str, pd.DataFrame]
    places: Sequence[str]
    response: str
    chosen: Mapping[str, RoleColumn]
    took: tuple[str, ...]
    warnings: tuple[str, ...]
    unscaled: tuple[str, ...]
    few: bool

    @property
    def labels(self) -> dict[str, str]:
        """What axes of figures are called, by role."""
        named = (*MEANINGS, self.response)
        return {r: c.label for r, c in self.chosen.items() if r in named and c.label}

    def only(self) -> pd.DataFrame:
        """The rows of the only data set.

        Raises:
            RunsError: there are several.
        """
        if len(self.sets) == 1:
            return next(iter(self.sets.values()))
        where = f"{self.name}: holds" if self.name else "the frame holds"
        raise RunsError(
            f"{where} {len(self.sets)} data sets ({listed(list(self.sets), 4)}), which one law "
            "does not describe; fit each: read_runs(...).sets, or by=() for one fit of all"
        )

    def in_file(self, text: str, rows: pd.DataFrame) -> str:
        """A message about ``row 3`` of ``rows`` with its place in the file."""

        def place(match: re.Match[str]) -> str:
            at = int(match[1])
            return self.places[int(rows.index[at])] if at < len(rows) else match[0]

        placed = re.sub(r"\brow (\d+)\b", place, text)
        return f"{self.name}: {placed}" if self.name else placed

    def __str__(self) -> str:
        return "\n".join([*self.took, *(f"warning: {w}" for w in self.warnings)])


def read_runs(
    source: str | Path | pd.DataFrame,
    law: str | Law = "chinchilla",
    *,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] | None = None,
    where: Mapping[str, str] | None = None,
) -> Runs:
    """Read runs and find the columns of a law by their names.

    Args:
        source: a CSV or TSV of any dialect, JSON lines, Excel or parquet by its extension, or a
            frame.
        law: whose axes and response are looked for.
        columns: column by role (``N``, ``D``, ``C``, ``loss``, ``trial``, ...) where its name
            does not say so; ``{"N": "params*1e6"}`` multiplies.
        by: columns that set data sets apart; None finds them, () pools all rows.
        where: rows to keep, value by column.

    Raises:
        RunsError: a file or column that cannot be read, with its line and what to change.
    """
    chosen_law = get(law) if isinstance(law, str) else law
    if isinstance(source, pd.DataFrame):
        table = frame_table(source)
    else:
        table = read_table(Path(source), lambda t: choose(t, chosen_law, columns or {}))
    index = keep_where(table, where or {})
    chosen = choose(table.rows(index), chosen_law, columns or {})
    for role in PICKING:  # a column that sets data sets apart picks no rows
        if role in chosen and chosen[role].column in (by or ()):
            del chosen[role]
    reading = Reading(table=table, law=chosen_law, chosen=chosen, took=[*table.notes], warnings=[])
    frame = _picked(reading, index, by)
    part = table.rows(list(frame.index))
    groups = data_sets(part, frame, chosen, by)
    reading.took.insert(0, f"{len(table.places)} rows")
    _say_columns(reading, frame)
    reading.took.extend(_others_said(part, frame, chosen, groups))
    unscaled = _unscaled(frame, chosen)
    reading.warnings.extend(_unit_asked(frame, chosen[role]) for role in unscaled)
    reading.warnings.extend(held_doubts(reading, frame, groups))
    fitted, held, few = parted(reading, frame, groups)
    return Runs(
        name=table.name,
        sets=fitted,
        held=held,
        places=table.places,
        response=chosen_law.response,
        chosen=chosen,
        took=tuple(reading.took),
        warnings=tuple(reading.warnings),
        unscaled=unscaled,
        few=few,
    )


def _picked(reading: Reading, index: Sequence[int], by: Sequence[str] | None) -> pd.DataFrame:
    """Numbers by role of the rows to fit and of those ``held``, of the rows ``index``."""
    table, law, chosen = reading.table, reading.law, reading.chosen
    part = table.rows(index)
    keep, marks = marked(reading, part)
    frame = _frame(reading, part.rows(keep))
    frame["held"] = [marks[keep[i]] for i in frame.index]
    frame.index = pd.Index([index[keep[i]] for i in frame.index])
    if bool(frame["held"].all()):
        raise table.error(
            f"no row to fit has all of {', '.join((*law.axes, law.response))}: the {len(frame)} "
            f"that have are held out by column {chosen['split'].column}"
        )
    sets = set_names(data_sets(table.rows(list(frame.index)), frame, chosen, by), len(frame))
    return last_steps(reading, frame, sets)


def _frame(reading: Reading, table: Table) -> pd.DataFrame:
    """Numbers by role of the rows of ``table``, without those that lack one."""
    law, chosen = reading.law, reading.chosen
    needed = list(dict.fromkeys((*law.axes, law.response)))
    if cell := table.doubtful(chosen[law.response].column):
        raise table.error(
            f"column {chosen[law.response].column}: {cell!r} and all other cells may have a "
            f"decimal comma or be thousands: write {cell.replace(',', '.')} or "
            f"{cell.replace(',', '')}, or separate columns by semicolons or tabs, where it is a "
            "decimal comma"
        )
    roles = [*needed, *(r for r in ("C", *law.held) if r in chosen and r not in needed)]
    frame: pd.DataFrame = pd.DataFrame({r: values_of(table, chosen[r]) for r in roles})
    for role in ("trial", "seed"):
        if role in chosen:
            frame[role] = table.texts(chosen[role].column)
    if "step" in chosen:
        frame["step"] = steps_of(table, chosen["step"].column)
    lacking = ~np.isfinite(frame[needed].to_numpy()).all(axis=1)
    if lacking.any():
        reading.warnings.append(_left_out(table, frame, needed, chosen))
    frame = frame[~lacking]
    if frame.empty:
        empty = [r for r in needed if not any(table.texts(chosen[r].column))]
        why = "".join(f"; column {chosen[r].column} is empty in all rows" for r in empty)
        raise table.error(f"no row has all of {', '.join(needed)}{why}")
    signed = law.residual == "linear"
    for role in needed:
        if signed and role == law.response:
            continue
        bad = np.flatnonzero(~(frame[role].to_numpy() > 0))
        if bad.size:
            raise _not_positive(table, frame, chosen[role], [int(i) for i in bad])
    if "C" in frame and not bool((frame["C"] > 0).all()):
        reading.warnings.append(
            f"column {chosen['C'].column} is not positive everywhere: C is not used"
        )
        frame = frame.drop(columns="C")
    return frame


def _not_positive(
    table: Table, frame: pd.DataFrame, chosen: RoleColumn, bad: Sequence[int]
) -> RunsError:
    at = int(frame.index[bad[0]])
    more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
    advice = "leave such rows out"
    if len(bad) > len(frame) / 2:
        advice = (
            f"the law's errors are relative; --map {chosen.role}=COLUMN takes another column, and "
            "a law with linear residuals takes any sign (docs/laws.md)"
        )
    return table.error(
        f"{table.places[at]}, column {chosen.column}: {table.cells[chosen.column][at]} is not "
        f"positive{more}: {advice}"
    )


def _left_out(
    table: Table, frame: pd.DataFrame, needed: Sequence[str], chosen: Mapping[str, RoleColumn]
) -> str:
    """Which rows lack a number, and in which column."""
    said = []
    lacking = ~np.isfinite(frame[list(needed)].to_numpy())
    rows = np.flatnonzero(lacking.any(axis=1))
    for i in rows[:_SHOWN]:
        role = needed[int(np.flatnonzero(lacking[i])[0])]
        cell = table.texts(chosen[role].column)[i]
        word = cell if cell and cell.lower() not in MISSING else "missing"
        said.append(f"{table.places[i]} ({chosen[role].column} {word})")
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"{len(rows)} row{'s' * (len(rows) > 1)} left out: {', '.join(said)}{more}"


def _say_columns(reading: Reading, frame: pd.DataFrame) -> None:
    """Which column each role came from, its unit, its range and its rivals."""
    law, chosen = reading.law, reading.chosen
    for role in dict.fromkeys((*law.axes, "C", *law.held, law.response)):
        if role not in chosen or role not in frame:
            continue
        own = chosen[role]
        low, high = float(frame[role].min()), float(frame[role].max())
        show = count if role in COUNTS and role != "C" else number
        text = f"{role} from column {own.column}"
        if own.why:
            text += f", times {own.factor:g} {own.why}"
        text += f": {show(low)} to {show(high)}"
        if own.others:
            text += f"; not used: {listed(own.others)} (--map {role}=COLUMN)"
        if role == "D" and any("unique" in header_of(c).words for c in own.others):
            text += "; where data repeat, --law data_constrained takes unique data as D"
        reading.took.append(text)
        header = header_of(own.column)
        if role in COUNTS and header.unit and header.factor is None and not own.why:
            reading.warnings.append(
                f"the unit {header.unit!r} of column {own.column} is not known: its numbers are "
                f"taken as they are (--map '{role}={own.column}*1e6' multiplies)"
            )


def _others_said(
    table: Table,
    frame: pd.DataFrame,
    chosen: Mapping[str, RoleColumn],
    groups: Mapping[str, list[str]],
) -> list[str]:
    """The data sets, and columns of several values that nothing was made of."""
    said = []
    if groups:
        fitted = zip(set_names(groups, len(frame)), ~frame["held"], strict=True)
        names = list(dict.fromkeys(name for name, is_fitted in fitted if is_fitted))
        said.append(
            f"{len(names)} data set{'s' * (len(names) > 1)} by column {' and '.join(groups)}, one "
            f"fit each: {listed(names, 6)}"
        )
    used = {c for own in chosen.values() for c in (own.column, *own.others)} | set(groups)
    own = set_names(groups, len(frame))
    scales = [frame[r].astype(str).tolist() for r in ("N", "D", "S", "C") if r in frame]
    free = []
    for column in table.columns:
        values = table.texts(column)
        distinct = len(set(values))
        follows = any(  # from the data set, or within it from a scale
            len(set(zip(*keys, values, strict=True))) == len(set(zip(*keys, strict=True)))
            for keys in ([own], *([own, scale] for scale in scales))
        )
        if column not in used and 1 < distinct <= len(values) / 2 and not follows:
            free.append(f"{column} ({distinct} values)")
    if free:
        said.append(
            f"not told apart: {listed(free, 6)} (--by COLUMN fits each value, --where COLUMN=VALUE "
            "keeps one)"
        )
    return said


def _unscaled(frame: pd.DataFrame, chosen: Mapping[str, RoleColumn]) -> tuple[str, ...]:
    """Roles whose numbers cannot be counts of one: there is no model of 1.3 or 20 parameters."""
    roles = []
    for role in ("N", "D"):
        if role not in frame or chosen[role].why:
            continue
        values = frame[role].to_numpy(dtype=np.float64)
        whole = bool((values == np.round(values)).all())
        tokens = "tokens" in header_of(chosen[role].column).words
        few = values.min() < _SMALLEST_N if role == "N" or tokens else values.max() < _SMALLEST_D
        if few or (not whole and values.max() < 1e5):
            roles.append(role)
    return tuple(roles)


def _unit_asked(frame: pd.DataFrame, own: RoleColumn) -> str:
    low, high = float(frame[own.role].min()), float(frame[own.role].max())
    return (
        f"{own.role} is {low:g} to {high:g} in column {own.column}, which is no count of "
        f"{MEANINGS[own.role]}: taken as it is, so {own.role} of every answer is in that unit and "
        f"C = 6 N D is not known; --map '{own.role}={own.column}*1e6' (or 1e9) says the unit, *1 "
        "that it is a count"
    )


def named_columns(data: Data, roles: Sequence[str]) -> pd.DataFrame:
    """The frame with the columns of ``roles`` under their own names, as far as there are any."""
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
    if set(roles) <= set(frame.columns):
        return frame
    table = frame_table(frame)
    named = {r: candidates(table, r)[:1] for r in roles if r not in frame.columns}
    own = {r: values_of(table, taken(r, names[0])) for r, names in named.items() if names}
    return frame.assign(**own)


def _overlooked(frame: pd.DataFrame, law: Law) -> list[str]:
    """What columns tell of rows that are fitted all the same: a split, a status, steps, sets."""
    known = {*law.axes, *law.held, law.response, "trial", "C"}
    if frame.empty or not frame.columns.is_unique or set(frame.columns) <= known:
        return []
    if {"protocol", "recipe"} <= set(frame.columns):  # of ``law_rows``, which takes all recipes
        frame = frame.drop(columns="recipe")
    table, said = frame_table(frame.reset_index(drop=True)), []
    try:
        chosen = choose(table, law, {r: r for r in (*law.axes, law.response)})
        rows = pd.DataFrame({r: values_of(table, chosen[r]) for r in law.axes})
    except RunsError:
        return []  # fit_rows says what is wrong
    for role in SIDES:
        uses = uses_of(table, chosen, role)
        if len(set(uses.values())) > 1:
            column = chosen[role].column
            best = min(uses.values())
            word = next(t for t in table.texts(column) if uses[word_of(t)] == best)
            said.append(
                f"column {column} holds {', '.join(w or 'empty' for w in uses)}: all {len(frame)} "
                f"rows are fitted; fit_law(path) or frame[frame[{column!r}] == {word!r}] takes the "
                f"{word} rows"
            )
    said += steps_overlooked(table, rows, chosen)
    named = {c: v for c, v in table.cells.items() if set(header_of(c).words) & BESIDE["data_set"]}
    sets = dataclasses.replace(table, cells=named)  # a text of another name, as a commit, is none
    for column, values in data_sets(sets, rows, chosen, None).items():
        said.append(
            f"pools {len(set(values))} data sets of column {column}: fit each, such as "
            f"frame[frame[{column!r}] == {values[0]!r}], or read_runs(frame).sets"
        )
    return said


def law_columns(
    data: Data | str | Path, law: Law
) -> tuple[Data, list[str], list[str], dict[str, str]]:
    """Data that ``fit_law`` takes: warnings, notes and labels of axes beside them.

    Args:
        data: a file of runs, a results folder, a frame or columns.
        law: that is to be fitted.

    Raises:
        RunsError: a file that cannot be read, or holds several data sets.
    """
    if isinstance(data, (str, Path)):
        if Path(data).is_dir():
            from analysis.studies.load import load

            return load(data), [], [], {}
        runs = read_runs(data, law)
        return runs.only(), list(runs.warnings), list(runs.took), runs.labels
    if is_study(data):
        return data, [], [], {}
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
    needed = (*law.axes, law.response)
    if frame.empty or set(needed) <= set(frame.columns):
        labels: dict[str, str] = {r: f"{r}, {MEANINGS[r]}" for r in law.axes if r in ("N", "D")}
        return data, _overlooked(frame, law), [], labels
    try:
        runs = read_runs(frame.reset_index(drop=True), law)
    except RunsError as error:
        missing = ", ".join(c for c in needed if c not in frame.columns)
        raise RunsError(f"{law.name} needs columns {missing}: {law.formula}; {error}") from None
    rows = runs.only()
    kept = frame.iloc[rows.index].reset_index(drop=True)
    own: dict[str, Any] = {c: rows[c].to_numpy() for c in rows.columns}
    if "trial" not in own:
        unused = ["trial", *([runs.chosen["trial"].column] if runs.few else [])]
        kept = kept.drop(columns=unused, errors="ignore")
    return kept.assign(**own), list(runs.warnings), list(runs.took), runs.labels
