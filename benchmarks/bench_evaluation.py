"""The share of evaluation in training, and Transformer steps against a plain loop.

``python -m benchmarks.bench_evaluation`` takes about three minutes on one core. It prints the
share of a trial that its curve takes, for every default size: 40 steps of 64 records, then 1,024
validation records and, where the loss improved, as many test records. The improved share is that
of the curves in ``results/first-laws/evaluations.csv``, 253 of 384 evaluations. Then steps of
supervised Transformers are timed against a plain loop: the same model with every token of all
slots in every block (``in_full``), batches of the same records, bf16 autocast, AdamW and clipping.
All by turns in one process, in processor seconds on a CPU; medians are compared.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from scaling.data.batches import Split
from scaling.data.device import device_name, keep_freed, pick_device
from scaling.identity import CorpusSpec, Recipe, Training
from scaling.models import sizes
from scaling.objectives.base import Context, objective_of
from scaling.training.loop import Run
from scaling.training.trainer import initial_model

sys.path.insert(0, str(Path(__file__).resolve().parent))  # also as a module

from hearts import hearts
from plain_loop import by_hand

SHARE_LIMIT = 0.20  # most of a trial's time that its curve may take
GAIN_LIMIT = 1.7  # least throughput of ours over that of the plain loop
EVAL_EVERY, HELD_OUT, IMPROVED = 40, 1024, 253 / 384
BATCH, SAMPLES, RECORDS, CLASSES = 64, 500, 2048, 6
ROUNDS, STEPS, WARM = 9, 5, 3
TRANSFORMERS = [name for name, shape in sizes.TRANSFORMER.items() if shape.laptop]
RESNETS = [name for name, shape in sizes.RESNET.items() if shape.laptop]
CASES = [("transformer", size, "supervised") for size in TRANSFORMERS]
CASES += [("resnet", size, name) for size in RESNETS for name in ("supervised", "contrastive")]
COMPARED = ("l1d64h1t128", "l2d96h2t128")


def records(n: int, seed: int, device: torch.device) -> Split:
    """Noise, with R peaks of hearts of different rates."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(0, 300, (n, 12, SAMPLES)).astype(np.int16)
    labels = (rng.random((n, CLASSES)) < 0.2).astype(np.float32)
    return Split(
        signals=torch.from_numpy(signals).to(device),
        labels=torch.from_numpy(labels).to(device),
        patients=np.arange(n),
        mv=0.0025,
        r_peaks=hearts(n, SAMPLES, seed),
    )


def run_of(family: str, size: str, objective: str, device: torch.device) -> Run:
    """A training that has not begun."""
    training = Training(
        stage="pretrain",
        corpus=CorpusSpec(source="virtual/basic", window_s=SAMPLES / 100),
        task="",
        family=family,
        size=size,
        paradigm="ssl" if objective == "contrastive" else "sl",
        objective=objective,
        data=RECORDS,
        recipe=Recipe(batch=BATCH, precision="bf16", weight_decay=0.05, max_steps=10_000),
    )
    splits = {"train": records(RECORDS, 0, device), "validation": records(HELD_OUT, 1, device)}
    context = Context(training=training, outputs=CLASSES)
    made = objective_of(training)
    model = initial_model(made, context, splits["train"]).to(device)
    return Run(model, made, splits, training.recipe, macs=1, seed=0)


def plain_steps(run: Run) -> Callable[[], None]:
    """A step written out, of the model of ``run`` in full."""
    backbone = run.model.get_submodule("backbone")
    backbone.in_full = True  # type: ignore[assignment]
    return by_hand(run.recipe, run.splits["train"], run.model)


def by_turns(parts: list[tuple[Callable[[], object], int]], device: torch.device) -> list[float]:
    """Median seconds of one call of each part, of which some are made at a turn."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    times: list[list[float]] = [[] for _ in parts]
    for turn in range(WARM + ROUNDS):
        for (call, calls), found in zip(parts, times, strict=True):
            began = clock()
            for _ in range(calls):
                call()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn >= WARM:
                found.append((clock() - began) / calls)
    return [statistics.median(found) for found in times]


def share(family: str, size: str, objective: str, device: torch.device) -> float:
    """Prints a line; the share of evaluation."""
    run = run_of(family, size, objective, device)

    def validate() -> None:
        with run.precision():
            run.objective.held_out(run.model, run.splits["validation"])

    step_s, held_out_s = by_turns([(run.step, STEPS), (validate, 1)], device)
    curve_s = (1 + IMPROVED) * held_out_s
    found = curve_s / (EVAL_EVERY * step_s + curve_s)
    print(
        f"{family} {size}, {objective}: {1e3 * step_s:.1f} ms a step, "
        f"{1e3 * held_out_s:.0f} ms for {HELD_OUT} records, share {found:.3f}"
    )
    return found


def gain(size: str, device: torch.device) -> float:
    """Prints a line; throughput of our step over that of the plain loop."""
    ours = run_of("transformer", size, "supervised", device)
    plain = plain_steps(run_of("transformer", size, "supervised", device))
    ours_s, plain_s = by_turns([(ours.step, STEPS), (plain, STEPS)], device)
    print(
        f"transformer {size}: {1e3 * ours_s:.1f} ms a step, plain loop {1e3 * plain_s:.1f} ms, "
        f"throughput {plain_s / ours_s:.2f} of it (limit {GAIN_LIMIT})"
    )
    return plain_s / ours_s


def main() -> int:
    torch.set_num_threads(1)
    keep_freed()
    device = pick_device()
    print(f"{device_name(device)}, bf16, batch {BATCH}, 12 x {SAMPLES}")
    fine = True
    for case in CASES:
        fine &= share(*case, device) <= SHARE_LIMIT
    print(f"(limit of the share {SHARE_LIMIT:.2f})")
    for size in COMPARED:
        fine &= gain(size, device) >= GAIN_LIMIT
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
