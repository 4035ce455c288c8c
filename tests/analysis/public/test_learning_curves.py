"""The 46 public learning curves of Alabdulmohsin et al. 2022, held-out points never seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from analysis.checks import learning_curve
from analysis.laws import FloatArray
from tests.analysis.public.laws import answers, rows


@dataclasses.dataclass(frozen=True)
class Outcome:
    domain: str
    errors: FloatArray  # log predicted less log measured (m,)
    unit: FloatArray  # half width of the interval for a width of 1 (m,)

    @property
    def rmsle(self) -> float:
        return float(np.sqrt(np.mean(self.errors**2)))


@pytest.fixture(scope="module")
def outcomes(shared: Path) -> list[Outcome]:
    found = []
    for key, curve in rows(shared, "nrsl_benchmark").groupby(["domain", "task", "model"]):
        seen, held = curve[curve["split"] == "fit"], curve[curve["split"] == "holdout"]
        forecast = learning_curve.extrapolate({"D": seen["x"], "loss": seen["y"]}, held["x"])
        table = forecast.table
        half = np.log((table["high"] / table["loss"]).to_numpy()) / learning_curve.WIDTH
        errors = np.log(table["loss"].to_numpy() / held["y"].to_numpy())
        found.append(Outcome(str(key[0]), errors, half))
    return found


def test_no_curve_fails_and_errors_are_below_every_law_alone(
    shared: Path, outcomes: list[Outcome]
) -> None:
    error = np.array([o.rmsle for o in outcomes])
    assert len(error) == 46 and np.isfinite(error).all()
    published = answers(shared, "nrsl")["over_these_tasks"]
    assert error.mean() <= min(0.030, *published["mean"].values())
    assert np.median(error) <= min(0.020, *published["median"].values())


def test_intervals_cover_domains_they_never_saw(outcomes: list[Outcome]) -> None:
    covered, widths = [], []
    for domain in sorted({o.domain for o in outcomes}):
        ratio, weight = [], []
        for o in outcomes:
            if o.domain != domain:
                same = sum(u.domain == o.domain for u in outcomes)
                ratio.append(np.abs(o.errors) / o.unit)
                weight.append(np.full(len(o.errors), 1 / len(o.errors) / same))
        order = np.argsort(np.concatenate(ratio))
        share = np.cumsum(np.concatenate(weight)[order])
        width = np.concatenate(ratio)[order][np.searchsorted(share / share[-1], 0.95)]
        widths.append(float(width))
        own = [o for o in outcomes if o.domain == domain]
        covered += [float((np.abs(o.errors) <= width * o.unit).mean()) for o in own]
    assert 0.90 <= np.mean(covered) <= 0.98
    assert min(widths) <= learning_curve.WIDTH <= max(widths) + 0.2
