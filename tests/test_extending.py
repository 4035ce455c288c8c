"""The examples of docs/extending.md, applied to a copy of the tree, pass their batteries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/extending.md").read_text()
SECTIONS = dict(re.findall(r"^## An? (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
BLOCK = re.compile(r"^```(python|diff|yaml)\n# (\S+)\n(.*?)^```", re.M | re.S)


def copy_of_the_tree(folder: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "benchmarks")
    shutil.copytree(ROOT, folder, ignore=ignore, dirs_exist_ok=True)


def patched(text: str, diff: str) -> str:
    """The text with the lines of the diff added below those that it names."""
    lines, at = text.splitlines(), -1
    for line in diff.splitlines():
        if line.startswith("+"):
            at += 1
            lines.insert(at, line[1:])
        elif line.startswith("-"):
            assert line[1:] in lines[at + 1 :], f"no line {line[1:]!r}"
            at = lines.index(line[1:], at + 1) - 1
            del lines[at + 1]
        else:
            assert line[1:] in lines[at + 1 :], f"no line {line[1:]!r}"
            at = lines.index(line[1:], at + 1)
    return "\n".join([*lines, ""])


def apply(section: str, folder: Path) -> list[str]:
    """Make the files of a section and add its rows; the tests it brings."""
    tests = []
    for language, path, body in BLOCK.findall(section):
        target = folder / path
        if language == "diff":
            target.write_text(patched(target.read_text(), body))
            continue
        assert not target.exists(), path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(body)
        tests += [path] if path.startswith("tests/") else []
    return tests


def test_the_page_has_an_example_of_each() -> None:
    assert list(SECTIONS) == [
        "law", "source", "family", "objective", "method", "stage", "executor",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SECTIONS)
def test_an_example_is_one_file_and_one_registry(name: str) -> None:
    blocks = [(language, path) for language, path, _ in BLOCK.findall(SECTIONS[name])]
    made = [p for language, p in blocks if language == "python" and not p.startswith("tests/")]
    assert len(made) == 1
    rows = [p for language, p in blocks if language == "diff" and not p.startswith("docs/")]
    assert len(rows) == 1


def run(folder: Path, *words: str) -> str:
    """What ``python -m words`` printed in the copy; it must have gone well."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_an_example_passes_its_battery(name: str, tmp_path: Path) -> None:
    copy_of_the_tree(tmp_path)
    tests = apply(SECTIONS[name], tmp_path)
    assert tests, "it brings no battery"
    assert " passed" in run(tmp_path, "pytest", "-p", "no:cacheprovider", *tests)


# What a new row could upset: orders and sizes, ids of studies that do not ask for it, pages that
# list all rows, tests that walk through registries.
OTHERS = """
test_architecture.py test_docs.py sweeps/plan/test_ids.py sweeps/grid
analysis/laws/test_laws.py::test_every_law_has_its_contract
analysis/laws/test_laws.py::test_every_law_stands_on_the_page
scaling/models/test_cost.py::test_three_counts_agree scaling/models/test_families.py
scaling/objectives/test_contract.py::test_every_objective_has_a_battery
scaling/objectives/test_labels.py scaling/corpora/test_registry.py
"""


@pytest.mark.slow
def test_all_examples_together_upset_nothing_else(tmp_path: Path) -> None:
    copy_of_the_tree(tmp_path)
    for section in SECTIONS.values():
        apply(section, tmp_path)
    run(tmp_path, "sweeps.grid.schema")
    others = [f"tests/{name}" for name in OTHERS.split()]
    assert " passed" in run(tmp_path, "pytest", "-p", "no:cacheprovider", "-m", "not slow", *others)
