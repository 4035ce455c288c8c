"""The published form of a study."""

from __future__ import annotations

import errno
import json
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling.numerics import NUMERICS
from sweeps.errors import ConfigurationError
from sweeps.publish import (
    MAKING,
    _analysis,
    _compared,
    _configurations,
    made_by_older,
    main,
    publish,
)
from tests.analysis.method_stores import students, write_store
from tests.sweeps.conftest import GRID, WriteGrid
from tests.sweeps.study import run, store_of

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path.parent for path in (ROOT / "results").glob("*/provenance.json"))


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_a_published_study_says_what_is_older_than_the_code(folder: Path) -> None:
    """Where it fails after a version was raised, that line goes below the first paragraph."""
    provenance = json.loads((folder / "provenance.json").read_text())
    line = made_by_older(provenance, json.loads((folder / "corpora.json").read_text()))
    said = [x for x in (folder / "README.md").read_text().splitlines() if "**Made by" in x]
    assert said == ([line] if line else [])


def test_only_what_a_study_used_makes_it_older() -> None:
    now = {"corpora.virtual": NUMERICS["corpora.virtual"], "training": NUMERICS["training"]}
    past = [now, {"corpora.virtual": 1, "training": NUMERICS["training"]}]
    provenance = [{"numerics": numerics} for numerics in past]
    assert f"corpora.virtual 1 (now {now['corpora.virtual']})" in made_by_older(
        provenance, ["virtual/basic:x@fold1", "ptbxl"]
    )
    assert made_by_older(provenance, ["ptbxl:superclass"]) == ""
    assert made_by_older(provenance[:1], ["virtual/code"]) == ""


def test_a_study_is_published(write_grid: WriteGrid) -> None:
    grid = write_grid(GRID)
    assert run(grid) == 0
    folder = grid.parent / "results" / "small"
    # A smaller grid: what it no longer plans is not published.
    assert run(write_grid(GRID.replace("1024]", "1024]\n      seeds: [0]"))) == 0
    readme = publish(folder).read_text()
    trials, evaluations = (pd.read_csv(folder / f"{n}.csv") for n in ("trials", "evaluations"))
    assert len(trials) == 9
    assert set(evaluations["trial"]) == set(trials["trial"])
    assert "curve" in set(evaluations["protocol"])
    for name in ("study.json", "ladder.json", "corpora.json"):
        assert (folder / name).read_bytes() == (folder / ".runs" / name).read_bytes()
    figures = sorted((folder / "figures").glob("*.png"))
    assert figures
    parts = ["# small", "9 of 9 planned: 9 done", "| alpha |", "**covers** the Bayes loss"]
    parts += ["R² of the loss 0.9", "## Best models", f"python {platform.python_version()}"]
    for words in (*parts, *(f"(figures/{p.name})" for p in figures)):
        assert words in readme
    assert not list(folder.glob("*.safetensors"))


def test_curves_are_left_out_of_a_large_table(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(grid) == 0
    monkeypatch.setattr("sweeps.publish.CURVES_BELOW", 1000)
    folder = grid.parent / "results" / "small"
    publish(folder)
    assert "curve" not in set(pd.read_csv(folder / "evaluations.csv")["protocol"])


def test_configurations_are_families_and_paradigms_that_were_trained() -> None:
    rows = [
        ("codebook", "vq-hbr", "ssl"),
        ("pretrain", "resnet", "sl"),
        ("pretrain", "resnet", "sl"),
        ("pretrain", "resnet", "random"),
        ("finetune", "transformer", "sl"),
    ]
    trials = pd.DataFrame(rows, columns=["stage", "family", "paradigm"])
    assert _configurations(trials) == 1
    assert _configurations(pd.concat([trials, trials.assign(paradigm="ssl")])) == 2


def test_several_configurations_have_a_page_of_findings(
    grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(grid) == 0
    folder = grid.parent / "results" / "small"
    assert "findings" not in publish(folder).read_text()
    monkeypatch.setattr("sweeps.publish._configurations", lambda trials: 2)
    readme = publish(folder).read_text()
    assert "(findings.md)" in readme
    assert "figures/findings" not in readme
    page = (folder / "findings.md").read_text()
    shown = sorted((folder / "figures").glob("findings-*.png"))
    assert shown
    assert all(f"(figures/{path.name})" in page for path in shown)
    monkeypatch.undo()
    publish(folder)  # figures that no page shows any more are gone
    assert not list((folder / "figures").glob("findings-*.png"))


def test_predictions_that_cannot_be_compared_are_said_to(grid: Path) -> None:
    assert run(grid) == 0
    folder = grid.parent / "results" / "small"
    assert "On the same patients" not in publish(folder).read_text()
    kept = folder / ".runs" / "predictions"
    kept.mkdir()
    (kept / "e0123.npz").write_bytes(b"")  # of an evaluation that is planned no more
    (folder / "comparison.json").write_text("{}")
    assert "no predictions: run the study with" in publish(folder).read_text()
    assert not (folder / "comparison.json").exists()


def test_models_with_predictions_are_compared(grid: Path) -> None:
    assert run(grid) == 0
    folder = grid.parent / "results" / "small"
    kept = folder / ".runs" / "predictions"
    kept.mkdir()
    rng = np.random.default_rng(0)
    labels = rng.random((60, 1)) < 0.5
    records = np.array([f"r{i}" for i in range(60)])
    rows = pd.read_parquet(folder / ".runs" / "evaluations.parquet")
    for evaluation in rows.loc[rows["protocol"] == "held-out", "evaluation"].unique():
        np.savez(
            kept / f"{evaluation}.npz", split=np.ones(60), row=np.arange(60), record=records,
            patient=np.arange(60), labels=labels, classes=np.array(["a"]),
            logits=(labels + rng.normal(size=(60, 1))).astype(np.float32),
        )  # fmt: skip
    readme = publish(folder).read_text()
    assert "## On the same patients" in readme and "60 records of 60 patients" in readme
    (chosen,) = json.loads((folder / "comparison.json").read_text())["chosen"]
    assert 0.6 < chosen["pooled"]["low"] < chosen["pooled"]["high"] < 1


def test_students_are_compared_by_method(tmp_path: Path) -> None:
    folder, making = write_store(tmp_path, students((0,))), tmp_path / "making"
    trials = pd.read_parquet(folder / ".runs" / "trials.parquet")
    making.mkdir()
    methods, models = _compared(folder, making, trials)
    assert "| LiteHeart less LiteHeart-I |" in methods and not models
    (one,) = json.loads((making / "methods.json").read_text())["comparisons"]
    assert len(one["blocks"]) == 1
    assert (making / "figures" / "methods.png").read_bytes().startswith(b"\x89PNG")
    assert not (making / "comparison.json").exists()
    for path in (folder / ".runs" / "predictions").glob("eteacher*.npz"):
        path.write_bytes(b"")
    methods, why = _compared(folder, making, trials)
    assert not methods and "analysis.compare" in why and "cannot be read" in why
    shutil.rmtree(folder / ".runs" / "predictions")
    assert _compared(folder, making, trials) == ("", "")


def test_trials_that_are_no_longer_planned_are_not_published(
    write_grid: WriteGrid,
) -> None:
    grid = write_grid(GRID.replace("1024]", "1024, 2048]"))
    assert run(grid) == 0
    assert run(write_grid(GRID)) == 0
    folder = grid.parent / "results" / "small"
    publish(folder)
    assert set(pd.read_csv(folder / "trials.csv")["D"]) == {256, 512, 1024}


def test_library_versions_are_published(grid: Path) -> None:
    assert run(grid) == 0
    folder = grid.parent / "results" / "small"
    trials = sorted(store_of(grid).live.records.glob("t*.json"))
    for path in trials[:2]:  # as if trained elsewhere, earlier
        record = json.loads(path.read_text())
        record["trial"]["commit"] = "0123456789ab"
        record["provenance"]["versions"]["torch"] = "2.0"
        path.write_text(json.dumps(record))
    publish(folder)
    many, few = json.loads((folder / "provenance.json").read_text())
    assert (many["trials"], few["trials"], few["commit"]) == (len(trials) - 2, 2, "0123456789ab")
    shutil.rmtree(folder / ".runs")
    report = [sys.executable, "-m", "analysis.report", str(folder), "--json", "--bootstrap", "0"]
    done = subprocess.run(report, capture_output=True, text=True, check=True)
    versions = json.loads(done.stdout)["provenance"]["versions"]
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == f"{many['versions']['torch']} and 2.0"


def test_a_failed_analysis_names_a_command_that_can_be_copied(tmp_path: Path) -> None:
    folder = tmp_path / "my results"
    with pytest.raises(ConfigurationError, match=r"no such results folder") as failed:
        _analysis("report", folder, "--json")
    command, _, _ = str(failed.value).partition(" failed:\n")
    assert shlex.split(command) == ["python", "-m", "analysis.report", str(folder), "--json"]


def published(folder: Path) -> dict[str, bytes]:
    """Every file outside the live store."""
    files = [p for p in folder.rglob("*") if p.is_file() and ".runs" not in p.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def older(grid: Path) -> Path:
    """A study with files as if published before, some of which would not be made anew."""
    assert run(grid) == 0
    folder = grid.parent / "results" / "small"
    (folder / "figures").mkdir()
    for name in ("trials.csv", "README.md", "comparison.json", "figures/old.png"):
        (folder / name).write_text("published before")
    return folder


def test_what_is_not_made_anew_is_deleted_and_the_rest_replaced(older: Path) -> None:
    before = published(older)
    publish(older)
    after = published(older)
    assert set(before) - set(after) == {"comparison.json", "figures/old.png"}
    assert {"trials.csv", "README.md", "provenance.json", "figures/loss.png"} <= set(after)
    assert b"published before" not in after.values()
    assert not (older / MAKING).exists()


@pytest.mark.parametrize(
    ("where", "ends", "code", "says"),
    [
        (
            "_analysis",
            KeyboardInterrupt(),
            130,
            "interrupted; what was published before is left as it was\n",
        ),
        ("_analysis", ConfigurationError("the report failed"), 2, "the report failed\n"),
        (
            "readme",
            OSError(errno.ENOSPC, "No space left on device", "README.md"),
            1,
            "README.md: No space left on device; ",
        ),
    ],
)
def test_what_was_published_is_left_by_a_command_that_broke_off(
    where: str, ends: BaseException, code: int, says: str, older: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = published(older)

    def end(*words: object, **flags: object) -> str:
        raise ends

    monkeypatch.setattr(f"sweeps.publish.{where}", end)
    assert main([str(older)]) == code
    assert capsys.readouterr().err.startswith(says)
    assert published(older) == before


def test_a_signal_ends_it_like_ctrl_c(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = published(older)
    monkeypatch.setattr("sweeps.publish._analysis", lambda *w, **f: signal.raise_signal(15))
    assert main([str(older)]) == 143
    assert published(older) == before


@pytest.mark.parametrize("name", ["study.json", "ladder.json", "corpora.json"])
@pytest.mark.parametrize("content", [None, b"7", b'"x"', b"{", b"\xff"])
def test_a_broken_state_file_is_named(
    name: str, content: bytes | None, older: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = published(older)
    path = older / ".runs" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert main([str(older)]) == 2
    said = capsys.readouterr().err
    if name != "study.json" or content is not None:
        assert said.startswith(f"{path}: ")
        assert "run python -m sweeps.run on the study's grid, which writes it anew" in said
    assert published(older) == before


def test_a_lost_table_is_published_all_the_same(older: Path) -> None:
    for name in ("trials", "evaluations"):
        (older / ".runs" / f"{name}.parquet").write_bytes(b"PAR1")
    publish(older)
    assert len(pd.read_csv(older / "trials.csv")) == 9


def test_messages_name_no_flag_that_it_lacks(
    older: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (older / "study.json").write_text('{"study": "other"}')
    assert main([str(older)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{older / 'study.json'} is of study 'other', but {older / '.runs'} of ")
    (older / "study.json").unlink()
    (older / ".runs" / "lock").unlink()
    (older / ".runs" / "lock").mkdir()  # cannot be written, whoever runs the tests
    assert main([str(older)]) == 2
    said += capsys.readouterr().err
    assert f"cannot write to the results folder {older}: Is a directory; make it writable" in said
    assert "--results" not in said


def test_a_full_disk_for_its_one_line_is_no_error(older: Path) -> None:
    words = [sys.executable, "-m", "sweeps.publish", str(older)]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "published before" not in (older / "README.md").read_text()


def test_there_must_be_something_to_publish(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match="run it first"):
        publish(tmp_path)
    assert main([str(tmp_path)]) == 2
    assert "run it first" in capsys.readouterr().err
