"""A run that was killed goes on from its checkpoint and ends with the same numbers, bit for bit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from scaling.data.batches import Batch
from scaling.objectives.labels import Supervised
from scaling.training.checkpoint import Checkpoint, State
from scaling.training.loop import Outcome, train
from tests.scaling.training.test_loop import RECIPE, SETTINGS, toy_split

MADE_FOR = {"training": "t1", "torch": torch.__version__}
SHORT = dataclasses.replace(RECIPE, max_steps=40, weight_decay=0.1, patience=100)


class Killed(Exception):  # noqa: N818 - it is thrown on purpose
    """Thrown where a process would have been killed."""


class Dropping(nn.Module):
    """Batch statistics, dropout and two layers: state of every kind."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(
            nn.Linear(12, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU()
        )
        self.head = nn.Linear(16, 2)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(x_BLT.mean(dim=-1)))
        return logits


class Noisy(Supervised):
    """Draws from the objective's generator, and is killed at one of its steps."""

    def __init__(self, kill_at: int | None = None) -> None:
        super().__init__(SETTINGS)
        self.kill_at, self.step = kill_at, 0

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        self.step += 1
        if self.step == self.kill_at:
            raise Killed
        noise = 0.1 * torch.randn(batch.x_BLT.shape, generator=generator)
        noisy = dataclasses.replace(batch, x_BLT=batch.x_BLT + noise)
        logits: Tensor = super().outputs(model, noisy, generator)
        return logits


def run(
    path: Path | None = None,
    kill_at: int | None = None,
    report: Callable[[float], None] = lambda share: None,
    every_s: float = 0.0,
) -> tuple[Outcome, nn.Module, str]:
    splits = {"train": toy_split(96, 1), "validation": toy_split(48, 2), "test": toy_split(48, 3)}
    model = Dropping()
    checkpoint = Checkpoint(path, every_s, MADE_FOR) if path else None
    outcome = train(
        model, Noisy(kill_at), splits, SHORT, seed=3, macs=100, report=report, checkpoint=checkpoint
    )
    return outcome, model, checkpoint.note if checkpoint else ""


def assert_same(one: tuple[Outcome, nn.Module, str], two: tuple[Outcome, nn.Module, str]) -> None:
    a, b = one[0], two[0]
    assert (a.status, a.steps, a.best_step, a.curve) == (b.status, b.steps, b.best_step, b.curve)
    pairs = ((a.best_state, b.best_state), (one[1].state_dict(), two[1].state_dict()))
    for left, right in pairs:
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def whole() -> tuple[Outcome, nn.Module, str]:
    return run()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "t1.safetensors"


def test_checkpoints_change_no_number(whole: tuple[Outcome, nn.Module, str], path: Path) -> None:
    assert_same(run(path), whole)


@pytest.mark.parametrize("kill_at", [11, 14, 20, 21, 25, 31, 40])
def test_killed_at_a_step_it_ends_with_the_same_numbers(
    whole: tuple[Outcome, nn.Module, str], path: Path, kill_at: int
) -> None:
    with pytest.raises(Killed):
        run(path, kill_at)
    torch.manual_seed(99)  # another process has another stream
    resumed = run(path)
    assert_same(resumed, whole)
    assert f"went on at step {(kill_at - 1) // 10 * 10} " in resumed[2]


@pytest.mark.parametrize("evaluation", [1, 2, 3])
def test_killed_at_an_evaluation_it_ends_with_the_same_numbers(
    whole: tuple[Outcome, nn.Module, str], path: Path, evaluation: int
) -> None:
    def report(share: float) -> None:
        if share == evaluation / 4:
            raise Killed

    with pytest.raises(Killed):
        run(path, report=report)
    assert_same(run(path), whole)


@pytest.mark.parametrize("step", [1, 9, 10, 11, 25, 39])
def test_interrupted_at_a_step_it_goes_on_from_there(
    whole: tuple[Outcome, nn.Module, str], path: Path, step: int
) -> None:
    def report(share: float) -> None:
        if share >= step / 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, report=report, every_s=1e9)
    torch.manual_seed(99)
    resumed = run(path, every_s=1e9)
    assert_same(resumed, whole)
    assert f"went on at step {step} " in resumed[2]


def test_interrupted_at_every_step_it_still_ends_with_the_same_numbers(
    whole: tuple[Outcome, nn.Module, str], path: Path
) -> None:
    def report(share: float) -> None:
        raise KeyboardInterrupt

    for _ in range(39):
        with pytest.raises(KeyboardInterrupt):
            run(path, report=report, every_s=1e9)
    assert_same(run(path, report=report, every_s=1e9), whole)


def test_killed_again_and_again_it_still_ends_with_the_same_numbers(
    whole: tuple[Outcome, nn.Module, str], path: Path
) -> None:
    for _ in range(3):  # 13 steps at most, of which 10 are kept
        with pytest.raises(Killed):
            run(path, kill_at=14)
    assert_same(run(path), whole)


def test_killed_before_its_first_checkpoint_it_starts_over(
    whole: tuple[Outcome, nn.Module, str], path: Path
) -> None:
    with pytest.raises(Killed):
        run(path, kill_at=5)
    assert not path.exists()
    resumed = run(path)
    assert resumed[2] == ""
    assert_same(resumed, whole)


def test_checkpoints_wait_for_their_time(path: Path) -> None:
    with pytest.raises(Killed):
        run(path, kill_at=35, every_s=1e9)
    assert not path.exists()


def written(path: Path) -> None:
    with pytest.raises(Killed):
        run(path, kill_at=25)


def test_a_checkpoint_is_safetensors_and_json(path: Path) -> None:
    written(path)
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        assert "optimiser.0.exp_avg" in set(file.keys())
    assert json.loads(about["made_for"])["training"] == "t1"
    assert json.loads(about["values"])["steps"] == 20
    assert not list(path.parent.glob(".*"))  # nothing half-written is left


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "pickle"])
def test_a_damaged_checkpoint_is_said_and_not_used(
    whole: tuple[Outcome, nn.Module, str], path: Path, damage: str
) -> None:
    written(path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-7])
    elif damage == "flipped":
        data[-7] ^= 1
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        torch.save({"steps": 20}, path)
    resumed = run(path)
    assert "started over" in resumed[2]
    assert str(path) in resumed[2]
    assert_same(resumed, whole)


def test_a_checkpoint_of_another_run_names_what_differs(path: Path) -> None:
    written(path)
    other = Checkpoint(path, 0.0, {"training": "t2", "torch": torch.__version__})
    assert other.load() is None
    assert "training t1 instead of t2" in other.note
    assert "started over" in other.note


def test_time_of_earlier_attempts_is_counted(path: Path) -> None:
    clock = iter([0.0, 70.0, 70.0, 70.0])
    first = Checkpoint(path, 60.0, MADE_FOR, lambda: next(clock))
    first.save_if_due(lambda: State(tensors={"w": torch.ones(2)}, values={"steps": 5}))
    later = iter([1000.0, 1030.0])
    second = Checkpoint(path, 60.0, MADE_FOR, lambda: next(later))
    state = second.load()
    assert state is not None
    assert state.values == {"steps": 5}
    assert second.seconds() == 100.0


def test_a_checkpoint_remembers_every_number_of_threads(path: Path) -> None:
    state = State(tensors={"w": torch.ones(2)}, values={"steps": 5})
    notes = []
    for threads in ("1", "2", "2", "1"):
        one = Checkpoint(path, 0.0, MADE_FOR, made_with={"threads": threads})
        one.load()
        notes.append(one.note.partition("attempt")[2])
        one.save_if_due(lambda: state)
    assert notes == [
        "",
        ", made with threads 1 instead of 2: last digits may differ",
        ", made with threads 1, 2 instead of 2: last digits may differ",
        ", made with threads 1, 2 instead of 1: last digits may differ",
    ]


def test_floats_that_are_not_finite_survive(path: Path) -> None:
    first = Checkpoint(path, 0.0, MADE_FOR)
    value = {"steps": 1, "best": float("inf"), "third": 0.1 + 0.2}
    first.save_if_due(lambda: State(tensors={"w": torch.ones(2).bfloat16()}, values=value))
    state = Checkpoint(path, 0.0, MADE_FOR).load()
    assert state is not None
    assert state.values == value
    assert state.tensors["w"].dtype == torch.bfloat16
