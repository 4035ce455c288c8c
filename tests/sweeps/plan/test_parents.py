"""Stages that follow one another: codebooks, parents, folds, and runs that wait for the best."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from scaling.identity import Job, Parent, Recipe, Training
from sweeps.errors import ConfigurationError
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import find_corpora
from sweeps.plan.cost import Speeds
from sweeps.plan.plan import Plan, make_plan
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.study import ids_of, plan_of, records_of, run, store_of

ROOT = Path(__file__).resolve().parents[3]
FOUR = """\
study: four
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
"""
CHAIN = """\
study: chain
corpus: {source: simulated/chinchilla, records: 4096}
stages:
  - pretrain:
      families: {simulated: [n1000, n4000]}
      data: [256, 512]
      recipe: {max_steps: 40, batch: 64, warmup_steps: 4}
  - finetune:
      corpus: simulated/shifted
      parents: {best: loss}
      scratch: true
      data: [64, 128]
      recipe: {max_steps: 40, batch: 64, warmup_steps: 4}
"""


def trainings(plan: Plan, stage: str = "") -> list[Training]:
    found = [planned.job.training for planned in plan.trials]
    return [t for t in found if stage in ("", t.stage)]


def job_of(plan: Plan, paradigm: str, family: str) -> Job:
    (found,) = (
        p.job
        for p in plan.trials
        if (p.job.training.paradigm, p.job.training.family) == (paradigm, family)
    )
    return found


def test_a_paradigm_means_an_objective_for_a_family(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(FOUR))
    assert {(t.stage, t.paradigm, t.family, t.objective) for t in trainings(plan)} == {
        ("codebook", "ssl", "vq-hbr", "codebook"),
        ("pretrain", "sl", "resnet", "supervised"),
        ("pretrain", "sl", "transformer", "supervised"),
        ("pretrain", "ssl", "resnet", "contrastive"),
        ("pretrain", "ssl", "transformer", "masked"),
        ("pretrain", "random", "resnet", "untrained"),
        ("pretrain", "random", "transformer", "untrained"),
    }


def test_masked_trials_share_the_codebook_and_know_its_size(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(FOUR.replace("data: [64]", "data: [32, 64]")))
    (codebook,) = trainings(plan, "codebook")
    masked = [t for t in trainings(plan) if t.objective == "masked"]
    assert len(masked) == 2
    for training in masked:
        assert training.parents == (Parent("codebook", codebook.id),)
        assert training.options == (("codes", 256),)
        assert "models.vq_hbr" not in dict(training.numerics)  # it is in the codebook's id
    assert all(not t.parents for t in trainings(plan) if t.objective != "masked")


def test_each_objective_is_measured_as_it_can_be(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(FOUR))

    def said(paradigm: str) -> list[tuple[str, str, float, bool]]:
        return [
            (e.protocol, e.checkpoint, e.labels_fraction, e.predictions)
            for e in job_of(plan, paradigm, "resnet").evaluations
        ]

    probes = [
        ("linear-probe", "best-validation", 0.1, True),
        ("linear-probe", "best-validation", 1.0, True),
    ]
    along = ("linear-probe", "trajectory", 1.0, False)
    assert said("sl") == [("held-out", "best-validation", 1.0, True), *probes, along]
    assert said("ssl") == [("held-out", "best-validation", 1.0, False), *probes, along]
    assert said("random") == probes


def test_metrics_are_asked_of_what_predicts_labels(write_grid: WriteGrid) -> None:
    """Of held-out models on labels and of probes at the best step; other ids stay as they were."""
    text = FOUR.replace("few_shot", "metrics: multilabel\n      few_shot")
    before, after = plan_of(write_grid(FOUR)), plan_of(write_grid(text))
    for paradigm, asked in (("sl", 3), ("ssl", 2), ("random", 2)):
        old, new = (job_of(p, paradigm, "resnet").evaluations for p in (before, after))
        more = [e for e in new if e.metrics == "multilabel"]
        assert len(more) == asked
        assert all(dict(e.numerics)["evaluation.multilabel"] == 1 for e in more)
        assert all("trajectory" != e.checkpoint for e in more)
        assert {e.id for e in new} - {e.id for e in old} == {e.id for e in more}
        assert all("evaluation.multilabel" not in dict(e.numerics) for e in old)


def test_what_is_not_trained_does_not_depend_on_its_recipe(write_grid: WriteGrid) -> None:
    first = job_of(plan_of(write_grid(FOUR)), "random", "resnet").training
    text = FOUR.replace("few_shot", "recipe: {max_steps: 7, warmup_steps: 1, eval_every: 2}\n"
                        "      labels: [0.5]\n      few_shot")  # fmt: skip
    plan = plan_of(write_grid(text))
    again = job_of(plan, "random", "resnet").training
    assert again == first
    assert again.recipe == Recipe()
    assert job_of(plan, "sl", "resnet").training.labels_fraction == 0.5
    assert job_of(plan, "ssl", "resnet").training.labels_fraction == 1.0


def test_settings_of_an_objective_are_axes_and_defaults_are_left_out(
    write_grid: WriteGrid,
) -> None:
    text = FOUR.replace("{resnet: [d2w6], transformer: [l1d8h1t128]}", "{transformer: l1d8h1t128}")
    text = text.replace("[sl, ssl, random]", "ssl")
    text = text.replace(
        "trajectory: true", "objective: {name: masked, mask_ratio: [0.3, 0.5]}\n      seeds: [1]"
    )
    found = {t.options for t in trainings(plan_of(write_grid(text)), "pretrain")}
    assert found == {(("codes", 256), ("mask_ratio", 0.3)), (("codes", 256),)}


def test_label_sets_are_an_axis_and_have_a_version(write_grid: WriteGrid) -> None:
    text = FOUR.replace("virtual/basic", "virtual/mimic").replace("few_shot", "label_sets: "
                        "[dominant-0.1, dominant-1.0]\n      few_shot")  # fmt: skip
    found = trainings(plan_of(write_grid(text)), "pretrain")
    labelled = [t for t in found if t.label_set]
    assert {(t.paradigm, t.label_set) for t in labelled} == {
        ("sl", "dominant-0.1"),
        ("sl", "dominant-1.0"),
    }
    assert all("label_sets" in dict(t.numerics) for t in labelled)


def test_a_stage_waits_until_the_best_is_known(write_grid: WriteGrid) -> None:
    grid = write_grid(CHAIN)
    plan = plan_of(grid)
    assert [stage.waiting for stage in plan.stages] == [False, True]
    assert {p.status for p in plan.stages[1].trials} == {"waiting"}
    assert not ids_of(plan) & {t.id for t in trainings(plan, "finetune")}
    assert run(grid) == 0
    done = plan_of(grid, store_of(grid).known)
    children = trainings(done, "finetune")
    records = records_of(grid)
    scores = {
        record["trial"]: row["value"]
        for record in records.values()
        for row in record.get("values", ())
        if (row["protocol"], row["split"], row["metric"]) == ("held-out", "validation", "loss")
        if record["trial"] in {t.id for t in trainings(done, "pretrain")}
    }
    best = min(scores, key=lambda name: scores[name])
    assert {t.parents for t in children} == {(("start", best),), ()}
    assert len(children) == 4
    assert all(t.id in records for t in children)
    study = store_of(grid).read_json("study.json")
    assert [len(stage["trials"]) for stage in study["stages"]] == [4, 4]


def test_children_of_what_failed_are_reported_and_run_later(
    write_grid: WriteGrid, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CHAIN.replace("simulated/chinchilla", "simulated/flaky").replace(
        "{best: loss}", "{stage: pretrain}"
    )
    grid = write_grid(text)
    assert run(grid) == 1
    output = capsys.readouterr()
    failed = {n for n, r in records_of(grid).items() if r.get("error")}
    assert failed
    for name in failed:
        assert f"its parent {name} failed" in output.err
    assert f"{len(failed)} failed, {2 * len(failed)} not started" in output.out
    assert run(grid) == 0


def test_the_best_is_not_chosen_while_a_candidate_is_missing(
    write_grid: WriteGrid, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write_grid(CHAIN.replace("simulated/chinchilla", "simulated/flaky"))
    assert run(grid) == 1
    output = capsys.readouterr()
    assert "the best of the trials it starts from is not known" in output.err
    assert "0 trials trained" not in output.out
    assert run(grid) == 0


def test_a_diverged_parent_starts_nothing(
    write_grid: WriteGrid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CHAIN.replace("chinchilla", "diverging").replace("{best: loss}", "{data: 256}")
    grid = write_grid(text)
    assert run(grid) == 1
    status = {n: r["trial"]["status"] for n, r in records_of(grid).items() if n[0] == "t"}
    diverged = [name for name, found in status.items() if found == "diverged"]
    assert any(f"its parent {name} diverged" in capsys.readouterr().err for name in diverged)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{data: 999}", "no trial of the pretrain stage"),
        ("{best: macro_auroc, sizes: [n1000]}", None),
    ],
)
def test_parents_that_match_nothing(rule: str, words: str | None, write_grid: WriteGrid) -> None:
    grid = write_grid(CHAIN.replace("{best: loss}", rule))
    if words is None:
        assert trainings(plan_of(grid), "finetune")
        return
    with pytest.raises(ConfigurationError, match=rf"10:16: stages.1.finetune.parents: {words}"):
        plan_of(grid)


@pytest.mark.parametrize(
    ("axis", "best", "parents"),
    [
        ("objective: {name: focal, gamma: [0, 2, 5]}", "loss", 3),
        ("objective: {name: focal, gamma: [0, 2, 5]}", "macro_auroc", 1),
        ("label_sets: [dominant-0.1, dominant-1.0]", "loss", 2),
        ("label_sets: [dominant-0.1, dominant-1.0]", "macro_auroc", 2),
        ("recipe: {lr: [0.1, 0.01]}", "loss", 1),
    ],
)
def test_the_best_is_of_those_whose_values_compare(
    axis: str, best: str, parents: int, write_grid: WriteGrid
) -> None:
    text = f"""\
study: best
corpus: {{source: virtual/mimic, records: 64, validation: 16, test: 16, window_s: 5}}
stages:
  - pretrain:
      families: {{resnet: [d2w6, d2w12]}}
      data: [32, 64]
      {axis}
  - finetune:
      corpus: {{source: virtual/basic, records: 64, validation: 16, test: 16}}
      parents: {{best: {best}}}
      data: [32]
"""
    assert len(trainings(plan_of(write_grid(text)), "finetune")) == parents


def test_losses_on_the_codes_of_two_codebooks_do_not_compare(write_grid: WriteGrid) -> None:
    first = FOUR.replace("[sl, ssl, random]", "ssl").replace("data: [64]", "data: [32, 64]")
    codebook = "  - codebook: {families: {vq-hbr: [l1d48k256t128]}, data: [16]}\n"
    second = "  - pretrain: {families: {transformer: [l1d8h1t128]}, paradigms: ssl, data: [64]}\n"
    tuned = "  - finetune: {parents: {best: loss, families: transformer}, data: [32]}\n"
    assert len(trainings(plan_of(write_grid(first + codebook + second + tuned)), "finetune")) == 2


def test_continued_pretraining_keeps_what_its_parent_is(write_grid: WriteGrid) -> None:
    text = (
        FOUR
        + """\
  - pretrain:
      corpus: {source: virtual/code, records: 64, validation: 16, test: 16}
      parents: {paradigms: [ssl]}
      data: [32]
"""
    )
    found = trainings(plan_of(write_grid(text)))
    by_id = {t.id: t for t in found}
    continued = [t for t in found if t.corpus.source == "virtual/code"]
    assert {(t.family, t.objective) for t in continued} == {
        ("resnet", "contrastive"),
        ("transformer", "masked"),
    }
    for training in continued:
        *codebook, (role, backbone) = training.parents
        assert role == "start"
        parent = by_id[backbone]
        assert (parent.family, parent.paradigm) == (training.family, "ssl")
        assert [by_id[name].stage for _, name in codebook] == (
            ["codebook"] if training.objective == "masked" else []
        )


def test_untrained_parents_are_only_taken_when_asked_for(write_grid: WriteGrid) -> None:
    text = FOUR + "  - finetune: {parents: PARENTS, data: [32]}\n"
    default = plan_of(write_grid(text.replace("PARENTS", "{families: resnet}")))
    asked = plan_of(write_grid(text.replace("PARENTS", "{paradigms: random}")))
    assert len(trainings(default, "finetune")) == 2
    assert len(trainings(asked, "finetune")) == 2


def folded(grid: Path, shared: Path) -> Plan:
    study = load_grid(grid)
    corpora = find_corpora(study, {"ptbxl": shared / "data/ptb-xl"})
    return make_plan(study, corpora, {}, grid.parent / "cache", Speeds(grid.parent / "cache"))


def test_folds_are_an_axis_that_tasks_and_children_follow(
    write_grid: WriteGrid, shared: Path
) -> None:
    text = """\
study: folds
corpus: {source: ptbxl, fold: [3, 7]}
stages:
  - pretrain:
      families: {resnet: [d2w6]}
      data: [64]
      tasks: ["ptbxl:rhythm"]
  - pretrain:
      corpus: {source: virtual/ptbxl, records: 128, validation: 16, test: 16}
      families: {resnet: [d2w6]}
      data: [64]
      tasks: [{source: ptbxl, fold: [1, 2, 3]}]
  - finetune:
      parents: {}
      data: [32]
"""
    plan = folded(write_grid(text), shared)
    own, virtual, tuned = (stage.trials for stage in plan.stages)
    for planned in own:
        fold = planned.job.training.corpus.fold
        assert {e.corpus.fold for e in planned.job.evaluations} == {fold}
    (probed,) = virtual
    assert [e.corpus.fold for e in probed.job.evaluations] == [0, 1, 2, 3]
    home = {t.id: t.corpus for t in trainings(plan)}
    pairs = {(p.job.training.corpus.fold, home[p.job.training.parents[0].id].fold) for p in tuned}
    assert pairs == {(3, 3), (7, 7), (3, 0), (7, 0)}  # virtual patients are in no fold
    assert not any("tested on" in warning for warning in plan.warnings)


def test_a_task_on_another_fold_of_what_was_trained_on_is_warned_of(
    write_grid: WriteGrid, shared: Path
) -> None:
    text = """\
study: seen
corpus: {source: ptbxl, fold: [3]}
stages:
  - pretrain:
      families: {resnet: [d2w6]}
      data: [64]
      tasks: [{source: ptbxl, fold: [4]}]
"""
    plan = folded(write_grid(text), shared)
    assert any("trained on records of ptbxl that they are tested on" in w for w in plan.warnings)


@pytest.mark.parametrize("study", ["first-laws", "ptbxl", "ptbxl-cv", "ptbxl-frozen"])
def test_published_ids_are_those_planned_now(
    study: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    grid, roots = "grid.yaml", {}
    if study != "first-laws":
        grid = f"sweeps/grids/{study}.yaml"
        roots["ptbxl"] = request.getfixturevalue("shared") / "data/ptb-xl"
    loaded = load_grid(ROOT / grid)
    plan = make_plan(loaded, find_corpora(loaded, roots), {}, tmp_path, Speeds(tmp_path))
    with (ROOT / "results" / study / "trials.csv").open() as file:
        published = {row["trial"] for row in csv.DictReader(file)}
    assert {t.id for t in trainings(plan)} == published


GRIDS = sorted((ROOT / "sweeps/grids").glob("*.yaml"))


@pytest.mark.parametrize("grid", [ROOT / "grid.yaml", *GRIDS], ids=lambda path: path.stem)
def test_a_shipped_grid_is_right_in_both_forms(grid: Path) -> None:
    whole, tiny = load_grid(grid), load_grid(grid, smoke=True)
    assert whole.name == grid.stem.replace("grid", "first-laws")
    assert tiny.name == f"{whole.name}-smoke"


@pytest.mark.parametrize(
    "grid", [path for path in GRIDS if "virtual" in path.stem], ids=lambda path: path.stem
)
def test_a_virtual_study_needs_no_files(grid: Path, tmp_path: Path) -> None:
    study = load_grid(grid, smoke=True)
    plan = make_plan(study, find_corpora(study, {}), {}, tmp_path, Speeds(tmp_path))
    assert plan.trials
    assert all(p.status == "new" for p in plan.trials)
