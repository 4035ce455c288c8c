"""Folders of made-up records, written once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.analysis.compared import write_cv
from tests.analysis.synthetic import Plan, write_study

STATUSES = {("d2w8", 512): "failed", ("d2w16", 256): "budget_limited", ("d1w8", 256): "diverged"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live store in which every trial is done."""
    return write_study(tmp_path_factory.mktemp("made") / "study")


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live store with a failed, a diverged and a budget-limited trial."""
    return write_study(tmp_path_factory.mktemp("mixed") / "study", Plan(statuses=STATUSES))


@pytest.fixture
def copy(mixed: Path, tmp_path: Path) -> Path:
    """A copy of ``mixed`` that a test may spoil."""
    return Path(shutil.copytree(mixed, tmp_path / "copy"))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three folds with predictions; see ``write_cv``."""
    return write_cv(tmp_path)
