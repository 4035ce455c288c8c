"""Mistakes in stages, objectives, parents, folds and codebooks: each is named with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scaling.identity import LEADS
from scaling.workspace import Workspace
from sweeps.errors import ConfigurationError
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import find_corpora
from sweeps.plan.parents import keep_released, read_released
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.study import plan_of

GRID = """\
study: stages
corpus: {source: virtual/basic, records: 64, window_s: 5}
stages:
  - codebook:
      families: {vq-hbr: [l1d48k256t128]}
      data: [32]
  - pretrain:
      families: {transformer: [l1d8h1t128]}
      paradigms: [ssl]
      objective: {name: masked, mask_ratio: 0.3}
      data: [32]
      tasks: [virtual/shifted]
  - finetune:
      parents: {best: loss}
      data: [32]
smoke:
  pretrain: {data: [16]}
"""
CODEBOOK = GRID[GRID.index("  - codebook") : GRID.index("  - pretrain")]
CROSSED = GRID[GRID.index("families: {transformer") : GRID.index("tasks: [virtual/s")]
LISTED = "cells: [{{family: {}, data: 16}}]\n      "

# (what to replace, by what, line:column, words of the message)
MISTAKES = {
    "two keys": ("  - finetune:", "    finetune:", "7:5", "in a list item of its own"),
    "no key": ("smoke:", "  - {}\nsmoke:", "16:5", "of codebook, pretrain, restore, finetune"),
    "later stage": ("- finetune:", "- compress:", "13:5", "'compress' is not available yet"),
    "no data": ("      data: [32]\nsmoke", "smoke", "14:7", "the key 'data' is missing"),
    "objective": ("name: masked", "name: maskd", "10:25", "did you mean 'masked'?"),
    "objective of another paradigm": ("[ssl]", "[sl]", "10:25", "is of the paradigm 'ssl'"),
    "objective of another family": ("masked,", "contrastive,", "10:25", ", not transformer"),
    "objective of another stage": ("masked,", "codebook,", "10:25", "belongs to a codebook stage"),
    "setting": ("mask_ratio", "mask_rate", "10:33", "did you mean 'mask_ratio'?"),
    "setting's value": ("0.3}", "1.5}", "10:45", "must be from 0.01 to 0.99"),
    "setting's kind": ("0.3}", "[0.3, many]}", "10:51", "must be a number, not 'many'"),
    "codes": ("mask_ratio: 0.3", "codes: 9", "10:33", "that of the codebook; remove 'codes'"),
    "no codebook": (CODEBOOK, "", "4:5", "put a codebook stage before this one"),
    "codebook's size": ("tasks", "codebook: {size: l1}\n      tasks", "12:24", "no codebook of"),
    "codebook twice": ("tasks", "codebook: {size: x, path: y}\n      tasks", "12:17", "either as"),
    "family of a codebook stage": ("{vq-hbr:", "{resnet:", "5:18", "trains the family 'vq-hbr'"),
    "codebook family elsewhere": ("{transformer:", "{vq-hbr:", "8:18", "trains the family 'vq-"),
    "restoration family": ("{transformer:", "{unet:", "8:18", "a restore stage trains the family"),
    "cell of a codebook": (CROSSED, LISTED.format("vq-hbr, size: l1d48k256t128"), "8:24",
                           "trains the family 'vq-hbr', a pretrain stage does not"),
    "cell of a restoration": (CROSSED, LISTED.format("unet, size: c4"), "8:24", "a restore stage"),
    "best": ("best: loss", "best: los", "14:23", "must be 'loss' or 'macro_auroc'"),
    "best of ssl": ("best: loss", "best: macro_auroc, paradigms: ssl", "14:23", "use loss"),
    "parents' stage": ("best: loss", "stage: finetune", "14:17", "no finetune stage before this"),
    "parents' family": ("best: loss", "families: [resnt]", "14:28", "did you mean 'resnet'?"),
    "parents' size": ("best: loss", "sizes: [d2w7]", "14:25", "no family has a size 'd2w7'"),
    "parents' paradigm": ("best: loss", "paradigms: sll", "14:28", "did you mean 'sl'?"),
    "families of children": ("tasks", "parents: {}\n      tasks", "8:7", "its family and size"),
    "labels unused": ("tasks", "labels: [0.1]\n      tasks", "12:7", "remove 'labels'"),
    "label set": ("parents", "label_sets: [rare]\n      parents", "14:20", "dominant-SHARE"),
    "few shots of nothing": ("parents", "few_shot: 0.1\n      parents", "14:7", "add 'tasks'"),
    "no such share": ("tasks", "few_shot: 0\n      tasks", "12:17", "greater than 0"),
    "metrics": ("parents", "metrics: multi\n      parents", "14:16", "must be 'multilabel'"),
    "metrics of nothing": ("tasks: [virtual/shifted]", "metrics: multilabel", "12:7", "no task;"),
    "fold": ("window_s: 5", "fold: 3", "2:52", "has no folds; remove 'fold'"),
    "fold of a task": ("[virtual/shifted]", "[{source: ptbxl, fold: 11}]", "12:37", "folds 1 to"),
    "corpus of a stage": ("tasks", "corpus: virtual/cod\n      tasks", "12:15", "'virtual/code'"),
    "smoke of no stage": ("pretrain: {data: [16]}", "codebok: {}", "17:3", "unknown key 'codebok'"),
    "smoke parts": ("pretrain: {data: [16]}", "pretrain: [{}, {}]", "17:13", "2 parts for 1"),
    "smoke family": ("{data: [16]}", "{families: {resnet: [d2w6]}}", "17:25", "has the family"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place(name: str, write_grid: WriteGrid) -> None:
    old, new, place, words = MISTAKES[name]
    assert old in GRID
    path = write_grid(GRID.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_grid(path)
    lines = [line for line in str(caught.value).splitlines() if words in line]
    assert lines, str(caught.value)
    assert lines[0].startswith(f"{path}:{place}: "), lines[0]


def test_the_grid_they_are_made_in_has_none(write_grid: WriteGrid) -> None:
    assert len(plan_of(write_grid(GRID)).trials) == 3


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("l1d8h1t128", "l1d24h1", "8:7", "has 256 slots for heartbeats, codebook l1d48k256t128"),
        ("window_s: 5", "window_s: 5, fs_hz: 250", "8:32", "reads records at 100 Hz"),
        ("data: [32]\n  - p", "data: [16, 32]\n  - p", "8:7", "2 codebooks are trained"),
    ],
)
def test_what_cannot_go_together(
    old: str, new: str, place: str, words: str, write_grid: WriteGrid
) -> None:
    path = write_grid(GRID.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        plan_of(path)
    assert any(
        line.startswith(f"{path}:{place}: ") and words in line
        for line in str(caught.value).splitlines()
    ), str(caught.value)


TASK = "[virtual/shifted]"
S1 = "corpus: {source: virtual/code, records: 64, preprocessing: s1}\n      "
MASKED = GRID[GRID.index("families: {transformer") : GRID.index("data: [32]\n      tasks")]
SIGNALS = {
    "task": (TASK, "[{source: virtual/shifted, preprocessing: s1}]", "12:15",
             "virtual/shifted has preprocessing s1 instead of none"),
    "task's rate": (TASK, "[{source: virtual/shifted, preprocessing: s1, fs_hz: 250}]", "12:15",
                    "has fs_hz 250 instead of 100; preprocessing s1 instead of none"),
    "finetune": ("parents: {best", S1 + "parents: {best", "14:15",
                 "virtual/code start from a model that was trained with preprocessing none"),
    "codebook of a stage": ("tasks", S1 + "tasks", "12:15",
                            "predict codes of a codebook that was trained with preprocessing none"),
    "parents": (MASKED, S1 + "families: {resnet: [d2w6]}\n      ", "13:16",
                "virtual/basic start from a model that was trained with preprocessing s1 instead"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNALS)
def test_other_signals_are_refused_before_anything_runs(name: str, write_grid: WriteGrid) -> None:
    old, new, place, words = SIGNALS[name]
    assert old in GRID
    path = write_grid(GRID.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        plan_of(path)
    lines = [line for line in str(caught.value).splitlines() if words in line]
    assert lines, str(caught.value)
    assert lines[0].startswith(f"{path}:{place}: "), lines


def test_a_converted_codebook_of_other_signals_is_refused(
    write_grid: WriteGrid, tmp_path: Path
) -> None:
    known: dict[str, object] = {"stage": "codebook", "size": "l4d768k8192", "leads": list(LEADS)}
    known |= {"corpus": {"source": "mimic", "fs_hz": 100, "preprocessing": "heartlang"}}
    path = released(tmp_path, training=known)
    text = GRID.replace("tasks", f"codebook: {path.name}\n      tasks").replace(CODEBOOK, "")
    grid = write_grid(text.replace("l1d8h1t128", "l1d24h1"))
    words = "9:17: .* trained with preprocessing heartlang instead of none"
    with pytest.raises(ConfigurationError, match=words):
        plan_of(grid)
    known["corpus"] = {"preprocessing": "none"}
    released(tmp_path, training=known)
    assert plan_of(grid).trials


def test_smoke_has_a_part_for_each_stage_of_a_name(write_grid: WriteGrid) -> None:
    text = GRID.replace(
        "  - finetune",
        "  - pretrain:\n      families: {resnet: [d2w6, d2w12]}\n      data: [32]\n  - finetune",
    )
    text = text.replace("pretrain: {data: [16]}", "pretrain: [{data: [16]}, {data: [8]}]")
    assert [s.settings.data for s in load_grid(write_grid(text), smoke=True).grid.stages] == [
        [32], [16], [8], [32],
    ]  # fmt: skip
    text = text.replace(
        "pretrain: [{data: [16]}, {data: [8]}]", "pretrain: {families: {resnet: [d2w6]}}"
    )
    stages = load_grid(write_grid(text), smoke=True).grid.stages
    assert stages[1].settings.sizes_by_family == {"transformer": ["l1d8h1t128"]}
    assert stages[2].settings.sizes_by_family == {"resnet": ["d2w6"]}


def released(folder: Path, **changes: object) -> Path:
    """A file and its sidecar as the converter leaves them, as far as a plan reads them."""
    path = folder / "heartlang.safetensors"
    path.write_bytes(b"weights")
    about = {"id": "x0123456789abcdef", "training": {"stage": "codebook", "size": "l4d768k8192"}}
    path.with_suffix(".json").write_text(json.dumps(about | changes))
    return path


def test_a_converted_codebook_is_a_parent_and_is_copied_into_the_store(
    write_grid: WriteGrid, tmp_path: Path
) -> None:
    path = released(tmp_path)
    text = GRID.replace("tasks", f"codebook: {path.name}\n      tasks")
    text = text.replace(CODEBOOK, "").replace("l1d8h1t128", "l1d24h1")
    grid = write_grid(text)  # a path that is not below the current folder is the grid's
    plan = plan_of(grid)
    training = plan.stages[0].trials[0].job.training
    assert training.parents == (("codebook", "x0123456789abcdef"),)
    assert training.options == (("mask_ratio", 0.3),)  # 8192 codes are the default
    assert "models.vq_hbr" in dict(training.numerics)  # the codebook's id says nothing of it
    (found, _) = find_corpora(load_grid(grid), {}).codebooks
    assert found == read_released(path)
    workspace = Workspace(store=tmp_path / "store", cache=tmp_path)
    keep_released(found, workspace)
    kept = workspace.weights_of(found.id)
    assert kept.read_bytes() == b"weights"
    assert json.loads(kept.with_suffix(".json").read_text())["id"] == found.id
    assert str(tmp_path) not in json.dumps(load_grid(grid).resolved())


def test_a_file_that_is_no_converted_codebook(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        read_released(tmp_path / "none.safetensors")
    with pytest.raises(ConfigurationError, match="is no converted codebook"):
        read_released(released(tmp_path, id="t0123456789abcdef"))
    with pytest.raises(ConfigurationError, match="is not the sidecar"):
        read_released(released(tmp_path, training=None))
