"""The command: flags, exit codes, and studies run from one end to the other."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sweeps.drive.driver import RunOutcome
from sweeps.run import _summary, main, parser
from sweeps.store import Store
from tests.scaling.training.trials import coarse_bayes
from tests.sweeps.conftest import GRID, SMALLEST, WriteGrid
from tests.sweeps.study import (
    SLOW,
    TRIALS,
    interrupt,
    records_of,
    run,
    store_of,
)

HEAVY = ("torch", "ray", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib")


def imported_by(*words: str) -> set[str]:
    """Heavy modules that a command imports."""
    code = (
        "import sys; from sweeps.run import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print('heavy:', *[m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rsplit("heavy:", 1)[1].split())


def test_the_flags_are_those_documented() -> None:
    flags = {flag for action in parser()._actions for flag in action.option_strings}
    assert flags == {
        "-h", "--help", "--dry-run", "--smoke", "--executor", "--workers", "--threads",
        "--results", "--root",
    }  # fmt: skip


def test_the_command_that_comes_next_can_be_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "my results" / "small", "small")
    assert _summary(RunOutcome(trained=1), store) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("next: ")
    assert shlex.split(last)[1:] == ["python", "-m", "analysis.report", str(store.folder)]


def test_a_study_from_one_end_to_the_other(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(grid) == 0
    output = capsys.readouterr().out
    assert "9 trials trained, 0 failed" in output
    assert "next: python -m analysis.report" in output
    store = store_of(grid)
    files = {path.name for path in store.runs.iterdir()}
    assert files >= {"study.json", "ladder.json", "corpora.json", "trials.parquet", "lock"}
    study = store.read_json("study.json")
    (stage,) = study["stages"]
    assert (len(stage["trials"]), len(stage["evaluations"])) == (9, 18)
    assert set(stage["trials"] + stage["evaluations"]) == set(records_of(grid))
    assert study["grid"]["stages"][0]["pretrain"]["seeds"] == [0]
    corpora = store.read_json("corpora.json")
    assert set(corpora) == {"simulated/chinchilla", "simulated/shifted"}
    assert corpora["simulated/shifted"]["bayes_loss"]["value"] == 0.25


def test_running_again_runs_nothing_and_changes_nothing(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(grid) == 0
    before = {path: path.stat().st_mtime_ns for path in store_of(grid).runs.rglob("*.*")}
    capsys.readouterr()
    assert run(grid) == 0
    assert "nothing to run" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in store_of(grid).runs.rglob("*.*")}


@pytest.mark.parametrize("name", ["study.json", "ladder.json", "corpora.json", "compacted.json"])
@pytest.mark.parametrize("content", [None, b"[]", b"{}", b"{", b"\xff"])
def test_state_files_are_written_anew_where_nothing_is_to_run(
    name: str, content: bytes | None, grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(grid) == 0
    path = store_of(grid).runs / name
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    capsys.readouterr()
    if name == "study.json" and content is not None:  # whose results these are is not known
        assert run(grid) == 2
        assert f"{path}: " in (said := capsys.readouterr().err)
        assert "delete it: python -m sweeps.run on the study's grid writes it anew" in said
        path.unlink()
    assert run(grid) == 0
    assert "nothing to run" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_failed_trials_are_named_and_run_again(
    write_grid: WriteGrid, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write_grid(GRID.replace("simulated/chinchilla", "simulated/flaky"))
    assert run(grid) == 1
    failed = [r for r in records_of(grid).values() if (r.get("error") or {}).get("traceback")]
    assert failed
    output = capsys.readouterr().err
    for record in failed:
        assert f"failed: trial {record['id']} (simulated/" in output
        assert f"{store_of(grid).live.records / record['id']}.json" in output
    assert "RuntimeError: simulated failure" in output
    done = {name: r for name, r in records_of(grid).items() if r["error"] is None}
    assert run(grid) == 0
    after = records_of(grid)
    assert all(record["error"] is None for record in after.values())
    assert {name: after[name] for name in done} == done
    assert len(after) == 27


def test_diverged_trials_are_kept_and_not_run_again(
    write_grid: WriteGrid, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write_grid(GRID.replace("simulated/chinchilla", "simulated/diverging"))
    assert run(grid) == 0
    status = [r["trial"]["status"] for r in records_of(grid).values() if r["kind"] == "training"]
    assert set(status) == {"done", "diverged"}
    assert run(grid) == 0
    assert "nothing to run" in capsys.readouterr().out


def test_dry_run_touches_nothing(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(grid, "--dry-run") == 0
    assert "9 trials (9 new)" in capsys.readouterr().out
    assert not (grid.parent / "results").exists()


def test_smoke_is_a_study_of_its_own(write_grid: WriteGrid) -> None:
    grid = write_grid(GRID + "smoke: {pretrain: {data: [256]}}\n")
    assert run(grid, "--smoke") == 0
    assert [path.name for path in (grid.parent / "results").iterdir()] == ["small-smoke"]


def test_mistakes_exit_with_2(write_grid: WriteGrid, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write_grid(GRID.replace("tasks", "taks"))) == 2
    assert ":8:7: " in capsys.readouterr().err
    assert run(write_grid(GRID), "--root", "nonsense") == 2
    assert "SOURCE=PATH" in capsys.readouterr().err
    (Path(write_grid(GRID)).parent / "results").write_text("in the way")
    assert run(write_grid(GRID)) == 2
    assert "cannot write to the results folder" in capsys.readouterr().err


def test_a_path_that_the_encoding_lacks_is_written_with_escapes(grid: Path) -> None:
    results = grid.parent / "r\u00e9sultats"
    words = [str(grid), "--executor", "serial", "--results", str(results)]
    done = subprocess.run(
        [sys.executable, "-m", "sweeps.run", *words],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        encoding="ascii",
        check=False,
    )
    assert done.returncode == 0
    assert "9 trials trained, 0 failed; see " in done.stdout
    assert "r\\xe9sultats/small\n" in done.stdout
    assert "Traceback" not in done.stderr
    assert (results / "small" / ".runs" / "trials.parquet").exists()


def test_an_unknown_flag_exits_with_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["grid.yaml", "--worker", "x"])
    assert caught.value.code == 2


def test_an_interrupt_exits_with_130_and_keeps_what_is_finished(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scaling import simulated

    real, calls = simulated.run_training, 0

    def train(*words: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(*words)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(simulated, "run_training", train)
        assert run(grid) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert len(records_of(grid)) == 9
    assert json.loads((store_of(grid).runs / "compacted.json").read_text())["ids"]
    assert run(grid) == 0
    assert len(records_of(grid)) == 27


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_and_while_it_clears_up(
    write_grid: WriteGrid, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write_grid(SLOW)
    interrupt(grid, "serial", times)
    assert run(grid, "--dry-run") == 0
    done = sum(name.startswith("t") for name in store_of(grid).known)  # the spool's as well
    assert f"({TRIALS - done} new, {done} finished)" in capsys.readouterr().out


def test_start_up_imports_nothing_heavy(grid: Path, write_grid: WriteGrid) -> None:
    assert imported_by("--help") == set()
    results = str(grid.parent / "results")
    assert imported_by(str(grid), "--dry-run", "--results", results) == set()
    assert run(grid) == 0
    assert imported_by(str(grid), "--results", results) == set()
    bad = write_grid(GRID.replace("tasks", "taks"))
    assert imported_by(str(bad)) == set()


def test_a_second_plan_of_networks_needs_no_torch(write_grid: WriteGrid) -> None:
    text = GRID.replace("simulated/chinchilla", "virtual/code")
    text = text.replace("simulated: [n1000, n4000, n16000]", f"resnet: [{SMALLEST}]")
    grid = write_grid(text.replace("simulated/shifted", "virtual/shifted"))
    assert "torch" in imported_by(str(grid), "--dry-run")
    assert imported_by(str(grid), "--dry-run") == set()


def test_models_of_virtual_patients_are_measured_on_real_records(
    write_grid: WriteGrid, shared: Path
) -> None:
    """The 123 records of the Challenge that are beside the checkout, by their SNOMED codes."""
    grid = write_grid(
        """\
study: elsewhere
corpus: {source: virtual/code, records: 64, validation: 32, test: 16, window_s: 5}
stages:
  - pretrain:
      families: {resnet: [d2w6]}
      data: [64]
      recipe: {max_steps: 4, batch: 16, warmup_steps: 0, eval_every: 2}
      external: ["challenge2021:scored"]
      predictions: true
      metrics: multilabel
"""
    )
    with coarse_bayes():
        assert run(grid, "--root", f"challenge2021={shared / 'data/challenge-2021'}") == 0
    records = [r for r in records_of(grid).values() if r["kind"] == "evaluation"]
    (record,) = [r for r in records if r["config"]["protocol"] == "external"]
    assert list(record["thresholds"]) == ["1dAVb", "RBBB", "LBBB", "SB", "AF", "ST"]
    rows = {(row["split"], row["metric"]): row for row in record["values"]}
    assert {row["task"] for row in record["values"]} == {"challenge2021:scored"}
    assert rows["validation", "loss"]["n"] == 32
    assert 5 < rows["test", "loss"]["n"] < 30  # a tenth of those with a scored diagnosis
    assert rows["test", "loss"]["value"] > 0
    assert rows["test", "classes_used"]["value"] >= 2
    assert 0 <= rows["test", "macro_auroc"]["value"] <= 1
    path = store_of(grid).live.predictions_of(record["id"])
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    headers = {path.stem: path for path in (shared / "data/challenge-2021").rglob("*.hea")}
    fast = arrays["classes"].tolist().index("ST")
    for at in np.flatnonzero(arrays["split"] == 1):
        header = headers[str(arrays["record"][at]).rpartition("/")[2]].read_text()
        assert arrays["labels"][at, fast] == ("427084000" in header)
