"""Objectives on labels: their losses by hand, and labels they refuse or survive."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from scaling.objectives import registry
from scaling.objectives.base import Context, UntrainedObjective, objective_of
from scaling.objectives.labels import (
    Categorical,
    Classifier,
    Focal,
    LabelObjective,
    binary_losses,
)
from scaling.objectives.registry import OBJECTIVES, default_objective
from scaling.training.selection import empty_classes
from tests.scaling.objectives.data import CLASSES, tiny_case, tiny_split, tiny_training

LOGITS = torch.tensor([[0.5, -2.0, 0.0], [3.0, 0.1, -1.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def focal_by_hand(gamma: float) -> list[float]:
    """Lin et al. 2017, Eq. 4."""
    values = []
    for logits, labels in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        terms = []
        for logit, label in zip(logits, labels, strict=True):
            p = 1 / (1 + math.exp(-logit))
            p_t = p if label else 1 - p
            terms.append(-((1 - p_t) ** gamma) * math.log(p_t))
        values.append(sum(terms) / len(terms))
    return values


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_the_formula(gamma: float) -> None:
    found = Focal({"gamma": gamma}).losses(LOGITS, LABELS)
    assert found.tolist() == pytest.approx(focal_by_hand(gamma), rel=1e-5)


def test_focal_loss_without_gamma_is_the_cross_entropy() -> None:
    found = Focal({"gamma": 0.0}).losses(LOGITS, LABELS)
    torch.testing.assert_close(found, binary_losses(LOGITS, LABELS))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradients_are_finite_however_sure_the_model_is(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0, 200.0, -200.0, 0.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0]])
    loss = Focal({"gamma": gamma}).losses(logits, labels).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    assert math.isfinite(loss.item())


def test_the_gamma_is_the_trainings() -> None:
    batch = tiny_split(8, 0).batch(torch.arange(8))
    losses = []
    for options in ((), (("gamma", 5.0),)):
        torch.manual_seed(0)
        training = tiny_training("focal", options=options)
        objective = objective_of(training)
        model = objective.build(Context(training=training, outputs=3))
        outputs = objective.outputs(model, batch, torch.Generator())
        losses.append(objective.loss(outputs, batch).item())
        assert objective.settings["gamma"] == (dict(options) or {"gamma": 2.0})["gamma"]
    assert losses[1] < losses[0]


def test_categorical_loss_is_minus_the_logarithm_of_the_share() -> None:
    labels = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    expected = []
    for logits, place in zip(LOGITS.tolist(), (2, 0), strict=True):
        e = [math.exp(value) for value in logits]
        expected.append(-math.log(e[place] / sum(e)))
    found = Categorical({}).losses(LOGITS, labels)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_categorical_refuses_records_without_exactly_one_class() -> None:
    case = tiny_case("categorical")
    labels = case.splits["validation"].labels
    labels[3] = 0.0
    labels[7] = 1.0
    with pytest.raises(ValueError, match=r"2 of 80 validation.*record 3 has 0, record 7 has 3"):
        Categorical({}).annotate(case.splits, case.context)


def test_categorical_names_only_the_first_records() -> None:
    case, split = tiny_case("categorical"), tiny_split(9, 0)
    split.labels = torch.zeros(9, 2)
    with pytest.raises(ValueError, match=r"9 of 9 .*\(record 0 has 0, record 1 has 0, record 2"):
        Categorical({}).annotate({"train": split}, case.context)
    Categorical({}).annotate(case.splits, case.context)


@pytest.mark.parametrize("name", ["supervised", "focal", "categorical"])
def test_an_untrained_head_gives_the_class_frequencies(name: str) -> None:
    case = tiny_case(name)
    objective = objective_of(case.training)
    model = objective.build(case.context)
    objective.start(model, case.splits["train"])
    assert isinstance(model, Classifier)
    last = model.output_layer
    assert last.weight.abs().max().item() <= 0.1 / last.in_features**0.5
    share = case.splits["train"].labels.mean(dim=0)
    bias = last.bias.detach()
    found = bias.softmax(dim=0) if name == "categorical" else bias.sigmoid()
    torch.testing.assert_close(found, share, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["supervised", "focal", "categorical"])
def test_a_class_without_positives_stays_finite(name: str) -> None:
    case = tiny_case(name)
    train = case.splits["train"]
    train.labels = torch.cat([train.labels, torch.zeros(len(train), 1)], dim=1)
    objective = objective_of(case.training)
    assert isinstance(objective, LabelObjective)
    model = objective.build(dataclasses.replace(case.context, outputs=4))
    objective.start(model, train)
    assert bool(torch.isfinite(objective.held_out(model, train)).all())


def test_classes_without_positives_are_named() -> None:
    split = tiny_split(16, 0)
    assert empty_classes(split, CLASSES) == []
    split.labels[1:, :] = 0.0
    split.labels[0] = torch.tensor([1.0, 0.0, 1.0])  # one positive is not none
    assert empty_classes(split, CLASSES) == ["middle"]
    with pytest.raises(ValueError, match="zip"):
        empty_classes(split, CLASSES[:2])


def test_log_frequencies_are_smoothed() -> None:
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert Categorical({}).prior(labels).exp().tolist() == pytest.approx([3.5 / 4, 0.5 / 4])


def test_an_untrained_model_is_its_backbone_and_has_no_loss() -> None:
    case = tiny_case("untrained")
    model = UntrainedObjective({}).build(case.context)
    batch = case.splits["train"].batch(torch.arange(4))
    assert model(batch.x_BLT, batch.r_peaks_BP).shape == (4, 6)
    assert [name for name, _ in model.named_children()] == ["backbone"]
    with pytest.raises(ValueError, match="linear probe"):
        UntrainedObjective({}).held_out(model, case.splits["train"])
    with pytest.raises(ValueError, match="linear probe"):
        UntrainedObjective({}).outputs(model, batch, torch.Generator())
    with pytest.raises(ValueError, match="linear probe"):
        UntrainedObjective({}).loss(None, batch)


def test_a_default_objective_is_of_its_paradigm_and_family() -> None:
    for paradigm in ("sl", "ssl", "random"):
        for family in ("resnet", "transformer"):
            name = default_objective(paradigm, family)
            assert name is not None
            assert OBJECTIVES[name].paradigm == paradigm
            assert family in OBJECTIVES[name].families
    assert default_objective("sl", "vq-hbr") is None


def test_a_new_row_changes_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of grids that name no objective hang on it."""
    kinds = [(p, f) for p in ("sl", "ssl", "random") for f in ("resnet", "transformer", "vq-hbr")]
    before = [default_objective(*kind) for kind in kinds]
    rows = {
        f"own-{paradigm}": dataclasses.replace(OBJECTIVES["focal"], name="own", paradigm=paradigm)
        for paradigm in ("sl", "ssl", "random")
    }
    monkeypatch.setattr(registry, "OBJECTIVES", rows | OBJECTIVES)  # above all others
    assert [default_objective(*kind) for kind in kinds] == before


def test_a_family_has_the_objectives_of_its_paradigms() -> None:
    assert "vq-hbr" not in OBJECTIVES["untrained"].families
    assert OBJECTIVES["codebook"].families == ("vq-hbr",)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("contrastive", ("temperature", 0.0), "from 0.001 to 10"),
        ("contrastive", ("temperature", True), "must be a number"),
        ("masked", ("codes", 8.0), "whole number"),
        ("masked", ("ratio", 0.5), "has no option 'ratio'; it has codes, mask_ratio"),
        ("supervised", ("gamma", 2.0), "no option 'gamma'; it has boxes"),
        ("supervised", ("boxes", "some"), "must be none or record or batch"),
        ("categorical", ("gamma", 2.0), "it has none"),
    ],
)
def test_settings_say_what_is_wrong_with_an_option(
    name: str, option: tuple[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        OBJECTIVES[name].settings((option,))
    assert OBJECTIVES[name].settings(()) == dict(OBJECTIVES[name].options)
