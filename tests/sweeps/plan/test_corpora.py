"""Where corpora are found, and what is asked of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.errors import ConfigurationError
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import StudyCorpora, find_corpora, parse_roots
from tests.sweeps.conftest import GRID, SMALLEST, WriteGrid

PTBXL = f"""\
study: real
corpus: {{source: ptbxl, task: superclass}}
stages:
  - pretrain:
      families: {{resnet: [{SMALLEST}]}}
      data: [4]
      tasks: ["ptbxl:form"]
"""


def resolved(path: Path, **roots: Path) -> StudyCorpora:
    return find_corpora(load_grid(path), roots)


@pytest.fixture
def folders(tmp_path: Path, shared: Path) -> dict[str, Path]:
    """Three folders that all lead to the same recordings."""
    found = {}
    for name in ("line", "variable", "grid"):
        found[name] = tmp_path / name
        found[name].symlink_to(shared / "data" / "ptb-xl", target_is_directory=True)
    return found


def test_a_missing_root_says_all_three_ways(write_grid: WriteGrid) -> None:
    path = write_grid(PTBXL)
    with pytest.raises(ConfigurationError) as caught:
        resolved(path)
    for words in (f"{path}:2:9: corpus: ", "--root ptbxl=", "ECG_ROOT_PTBXL=", "root: PATH"):
        assert words in str(caught.value)


def test_a_root_that_does_not_exist_names_where_it_came_from(
    write_grid: WriteGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_grid(PTBXL.replace("superclass", "superclass, root: nowhere"))
    with pytest.raises(ConfigurationError, match=r"folder nowhere \(from root\)"):
        resolved(path)
    monkeypatch.setenv("ECG_ROOT_PTBXL", str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match=r"gone \(from ECG_ROOT_PTBXL\)"):
        resolved(path)
    with pytest.raises(ConfigurationError, match=r"lost \(from --root ptbxl=\)"):
        resolved(path, ptbxl=tmp_path / "lost")


def test_command_line_then_environment_then_grid(
    write_grid: WriteGrid, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def folder(path: Path, *rest: object) -> Path:
        seen.append(path)
        return path.resolve()

    monkeypatch.setattr("sweeps.plan.corpora._folder", folder)
    path = write_grid(PTBXL.replace("superclass", "superclass, root: grid"))
    resolved(path)
    monkeypatch.setenv("ECG_ROOT_PTBXL", str(folders["variable"]))
    resolved(path)
    resolved(path, ptbxl=folders["line"])
    # The task has no root of its own: it is found as the corpus is.
    wanted = [folders[origin] for origin in ("grid", "variable", "line") for _ in range(2)]
    assert seen == wanted


def test_real_files_are_counted_and_fingerprinted(
    write_grid: WriteGrid, folders: dict[str, Path]
) -> None:
    corpora = resolved(write_grid(PTBXL), ptbxl=folders["line"])
    ((case,),) = corpora.stages
    corpus, (form,) = case.corpus, case.tasks
    assert corpus.name == "ptbxl:superclass"
    assert corpus.spec.fingerprint == corpus.summary.fingerprint != ""
    assert form.spec == corpus.spec
    assert form.name == "ptbxl:form"
    assert corpora.roots() == (("ptbxl", str(folders["line"].resolve())),)


def test_data_larger_than_the_corpus(write_grid: WriteGrid) -> None:
    path = write_grid(GRID.replace("records: 4096", "records: 600"))
    with pytest.raises(ConfigurationError) as caught:
        resolved(path)
    assert str(caught.value) == (
        f"{path}:6:24: stages.0.pretrain.data.2: data size 1024 is larger than the corpus: "
        "simulated/chinchilla has 600 training records"
    )


def test_tasks_inherit_the_signal_but_not_the_size(write_grid: WriteGrid) -> None:
    text = GRID.replace("records: 4096", "records: 4096, fs_hz: 250, seed: 3")
    text = text.replace("[simulated/shifted]", "[{source: simulated/shifted, seed: 7}]")
    corpora = resolved(write_grid(text))
    (task,) = corpora.stages[0][0].tasks
    assert (task.spec.fs_hz, task.spec.seed) == (250, 7)
    assert task.spec.records != 4096


@pytest.mark.parametrize(
    ("word", "message"), [("ptbxl", "SOURCE=PATH"), ("ptbx=/data", "did you mean 'ptbxl'?")]
)
def test_roots_of_the_command_line(word: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("?", r"\?")):
        parse_roots([word])
    assert parse_roots(["ptbxl=/data/x"]) == {"ptbxl": Path("/data/x")}


def test_one_task_with_two_settings_is_refused(tmp_path: Path) -> None:
    text = """\
study: twice
corpus: {source: virtual/code, window_s: 5}
stages:
  - pretrain:
      families: {resnet: [d2w6]}
      data: [64]
      tasks: [virtual/shifted, {source: virtual/shifted, records: 64}]
"""
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"twice\.yaml:7:\d+.*used twice"):
        find_corpora(load_grid(path), {})


def test_an_empty_stage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("study: empty\ncorpus: {source: virtual/code}\nstages:\n  - pretrain: {}\n")
    with pytest.raises(ConfigurationError, match=r"empty\.yaml:4:"):
        load_grid(path)


def test_smoke_takes_only_some_records_of_files(
    write_grid: WriteGrid, folders: dict[str, Path]
) -> None:
    text = PTBXL.replace('"ptbxl:form"', '"ptbxl:form", virtual/basic')
    path = write_grid(text + "smoke: {at_most: 12}\n")
    roots = {"ptbxl": folders["line"]}
    whole, few = resolved(path, **roots), find_corpora(load_grid(path, smoke=True), roots)
    for target in few.all():
        counts = (target.summary.train, target.summary.validation, target.summary.test)
        if target.spec.source == "ptbxl":
            assert max(counts) <= 12
            assert (target.spec.records, target.spec.validation, target.spec.test) == (12,) * 3
    of = {target.name: target for target in whole.all()}
    assert of["ptbxl:superclass"].spec.records is None
    assert of["ptbxl:superclass"].summary.train > 12
    same = next(target for target in few.all() if target.name == "virtual/basic")
    assert same.spec == of["virtual/basic"].spec
