"""Parents: which role they play, what they must have in common, and what is said otherwise."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from scaling.identity import LEADS, START, TEACHER, Job, Parent, Training
from scaling.models.vq_hbr import VqHbr
from scaling.trial import run_job
from scaling.weights import (
    MEASURED_WITH,
    ParentError,
    WeightsError,
    frozen_models,
    load_weights,
    parents_of,
)
from scaling.workspace import Workspace
from tests.scaling.training.trials import (
    CODEBOOK,
    SUPERVISED,
    TAUGHT,
    of_objective,
)

CPU = torch.device("cpu")
NO_STEPS = dataclasses.replace(SUPERVISED.recipe, lr=1e-12, max_steps=1, eval_every=1)


def frozen(training: Training, place: Workspace) -> dict[str, nn.Module]:
    return frozen_models(parents_of(training, place, MEASURED_WITH), CPU)


def run(training: Training, place: Workspace) -> dict[str, Any]:
    record = run_job(Job(training=training), place)[0]
    assert record["error"] is None, record["error"]
    return record


def child_of(parent: Training, **changes: Any) -> Training:
    return dataclasses.replace(
        SUPERVISED,
        stage="finetune",
        parents=(Parent(START, parent.id),),
        recipe=NO_STEPS,
        **changes,
    )


def backbone(training: Training, place: Workspace) -> dict[str, torch.Tensor]:
    state, _ = load_weights(place.weights_of(training.id))
    # Running statistics follow the batches even where the weights stand still.
    return {k: v for k, v in state.items() if k.startswith("backbone.") and "running" not in k}


@pytest.mark.parametrize("objective", ["supervised", "contrastive"])
def test_a_child_starts_from_the_backbone_and_has_a_new_head(
    objective: str, trials: Workspace
) -> None:
    parent = of_objective(objective)
    child, scratch = child_of(parent), dataclasses.replace(child_of(parent), parents=())
    for training in (parent, child, scratch):
        run(training, trials)
    ours, theirs = backbone(child, trials), backbone(parent, trials)
    fresh = backbone(scratch, trials)
    names = [name for name in ours if ours[name].is_floating_point()]
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in names)
    assert any(not torch.allclose(fresh[name], theirs[name], atol=1e-3) for name in names)
    head, _ = load_weights(trials.weights_of(child.id))
    start, _ = load_weights(trials.weights_of(scratch.id))
    assert torch.allclose(head["head.weight"], start["head.weight"], atol=1e-6)


def test_a_masked_training_gets_the_codebook_frozen(trials: Workspace) -> None:
    models = frozen(of_objective("masked"), trials)
    assert list(models) == ["codebook"]
    codebook = models["codebook"]
    assert isinstance(codebook, VqHbr)
    assert not codebook.training
    assert not any(parameter.requires_grad for parameter in codebook.parameters())
    kept, _ = load_weights(trials.weights_of(CODEBOOK.id))
    assert all(torch.equal(value, kept[name]) for name, value in codebook.state_dict().items())


def test_a_masked_training_may_start_from_a_masked_one(trials: Workspace) -> None:
    first = of_objective("masked")
    again = dataclasses.replace(
        first, parents=(*first.parents, Parent(START, first.id)), recipe=NO_STEPS
    )
    run(first, trials)
    run(again, trials)
    assert sorted(parents_of(again, trials)) == ["codebook", "start"]
    ours, theirs = backbone(again, trials), backbone(first, trials)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)


def test_without_parents_there_are_none(trials: Workspace) -> None:
    assert parents_of(SUPERVISED, trials) == {}
    assert frozen(SUPERVISED, trials) == {}


def test_a_lost_parent_is_named(trials: Workspace) -> None:
    (record,) = run_job(Job(training=child_of(SUPERVISED)), trials)
    assert record["trial"]["status"] == "failed"
    assert record["error"]["type"] == "WeightsError"
    assert f"parent {SUPERVISED.id}" in record["error"]["message"]
    assert "weights are gone" in record["error"]["message"]


def corpus(training: Training, **changes: Any) -> Training:
    return dataclasses.replace(training, corpus=dataclasses.replace(training.corpus, **changes))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: dataclasses.replace(t, size="d2w12"), ["size d2w6 instead of d2w12"]),
        (
            lambda t: dataclasses.replace(t, family="transformer", size="l1d8h1t128"),
            ["family resnet instead of transformer", "size d2w6 instead of l1d8h1t128"],
        ),
        (lambda t: dataclasses.replace(t, leads=LEADS[:2]), ["aVR", "instead of I,II"]),
        (lambda t: corpus(t, fs_hz=500), ["fs_hz 100 instead of 500"]),
        (lambda t: corpus(t, preprocessing="s1"), ["preprocessing none instead of s1"]),
    ],
)
def test_each_difference_to_the_parent_is_named(
    change: Callable[[Training], Training], words: list[str], trials: Workspace
) -> None:
    run(SUPERVISED, trials)
    with pytest.raises(ParentError) as caught:
        parents_of(change(child_of(SUPERVISED)), trials)
    assert all(word in str(caught.value) for word in [SUPERVISED.id, *words])


def test_the_window_may_differ(trials: Workspace) -> None:
    run(SUPERVISED, trials)
    assert "start" in parents_of(corpus(child_of(SUPERVISED), window_s=5.0), trials)


def test_a_codebook_of_other_signals_is_refused(trials: Workspace) -> None:
    with pytest.raises(ParentError, match="preprocessing none instead of s1"):
        frozen(corpus(of_objective("masked"), preprocessing="s1"), trials)


def test_two_parents_of_one_role_are_refused(trials: Workspace) -> None:
    other = dataclasses.replace(SUPERVISED, seed=1)
    for training in (SUPERVISED, other):
        run(training, trials)
    both = dataclasses.replace(
        child_of(SUPERVISED), parents=(Parent(START, SUPERVISED.id), Parent(START, other.id))
    )
    with pytest.raises(ParentError, match="two parents that are a start"):
        parents_of(both, trials)


def test_a_training_may_have_a_teacher_beside_its_start(trials: Workspace) -> None:
    run(SUPERVISED, trials)
    child = child_of(SUPERVISED)
    roles = (*child.parents, Parent(TEACHER, TAUGHT.id))
    found = parents_of(dataclasses.replace(child, parents=roles), trials)
    assert {role: [parent.id for parent in parents] for role, parents in found.items()} == {
        "start": [SUPERVISED.id],
        "teacher": [TAUGHT.id],
    }


def test_what_is_no_codebook_cannot_be_one(trials: Workspace) -> None:
    run(SUPERVISED, trials)
    wrong = dataclasses.replace(
        of_objective("masked"), parents=(Parent("codebook", SUPERVISED.id),)
    )
    with pytest.raises(ParentError, match="stage pretrain instead of codebook"):
        parents_of(wrong, trials)


def test_only_what_is_called_is_loaded_to_measure(trials: Workspace) -> None:
    first = of_objective("masked")
    again = dataclasses.replace(first, parents=(*first.parents, Parent(START, "t0")))
    assert list(frozen(again, trials)) == ["codebook"]


def test_weights_that_do_not_fit_their_sidecar_are_refused(trials: Workspace) -> None:
    run(SUPERVISED, trials)
    run(dataclasses.replace(SUPERVISED, size="d2w12"), trials)
    wrong = trials.weights_of(dataclasses.replace(SUPERVISED, size="d2w12").id)
    trials.weights_of(SUPERVISED.id).write_bytes(wrong.read_bytes())
    (record,) = run_job(Job(training=child_of(SUPERVISED)), trials)
    assert f"parent {SUPERVISED.id}: its weights do not fit" in record["error"]["message"]


def test_a_sidecar_that_does_not_say_how_it_was_trained_is_refused(trials: Workspace) -> None:
    run(SUPERVISED, trials)
    sidecar = trials.weights_of(SUPERVISED.id).with_suffix(".json")
    sidecar.write_text(json.dumps({"step": 3}))
    with pytest.raises(WeightsError, match="does not say how it was trained"):
        parents_of(child_of(SUPERVISED), trials)


def test_what_a_converted_checkpoint_does_not_say_is_not_compared(trials: Workspace) -> None:
    sidecar = trials.weights_of(CODEBOOK.id).with_suffix(".json")
    about = json.loads(sidecar.read_text())
    about["training"] = {"stage": "codebook", "family": "vq-hbr", "size": CODEBOOK.size}
    sidecar.write_text(json.dumps(about))
    assert "codebook" in frozen(of_objective("masked"), trials)
