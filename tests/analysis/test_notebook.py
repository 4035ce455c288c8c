"""Every notebook runs from top to bottom on a made-up study, and stays short."""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

from tests.analysis.worlds import HOLDS, write_world

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.py"))
FIRST = ROOT / "docs/notebooks/first_fit.py"
SHOWN = {
    "allocation": "C = k N^m D^q",
    "first_fit": "irreducible loss",
    "loss_to_loss": "E_ood",
    "paradigms": "Parameter efficiency",
}


@pytest.fixture(scope="module")
def studies(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study for each notebook: one configuration for the first fit, several for the others."""
    folder = tmp_path_factory.mktemp("notebooks") / "study"
    several = write_world(folder, HOLDS, tasks=("virtual/cpsc2018", "virtual/csn"))
    return {path.stem: made if path == FIRST else several for path in NOTEBOOKS}


def test_every_notebook_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyzmq and jupyter_client internals
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(
    path: Path, studies: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY", str(studies[path.stem]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = jupytext.read(path)
    NotebookClient(
        notebook, timeout=600, startup_timeout=300, resources={"metadata": {"path": str(ROOT)}}
    ).execute()  # raises where a cell does
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert not any(o["output_type"] == "error" for o in outputs)
    assert any("image/png" in o.get("data", {}) for o in outputs)
    assert any(SHOWN[path.stem] in o.get("data", {}).get("text/html", "") for o in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 62


def test_the_first_fit_takes_fewer_than_ten_lines() -> None:
    assert len(ast.parse(FIRST.read_text()).body) < 10
