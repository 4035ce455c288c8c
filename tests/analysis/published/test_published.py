"""Tables printed in the papers: complete, typed, and agreeing with each other."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.published import TABLES, s1, table

ROWS = {
    "s1_s5": 5 * 4 * 11,
    "s1_s6": 6 * 4 * 11,
    "s1_s7": 11 * 4 * 3,
    "s1_s9": 22 * 6,
    "s1_s9_ptbxl": 23 * 5 * 2,
    "s2_e2": 6 * 5 * 10,
    "s2_e3": 6 * 5 * 10,
    "s2_e4": 6 * 10,
    "s2_e5": 6 * 10,
    "s2_e6": 6 * 10,
    "s3_t1": 16 * 2 * 5,
    "s3_t2": 14 * 5 - 15,  # 15 cells are dashes
    "aggregates": 4 * 3 * 2 + 22 + 23 + 10,
}
# Cells without a number in the paper: records of a model that was not pre-trained, and levels of
# the schemes that have none (full precision, LAQ and LAP; two models, five metrics).
EMPTY = {("s1_s9", "records"): 14 * 6, ("s3_t1", "level"): 3 * 2 * 5}
# By table: the column that says the quantity, and the closed range of each.
RANGES: dict[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "s1_s5": ("", {"loss": (0.04, 0.70)}),  # log 2 = 0.69 is a coin toss
    "s1_s6": ("", {"loss": (0.04, 0.70)}),
    "s1_s7": ("quantity", {"K": (0.001, 1), "kappa": (0.05, 2), "r2": (0.6, 1)}),
    "s1_s9": ("", {"auroc": (0.5, 1), "parameters": (4e5, 1e8), "records": (4e5, 1e7)}),
    "s1_s9_ptbxl": ("metric", {"auroc": (0.5, 1), "f1": (0.05, 0.8)}),
    "s3_t1": ("metric", {
        **dict.fromkeys(("accuracy", "recall"), (0.2, 1)),
        **dict.fromkeys(("precision", "f1"), (0.05, 1)), "compression": (1, 32),
    }),
    "s3_t2": ("metric", {
        **dict.fromkeys(("accuracy", "precision", "recall", "f1"), (80, 100)),
        "compression": (9, 11),
    }),
}  # fmt: skip
S2_RANGES = {
    "ranking_loss": (0.03, 0.2), "coverage": (2, 8), "map": (38, 70), "macro_auc": (75, 95),
    "macro_f1": (34, 60), "macro_f2": (42, 70),
}  # fmt: skip


def one(name: str, column: str, **where: object) -> float:
    frame = table(name)
    for at, value in where.items():
        frame = frame[frame[at] == value]
    assert len(frame) == 1
    return float(frame[column].iloc[0])


def test_every_table_is_listed_and_described() -> None:
    assert list(ROWS) == list(TABLES)
    for name, about in TABLES.items():
        assert about.number and about.caption and about.units
        assert about.notes and set(about.meaning) <= set(about.dtypes)
        assert about.paper.startswith(name[:2].upper()) or name == "aggregates"


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(ValueError, match=r"'s1_s8'; there are s1_s5, s1_s6, .*, aggregates"):
        table("s1_s8")


@pytest.mark.parametrize("name", ROWS)
def test_rows_and_types(name: str) -> None:
    frame, about = table(name), TABLES[name]
    assert len(frame) == ROWS[name]
    assert {c: str(t) for c, t in frame.dtypes.items()} == dict(about.dtypes)
    assert frame.attrs == {"paper": about.paper, "number": about.number, "units": about.units}
    for column in frame:
        empty = int(frame[column].isna().sum())
        assert empty == EMPTY.get((name, str(column)), 0)
        if about.dtypes[str(column)] == "string":
            assert (frame[column] != "").all()
    at = [c for c, kind in about.dtypes.items() if kind != "float64" or c == "labelled"]
    assert not frame.duplicated(at).any()


def test_a_callers_changes_stay_the_callers() -> None:
    frame = table("s1_s5")
    frame.loc[:, "loss"] = 0.0
    frame.loc[:, "task"] = "none"
    assert table("s1_s5")["loss"].min() > 0 and set(table("s1_s5")["task"]) != {"none"}


@pytest.mark.parametrize("name", RANGES)
def test_values_are_plausible(name: str) -> None:
    by, ranges = RANGES[name]
    frame = table(name)
    for quantity, (low, high) in ranges.items():
        values = frame.loc[frame[by] == quantity, "value"] if by else frame[quantity].dropna()
        assert len(values) and values.between(low, high).all(), quantity
    if by:
        assert set(frame[by]) == set(ranges)


@pytest.mark.parametrize("number", range(2, 7))
def test_s2_values_are_plausible(number: int) -> None:
    frame = table(f"s2_e{number}")
    assert set(frame["table"]) == {number} and len(set(frame["labelled"])) == 1
    assert set(frame["metric"]) == set(S2_RANGES) and len(set(frame["method"])) == 10
    for metric, (low, high) in S2_RANGES.items():
        assert frame.loc[frame["metric"] == metric, "mean"].between(low, high).all(), metric
    assert (frame["sd"] >= 0).all() and (frame["sd"] < 5).all()
    # The paper's claim of its own method: best by every metric on every data set.
    smaller = frame["metric"].isin(["ranking_loss", "coverage"])
    frame["score"] = frame["mean"].where(~smaller, -frame["mean"])
    best = frame.loc[frame.groupby(["dataset", "metric"])["score"].idxmax(), "method"]
    assert set(best) == {"LiteHeart"}


@pytest.mark.parametrize(
    ("name", "column", "where", "value"),
    [  # read off the papers by eye
        ("s1_s5", "loss", {"size_bin": 5, "task": "ptbxl:rhythm", "architecture": "resnet",
                           "paradigm": "ssl"}, 0.0685),
        ("s1_s5", "loss", {"size_bin": 2, "task": "echonext", "architecture": "transformer",
                           "paradigm": "ssl"}, 0.2243),
        ("s1_s6", "loss", {"data_bin": 4, "task": "cpsc2018", "architecture": "resnet",
                           "paradigm": "sl"}, 0.1777),
        ("s1_s7", "value", {"task": "ptbxl:form", "architecture": "transformer",
                            "paradigm": "ssl", "quantity": "kappa"}, 1.628),
        ("s1_s7", "value", {"task": "mimic:sex", "architecture": "resnet", "paradigm": "sl",
                            "quantity": "K"}, 0.802),
        ("s1_s9", "auroc", {"method": "Crossformer", "task": "mimic:mortality"}, 0.575),
        ("s1_s9", "records", {"method": "HuBERT (Base)", "task": "ptbxl"}, 9_100_000),
        ("s1_s9", "parameters", {"method": "ResNet (Wang)", "task": "ptbxl"}, 451_000),
        ("s1_s9_ptbxl", "value", {"method": "HeartLang", "label_set": "rhythm",
                                  "metric": "f1"}, 0.3393),
        ("s2_e2", "sd", {"dataset": "chapman", "method": "PKT", "metric": "map"}, 1.70),
        ("s2_e3", "mean", {"dataset": "ptbxl", "method": "RKD", "metric": "macro_f1"}, 38.78),
        ("s2_e5", "mean", {"method": "WKD", "metric": "macro_f2"}, 49.15),
        ("s2_e6", "mean", {"method": "LiteHeart", "metric": "macro_f2"}, 51.99),
        ("s3_t1", "value", {"model": "hubert_ecg", "scheme": "quantized", "level": 3,
                            "metric": "f1"}, 0.4917),
        ("s3_t2", "value", {"author": "Venkatesh et al. (2024)", "metric": "recall"}, 98.49),
    ],
)  # fmt: skip
def test_single_cells(name: str, column: str, where: dict[str, object], value: float) -> None:
    assert one(name, column, **where) == value


def test_the_smallest_kappa_looks_like_a_bound() -> None:
    rows = table("s1_s7").query("quantity == 'kappa' and value == @s1.KAPPA_BOUND")
    kinds = rows["architecture"] + "-" + rows["paradigm"]
    assert set(zip(rows["task"], kinds, strict=True)) == {
        ("echonext", "transformer-sl"), ("mimic:icu", "transformer-sl"),
        ("mimic:icu", "resnet-sl"), ("mimic:sex", "resnet-sl"),
        ("mimic:icu", "transformer-ssl"), ("mimic:mortality", "transformer-ssl"),
        ("ptbxl:diagnostic", "resnet-ssl"), ("ptbxl:subclass", "resnet-ssl"),
    }  # fmt: skip


def test_a_column_of_s6_looks_copied() -> None:
    losses = table("s1_s6")
    losses = losses[losses["paradigm"] == "sl"].pivot_table(
        index=["data_bin", "task"], columns="architecture", values="loss"
    )
    same = losses.index[losses["resnet"] == losses["transformer"]]
    assert list(same) == [(b, "echonext") for b in (1, 3, 5, 6)]


def test_s3_table_2_restates_table_1() -> None:
    first, second = table("s3_t1"), table("s3_t2")
    for model, author in (("resnet1d", "ResNet1D + LAQ"), ("hubert_ecg", "HuBERT ECG + LAQ")):
        laq = first[(first["model"] == model) & (first["scheme"] == "laq")]
        scores = laq.set_index("metric")["value"]
        restated = second[second["author"] == author].set_index("metric")["value"]
        percent = scores.where(scores.index == "compression", 100 * scores)
        pd.testing.assert_series_equal(restated, percent)


def test_constants_of_s1_follow_from_the_tables() -> None:
    assert s1.KAPPA == {
        ("transformer", "sl"): 0.128, ("resnet", "sl"): 0.133, ("transformer", "ssl"): 0.466,
        ("resnet", "ssl"): 0.270,
    }  # fmt: skip
    assert s1.KAPPA_BOUND == 0.050
    assert s1.LOWEST_BY_SIZE == (9, 11, 9, 7, 7)
    by_data = s1.losses_by_bin("s1_s6", "data_bin")
    assert s1.lowest_resnets(by_data) == (10, 10, 9, 9, 9, 9)  # 56 of 66, as the findings say
    assert s1.GAP_BY_SIZE == (0.022, 0.138, 0.086, 0.067, 0.077)
    assert s1.TASKS == 11 and s1.UNSEEN == ("echonext", "mimic")
    assert list(s1.kappa("virtual/csn").values()) == [0.088, 0.141, 0.443, 0.376]
    assert list(s1.kappa("csn")) == list(s1.KAPPA)
    assert s1.kappa("echonext:shd")["resnet", "ssl"] == 0.347
