"""The command: what it draws, when models are opened, and what it says where it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.pictures.__main__ import main
from scaling.explain.__main__ import parser as explain_parser
from scaling.records.explained import Explained
from tests.analysis.student_stores import Trial, made_up, study_of_students, write_students

SHOWN = ("none-d16n1h2s2-0", "kd-like-d16n1h2s2-0", "lite-d16n1h2s2-0")
ALL = {"accuracy-cost.png", "auroc-by-class.png", "grad-cam.png", "restored.png", "t-sne.png"}
Calls = list[list[str]]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """With weights, as far as one can see from outside."""
    folder = write_students(tmp_path / "made", study_of_students())
    (folder / ".runs/weights").mkdir()
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Commands that were started; they write what was asked for."""
    calls: Calls = []

    def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(words)
        given = explain_parser().parse_args(words[3:])
        found = made_up(tuple(given.students), records=given.records)
        found.asked[:] = given.records, given.points
        found.save(given.folder / ".runs/explained.npz")
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def drawn(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.png")}


def test_one_command_draws_all(
    study: Path, opened: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(study)]) == 0
    assert drawn(study / "pictures") == ALL
    written = {f"{study / 'pictures' / name}: written" for name in (*ALL, "pictures.md")}
    assert set(capsys.readouterr().out.splitlines()) == written
    (words,) = opened
    assert words[:3] == [sys.executable, "-m", "scaling.explain"]
    assert tuple(explain_parser().parse_args(words[3:]).students) == SHOWN
    page = (study / "pictures/pictures.md").read_text()
    assert all(f"]({name})" in page for name in ALL)
    assert "- teacher: `teach0`" in page and f"- liteheart: `{SHOWN[2]}`" in page
    assert "- restoration net: `net`" in page and "Test records: test/0, test/1, test/2" in page


def test_models_are_opened_once_for_the_same_students(
    study: Path, opened: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "analysis.pictures.students._pictures", lambda *a: iter(())
    )  # it takes seconds
    here = ["--out", str(study / "elsewhere")]
    assert main([str(study), *here]) == 0 and len(opened) == 1
    assert main([str(study), *here]) == 0 and len(opened) == 1
    assert main([str(study), *here, "--records", "2"]) == 0 and len(opened) == 2
    assert main([str(study), *here, "--records", "2", "--again"]) == 0 and len(opened) == 3
    named = ["--students", "none-d8n1h1s2-1", "kd-d8n1h1s2-1"]
    assert main([str(study), *here, *named]) == 0 and len(opened) == 4
    assert Explained.read(study / ".runs/explained.npz").students == tuple(named[1:])
    (study / ".runs/explained.npz").write_bytes(b"damaged")
    assert main([str(study), *here, *named]) == 0 and len(opened) == 5
    assert (study / "elsewhere/pictures.md").exists()


def test_without_models_tables_are_drawn_and_what_is_left_out_is_said(
    tmp_path: Path, opened: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_students(tmp_path / "made", [Trial(name="a", classes=())])
    assert main([str(folder)]) == 0
    assert drawn(folder / "pictures") == {"accuracy-cost.png"}
    said = capsys.readouterr().out
    assert "left out: restored leads, Grad-CAM and t-SNE: no models in" in said
    assert "left out: AUROC of each class, which was not measured: set metrics" in said
    assert said.splitlines()[0] in (folder / "pictures/pictures.md").read_text()
    assert opened == []


def test_a_refusal_is_passed_on_in_one_line(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for said, told in (
        ("error: t0: its weights do not fit (Error\n\tmany keys)\n", "t0: its weights do not fit"),
        ("Traceback\n  File x\nRuntimeError: no luck\n", "RuntimeError: no luck"),
    ):
        done = subprocess.CompletedProcess([], 2, "", said)
        monkeypatch.setattr(subprocess, "run", lambda *a, done=done, **k: done)
        assert main([str(study)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: python -m scaling.explain") and told in error
        assert error.count("\n") == 1


def test_a_study_without_students_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = Trial(name="a", stage="pretrain", objective="supervised")
    folder = write_students(tmp_path / "made", [trial])
    assert main([str(folder)]) == 2
    assert capsys.readouterr().err.startswith("error: the study has no finished students")
    with pytest.raises(SystemExit):
        main([str(folder), "--records", "0"])
    assert "--records must be at least 1" in capsys.readouterr().err


def test_help_comes_without_numpy() -> None:
    code = (
        "import sys\nfrom analysis.pictures.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*(set(sys.modules) & {'torch', 'numpy', 'pandas', 'matplotlib'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--students" in out.stdout and out.stdout.splitlines()[-1] == ""
