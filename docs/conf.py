"""How ``make docs`` builds one searchable site of these pages and the notebooks, offline."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))

project = "ecg-scaling"
extensions = ["myst_nb"]
exclude_patterns = ["_build", "conf.py"]
html_theme = "furo"
html_title = "ecg-scaling"
html_copy_source = False
html_show_copyright = False
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ("conf.executed", {}, False)}
nb_execution_mode = "off"  # ``executed`` runs them where the studies are
suppress_warnings = ["myst.xref_missing"]  # files of the tree that are not pages


def executed(text: str, **options: object) -> NotebookNode:
    """A percent-format notebook with the output of its cells, run in the root of the tree."""
    notebook = jupytext.reads(text, fmt="py:percent")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": ROOT}}).execute()
    return notebook
