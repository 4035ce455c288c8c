"""Memory: what is free, what counts as running out of it, and what the user is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from scaling.identity import Job
from scaling.objectives.supervised import Supervised
from scaling.training import memory
from scaling.training.data import Batch
from scaling.trial import Workspace, run_job
from tests.training.trials import SUPERVISED

CPU = torch.device("cpu")


def test_free_memory_is_some_of_what_there_is() -> None:
    total = next(
        int(line.split()[1]) * 1024
        for line in memory.MEMINFO.read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert 2**20 < memory.free_bytes(CPU) < total


def test_without_meminfo_the_free_pages_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMINFO", Path("/nowhere"))
    assert memory.free_bytes(CPU) > 2**20


def test_records_may_take_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    assert memory.fits(500, CPU)
    assert not memory.fits(501, CPU)


def test_a_refused_allocation_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert memory.is_out_of_memory(MemoryError())
    assert not memory.is_out_of_memory(RuntimeError("sizes differ"))


@pytest.mark.parametrize(
    ("most", "limit", "expected"), [(64, 64, 64), (64, 63, 32), (96, 70, 64), (64, 1, 1), (8, 0, 0)]
)
def test_the_largest_power_of_two_that_fits_is_found(most: int, limit: int, expected: int) -> None:
    def step(batch: int) -> None:
        if batch > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert memory.largest_batch(most, step, CPU) == expected


def test_another_error_while_trying_is_not_hidden() -> None:
    def step(batch: int) -> None:
        raise ValueError("sizes differ")

    with pytest.raises(ValueError, match="sizes differ"):
        memory.largest_batch(8, step, CPU)


def limited_to(records: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Supervised.outputs

    def outputs(
        self: Supervised, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> Tensor:
        if len(batch.x_BLT) > records:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        found: Tensor = real(self, model, batch, generator)
        return found

    monkeypatch.setattr(Supervised, "outputs", outputs)


@pytest.mark.parametrize(
    ("records", "checkpointing", "said", "unsaid"),
    [
        (3, False, "at batch 8; the largest power of two that fits is 2", "smaller size"),
        (0, False, "not even 1 record fits: choose a smaller size or set", "lower the batch"),
        (0, True, "not even 1 record fits: choose a smaller size", "activation_checkpointing"),
    ],
)
def test_a_trial_that_runs_out_of_memory_fails_and_says_what_fits(
    records: int,
    checkpointing: bool,
    said: str,
    unsaid: str,
    trials: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited_to(records, monkeypatch)
    recipe = dataclasses.replace(SUPERVISED.recipe, activation_checkpointing=checkpointing)
    (record,) = run_job(Job(training=dataclasses.replace(SUPERVISED, recipe=recipe)), trials)
    assert record["trial"]["status"] == "failed"
    assert record["error"]["type"] == "OutOfMemory"
    assert said in record["error"]["message"]
    assert unsaid not in record["error"]["message"]


def test_memory_that_was_short_for_a_moment_is_told_apart(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = iter([True])
    real = Supervised.outputs

    def outputs(
        self: Supervised, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> Tensor:
        if next(tries, False):
            raise MemoryError
        found: Tensor = real(self, model, batch, generator)
        return found

    monkeypatch.setattr(Supervised, "outputs", outputs)
    (record,) = run_job(Job(training=SUPERVISED), trials)
    assert "a step of 8 fits when it is tried again" in record["error"]["message"]
