"""Claims of S1 are judged right in a world where they hold and in one where they do not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.findings import study_findings
from analysis.findings.__main__ import main
from analysis.findings.claims import Claim, Quantity, Verdict, mean
from analysis.findings.content import Findings
from analysis.findings.page import markdown
from analysis.published import s1
from analysis.uncertainty import Interval
from tests.analysis.worlds import HOLDS, TASKS, Truth, opposite, write_world


def claim(low: float, high: float, side: str = "above", check: float | None = None) -> Claim:
    return Claim(
        finding="i", claim="c", printed="", measured="m", estimate=(low + high) / 2,
        interval=Interval(low=low, high=high), line=1.0, side=side, check=check,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(scope="module")
def holds(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return study_findings(write_world(tmp_path_factory.mktemp("w") / "w", HOLDS), n_boot=60)


@pytest.fixture(scope="module")
def fails(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("o") / "w"
    return study_findings(write_world(folder, opposite(HOLDS), TASKS[:2]), n_boot=60)


def test_the_rule() -> None:
    assert claim(1.1, 1.5).verdict is Verdict.HOLDS
    assert claim(0.5, 0.9).verdict is Verdict.DOES_NOT_HOLD
    assert claim(0.5, 0.9, "below").verdict is Verdict.HOLDS
    assert claim(0.9, 1.1).verdict is Verdict.UNKNOWN
    assert claim(np.nan, np.nan).verdict is Verdict.UNKNOWN
    assert claim(1.1, 1.5, check=1.2).verdict is Verdict.HOLDS
    assert claim(1.1, 1.5, check=0.9).verdict is Verdict.UNKNOWN
    assert claim(0.5, 0.9, check=0.7).verdict is Verdict.DOES_NOT_HOLD


def test_quantities_keep_resamples_together() -> None:
    values = np.concatenate([[1.0], np.random.default_rng(0).normal(1.0, 0.1, 400)])
    one = Quantity(values=values, dof=1000)
    assert one.interval.covers(1.0) and 0.3 < one.interval.high - one.interval.low < 0.5
    cancelled = mean([one, Quantity(values=2 - values, dof=20)])
    np.testing.assert_allclose(cancelled.values, 1.0)
    assert cancelled.dof == 20
    few = Quantity(values=np.where(np.arange(401) % 3 == 0, values, np.nan), dof=1000)
    assert np.isnan(few.interval.low)
    assert np.isnan(mean([]).estimate)
    bounded = Quantity(values=values, dof=3, lower=0.95, upper=1.05)
    assert (bounded.interval.low, bounded.interval.high) == (0.95, 1.05)


def test_everything_holds_where_it_was_made_to_hold(holds: Findings) -> None:
    assert len(holds.claims) == 21
    wrong = [(c.claim, c.estimate, c.interval, c.check) for c in holds.claims
             if c.verdict is not Verdict.HOLDS]  # fmt: skip
    assert not wrong


def test_the_opposite_world_is_told_apart(fails: Findings) -> None:
    verdicts = {(c.finding, c.claim): c.verdict for c in fails.claims}
    may_hold = {c for f, c in verdicts if "diminishing" in c or "overtaken" in c}
    wrong = [k for k, v in verdicts.items() if k[1] not in may_hold
             and v is not Verdict.DOES_NOT_HOLD]  # fmt: skip
    assert not wrong and len(may_hold) == 5


def test_equal_configurations_cannot_be_told_apart(tmp_path: Path) -> None:
    same = dict.fromkeys(HOLDS, HOLDS["resnet", "ssl"])
    found = study_findings(write_world(tmp_path / "w", same, TASKS[:1]), n_boot=60)
    ratios = [c for c in found.claims if c.finding == "ii"]
    assert len(ratios) == 4
    assert sum(c.verdict is Verdict.UNKNOWN for c in ratios) >= 3
    for c in ratios[:2]:
        assert c.estimate == pytest.approx(1.0, abs=0.2)


def test_exponents_are_those_of_the_world(holds: Findings) -> None:
    for c in holds.configurations:
        truth = HOLDS[c.kind]
        assert c.fit.params["alpha"] == pytest.approx(truth.home[2], rel=0.1)
        assert {t.task for t in c.tasks} == set(TASKS)
        for t in c.tasks:
            # Widened for what 60 resamples miss of the tails.
            low, high = t.fit.intervals["alpha"].low, t.fit.intervals["alpha"].high
            assert 0.8 * low < truth.away[2] < 1.2 * high


def test_numbers_of_the_page_are_those_of_s1(holds: Findings) -> None:
    page = markdown(holds, ["figures/findings-loss.png"])
    for words in ("mean kappa 0.466", "mean kappa larger by 0.338", "90% to data", "27% to data"):
        assert words in page
    assert s1.KAPPA["transformer", "ssl"] > s1.KAPPA["resnet", "ssl"] > s1.KAPPA["resnet", "sl"]


def test_the_page_says_what_may_be_compared(holds: Findings) -> None:
    page = markdown(holds)
    for words in (
        "virtual patients and models of laptop size", "in-distribution losses cannot",
        "resnet-SSL: contrastive loss", "| **holds** |", "## Train-validation gap",
        "21 claims (holds: 21; does not hold: 0; cannot be told here: 0)",
    ):  # fmt: skip
        assert words in page
    for line in page.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    assert [c.finding for c in holds.claims] == sorted(
        (c.finding for c in holds.claims), key=["i", "ii", "iii", "iv", "v"].index
    )


def test_an_exponent_without_a_measurement_is_left_out_of_means(tmp_path: Path) -> None:
    kinds = (("resnet", "sl"), ("transformer", "sl"))
    flat = {k: Truth(home=HOLDS[k].home, away=(0.3, 1e-12, 0.5, 0.5, 0.3)) for k in kinds}
    found = study_findings(write_world(tmp_path / "w", flat, TASKS[:1], 0.0001), n_boot=10)
    assert not any(t.identified("N") for c in found.configurations for t in c.tasks)
    assert all(t.identified("D") for c in found.configurations for t in c.tasks)
    ratio = next(c for c in found.claims if c.measured.startswith("ratio of alpha"))
    assert ratio.note == "0 tasks; 1 left out, whose alpha a law does not determine"
    assert ratio.verdict is Verdict.UNKNOWN
    assert "| (" in markdown(found)


def test_one_configuration_gives_what_can_be_said(tmp_path: Path) -> None:
    world = {("resnet", "sl"): HOLDS["resnet", "sl"]}
    found = study_findings(write_world(tmp_path / "w", world, TASKS[:1]), n_boot=40)
    assert {c.finding for c in found.claims} == {"i", "iii", "v"}
    page = markdown(found)
    assert "Nothing was measured here about this." in page
    json.loads(found.to_json())


def test_the_command_writes_page_numbers_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = {k: HOLDS[k] for k in (("resnet", "sl"), ("resnet", "ssl"))}
    folder = write_world(tmp_path / "w", world, TASKS[:2])
    assert main([str(folder), "--bootstrap", "20"]) == 0
    assert "findings.md: written" in capsys.readouterr().out
    page = (folder / "findings.md").read_text()
    for name in ("exponents", "transfer", "loss"):
        picture = folder / "figures" / f"findings-{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"(figures/findings-{name}.png)" in page
    numbers = json.loads((folder / "findings.json").read_text())
    assert numbers["configurations"]["resnet-SSL"]["tasks"][TASKS[0]]["transfer"]["kappa"] > 0
    assert {c["verdict"] for c in numbers["claims"]} <= {str(v) for v in Verdict}
    assert main([str(folder), "--bootstrap", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["claims"][0]["interval"] == [None, None]


def test_a_study_without_a_law_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_world(tmp_path / "w", {("resnet", "sl"): HOLDS["resnet", "sl"]}, ())
    trials = (folder / "trials.csv").read_text()
    (folder / "trials.csv").write_text(trials.replace(",pretrain,", ",finetune,"))
    assert main([str(folder), "--bootstrap", "0"]) == 2
    assert "no pretrained models with a held-out loss" in capsys.readouterr().err
