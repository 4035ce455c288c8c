"""Ids that were given out: of every shipped grid, and of every published study.

``ids.json`` was made by the version before configurations had roles and stages a table. An id that
changes makes a finished trial run again, so nothing here is brought up to date: only a new number
may change one, and then ``NUMERICS`` says so.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.registry import Summaries
from scaling.corpora.sources.read.base import Summary
from scaling.identity import CorpusSpec
from scaling.numerics import NUMERICS
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import find_corpora
from sweeps.plan.expand import expand

ROOT = Path(__file__).resolve().parents[3]
GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("ids.json").read_text())
SHIPPED = {path.stem: path for path in sorted((ROOT / "sweeps/grids").glob("*.yaml"))}
SHIPPED["first-laws"] = ROOT / "grid.yaml"
# What no shipped grid has: parents of two roles, the best of children, cells, settings as axes,
# a codebook's file.
MADE = {
    "continued": """\
study: continued
corpus: {source: virtual/basic, records: 64, validation: 16, test: 16, window_s: 5}
stages:
  - codebook:
      families: {vq-hbr: [l1d48k256t128]}
      data: [32]
  - pretrain:
      families: {resnet: [d2w6], transformer: [l1d8h1t128]}
      paradigms: [sl, ssl, random]
      data: [64]
      tasks: [{source: virtual/shifted, records: 64, validation: 16, test: 16}]
      few_shot: [0.1, 1]
      trajectory: true
      predictions: true
  - pretrain:
      corpus: {source: virtual/code, records: 64, validation: 16, test: 16}
      parents: {paradigms: [ssl]}
      data: [32]
  - finetune:
      corpus: virtual/csn
      parents: {stage: pretrain}
      scratch: true
      labels: [0.1, 1]
      data: [16, 32]
  - finetune:
      parents: {stage: finetune, best: macro_auroc}
      data: [16]
""",
    "axes": """\
study: axes
corpus: {source: virtual/mimic, records: 64, validation: 16, test: 16, window_s: 5}
stages:
  - codebook:
      families: {vq-hbr: [l1d48k256t128, l1d64k512t128]}
      objective: {name: codebook, decay: 0.9}
      data: 32
  - pretrain:
      families: {transformer: [l1d8h1t128]}
      paradigms: ssl
      codebook: {size: l1d64k512t128}
      objective: {name: masked, mask_ratio: [0.3, 0.5]}
      data: [32, 64]
      recipe:
        {lr: [0.1, 0.2], activation_checkpointing: [true, false], by_size: {l1d8h1t128: {batch: 8}}}
  - pretrain:
      seeds: [0, 1]
      label_sets: [dominant-0.1, tail-0.1]
      labels: [0.5, 1]
      objective: {name: focal, gamma: [0, 2]}
      cells:
        - {family: resnet, size: d2w6, data: 16}
        - {family: resnet, size: d2w12, data: 32, seed: 5, recipe: {lr: 0.3}}
""",
    "converted": """\
study: converted
corpus: {source: virtual/basic, records: 64, window_s: 5}
stages:
  - pretrain:
      families: {transformer: [l1d24h1]}
      paradigms: [ssl]
      codebook: heartlang.safetensors
      data: [32]
      tasks: [virtual/shifted]
  - finetune:
      parents: {best: loss}
      data: [32]
""",
    "chain": """\
study: chain
corpus: {source: simulated/chinchilla, records: 4096}
stages:
  - pretrain:
      families: {simulated: [n1000, n4000]}
      data: [256, 512]
  - finetune:
      corpus: simulated/shifted
      parents: {best: loss}
      scratch: true
      data: [64, 128]
""",
}


def ids_of(grid: Path, roots: dict[str, Path], smoke: bool = False) -> list[list[str]]:
    """Ids of each stage in the order of the plan, each training before its evaluations."""
    study = load_grid(grid, smoke=smoke)
    return [
        [i for job in stage.jobs for i in (job.training.id, *(e.id for e in job.evaluations))]
        for stage in expand(study, find_corpora(study, roots), {})
    ]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No virtual patient is drawn: any corpus of theirs holds enough records."""
    real = Summaries.of

    def summary(self: Summaries, spec: CorpusSpec, task: str, root: Path | None) -> Summary:
        if root is not None:
            return real(self, spec, task, root)
        files = SOURCES[spec.source].kind == "files"
        return Summary(
            train=10**7,
            validation=10**6,
            test=10**6,
            patients=10**6,
            classes=("a", "b"),
            fingerprint=f"files of {spec.source}" if files else "",
        )

    monkeypatch.setattr(Summaries, "of", summary)


@pytest.fixture
def no_files(counted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source of files is there; it has a fingerprint of its own."""
    monkeypatch.setattr("sweeps.plan.corpora._Finder._root", lambda self, items: None)


@pytest.mark.parametrize("name", GOLDEN["grids"])
def test_an_id_once_given_out_stays(
    name: str, no_files: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, version in GOLDEN["numerics"].items():
        monkeypatch.setitem(NUMERICS, module, version)
    if name in MADE:
        grid = tmp_path / f"{name}.yaml"
        grid.write_text(MADE[name])
        (tmp_path / "heartlang.safetensors").write_bytes(b"weights")
        trained = {"stage": "codebook", "size": "l4d768k8192"}
        about = {"id": "x0123456789abcdef", "training": trained}
        (tmp_path / "heartlang.json").write_text(json.dumps(about))
    else:
        grid = SHIPPED[name.removesuffix("-smoke")]
    found = [i for stage in ids_of(grid, {}, name.endswith("-smoke")) for i in stage]
    golden = GOLDEN["grids"][name]
    assert (found[0], found[-1], len(found)) == (golden["first"], golden["last"], golden["ids"])
    assert hashlib.sha256(" ".join(found).encode()).hexdigest()[:16] == golden["sha256"]


@pytest.mark.parametrize("study", sorted(path.name for path in (ROOT / "results").iterdir()))
def test_a_published_study_is_planned_with_the_ids_it_has(
    study: str,
    counted: None,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the grid that is published, under the versions that made it."""
    folder = ROOT / "results" / study
    published = json.loads((folder / "study.json").read_text())
    (made_by, *_) = json.loads((folder / "provenance.json").read_text())
    for module, version in made_by["numerics"].items():
        monkeypatch.setitem(NUMERICS, module, version)
    grid = tmp_path / "grid.yaml"
    grid.write_text(json.dumps(published["grid"]))
    roots = {}
    if "ptbxl" in study:
        roots["ptbxl"] = request.getfixturevalue("shared") / "data/ptb-xl"
    assert [set(stage) for stage in ids_of(grid, roots)] == [
        set(stage["trials"] + stage["evaluations"]) for stage in published["stages"]
    ]
