"""External corpora in a plan: what is measured on them, what it costs, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scaling.identity import Job
from scaling.records.names import LINEAR_PROBE
from sweeps.drive.driver import needed_parents
from sweeps.errors import ConfigurationError
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import find_corpora
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.plan.test_distill_refused import check_refused
from tests.sweeps.study import ids_of, plan_of

GRID = """\
study: elsewhere
corpus: {source: virtual/cpsc2018, records: 64, validation: 16, test: 16, window_s: 5}
stages:
  - pretrain:
      families: {resnet: [d2w6]}
      paradigms: [sl, ssl, random]
      data: [32]
      tasks: [{source: virtual/csn, records: 8, validation: 8, test: 8}]
      external: [{source: virtual/wearable, records: 8, validation: 8, test: 512}]
      predictions: true
      metrics: multilabel
"""
WEARABLE = "{source: virtual/wearable, records: 8, validation: 8, test: 512}"
STUDENTS = f"""\
study: elsewhere
corpus: {{source: virtual/cpsc2018, records: 64, validation: 16, test: 16, window_s: 5}}
stages:
  - pretrain:
      corpus: {{source: virtual/csn, records: 64, validation: 16, test: 16}}
      families: {{resnet: [d2w12]}}
      data: [32]
  - restore:
      families: {{unet: [c4]}}
      input_leads: I
      data: [32]
  - finetune:
      parents: {{}}
      data: [32]
      labels: 0.5
      recipe: {{batch: 8}}
      external: [{WEARABLE}]
  - distill:
      families: {{resnet: [d2w6]}}
      input_leads: I
      methods: [none, kd]
      data: [32]
      labels: 0.5
      recipe: {{batch: 8}}
      teacher: {{}}
      restoration: {{}}
      external: [{WEARABLE}]
"""


def test_heads_alone_are_measured_and_as_the_stage_says(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(GRID))
    found = {p.job.training.paradigm: p.job.evaluations for p in plan.trials}
    protocols = {paradigm: [e.protocol for e in of] for paradigm, of in found.items()}
    assert protocols == {
        "sl": ["held-out", "external", "linear-probe"],
        "ssl": ["held-out", "linear-probe"],
        "random": ["linear-probe"],
    }
    one = found["sl"][1]
    assert (one.corpus.source, one.corpus.test, one.task) == ("virtual/wearable", 512, "")
    assert (one.predictions, one.metrics) == (True, "multilabel")
    assert ("evaluation.external", 1) in one.numerics


def test_ids_of_all_else_are_those_without_it(write_grid: WriteGrid) -> None:
    text = GRID.replace("[sl, ssl, random]", "sl")
    line = next(line for line in text.splitlines(keepends=True) if "external" in line)
    before = ids_of(plan_of(write_grid(text.replace(line, ""))))
    after = ids_of(plan_of(write_grid(text)))
    assert before < after
    assert len(after - before) == 1


def test_every_kind_of_trial_with_a_head_has_it(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(STUDENTS))
    said = {
        (p.job.training.stage, p.job.training.objective): [e.protocol for e in p.job.evaluations]
        for p in plan.trials
    }
    both = ["held-out", "external"]
    assert {key[0] for key, protocols in said.items() if protocols == both} == {
        "finetune", "distill",
    }  # fmt: skip
    job = next(p.job for p in plan.trials if p.job.training.objective == "kd")
    (_, net) = job.training.parent_ids
    alone = Job(training=job.training, evaluations=job.evaluations[1:])
    assert needed_parents(alone, trained=True) == [net]  # it restores what is measured
    probe = dataclasses.replace(job.evaluations[0], protocol=LINEAR_PROBE)
    probed = Job(training=job.training, evaluations=(probe,))
    assert needed_parents(probed, trained=True) == [net]  # and what features are made of
    assert needed_parents(Job(training=job.training), trained=True) == []


def test_what_it_costs_is_own_validation_and_the_other_test_records(write_grid: WriteGrid) -> None:
    def disk(text: str) -> int:
        return sum(p.disk for p in plan_of(write_grid(text)).trials)

    def seconds(text: str) -> float:
        return sum(p.seconds for p in plan_of(write_grid(text)).trials)

    line = f"      external: [{WEARABLE}]\n"
    text = GRID.replace("[sl, ssl, random]", "sl").replace("predictions: true", "")
    text = text.replace("      metrics", "      predictions: true\n      metrics")
    more = text.replace("test: 512", "test: 1024")
    assert seconds(text.replace(line, "")) < seconds(text) < seconds(more)
    six = 5 * 6 + 4 * 24 + 17  # bytes of a record with six shared classes
    assert disk(more) - disk(text) == 512 * six


def test_corpora_of_a_study_hold_it_and_its_test_records_alone_count(
    write_grid: WriteGrid,
) -> None:
    corpora = find_corpora(load_grid(write_grid(GRID)), {})
    splits = {target.name: corpora.splits_of(target) for target in corpora.all()}
    every = ("train", "validation", "test")
    assert splits == {
        "virtual/cpsc2018": every, "virtual/csn": every, "virtual/wearable": ("test",),
    }  # fmt: skip


SSL = GRID.replace("[sl, ssl, random]", "[ssl, random]")
# What the grid says, its last place of some words with a bar before the place, and the message.
REFUSED: dict[str, tuple[str, str, str]] = {
    "its own corpus": (
        GRID.replace(WEARABLE, "virtual/cpsc2018"),
        "external: [|virtual/cpsc2018",
        "trials are trained on virtual/cpsc2018, so virtual/cpsc2018 is no other corpus for them",
    ),
    "no class in common": (
        GRID.replace(WEARABLE, "virtual/ptbxl:rhythm").replace("cpsc2018", "shifted"),
        "external: [|virtual/ptbxl:rhythm",
        "virtual/shifted and virtual/ptbxl:rhythm have no class in common by equal_codes.csv: the "
        "first has LAD, LVOLT, TInv, LQT, CRBBB, the second SR, AFIB, STACH",
    ),
    "no codes": (
        GRID.replace(WEARABLE, "virtual/csn, virtual/mimic"),
        "external: [virtual/csn, |virtual/mimic",
        "virtual/mimic:icd has no column in equal_codes.csv, so no class of it is known to be one",
    ),
    "no codes of its own": (
        GRID.replace("virtual/cpsc2018", "virtual/echonext"),
        "external: [|{source",
        "virtual/echonext:shd has no column in equal_codes.csv",
    ),
    "other signals": (
        GRID.replace("test: 512}", "test: 512, fs_hz: 250}"),
        "external: [|{source",
        "virtual/wearable has fs_hz 250 instead of 100: a model is measured on signals like",
    ),
    "no labels": (SSL, "|external: [", "no trial of this stage predicts labels, which are measure"),
    "no source": (GRID.replace("virtual/wearable", "virtual/wearible"), "source: |virtual/wearible",
                  "no source 'virtual/wearible'; did you mean 'virtual/wearable'?"),
    "what its teacher has seen": (
        STUDENTS.replace("source: virtual/csn,", "source: virtual/wearable,").replace(
            "external: [{source: virtual/wearable, records: 8, validation: 8, test: 512}]\n  - dis",
            "metrics: multilabel\n  - dis").replace("virtual/wearable, records: 8, validation: 8, "
            "test: 512", "virtual/wearable, records: 64, validation: 16, test: 16"),
        "external: [|{source",
        "parents of these trials were trained on virtual/wearable, so it is no external corpus",
    ),
    "two sizes": (
        STUDENTS.replace("test: 512}]\n  - dis", "test: 256}]\n  - dis"),
        "external: [|{source",
        "virtual/wearable is used twice with different settings",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_is_said_at_its_line(name: str, write_grid: WriteGrid) -> None:
    check_refused(*REFUSED[name], write_grid)


def test_simulated_corpora_have_no_classes_with_codes(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        "study: made\ncorpus: {source: simulated/chinchilla}\nstages:\n  - pretrain:\n"
        "      families: {simulated: [n1000]}\n      data: [64]\n"
        "      external: [simulated/shifted]\n"
    )
    with pytest.raises(ConfigurationError, match=r"7:\d+: .*simulated/chinchilla has no column"):
        plan_of(path)
