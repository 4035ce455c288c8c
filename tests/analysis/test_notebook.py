"""The notebook runs from top to bottom on a made-up study."""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/notebooks/first_fit.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyzmq and jupyter_client internals
def test_the_first_notebook_runs(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY", str(made))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = jupytext.read(NOTEBOOK)
    NotebookClient(
        notebook, timeout=600, startup_timeout=300, resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    kinds = [kind for o in outputs for kind in o.get("data", {})]
    assert "image/png" in kinds
    assert any("irreducible loss" in o.get("data", {}).get("text/html", "") for o in outputs)


def test_the_fit_takes_fewer_than_ten_lines() -> None:
    statements = ast.parse(NOTEBOOK.read_text()).body
    assert len(statements) < 10
