"""What no law can be fitted to: a plain refusal, or a fit that says what is wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law, law_rows, load
from analysis.fit.certificate import Status
from analysis.fit.result import Fit
from analysis.laws import LAWS, Law
from analysis.questions import ask
from analysis.studies.fit_rows import swapped
from analysis.testing import LawContract
from scaling.records.tables import ResultsError
from tests.analysis.laws import test_laws

RESULTS = Path(__file__).resolve().parents[3] / "results"
Columns = dict[str, Any]
Spoil = Callable[[Columns, Law], Columns]

CASES: dict[str, type[LawContract]] = {
    c.law.name: c for n, c in vars(test_laws).items() if n.startswith("Test")
}


def sound(law: Law) -> Columns:
    """Measurements of the law with 1 % noise, on the grid of its contract."""
    case = CASES[law.name]()
    x = case.grid()
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(x)))
    response = law.value(np.array(case.truth), x) * noise
    return {**dict(zip(law.axes, x.T, strict=True)), law.response: response}


def first(column: str, value: object) -> Spoil:
    """Put ``value`` in the first row of an axis or of the ``response``."""

    def spoil(data: Columns, law: Law) -> Columns:
        key = law.response if column == "response" else law.axes[int(column)]
        values: Any = data[key].astype(object) if isinstance(value, str) else data[key].copy()
        values[0] = value
        return {**data, key: values}

    return spoil


def part(keep: Callable[[Any], Any]) -> Spoil:
    """Keep the rows at which the index of each row is chosen."""

    def spoil(data: Columns, law: Law) -> Columns:
        chosen = keep(np.arange(len(data[law.response])))
        return {k: v[chosen] for k, v in data.items()}

    return spoil


def times(factor: float, *, of: str) -> Spoil:
    def spoil(data: Columns, law: Law) -> Columns:
        keys = [law.response] if of == "response" else law.axes
        return {**data, **{k: data[k] * factor for k in keys}}

    return spoil


def constant_axis(data: Columns, law: Law) -> Columns:
    return {**data, law.axes[0]: np.full_like(data[law.axes[0]], 7.0)}


def equal(data: Columns, law: Law) -> Columns:
    return {**data, law.response: np.full_like(data[law.response], 0.5)}


def collinear(data: Columns, law: Law) -> Columns:
    return {**data, **{a: data[law.axes[0]] * (k + 1) for k, a in enumerate(law.axes)}}


def outlier(data: Columns, law: Law) -> Columns:
    values = data[law.response].copy()
    values[3] *= 1e6
    return {**data, law.response: values}


def rising(data: Columns, law: Law) -> Columns:
    return {**data, law.response: data[law.response].max() + 0.1 - data[law.response]}


def noise_only(data: Columns, law: Law) -> Columns:
    draws = np.random.default_rng(1).lognormal(size=len(data[law.response]))
    return {**data, law.response: 0.5 * draws}


REFUSED: dict[str, tuple[Spoil, str]] = {
    "a zero": (first("0", 0.0), "row 0: {axis} is 0.0, not a positive finite number"),
    "a negative scale": (first("0", -5.0), "row 0: {axis} is -5.0"),
    "nan in a scale": (first("0", math.nan), "row 0: {axis} is nan"),
    "infinite scale": (first("0", math.inf), "row 0: {axis} is inf"),
    "nan in the response": (first("response", math.nan), "row 0: {response} is nan"),
    "zero response": (first("response", 0.0), "row 0: {response} is 0.0"),
    "infinite response": (first("response", math.inf), "row 0: {response} is inf"),
    "text": (first("response", "high"), "column {response} holds values that are not numbers"),
    "tiny responses": (times(1e-300, of="response"), "row 0: {response} is .*another unit"),
    "huge responses": (times(1e297, of="response"), "row 0: {response} is .*another unit"),
    "no rows": (part(lambda i: i < 0), "no rows to fit"),
    "a column missing": (lambda d, law: {law.response: d[law.response]}, "needs columns {axis}"),
}

ODD: dict[str, Spoil] = {
    "one row": part(lambda i: i < 1),
    "two rows": part(lambda i: i < 2),
    "two identical rows": lambda d, law: {k: np.repeat(v[:1], 2) for k, v in d.items()},
    "as many points as parameters": part(lambda i: i < 4),
    "a constant axis": constant_axis,
    "axes that move together": collinear,
    "every row twice": lambda d, law: {k: np.repeat(v, 2) for k, v in d.items()},
    "all equal": equal,
    "an outlier": outlier,
    "the wrong direction": rising,
    "noise": noise_only,
    "small responses": times(1e-12, of="response"),
    "large responses": times(1e12, of="response"),
    "huge scales": times(1e25, of="axes"),
    "tiny scales": times(1e-30, of="axes"),
    "one point per scale": part(lambda i: i % 7 == 0),
}


def checked(fit: Fit) -> None:
    """A fit shows itself, and has parameters or says why not."""
    if fit.ok:
        assert fit.status is not Status.UNIDENTIFIABLE
    else:
        assert fit.status in (Status.UNIDENTIFIABLE, Status.NOT_CONVERGED)
        assert fit.remarks
        assert all(math.isnan(v) for v in fit.params.values())
    at = {axis: list(ends) for axis, ends in fit.ranges.items()}
    predicted = fit.predict(**at)[fit.law.response]
    assert predicted.notna().all() == fit.ok
    assert str(fit.status) in fit.summary() and "<table>" in fit._repr_html_()
    assert json.dumps(fit.to_dict(), allow_nan=False)
    assert fit.plot()


@pytest.mark.parametrize("law", CASES)
def test_bad_values_name_their_row_and_column(law: str) -> None:
    for name, (spoil, message) in REFUSED.items():
        if name == "zero response" and LAWS[law].residual == "linear":
            continue  # a metric may be 0
        data = spoil(sound(LAWS[law]), LAWS[law])
        expected = message.format(axis=LAWS[law].axes[0], response=LAWS[law].response)
        with pytest.raises(ValueError, match=expected):
            fit_law(data, law, n_boot=0)


HARD = {("data_constrained", "noise"), ("data_constrained", "the wrong direction")}  # 20 s each


def odd_cases() -> list[tuple[str, str]]:
    """Every law with a third of the cases, and every case with a third of the laws."""
    return [
        (law, case)
        for i, law in enumerate(CASES)
        for j, case in enumerate(ODD)
        if (i + j) % 3 == 0 and (law, case) not in HARD
    ]


@pytest.mark.parametrize(("law", "case"), odd_cases())
def test_odd_data_give_a_fit_that_says_so(law: str, case: str) -> None:
    if LAWS[law].residual == "linear" and case == "small responses":
        with pytest.raises(ValueError, match="need a unit in which it is of the order of 1"):
            fit_law(ODD[case](sound(LAWS[law]), LAWS[law]), law)
        return
    if LAWS[law].proportion and case in ("large responses", "an outlier"):
        with pytest.raises(ValueError, match="not a share between 0 and 1"):
            fit_law(ODD[case](sound(LAWS[law]), LAWS[law]), law)
        return
    checked(fit_law(ODD[case](sound(LAWS[law]), LAWS[law]), law, n_boot=3))


REASONS = {
    "one row": "1 value of N: chinchilla needs at least 3",
    "two rows": "2 points for 5 parameters",
    "two identical rows": "1 row repeats",
    "a constant axis": "1 value of N",
    "axes that move together": "N and D move together",
    "every row twice": "24 rows repeat",
    "all equal": "all 24 values of loss are equal",
    "the wrong direction": "ran to a bound",
    "one point per scale": "4 points for 5 parameters",
}


@pytest.mark.parametrize("case", REASONS)
def test_warnings_name_the_reason(case: str) -> None:
    fit = fit_law(ODD[case](sound(LAWS["chinchilla"]), LAWS["chinchilla"]), n_boot=0)
    assert any(REASONS[case] in w for w in fit.warnings), fit.warnings


def test_units_change_nothing_but_the_amplitudes() -> None:
    law, data = LAWS["chinchilla"], sound(LAWS["chinchilla"])
    fit = fit_law(data, n_boot=0)
    for factor in (1e-12, 1e12):
        other = fit_law(times(factor, of="response")(data, law), n_boot=0)
        assert other.params["alpha"] == pytest.approx(fit.params["alpha"], rel=1e-6)
        assert other.params["E"] == pytest.approx(fit.params["E"] * factor, rel=1e-6)
    for factor in (1e-30, 1e25):
        other = fit_law(times(factor, of="axes")(data, law), n_boot=0)
        assert other.params["beta"] == pytest.approx(fit.params["beta"], rel=1e-6)


def test_an_outlier_of_a_million_hardly_moves_a_robust_fit() -> None:
    law, data = LAWS["chinchilla"], sound(LAWS["chinchilla"])
    fit, spoiled = (fit_law(d, n_boot=0) for d in (data, outlier(data, law)))
    assert spoiled.params["beta"] == pytest.approx(fit.params["beta"], rel=0.1)


def test_columns_that_look_exchanged_are_named() -> None:
    data = sound(LAWS["chinchilla"])
    data["N"] = data["N"] + 936.0
    fit = fit_law({**data, "N": data["D"], "D": data["N"]}, n_boot=0)
    assert any("are the columns swapped?" in w for w in fit.warnings)


PYTHIA = [70.0, 160.0, 410.0, 1000.0, 1400.0, 2800.0, 6900.0, 12000.0]
TOKENS = [74_973_184_000.0, 149_946_368_000.0, 299_892_736_000.0]


@pytest.mark.parametrize(
    ("n", "d"),
    [
        ([1e6, 5e6, 7e7], [1_234_567_890.0, 2_345_678_901.0]),
        ([1e6, 1e7, 1e8, 1e9], TOKENS),
        (PYTHIA, TOKENS),
        (PYTHIA, [74_973.0, 149_946.0, 299_893.0]),
        ([1.0, 10.0, 100.0], [0.123, 1.234, 12.345]),
        ([24_936.0, 95_112.0, 410_001.0], [256.0, 1024.0, 4096.0]),
    ],
)
def test_correct_columns_raise_no_alarm(n: list[float], d: list[float]) -> None:
    grid = np.array([(a, b) for a in n for b in d])
    assert not swapped(pd.DataFrame(grid, columns=["N", "D"]))


def test_published_sets_and_studies_raise_no_alarm(shared: Path) -> None:
    names = {"n": "N", "t": "D", "U_unique": "D", "D_total": "S"}
    for path in sorted((shared / "laws").glob("*.csv")):
        frame = pd.read_csv(path).rename(columns=names)
        if {"N", "D"} <= set(frame.columns):
            assert not swapped(frame), path
            assert not swapped(frame.assign(N=(frame["N"] / 1e6).round(1))), path


@pytest.mark.parametrize("study", sorted(p.parent.name for p in RESULTS.glob("*/trials.csv")))
def test_studies_raise_no_alarm_unless_they_are_swapped(study: str) -> None:
    frame = load(RESULTS / study).dropna(subset=["N", "D"])
    frame = frame.assign(S=frame["steps"].astype(float) * frame["batch"].astype(float))
    for _, part in frame.groupby(["stage", "family", "corpus"], dropna=False):
        rows = part[["N", "D", "S"]].astype(float)
        assert not swapped(rows)
        if study in ("first-laws", "ecg-scaling-virtual") and part["D"].nunique() > 2:
            assert swapped(rows.rename(columns={"N": "D", "D": "N"}))


def test_samples_that_are_fewer_than_records_are_asked_after_when_chosen() -> None:
    """A run that ends within its first epoch is no exchange of columns."""
    records, seen = np.repeat([1e4, 1e5, 1e6], 4), np.tile([2e3, 3e3, 5e3, 8e3], 3)
    assert not swapped(pd.DataFrame({"D": records, "S": seen}))
    epochs = pd.DataFrame({"S": np.repeat([256.0, 1024.0, 4096.0], 4)})
    exchanged = epochs.assign(D=epochs["S"] * np.tile([3.1, 4.3, 7.7, 9.2], 3))
    assert any("S (samples seen) lies below D" in w for w in swapped(exchanged))


def test_mixed_preprocessing_is_refused(made: Path) -> None:
    frame = load(made)
    kinds = frame["preprocessing"].unique()[0]
    frame.loc[frame.index[: len(frame) // 2], "preprocessing"] = f"{kinds}-other"
    with pytest.raises(ValueError, match="rows mix several of preprocessing"):
        fit_law(frame, n_boot=0)


WEIGHT = {"weights": "w"}
OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"fixed": {"E": 0.9}}, r"row \d+: loss .* is not above E = 0.9"),
    ({"limits": {"E": (0.9, 2.0)}}, r"row \d+: loss .* is not above E = 0.9"),
    ({"fixed": {"alpha": 9.0}}, r"alpha = 9.0 lies outside \[0.01, 4.0\]"),
    ({"fixed": {"E": -1.0}}, "E = -1.0 lies outside"),
    ({"fixed": {"E": math.nan}}, "bounds of E must be finite"),
    ({"fixed": {"gamma": 1.0}}, "chinchilla has no parameter 'gamma': E, A, alpha"),
    ({"limits": {"alpha": (0.5, 0.1)}}, "bounds of alpha must be finite and in order"),
    ({"limits": {"alpha": (5.0, 6.0)}}, "lies outside"),
    ({"n_boot": -1}, "n_boot must not be negative"),
    ({"delta": 0.0}, "delta must be positive"),
    ({"delta": math.nan}, "delta must be positive"),
    ({"loss": "l1"}, "neither 'huber' nor"),
    ({"residual": "sqrt"}, "none of 'log', 'linear'"),
    ({"residual": "log_excess"}, "needs a fixed floor"),
    ({"variant": "rigid"}, "none of plain, bounded"),
    ({"law": "chinchila"}, "did you mean 'chinchilla'"),
    ({"law": "frontier"}, "frontier needs columns C"),
    ({"pool": ["row 1"]}, "row 0 is not in the pool"),
    ({"weights": "missing"}, "needs columns missing"),
    ({**WEIGHT, "w": 0.0}, "row 3: w is 0.0, not a positive"),
    ({**WEIGHT, "w": -1.0}, "row 3: w is -1.0"),
    ({**WEIGHT, "w": math.nan}, "row 3: w is nan"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    given = dict(options)
    data = sound(LAWS["chinchilla"])
    data["w"] = np.ones(len(data["loss"]))
    data["w"][3] = given.pop("w", 1.0)
    with pytest.raises(ValueError, match=message):
        fit_law(data, **{"n_boot": 0, **given})


def test_a_frame_of_strings_and_an_empty_one_are_refused() -> None:
    text = pd.DataFrame({"N": ["a"], "D": ["b"], "loss": ["c"]})
    with pytest.raises(ValueError, match="column N holds values that are not numbers"):
        fit_law(text)
    with pytest.raises(ValueError, match="no rows to fit"):
        fit_law(text.iloc[:0])
    with pytest.raises(ValueError, match="needs columns N, D, loss"):
        fit_law(pd.DataFrame())


def test_what_is_no_study_is_sent_to_the_law_of_a_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"N": [1e6, 2e6], "D": [1e9, 1e9], "loss": [3.2, 3.1]})
    with pytest.raises(ValueError, match=r"load\('results/first-laws'\), not the path"):
        ask("results/first-laws")  # type: ignore[arg-type]
    for of in (ask, law_rows):
        with pytest.raises(ValueError, match=r"no column trial, .*fit_law\(frame\), or python -m"):
            of(frame)
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(ResultsError, match=r"runs.csv: a file, not .*python -m analysis.fit"):
        load(path)
    with pytest.raises(ResultsError, match="no such results folder"):
        load(tmp_path / "none")
