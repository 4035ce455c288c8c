"""The README of a published study, from numbers of every shape."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps.publish import interval, number, readme

STUDY = {"study": "made-up", "grid": {"corpus": {"fs_hz": 100, "window_s": 5.0}}}
LAW: dict[str, Any] = {
    "formula": "L(N, D) = E + A / N^alpha + B / D^beta", "status": "converged", "points": 25,
    "params": {"E": 0.142612, "A": 48888.4}, "intervals": {"E": [0.12, 0.15], "A": [2.4, None]},
    "r2": 0.95512, "r2_log_excess": None,
}  # fmt: skip
MARGINAL: dict[str, Any] = {
    "formula": "L(N) = E + A / N^alpha", "at": {"D": 8192.0}, "params": {"alpha": 0.8471},
    "intervals": {"alpha": [0.2, 1.8]}, "status": "converged", "r2": 0.99, "r2_log_excess": 0.97,
}  # fmt: skip
HOLDOUT = {
    "cell": {"N": 148288.0, "D": 8192.0}, "losses": [0.1495, 0.1502], "predicted": 0.1509,
    "interval": [0.1368, 0.1658], "covered": True,
}  # fmt: skip
MODEL = {
    "task": "virtual/code", "protocol": "held-out", "family": "resnet", "size": "d2w36",
    "paradigm": "sl", "N": 48636, "D": 8192, "seeds": 3, "validation": 0.93688, "test": 0.93457,
    "low": 0.9285, "high": 0.9407,
}  # fmt: skip


def group(**changes: Any) -> dict[str, Any]:
    found = {
        "title": "resnet-SL on virtual/code",
        "laws": {"chinchilla": LAW, "n_law": MARGINAL},
        "holdout": HOLDOUT,
        "bayes": {"value": 0.13827, "se": 0.00094, "covered": True},
        "warnings": ["careful"],
    }
    return found | changes


NUMBERS: dict[str, Any] = {
    "warnings": [], "models": [MODEL],
    "plan": {
        "sizes": [{"N": 1896}, {"N": 148288}], "data": [512, 8192], "planned": 25,
        "counts": {"done": 19, "budget_limited": 6, "failed": 0}, "flops": 3.94e13,
        "trial_seconds": 622.6,
    },
    "provenance": {
        "trial_commits": ["57a2df089728"], "dirty_trials": 0, "devices": ["cpu x1"],
        "versions": {"torch": "2.13.0"},
    },
}  # fmt: skip


def text(*groups: dict[str, Any], figures: tuple[str, ...] = (), **changes: Any) -> str:
    return readme(STUDY, NUMBERS | {"groups": list(groups)} | changes, figures)


@pytest.mark.parametrize(
    "line",
    [
        "| commit | `57a2df089728` |",
        "| trials | 25 of 25 planned: 19 done, 6 budget_limited |",
        "| training | 3.94e+13 FLOPs and 10.4 minutes in all, on cpu x1 |",
        "| versions | torch 2.13.0 |",
        "N (2 values, 1,896 to 148,288 backbone parameters)",
        "fitted to 25 runs: status converged, R² of the loss 0.9551, of the log excess loss –.",
        "| E | 0.1426 | 0.12 to 0.15 |",
        "| A | 48,888 | – |",
        "(N = 148,288, D = 8,192), left out of the fit: measured 0.1495, 0.1502, predicted 0.1509; "
        "it lies **inside** its 95 % prediction interval, 0.1368 to 0.1658.",
        "E's 95 % interval **covers** the Bayes loss, 0.1383 +- 0.0009 (standard error) nats.",
        "at D = 8,192: alpha 0.8471 (0.2 to 1.8), status converged, R² 0.99, of the log excess "
        "loss 0.97.",
        "| resnet d2w36 sl | 48,636 | 8,192 | 3 | 0.9369 | 0.9346 | 0.9285 to 0.9407 |",
        "- careful",
    ],
)
def test_what_it_says(line: str) -> None:
    assert line in text(group())


def test_bad_news_is_said_too() -> None:
    wrong = group(holdout=HOLDOUT | {"covered": False}, bayes={"value": 0.13827, "covered": False})
    assert "it lies **outside** its" in text(wrong)
    assert "**does not cover** the Bayes loss" in text(wrong)
    unknown = text(group(bayes={"value": 0.13827, "covered": None}))
    assert "E's 95 % interval is unknown" in unknown
    unfitted = LAW | {"params": {}, "status": "unidentifiable"}
    for laws in ({"chinchilla": unfitted}, {}):
        reasons = ["no law", "one value of N"]
        bad = text(group(laws=laws, holdout=None, bayes=None, warnings=reasons))
        assert "- no law; one value of N\n" in bad
        assert "too few of one kind to fit laws to." in bad
        assert "## resnet-SL" not in bad


def test_models_compared_on_the_same_patients_are_shown_as_printed() -> None:
    page = readme(STUDY, NUMBERS | {"groups": []}, (), comparison="resnet-SL: 0.9 [0.8, 1.0]\n")
    assert "```text\nresnet-SL: 0.9 [0.8, 1.0]\n```" in page
    assert "analysis.compare results/made-up" in page
    assert "On the same patients" not in text(group())


def test_methods_are_shown_as_the_tables_they_are() -> None:
    page = readme(STUDY, NUMBERS | {"groups": []}, ("methods.png",), methods="| KD | 0.8 |\n")
    assert "\n\n| KD | 0.8 |\n\n" in page and "analysis.compare results/made-up --methods" in page
    assert "| `methods.json` |" in page and "![methods](figures/methods.png)" in page
    assert "methods.json" not in text(group())


def test_what_is_not_there_leaves_no_heading() -> None:
    bare = text(group(warnings=[], bayes=None, holdout=None), models=[])
    for heading in ("## Warnings", "## Best models", "## Figures", "Bayes loss,", "largest cell"):
        assert heading not in bare


def test_warnings_of_several_groups_carry_their_titles() -> None:
    both = text(group(), group(title="resnet-SSL on virtual/code", warnings=["beware"]))
    assert "- resnet-SL on virtual/code: careful" in both
    assert "- resnet-SSL on virtual/code: beware" in both


def test_a_warning_of_many_groups_stands_once() -> None:
    many = [group(title=f"resnet-SL on virtual/code (classes {n})") for n in (9, 90, 900)]
    assert text(*many).count("careful") == 1
    assert "- 3 of 3 groups: careful" in text(*many)


def test_figures_come_in_order() -> None:
    names = ["methods.png", "1-loss.png", "2-residuals.png", "uncertainty.png", "allocation.png",
             "envelope.png", "transfer.png", "probe-loss.png"]  # fmt: skip
    page = text(group(), figures=tuple(reversed(names)))
    places = [page.index(f"(figures/{n})") for n in names]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0"), (0.13827, "0.1383"), (-2.43153, "-2.432"), (9999.4, "9999"),
     (48888.45, "48,888"), (59013462214.4, "5.901e+10"), (0.0000123456, "1.235e-05")],
)  # fmt: skip
def test_numbers(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_intervals() -> None:
    assert interval((0.1, 2e6)) == "0.1 to 2e+06"
    assert interval(None) == interval((0.1, None)) == "–"
