"""All questions of a study at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import analysis.questions
from analysis import load
from analysis.questions import ask, transferred
from analysis.questions.__main__ import main
from analysis.questions.answers import QUESTIONS, Answers
from analysis.questions.transfer import TransferEfficiency
from tests.analysis.worlds import HOLDS, write_world

KINDS = [("resnet", "sl"), ("resnet", "ssl")]
TRANSFER = Path(__file__).parents[3] / "results/transfer-virtual"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("world") / "study"
    world = {kind: HOLDS[kind] for kind in KINDS}
    write_world(folder, world, tasks=("virtual/csn",), noise=0.002)
    return ask(load(folder), n_boot=30)


def test_everything_is_asked(answers: Answers) -> None:
    counts = {q: len(answers.of(q)) for q in {a.question for a in answers.asked}}
    one_each = dict.fromkeys(("bottleneck", "extent", "data_needed", "collapse"), 2)
    over_tasks = dict.fromkeys(("mean_allocation", "transfer_efficiency", "efficiency"), 2)
    pairs = {"loss_ratio": 1, "compare_transfer": 1, "crossover": 2, "parity": 1}
    assert counts == {**one_each, **over_tasks, **pairs, "reduction": 4, "allocation_split": 4}
    assert answers.skipped == (
        "lowest_loss of resnet-SL and resnet-SSL: one family only",
        "transferred: the study has no stage finetune",
    )


def test_no_number_is_silently_missing(answers: Answers) -> None:
    table = answers.table()
    missing = table[["value", "low", "high"]].isna().any(axis=1)
    assert (table.loc[missing, "reason"] != "").all()
    assert 0.5 < answers.answered <= 1.0
    assert answers.answered == pytest.approx((table["reason"] == "").mean())


def test_answers_rest_on_the_fits_made_once(answers: Answers) -> None:
    for configuration, asked in zip(
        answers.configurations, answers.of("transfer_efficiency"), strict=True
    ):
        assert isinstance(asked.answer, TransferEfficiency)
        transfer = configuration.tasks[0].transfer
        assert transfer is not None
        assert asked.answer.by_task()["kappa"][0] == transfer.kappa.point
        alpha = answers.table().query(
            "question == 'reduction' and name == 'alpha' and configuration == @configuration.name"
        )["value"]
        assert list(alpha) == [configuration.fit.params["alpha"]]


def test_exponents_are_the_true_ones(answers: Answers) -> None:
    table = answers.table().query("question == 'reduction' and name in ('alpha', 'beta')")
    for row in table.itertuples():
        family, paradigm = str(row.configuration).lower().split("-")
        true = HOLDS[family, paradigm].home[2 if row.name == "alpha" else 4]
        assert float(str(row.value)) == pytest.approx(true, rel=0.1)


def test_shown(answers: Answers) -> None:
    assert answers._repr_html_().count("<li>skipped: ") == len(answers.skipped)
    assert answers._repr_html_().count("<tr>") == 1 + len(answers.table())
    assert "skipped: transferred" in str(answers)


def test_a_published_study_of_transfer() -> None:
    frame = load(TRANSFER)
    found = transferred(frame, n_boot=20)
    runs = found.by_run()
    assert len(runs) == 48 and runs["task"].nunique() == len(found.laws) == 6
    assert len(found.scratch) == 12
    tuned = frame[(frame["stage"] == "finetune") & (frame["parents"] != "")]
    assert set(runs["trial"]) == set(tuned["trial"])
    for task, law in found.laws.items():
        assert (law is None) == bool(found.reasons[task])
    with pytest.raises(ValueError, match="no finished trial of the stage finetune"):
        transferred(frame[frame["stage"] == "pretrain"])
    with pytest.raises(ValueError, match="has no run that is fine-tuned"):
        transferred(frame[frame["parents"] == ""])


def test_a_study_that_no_law_fits_is_answered_with_reasons() -> None:
    frame = load(TRANSFER)
    found = ask(frame[frame["stage"] == "pretrain"], n_boot=10)
    table = found.table()
    assert table["value"].isna().all() and (table["reason"] != "").all()
    assert table["reason"].str.contains("2 values of N").all()
    assert any("one configuration only" in why for why in found.skipped)


def test_importing_costs_nothing() -> None:
    code = "import sys, analysis.questions as q; assert q.ask; print(*sys.modules, sep='\\n')"
    light = "import sys, analysis.questions; print(*sys.modules, sep='\\n')"
    loaded = [
        set(
            subprocess.run(
                [sys.executable, "-c", c], capture_output=True, text=True, check=True
            ).stdout.split()
        )
        for c in (light, code)
    ]
    assert "numpy" not in loaded[0] and "numpy" in loaded[1]
    assert not loaded[1] & {"torch", "ray", "sweeps", "matplotlib", "scipy"}
    of_scaling = {m for m in loaded[1] if m.startswith("scaling.")}
    assert all(m.startswith("scaling.records") for m in of_scaling)


def test_every_question_has_a_row_and_is_reached_by_the_command(
    answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(QUESTIONS) == {n for n in analysis.questions.__all__ if n not in ("Answers", "ask")}
    folder = tmp_path / "study"
    world = {kind: HOLDS[kind] for kind in (*KINDS, ("transformer", "ssl"))}
    write_world(folder, world, tasks=("virtual/mimic:sex",), noise=0.002)
    assert main([str(folder), "--bootstrap", "10", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    asked = {a["question"] for a in numbers["answers"]}
    assert asked == set(QUESTIONS) - {"transferred"}
    assert numbers["skipped"] == ["transferred: the study has no stage finetune"]
    for answer in numbers["answers"]:
        for row in answer["numbers"]:
            known = row["value"] is not None or "value" in row["infinite"]
            assert known or row["reason"], row
    assert main([str(folder), "--bootstrap", "10", "--only", "bottleneck"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("== resnet-SL\nbottleneck: Whether data or model size limits")
    assert "asked: 3 bottleneck\n" in text and "reduction" not in text


def test_the_command_names_what_it_cannot_read_or_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert main([str(TRANSFER), "--only", "everything"]) == 2
    assert "no question 'everything'; there are: bottleneck, " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(TRANSFER), "--bootstrap", "-1"])


def test_a_warning_is_said_once_of_a_configuration(answers: Answers) -> None:
    for part in answers.text().split("== ")[1:]:
        warnings = [line for line in part.splitlines() if line.startswith("  warning: ")]
        assert len(warnings) == len(set(warnings))
