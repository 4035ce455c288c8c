"""Memory: what is free, what counts as running out of it, and what the user is told."""

from __future__ import annotations

import dataclasses
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, in_parts
from scaling.data.device import (
    MEMINFO,
    fits,
    free_bytes,
    is_out_of_memory,
    keep_freed,
    largest_batch,
    release_memory,
)
from scaling.evaluation.trained import Trained
from scaling.identity import Job
from scaling.models.resnet import ResNet1d
from scaling.objectives.contrastive import Contrastive
from scaling.objectives.labels import Supervised
from scaling.objectives.masked import Masked
from scaling.trial import run_job
from scaling.workspace import Workspace
from tests.scaling.evaluation.pieces import evaluate, held_out, probe
from tests.scaling.training.trials import BASIC, SUPERVISED, of_objective

CPU = torch.device("cpu")


def test_free_memory_is_some_of_what_there_is() -> None:
    total = next(
        int(line.split()[1]) * 1024
        for line in MEMINFO.read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert 2**20 < free_bytes(CPU) < total


def test_without_meminfo_the_free_pages_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling.data.device.MEMINFO", Path("/nowhere"))
    assert free_bytes(CPU) > 2**20


def test_records_may_take_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling.data.device.free_bytes", lambda device: 1000)
    assert fits(500, CPU)
    assert not fits(501, CPU)


def test_a_refused_allocation_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory\nCUDA kernel errors"))
    call = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    assert is_out_of_memory(RuntimeError(call))
    assert not is_out_of_memory(RuntimeError("sizes differ"))


@pytest.mark.parametrize(
    ("most", "limit", "least", "expected"),
    [
        (64, 64, 1, 64),
        (64, 63, 1, 32),
        (96, 70, 1, 64),
        (64, 1, 1, 1),
        (64, 1, 2, 0),
        (8, 0, 1, 0),
    ],
)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no"), RuntimeError("CUDA is lost")])
def test_the_largest_power_of_two_that_fits_is_found(
    most: int, limit: int, least: int, expected: int, error: Exception
) -> None:
    def attempt(batch: int) -> None:
        if batch > limit:
            raise error

    assert largest_batch(most, attempt, CPU, least) == expected


def batch_of(records: int) -> Batch:
    places = torch.arange(records)
    return Batch(
        x_BLT=torch.randn(records, 2, 3),
        r_peaks_BP=places[:, None].short(),
        labels_BC=torch.zeros(records, 1),
        patients_B=places,
        rows_B=places,
        extra={"codes": 10 * places},
    )


@pytest.mark.parametrize("limit", [13, 12, 5, 1])
def test_records_are_measured_in_parts_that_fit(limit: int) -> None:
    sizes = []

    def measure(batch: Batch) -> Tensor:
        if len(batch.x_BLT) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(batch.x_BLT))
        return batch.rows_B + batch.extra["codes"] + batch.r_peaks_BP[:, 0]

    assert torch.equal(in_parts(measure, batch_of(13)), 12 * torch.arange(13))
    assert max(sizes) <= limit


def test_one_record_that_does_not_fit_and_other_errors_are_raised() -> None:
    def measure(batch: Batch) -> Tensor:
        raise MemoryError if len(batch.x_BLT) < 4 else ValueError("sizes differ")

    with pytest.raises(MemoryError):
        in_parts(measure, batch_of(3))
    with pytest.raises(ValueError, match="sizes differ"):
        in_parts(measure, batch_of(4))


def limited_to(records: int, monkeypatch: pytest.MonkeyPatch, kind: type[Any] = Supervised) -> None:
    """Steps of more than ``records`` records run out of memory."""
    real = kind.outputs

    def outputs(self: Any, model: nn.Module, batch: Batch, generator: torch.Generator) -> Any:
        if len(batch.x_BLT) > records:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return real(self, model, batch, generator)

    monkeypatch.setattr(kind, "outputs", outputs)


def measuring_limited_to(records: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ResNet in evaluation mode runs out of memory with more than ``records`` records."""
    real = ResNet1d.forward

    def forward(self: ResNet1d, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        if not self.training and not x_BLT.is_meta and len(x_BLT) > records:
            raise RuntimeError("CUDA error: out of memory")
        return real(self, x_BLT, r_peaks_BP)

    monkeypatch.setattr(ResNet1d, "forward", forward)


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
        logits: Tensor = real(self, model, batch, generator)
        return logits

    monkeypatch.setattr(Supervised, "outputs", outputs)
    (record,) = run_job(Job(training=SUPERVISED), trials)
    assert "steps of 8 and an evaluation fit when they" in record["error"]["message"]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (3, "at batch 8; the largest power of two that fits is 2"),
        (1, "not even 2 records fit: choose a smaller size or set"),
    ],
)
def test_a_contrastive_trial_is_advised_on_batches_it_can_have(
    records: int, said: str, trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited_to(records, monkeypatch, Contrastive)
    (record,) = run_job(Job(training=of_objective("contrastive")), trials)
    assert record["error"]["type"] == "OutOfMemory"
    assert said in record["error"]["message"]


def test_a_masked_trial_is_advised_on_its_batch(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited_to(3, monkeypatch, Masked)
    (record,) = run_job(Job(training=of_objective("masked")), trials)
    assert "the largest power of two that fits is 2" in record["error"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["supervised", "contrastive"])
def test_what_cannot_be_measured_at_once_is_measured_in_parts(
    name: str, trials: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, other = of_objective(name), dataclasses.replace(trials, store=tmp_path / "parts")
    job = Job(
        training=training, evaluations=(held_out(training), probe("", training, corpus=BASIC))
    )
    whole = run_job(job, trials)
    measuring_limited_to(5, monkeypatch)
    parts = run_job(job, other)
    assert [record["error"] for record in parts] == [None, None, None]
    for one, two in zip(whole, parts, strict=True):
        rows, found = (record.get("curve") or record["values"] for record in (one, two))
        assert [row["metric"] for row in found] == [row["metric"] for row in rows]
        # Losses only: last digits differ, and a probe that has hardly learned ranks by them.
        losses, again = ([r["value"] for r in of if r["metric"] == "loss"] for of in (rows, found))
        assert losses
        assert again == pytest.approx(losses, rel=1e-4)


def test_a_model_that_cannot_be_measured_at_all_is_too_large(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring_limited_to(0, monkeypatch)
    (record,) = run_job(Job(training=SUPERVISED), trials)
    assert "not even 1 record fits: choose a smaller size" in record["error"]["message"]


def test_an_evaluation_that_runs_out_of_memory_says_what_to_do(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(Job(training=SUPERVISED), trials)
    monkeypatch.setattr(
        "scaling.evaluation.evaluator.measure_probe", mock.Mock(side_effect=MemoryError)
    )
    bad, good = evaluate(trials, probe("", corpus=BASIC), held_out())
    assert bad["error"]["type"] == "OutOfMemory"
    assert "run fewer workers at once. The same command again" in bad["error"]["message"]
    assert "MemoryError" in bad["error"]["traceback"]
    assert good["error"] is None


def test_a_model_that_no_longer_fits_says_so_in_every_evaluation(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(Job(training=SUPERVISED), trials)
    monkeypatch.setattr(Trained, "backbone", mock.Mock(side_effect=MemoryError))
    own, task = held_out(), probe("", corpus=BASIC)
    records = run_job(Job(training=SUPERVISED, evaluations=(own, task)), trials)
    (record,) = [record for record in records if record["id"] == task.id]
    assert "while a finished training was measured" in record["error"]["message"]


def test_a_training_gives_its_memory_back(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = mock.Mock()
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    monkeypatch.setattr("sys.platform", "linux")
    run_job(Job(training=SUPERVISED), trials)
    library.malloc_trim.assert_called_once_with(0)


def test_another_c_library_is_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", mock.Mock(side_effect=OSError("no libc.so.6")))
    release_memory(CPU)


def test_freed_blocks_are_kept_in_training_and_evaluation(
    trials: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = mock.Mock()
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    monkeypatch.setattr("sys.platform", "linux")
    both = [mock.call(-3, 32 << 20), mock.call(-1, 64 << 20)]  # as glibc's malloc.h has them
    run_job(Job(training=SUPERVISED), trials)
    assert library.mallopt.mock_calls == both
    evaluate(trials, held_out())
    assert library.mallopt.mock_calls == [*both, *both]


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_where_there_is_no_glibc_blocks_are_the_systems(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = mock.Mock(side_effect=OSError("no libc.so.6"))
    for library in (absent, mock.Mock(return_value=object())):  # another library, without mallopt
        monkeypatch.setattr("ctypes.CDLL", library)
        monkeypatch.setattr("sys.platform", system)
        keep_freed()
        assert library.called == (system == "linux")


# 40 blocks of 1 MB, as those of a step: the C library gives most back, at 256 faults each.
FAULTS = """
import resource
import torch
from scaling.data.device import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.empty(1 << 18).fill_(1.0) for _ in range(40)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed()
faults()
print(min(faults() for _ in range(5)))  # the system takes some back now and then, whatever we say
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_kept_blocks_are_not_faulted_in_again() -> None:
    found = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) < 1000
