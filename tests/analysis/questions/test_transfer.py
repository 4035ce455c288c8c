"""Transfer exponents over tasks, and effective data transferred."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.published import s1
from analysis.questions import compare_transfer, transfer_efficiency, transferred
from analysis.questions.transfer import WAYS, TransferEfficiency, task_kappa
from tests.analysis.asked import HOME, exact, made

EXCESS = exact(HOME) - HOME[0]


def away(kappa: float, floor: float = 0.2) -> FloatArray:
    found: FloatArray = floor + 0.5 * EXCESS**kappa
    return found


def pair(kappa: float, noise: float = 0.003, seed: int = 0) -> tuple[Fit, Fit]:
    home = made(noise=noise, seed=seed, n_boot=40)
    return home, made(loss=away(kappa), noise=noise, seed=seed + 50, n_boot=40)


@pytest.fixture(scope="module")
def proportional() -> TransferEfficiency:
    pairs = {"virtual/csn": pair(1.0, seed=1), "virtual/mimic:icu": pair(1.0, seed=9)}
    return transfer_efficiency(pairs, name="ours", kind=("transformer", "sl"))


def test_kappa_fitted_together_is_exact_without_noise() -> None:
    found = task_kappa("x", made(), made(loss=away(1.0)))
    for way in WAYS:
        assert found.kappas[way].point == pytest.approx(1.0, abs=1e-4)
    assert not found.doubts["fixed"] and not found.at_bound() and found.printed is None


def test_fitted_together_covers_the_truth_where_fixed_floors_bend_kappa() -> None:
    found = [task_kappa("x", *pair(0.6, seed=s)) for s in range(3)]
    fixed = [t.kappas["fixed"].point for t in found]
    fitted = [t.kappas["together"] for t in found]
    assert len(fixed) == len(fitted) == 3
    assert np.mean(fixed) > 0.67 and np.mean([k.point for k in fitted]) == pytest.approx(
        0.6, abs=0.03
    )
    assert sum(k.interval.covers(0.6) for k in fitted) >= 2


def test_mean_over_tasks(proportional: TransferEfficiency) -> None:
    for way in WAYS:
        value = proportional.mean(way)
        points = [t.kappas[way].point for t in proportional.tasks]
        assert len(points) == 2 and value.point == pytest.approx(np.mean(points))
        assert value.point == pytest.approx(1.0, abs=0.1)
        assert 0.01 < value.interval.high - value.interval.low < 0.5
        assert proportional.usable(way) == ["virtual/csn", "virtual/mimic:icu"]
    assert [e.words[:12] for e in proportional.lines] == ["2 of 2 tasks"] * 6


def test_beside_s1(proportional: TransferEfficiency) -> None:
    frame = proportional.by_task().set_index("task")
    assert list(frame["s1"]) == [0.088, 0.050]
    assert list(frame["s1_at_bound"]) == [False, True]
    assert dict(proportional.facts) == {
        "S1's mean over its tasks": f"{s1.KAPPA['transformer', 'sl']:.3f}"
    }
    assert "virtual/mimic:icu" in proportional._repr_html_()


def test_a_task_at_a_bound_counts_only_when_asked() -> None:
    flat = made(loss=np.full(25, 0.4), noise=0.003, seed=4, n_boot=40)
    home = made(noise=0.003, n_boot=40)
    found = transfer_efficiency({"good": pair(1.0), "flat": (home, flat)}, together=False)
    assert found.usable() == ["good"] and not found.usable("together")
    strict, loose = found.mean(), found.mean(doubtful=True)
    assert not math.isnan(strict.point) and loose.point != strict.point
    doubt = found.by_task().set_index("task").loc["flat", "doubt"]
    assert isinstance(doubt, str) and doubt
    alone = transfer_efficiency({"flat": (home, flat)}, together=False)
    assert math.isnan(alone.mean().point) and "no task determines it" in alone.lines[0].reason


def test_configurations_compared(proportional: TransferEfficiency) -> None:
    half = transfer_efficiency({"virtual/csn": pair(0.6)}, name="theirs")
    found = compare_transfer(proportional, half).table().set_index("name")
    row = found.loc["difference, fitted together, determined"]
    assert row["value"] == pytest.approx(0.4, abs=0.1) and row["low"] > 0
    ratio = found.loc["ratio, fitted together, determined"]
    assert ratio["value"] == pytest.approx(1 / 0.6, abs=0.3) and ratio["words"] == "1 task"
    none = transfer_efficiency({"other": pair(0.6)}, together=False)
    assert "for both" in compare_transfer(proportional, none).lines[0].reason


def test_no_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="no tasks"):
        transfer_efficiency({})


E0, B, BETA = 0.2, 3.0, 0.5
SIZES, SCRATCH_D = (1e4, 4e4), np.geomspace(64, 65536, 11)


def runs(k: float = 40.0, alpha: float = 0.4, beta: float = 0.1) -> pd.DataFrame:
    """Fine-tuned runs that transfer k D^alpha N^beta records."""
    rows = []
    for n in SIZES:
        for d in SCRATCH_D:
            rows.append(("a", n, d, E0 + B / d**BETA, "scratch"))
        for d in SCRATCH_D[:6]:
            needed = d + k * d**alpha * n**beta
            rows.append(("a", n, d, E0 + B / needed**BETA, "fine-tuned"))
    return pd.DataFrame(rows, columns=["task", "N", "D", "loss", "start"])


def test_effective_data_recovers_the_law() -> None:
    found = transferred(runs(), n_boot=40)
    law = found.laws["a"]
    assert law is not None
    assert law.params == pytest.approx({"k": 40.0, "alpha": 0.4, "beta": 0.1}, rel=1e-3)
    frame = found.by_run()
    exact_needed = frame["D"] + 40.0 * frame["D"] ** 0.4 * frame["N"] ** 0.1
    assert frame["D_eff"].to_numpy() == pytest.approx(exact_needed.to_numpy(), rel=1e-4)
    assert (frame["D_T"] == frame["D_eff"] - frame["D"]).all() and (frame["reason"] == "").all()
    ratio, why = found.multiplier("a")
    assert not why and ratio is not None
    assert ratio.point == pytest.approx(float(np.median(exact_needed / frame["D"])), rel=1e-4)


def test_what_cannot_be_inverted_is_flagged() -> None:
    frame = runs()
    tuned = frame.index[frame["start"] == "fine-tuned"]
    frame.loc[tuned[0], "loss"] = 0.19  # below the floor
    frame.loc[tuned[1], "loss"] = E0 + B / 1e7**BETA  # far beyond the scratch runs
    frame.loc[tuned[2], "loss"] = E0 + B / 30**BETA  # worse than from scratch
    frame.loc[tuned[3], "loss"] = E0 + B / 1e5**BETA  # a little beyond
    found = transferred(frame, n_boot=20).by_run()
    assert found["reason"][0] == "its loss lies at or below the floor of the scratch law"
    assert math.isinf(found["D_eff"][0])
    assert "times outside the scratch runs" in found["reason"][1]
    assert "nothing is transferred" in found["reason"][2] and found["D_T"][2] < 0
    assert found["reason"][3] == "" and found["beyond"][3] == pytest.approx(1e5 / 65536, rel=1e-3)
    none = transferred(frame[frame["D"] < 1e3], n_boot=20, reach=1.0)
    assert none.laws["a"] is None or not none.reasons["a"]


def test_too_few_runs_have_no_law_and_say_why() -> None:
    frame = runs()
    frame = frame[(frame["start"] == "scratch") | (frame["D"] < 100)]
    found = transferred(frame, n_boot=20)
    assert found.laws["a"] is None and "1 value of D" in found.reasons["a"]
    lone = frame[(frame["start"] == "fine-tuned") | (frame["N"] == SIZES[0])]
    assert "no scratch run of this N" in set(transferred(lone, n_boot=20).by_run()["reason"])


def test_columns_are_checked() -> None:
    with pytest.raises(ValueError, match="missing column start"):
        transferred(runs().drop(columns="start"))
    with pytest.raises(ValueError, match="neither"):
        transferred(runs().assign(start="random"))
    with pytest.raises(ValueError, match="not a positive"):
        transferred(runs().assign(loss=-1.0))
    with pytest.raises(ValueError, match="reach"):
        transferred(runs(), reach=0.0)
