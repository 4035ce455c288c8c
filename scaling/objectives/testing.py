"""The batteries every objective passes. An objective's test class inherits one.

``BuildContract`` is of the model an objective builds, ``ObjectiveContract`` also of its loss.
The subclass names the objective and gives a small case that it can learn.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from scaling.cost import count_training
from scaling.data.batches import Batch, Order, Split
from scaling.identity import Training
from scaling.objectives.base import Context, Objective, objective_of
from scaling.objectives.registry import OBJECTIVES, default_objective
from scaling.records.record import AUXILIARY, PARAMETER_GROUPS

STEPS = 30
BATCH = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A small training."""

    training: Training  # of the objective under test
    context: Context  # of it; its parents are there
    # ``train`` and ``validation``, not annotated; more than ``BATCH`` records each
    splits: dict[str, Split]


def options_out_of_range(name: str) -> Iterator[tuple[str, float | int | str]]:
    """Values of the options of an objective that must be refused."""
    info = OBJECTIVES[name]
    for option, low, high in info.limits:
        yield from ((option, low - 1), (option, high + 1))
    for option, default in info.options:
        yield option, (1 if isinstance(default, str) else "high")
    yield "unheard_of", 1.0


class BuildContract:
    """Subclass with ``name`` and a fixture ``case``; see the module."""

    name: str

    @pytest.fixture
    def case(self) -> Case:
        """A small training of the objective ``name``."""
        raise NotImplementedError

    @pytest.fixture
    def objective(self, case: Case) -> Objective:
        """The objective; the splits of the case are annotated."""
        assert case.training.objective == self.name
        found = objective_of(case.training)
        found.annotate(case.splits, case.context)
        return found

    @pytest.fixture
    def model(self, case: Case, objective: Objective) -> nn.Module:
        """The untrained model of seed 0, as training starts it."""
        return _start(case, objective)

    def test_top_level_modules_are_parameter_groups(self, model: nn.Module) -> None:
        names = {name for name, _ in model.named_children()}
        assert "backbone" in names
        assert names <= {*PARAMETER_GROUPS, AUXILIARY}

    def test_counted_groups_sum_to_what_is_built(self, case: Case, model: nn.Module) -> None:
        counts = count_training(case.training, case.context.outputs)
        buffers = [b for name, b in model.named_buffers() if name == "codebook.codes"]
        kept = [v for n, v in model.named_parameters() if not n.startswith(f"{AUXILIARY}.")]
        held = sum(value.numel() for value in (*kept, *buffers))
        assert counts.total == held
        assert 0 < counts.N <= counts.total
        assert counts.macs > 0

    def test_a_seed_gives_the_same_model(self, case: Case, objective: Objective) -> None:
        one, two = _start(case, objective), _start(case, objective)
        assert _differences(one.state_dict(), two.state_dict()) == []

    def test_the_backbone_starts_as_that_of_other_objectives(
        self, case: Case, model: nn.Module
    ) -> None:
        twin = default_objective("random", case.training.family)
        if twin is None:
            pytest.skip(f"family {case.training.family} has one objective only")
        training = dataclasses.replace(case.training, objective=twin, paradigm="random", options=())
        torch.manual_seed(0)
        other = objective_of(training).build(Context(training=training, outputs=1))
        ours = {k: v for k, v in model.state_dict().items() if k.startswith("backbone.")}
        assert _differences(ours, other.state_dict()) == []

    def test_its_options_are_checked(self, case: Case) -> None:
        for option in options_out_of_range(self.name):
            training = dataclasses.replace(case.training, options=(option,))
            with pytest.raises(ValueError, match=option[0]):
                objective_of(training)

    def test_its_row_says_what_it_is_for(self, case: Case) -> None:
        info = OBJECTIVES[self.name]
        assert case.training.family in info.families
        assert case.training.paradigm == info.paradigm
        assert {option for option, *_ in info.limits} <= dict(info.options).keys()
        defaults = tuple(info.options)
        assert info.settings(defaults) == dict(defaults)


class ObjectiveContract(BuildContract):
    """Subclass with ``name``, ``stochastic`` and a fixture ``case``; see the module."""

    stochastic = False  # whether its loss has random choices

    def test_loss_is_finite_and_its_gradient_reaches_the_backbone(
        self, case: Case, objective: Objective, model: nn.Module
    ) -> None:
        batch = case.splits["train"].batch(torch.arange(BATCH))
        loss = _loss(objective, model.train(), batch)
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for n, p in model.named_parameters() if n.startswith("backbone.")]
        found = [g for g in gradients if g is not None]
        assert all(bool(torch.isfinite(g).all()) for g in found)
        assert sum(bool(g.abs().max() > 0) for g in found) > 0.5 * len(gradients)

    def test_random_choices_come_from_the_generator_alone(
        self, case: Case, objective: Objective, model: nn.Module
    ) -> None:
        batch = case.splits["train"].batch(torch.arange(BATCH))
        before = torch.get_rng_state()
        values = [_loss(objective, copy.deepcopy(model), batch, s).item() for s in (1, 1, 2)]
        assert torch.equal(torch.get_rng_state(), before)
        assert values[0] == values[1]
        assert (values[0] != values[2]) == self.stochastic

    def test_held_out_is_one_number_for_each_record(
        self, case: Case, objective: Objective, model: nn.Module
    ) -> None:
        split = case.splits["validation"]
        found = objective.held_out(model, split)
        assert found.shape == (len(split),)
        assert found.dtype == torch.float32
        assert found.device.type == "cpu"
        assert not found.requires_grad
        assert bool(torch.isfinite(found).all())

    def test_held_out_depends_on_weights_and_records_only(
        self, case: Case, objective: Objective, model: nn.Module
    ) -> None:
        first = objective.held_out(model.train(), case.splits["validation"])
        assert model.training
        torch.manual_seed(1234)
        objective.held_out(model, case.splits["train"])
        again = objective.held_out(model.eval(), case.splits["validation"])
        assert not model.training
        assert torch.equal(first, again)

    def test_held_out_leaves_everything_as_it_was(
        self, case: Case, objective: Objective, model: nn.Module
    ) -> None:
        state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        objective.held_out(model.train(), case.splits["validation"])
        assert _differences(state, model.state_dict()) == []
        assert torch.equal(torch.get_rng_state(), random)

    def test_held_out_survives_saving_and_building_anew(
        self, case: Case, objective: Objective, model: nn.Module
    ) -> None:
        _descend(objective, model, case.splits["train"], 2)
        twin = objective_of(case.training).build(case.context)
        twin.load_state_dict(model.state_dict())
        split = case.splits["validation"]
        assert torch.equal(objective.held_out(twin, split), objective.held_out(model, split))

    def test_it_learns(self, case: Case, objective: Objective, model: nn.Module) -> None:
        train = case.splits["train"]
        before = objective.held_out(model, train).mean()
        _descend(objective, model, train, STEPS)
        assert objective.held_out(model, train).mean() < 0.97 * before

    def test_it_runs_in_bfloat16(self, case: Case, objective: Objective, model: nn.Module) -> None:
        batch = case.splits["train"].batch(torch.arange(BATCH))
        exact = _loss(objective, copy.deepcopy(model), batch)
        rounded = _loss(objective, copy.deepcopy(model), batch, bf16=True)
        assert rounded.dtype == torch.float32
        assert rounded.item() == pytest.approx(exact.item(), rel=0.1)

    def test_held_out_in_bfloat16_is_a_loss_in_float32(
        self, case: Case, objective: Objective, model: nn.Module
    ) -> None:
        """As the curve of a training is measured; its loss is not rounded to 8 bits."""
        exact = objective.held_out(model, case.splits["validation"])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = objective.held_out(model, case.splits["validation"])
        assert rough.dtype == torch.float32
        assert rough.mean().item() == pytest.approx(exact.mean().item(), rel=0.05)
        assert not torch.equal(rough, rough.bfloat16().float())


def _start(case: Case, objective: Objective) -> nn.Module:
    torch.manual_seed(0)
    model = objective.build(case.context)
    objective.start(model, case.splits["train"])
    return model


def _loss(
    objective: Objective, model: nn.Module, batch: Batch, seed: int = 0, *, bf16: bool = False
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        outputs = objective.outputs(model, batch, generator)
    return objective.loss(outputs, batch)


def _descend(objective: Objective, model: nn.Module, split: Split, steps: int) -> None:
    """Adam, without schedule or early stop."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _, rows in zip(range(steps), Order(len(split), BATCH, seed=0), strict=False):
        batch = split.batch(rows)
        loss = objective.loss(objective.outputs(model, batch, generator), batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _differences(one: dict[str, Tensor], two: dict[str, Tensor]) -> list[str]:
    """Names of tensors that are not the same in both."""
    shared = one.keys() & two.keys()
    return sorted(one.keys() ^ two.keys()) + [n for n in shared if not torch.equal(one[n], two[n])]
