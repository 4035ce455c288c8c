from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scaling.corpora.catalogue import SOURCES, SourceInfo
from scaling.corpora.errors import CorpusError
from scaling.corpora.registry import Summaries, describe, resolve, source_info
from scaling.corpora.sources.read.base import Summary
from scaling.corpora.sources.virtual import VirtualSource
from scaling.corpora.virtual.cohorts import COHORTS
from scaling.identity import CorpusSpec
from scaling.simulated import SHIFTED
from tests.scaling.corpora.conftest import SPEC


def test_importing_and_summarising_needs_only_the_standard_library(root: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from scaling.corpora.registry import Summaries\n"
        "from scaling.identity import CorpusSpec\n"
        "Summaries().of(CorpusSpec(source='virtual/code'), '', None)\n"
        "Summaries().of(CorpusSpec(source='simulated/chinchilla'), '', None)\n"
        f"Summaries().of(CorpusSpec(source='ptbxl'), 'form', Path({str(root)!r}))\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'pyarrow', 'torch', 'ray'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_row_is_coherent(name: str) -> None:
    info = source_info(name)
    fields = dataclasses.asdict(info)
    kinds = {name: str(hint) for name, hint in SourceInfo.__annotations__.items()}
    for key, value in fields.items():
        assert kinds[key].startswith(("Literal", type(value).__name__)) or value is None, key
    assert info.kind in ("files", "virtual", "simulated")
    assert info.access in ("open", "restricted", "own", "none")
    assert info.tasks and len(set(info.tasks)) == len(info.tasks)
    assert {type(task) for task in info.tasks} == {str}
    assert {type(rate) for rate in info.rates_hz} <= {int}
    assert (info.root_env is not None) == (info.kind == "files")
    assert (info.records is None) == (info.kind == "files")
    assert bool(info.reader) == (info.kind != "simulated")


@pytest.mark.parametrize("name", list(COHORTS))
def test_cohorts_are_sources(name: str) -> None:
    task = SOURCES[name].default_task
    found = Summaries().of(CorpusSpec(source=name, records=300), task, None)
    most = (300, SOURCES[name].validation, SOURCES[name].test)
    counts = (found.train, found.validation, found.test)
    # A task may leave out the records without any of its labels.
    assert all(0 < count <= limit for count, limit in zip(counts, most, strict=True) if limit)
    assert found.classes == COHORTS[name].classes[task]
    assert 0 < found.patients < 300
    assert resolve(CorpusSpec(source=name), None).records == SOURCES[name].records


def test_each_task_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[int | None, str]] = []
    count = VirtualSource.summary

    def counting(source: VirtualSource, task: str) -> Summary:
        counted.append((source.spec.records, task))
        return count(source, task)

    monkeypatch.setattr(VirtualSource, "summary", counting)
    summaries = Summaries()
    small, large = (CorpusSpec(source="virtual/mimic", records=n, test=8) for n in (8, 16))
    for spec, task in [(small, "sex"), (large, "sex"), (small, "icu"), (small, "sex")]:
        assert summaries.of(spec, task, None).train == spec.records
    assert counted == [(8, "sex"), (16, "sex"), (8, "icu")]


def test_a_corpus_of_losses_has_no_folds() -> None:
    with pytest.raises(CorpusError, match=r"simulated/chinchilla has no folds .*, not fold 3"):
        describe(CorpusSpec(source="simulated/chinchilla", fold=3), "", Path("unused"), None)


def test_simulated_sources_are_large_enough_for_any_grid() -> None:
    found = Summaries().of(CorpusSpec(source="simulated/chinchilla", records=500), "", None)
    assert (found.train, found.patients, len(found.classes)) == (500, 500, 6)
    entry = describe(CorpusSpec(source="simulated/shifted"), "", Path("unused"), None)
    assert entry["bayes_loss"]["value"] == SHIFTED["E"]
    assert len(entry["prevalence"]) == len(entry["classes"]) == 6
    with pytest.raises(CorpusError, match="only the simulated trainer"):
        resolve(CorpusSpec(source="simulated/slow"), None)


def test_a_root_comes_from_the_call_or_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECG_ROOT_PTBXL", str(root))
    from_environment = Summaries().of(SPEC, "all", None)
    monkeypatch.delenv("ECG_ROOT_PTBXL")
    assert from_environment == Summaries().of(SPEC, "all", root)
    with pytest.raises(CorpusError, match=r"--root FOLDER .*, or set ECG_ROOT_PTBXL"):
        Summaries().of(SPEC, "all", None)
    with pytest.raises(CorpusError, match=r"ptbxl: no folder .*nowhere"):
        Summaries().of(SPEC, "all", root / "nowhere")


@pytest.mark.parametrize(
    ("changes", "task", "message"),
    [
        ({"source": "ptb-xl"}, "all", r"unknown source 'ptb-xl'.*did you mean 'ptbxl'\?"),
        ({}, "superclas", r"no task 'superclas'.*did you mean 'superclass'\?"),
        ({"source": "virtual/code"}, "all", "has only one task, without a name; not 'all'"),
        ({"preprocessing": "s9"}, "all", "unknown preprocessing 's9'"),
        ({"records": 0}, "all", "a subset of 0 records"),
        ({"window_s": 0.0}, "all", "is empty"),
        ({"window_s": math.nan}, "all", "window_s nan is not a number of seconds"),
        ({"window_s": math.inf}, "all", "window_s inf is not a number of seconds"),
        ({"source": "virtual/code", "seed": -1}, "", "seed -1; it must be 0 or more"),
        ({"fingerprint": "f0"}, "all", "not those this study was planned for"),
        ({"source": "virtual/code", "test": 0}, "", "0 test records; at least 1"),
    ],
)
def test_bad_specs(root: Path, changes: dict[str, Any], task: str, message: str) -> None:
    spec = dataclasses.replace(SPEC, **changes)
    with pytest.raises(CorpusError, match=message):
        Summaries().of(spec, task, root)
