"""Which rows of a table are fitted: those asked for, finished, not held out, at the last step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.laws import FloatArray, Law
from analysis.runs.columns import BESIDE, VOCABULARY, RoleColumn, header_of, listed, set_names
from analysis.runs.tables import Table
from analysis.studies.clusters import restarts

SIDES = {role: VOCABULARY[role] for role in ("status", "split")}
PICKING = (*SIDES, "step")  # roles that decide which rows are fitted
_LAST = {"final", "last", "latest", "end"}  # of steps
FIT, HOLD, OUT, UNKNOWN = range(4)  # what a word does to its rows


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A table being read for a law: the column of each role, and what is said on the way."""

    table: Table
    law: Law
    chosen: dict[str, RoleColumn]
    took: list[str]
    warnings: list[str]


def keep_where(table: Table, where: Mapping[str, str]) -> list[int]:
    """Rows at which every column has the value asked for."""
    keep = np.ones(len(table.places), dtype=bool)
    for column, value in where.items():
        if column not in table.cells:
            raise table.error(f"no column {column!r}; there are: {listed(table.columns)}")
        texts = table.texts(column)
        same = np.array([t == value for t in texts])
        if not same.any():
            values, _ = table.numbers(column)
            try:
                same = values == float(value)
            except ValueError:
                same = np.zeros(len(texts), dtype=bool)
        if not same.any():
            there = listed(list(dict.fromkeys(texts)), 6)
            raise table.error(f"no row has {column} = {value}; there are: {there}")
        keep &= same
    if not keep.any():
        raise table.error("no row is left by --where")
    return [int(i) for i in np.flatnonzero(keep)]


def marked(reading: Reading, table: Table) -> tuple[list[int], list[bool]]:
    """Rows of ``table`` that finished and are not dropped, and which rows are held out (n,)."""
    chosen, took, warnings = reading.chosen, reading.took, reading.warnings
    kinds = np.full(len(table.places), FIT)
    for role in SIDES:
        uses = uses_of(table, chosen, role)
        if not uses:
            continue
        column = chosen[role].column
        words = np.array([word_of(t) for t in table.texts(column)], dtype=object)
        left = kinds != OUT
        alone = not any(uses[w] == FIT for w in words[left])
        tally, unknown = [], {}
        for word, use in uses.items():
            same = left & (words == word)
            kinds[same] = (FIT, FIT if alone else HOLD, OUT, OUT)[use]
            if use == UNKNOWN:
                unknown[word] = int(same.sum())
                continue
            verb = ("fitted", "held out and predicted", "left out")[use]
            if use == HOLD and alone:
                verb = "fitted, since no row is marked to be fitted"
            tally.append(f"{int(same.sum())} {verb} ({word or 'empty'})")
        more = f"; not used: {listed(chosen[role].others)}" if chosen[role].others else ""
        took.append(f"{role} from column {column}: {', '.join(tally)}{more}")
        if any(unknown.values()):
            warnings.append(_unknown_said(role, column, unknown))
    keep = [int(i) for i in np.flatnonzero(kinds != OUT)]
    if not keep:
        raise table.error(f"no row is left: {'; '.join([*took, *warnings])}")
    return keep, [bool(k == HOLD) for k in kinds]


def _unknown_said(role: str, column: str, words: Mapping[str, int]) -> str:
    """Rows that are left out for a word of a split or status that means nothing here."""
    rows = sum(words.values())
    said = listed([f"{w!r} ({n} row{'s' * (n > 1)})" for w, n in words.items() if n], 6)
    first = next(w for w, n in words.items() if n)
    return (
        f"{rows} row{'s' * (rows > 1)} left out, whose {role} is not known: {said} in column "
        f"{column}; --where {column}={first} keeps such rows alone, --by {column} fits the rows "
        "of each value"
    )


def steps_of(table: Table, column: str) -> FloatArray:
    """The steps (n,); infinite where a cell says that it is the last, NaN where it says nothing."""
    last = np.array([t.lower() in _LAST for t in table.texts(column)])
    return np.where(last, np.inf, table.numbers(column)[0])


def last_steps(reading: Reading, frame: pd.DataFrame, sets: Sequence[str]) -> pd.DataFrame:
    """Rows less those of checkpoints, of which the last of one run at one N and D is used.

    A column of runs or seeds tells them. Without one, rows of one N and D are checkpoints where
    all N and D of their data set have the same steps; others that differ in their step may be
    seeds that stopped early, and stay.

    Args:
        reading: is told what was read, and what is doubtful.
        frame: numbers by role; its index are rows of the table.
        sets: the data set of each row.
    """
    scales = [r for r in ("N", "D", "S") if r in frame]
    if "step" not in frame or not scales:
        return frame.drop(columns="step", errors="ignore")
    at, column = " and ".join(scales), reading.chosen["step"].column
    # Seeds or runs are told apart, unless ``trial`` restarts and so counts repeats.
    named = "trial" in frame and restarts(frame, "trial", reading.law) is None
    known = "seed" in frame or named
    step, own_set = frame["step"], pd.Series(list(sets), index=frame.index)
    key = [r for r in ("trial", "seed") if r in frame] + ["set", "held", *scales]
    cell = frame.assign(set=own_set).groupby(key, dropna=False, sort=False).ngroup()
    told = own_set.map(
        {s: known or _same_steps(step[own_set == s], cell[own_set == s]) for s in set(sets)}
    ).astype(bool)
    latest = step.groupby(cell).transform("max")
    earlier, lacking = step < latest, step.isna() & latest.notna() & told
    rest = frame.drop(columns="step")
    if (earlier & ~told).any():
        reading.warnings.append(
            f"column {column} differs between rows of one {at}, at "
            f"{cell[earlier & ~told].nunique()} of {cell.nunique()} of them, and all rows are "
            "fitted: where they are checkpoints, a column run that names the run of each row "
            f"leaves the last of each, and --where {column}=VALUE keeps one step"
        )
    if lacking.any():
        places = [reading.table.places[i] for i in frame.index[lacking]]
        reading.warnings.append(
            f"{len(places)} row{'s' * (len(places) > 1)} without a {column} left out, as others of "
            f"the same run have one: {listed(places, 5)}"
        )
    if not (earlier & told).any():
        return rest[~lacking]
    last = rest[~((earlier & told) | lacking)]
    why = "" if known else f", since every {at} has the same in column {column}"
    reading.took.append(
        f"checkpoints: {len(last)} runs used at their last step, {int((earlier & told).sum())} "
        f"rows of earlier steps at the same {at} left out{why} (--by {column} fits each step)"
    )
    return last


def steps_overlooked(
    table: Table, scales: pd.DataFrame, chosen: Mapping[str, RoleColumn]
) -> list[str]:
    """A warning where rows of one run, or of one N and D, are fitted at several steps.

    Args:
        table: of all rows that are fitted.
        scales: of the law, by row.
        chosen: the column of each role.
    """
    if "step" not in chosen:
        return []
    known = {r: chosen[r].column for r in ("trial", "seed") if r in chosen}
    others = [r for r in ("N", "D", "S") if r in table.cells and r not in scales]
    named = [c for c in table.columns if set(header_of(c).words) & BESIDE["data_set"]]
    keys = [*known.values(), *others, *named]
    frame = scales.assign(**{f"key {c}": table.texts(c) for c in keys})
    step = pd.Series(steps_of(table, chosen["step"].column))
    cell = frame.groupby(list(frame.columns), dropna=False).ngroup()
    earlier = step < step.groupby(cell).transform("max")
    if not earlier.any():
        return []
    column, by = chosen["step"].column, [*scales.columns, *keys]
    return [
        f"column {column} differs between rows of one {' and '.join(by)}, at "
        f"{cell[earlier].nunique()} of {cell.nunique()} of them: all {len(frame)} rows are fitted; "
        f"where they are checkpoints, frame[frame[{column!r}] == "
        f"frame.groupby({by!r})[{column!r}].transform('max')] takes the last of each"
    ]


def _same_steps(step: pd.Series[float], cell: pd.Series[int]) -> bool:
    """Whether all cells have the same two or more steps, but for cells of the column left empty."""
    groups, all_steps = step.groupby(cell), step.nunique()
    lost = step.isna().groupby(cell).sum()
    return all_steps > 1 and bool((all_steps - groups.nunique() <= lost).all())


def held_doubts(
    reading: Reading, frame: pd.DataFrame, groups: Mapping[str, list[str]]
) -> list[str]:
    """Warnings on rows held out of no law, and on those that repeat runs that are fitted.

    Args:
        reading: of the table.
        frame: numbers by role and ``held``; its index are rows of the table.
        groups: columns that set data sets apart, with their values, row by row of ``frame``.
    """
    chosen = reading.chosen
    if "split" not in chosen or not frame["held"].any():
        return []
    said, column = list[str](), chosen["split"].column
    texts = reading.table.texts(column)
    names = np.array(set_names(groups, len(frame)), dtype=object)
    key = [r for r in ("trial", "seed", "N", "D", "S") if r in frame]
    for name in dict.fromkeys(names):
        own = frame[names == name]
        held, fitted = own[own["held"]], own[~own["held"]]
        word = texts[held.index[0]] if len(held) else ""
        if fitted.empty:
            at = int(np.flatnonzero(names == name)[0])
            keep = " ".join(f"--where '{c}={v[at]}'" for c, v in groups.items())
            said.append(
                f"data set {name} has {len(held)} row{'s' * (len(held) > 1)}, all held out by "
                f"column {column} ({word}): it is neither fitted nor predicted; {keep} fits it"
            )
        elif len(held) and {"N", "D", "S"} & set(key):
            there = set(fitted[key].itertuples(index=False, name=None))
            if all(row in there for row in held[key].itertuples(index=False, name=None)):
                of = f" of data set {name}" if name else ""
                columns = ", ".join(chosen[r].column for r in key)
                said.append(
                    f"all {len(held)} rows{of} that column {column} holds out repeat {columns} of "
                    "rows that are fitted: where it says which loss of a run a row has, "
                    f"--where '{column}={word}' fits those"
                )
    return said


def parted(
    reading: Reading, frame: pd.DataFrame, groups: Mapping[str, list[str]]
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], bool]:
    """Rows to fit and rows held out, by data set, with ``trial`` where runs have several rows.

    And whether it is left out somewhere as naming too few runs.
    """
    names = np.array(set_names(groups, len(frame)), dtype=object)
    fitted: dict[str, pd.DataFrame] = {}
    held: dict[str, pd.DataFrame] = {}
    many, before = [], len(reading.warnings)
    for name in dict.fromkeys(names):
        own = _with_runs(reading, frame[names == name], name)
        own = own.drop(columns="seed", errors="ignore")
        if "trial" in own:
            many.append(own)
        parts = own[~own["held"]], own[own["held"]]
        for sets, part in zip((fitted, held), parts, strict=True):
            if len(part):
                sets[name] = part.drop(columns="held")
    if many:
        reading.took.append(
            f"{sum(own['trial'].nunique() for own in many)} runs have {sum(map(len, many))} rows: "
            "rows of one run are resampled together"
        )
    return fitted, held, len(reading.warnings) > before


def _with_runs(reading: Reading, frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of one data set, less a ``trial`` that is the number of a repeat or names each row.

    Nor do so few runs count that no law could be fitted, as in ``clusters.run_column``, unless
    their column is called trial.
    """
    if "trial" not in frame:
        return frame
    law, column = reading.law, reading.chosen["trial"].column
    count = int(frame["trial"].nunique())
    if count == len(frame) or restarts(frame, "trial", law):
        return frame.drop(columns="trial")
    if column.lower() != "trial" and count <= len(law.parameters):
        of = f" of data set {name}" if name else ""
        reading.warnings.append(
            f"column {column} names {count} runs{of} for {len(law.parameters)} parameters: rows "
            "count as independent, and intervals are too narrow where they are not"
        )
        return frame.drop(columns="trial")
    return frame


def word_of(text: str) -> str:
    """A value of a split or status, as it is shown and compared."""
    return text.lower().replace(" ", "-")


def uses_of(table: Table, chosen: dict[str, RoleColumn], role: str) -> dict[str, int]:
    """What each word of a split or status does: FIT, HOLD, OUT or UNKNOWN.

    Empty where there is no such column; one that only has the name, since most of its rows hold
    other words, is no longer chosen. Where no word says that a row is fitted, an empty cell does.
    """
    if role not in chosen:
        return {}
    words = [word_of(t) for t in table.texts(chosen[role].column)]
    uses = {w: _use(role, w) for w in dict.fromkeys(words)}
    if role == "status" and "terminated" in uses:  # by Ray Tune, where trials end; else killed
        uses["terminated"] = OUT if FIT in uses.values() else FIT
    said = [uses[w] for w in words if w]
    known = sum(u != UNKNOWN for u in said)
    if "" in uses and FIT not in said and known:
        uses[""] = FIT
    if 2 * known <= len(said) or not {FIT, HOLD} & set(uses.values()):
        del chosen[role]
        return {}
    return uses


def _use(role: str, word: str) -> int:
    """What one word does; Slurm adds who cancelled a job, and a plus where it cuts a word."""
    words = SIDES[role]
    key = word.replace("-", "_").rstrip("+")
    key = key.split("_by_")[0] if role == "status" else key
    if key in words["fit"]:
        return FIT
    if key in words["hold"]:
        return HOLD
    return OUT if key in words["out"] or not key else UNKNOWN
