"""Overhead of our training loop, and the share of a default trial that probing takes.

``python -m benchmarks.bench_training`` takes about two minutes on one core. A step of our loop
(``scaling.training.run.Run.step``) is timed against a minimal loop written by hand: the same
model, batch, records, precision, optimiser and clipping, and nothing else. Both run in this
process, a few steps of one and a few of the other by turns, so that neither has the quieter
machine; medians of the rounds are compared. Then the middle cell of ``grid.yaml`` is trained
and evaluated, and the time of its probes is put beside that of the trial.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from scaling.cache import cache_dir
from scaling.identity import CorpusSpec, Job, Recipe, Training
from scaling.objectives.base import Context
from scaling.objectives.registry import objective_of
from scaling.training.data import Split, open_corpus
from scaling.training.device import device_name, pick_device
from scaling.training.run import Run
from scaling.training.trainer import initial_model
from scaling.trial import Workspace, run_job, trainer_for
from sweeps.grid import load_grid
from sweeps.ladder import Speeds
from sweeps.plan import make_plan
from sweeps.resolve import resolve

LOOP_LIMIT = 0.97  # least throughput of ours over that of the minimal loop
PROBE_LIMIT = 0.15  # most of a trial's time that probes may take
MODELS = (("resnet", "d2w24"), ("transformer", "l1d32h1t128"))
BATCH, SAMPLES, RECORDS, CLASSES = 64, 500, 2048, 6
ROUNDS, STEPS, WARM = 30, 3, 3


def training_of(family: str, size: str, precision: str) -> Training:
    return Training(
        stage="pretrain",
        corpus=CorpusSpec(source="virtual/basic", window_s=SAMPLES / 100),
        task="",
        family=family,
        size=size,
        paradigm="sl",
        objective="supervised",
        data=RECORDS,
        recipe=Recipe(batch=BATCH, precision=precision, weight_decay=0.5, max_steps=10_000),
    )


def made_records(device: torch.device) -> Split:
    rng = np.random.default_rng(0)
    signals = rng.normal(0, 300, (RECORDS, 12, SAMPLES)).astype(np.int16)
    peaks = np.arange(50, SAMPLES, 80, dtype=np.int16)[None].repeat(RECORDS, 0)
    return Split(
        signals=torch.from_numpy(signals).to(device),
        labels=torch.from_numpy((rng.random((RECORDS, CLASSES)) < 0.2).astype(np.float32)).to(
            device
        ),
        patients=np.arange(RECORDS),
        mv=0.0025,
        r_peaks=torch.from_numpy(peaks).to(device),
    )


def ours(training: Training, split: Split) -> Callable[[], None]:
    """Steps of our loop."""
    objective = objective_of(training)
    context = Context(training=training, outputs=CLASSES, device=split.device)
    model = initial_model(objective, context, split).to(split.device)
    run = Run(model, objective, {"train": split}, training.recipe, macs=1, seed=0)

    def steps() -> None:
        for _ in range(STEPS):
            run.step()

    return steps


def minimal(training: Training, split: Split) -> Callable[[], None]:
    """The same steps, written out."""
    context = Context(training=training, outputs=CLASSES, device=split.device)
    model = initial_model(objective_of(training), context, split).to(split.device)
    recipe, kind = training.recipe, split.device.type
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    compute_loss = nn.BCEWithLogitsLoss()
    model.train()

    def steps() -> None:
        for _ in range(STEPS):
            rows = torch.randint(RECORDS, (BATCH,), device=split.device)
            x_BLT = split.signals[rows].float() * split.mv
            with torch.autocast(kind, torch.bfloat16, enabled=recipe.precision == "bf16"):
                logits_BC = model(x_BLT, split.r_peaks[rows])
            loss = compute_loss(logits_BC.float(), split.labels[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
            optimiser.step()

    return steps


def clock(device: torch.device) -> float:
    """Seconds; on a CPU those of the processor, which other processes do not lengthen."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def seconds(steps: Callable[[], None], device: torch.device) -> float:
    """Seconds of one step."""
    began = clock(device)
    steps()
    return (clock(device) - began) / STEPS


def compare(family: str, size: str, precision: str, device: torch.device) -> tuple[float, float]:
    """Median milliseconds of a step: ours, minimal."""
    training, split = training_of(family, size, precision), made_records(device)
    loops = (ours(training, split), minimal(training, split))
    for _ in range(WARM):
        for steps in loops:
            steps()
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS):
        for which in (0, 1) if turn % 2 else (1, 0):
            times[which].append(seconds(loops[which], device))
    return 1e3 * statistics.median(times[0]), 1e3 * statistics.median(times[1])


def middle_cell(cache: Path) -> Job:
    """The default study's trial of middle size and data, with its evaluations."""
    study = load_grid(Path(__file__).parents[1] / "grid.yaml")
    plan = make_plan(study, resolve(study, {}), {}, cache, Speeds(cache))
    jobs = [planned.job for planned in plan.trials]
    sizes = list(dict.fromkeys(job.training.size for job in jobs))
    data = sorted({job.training.data for job in jobs})
    wanted = (sizes[len(sizes) // 2], data[len(data) // 2])
    return next(job for job in jobs if (job.training.size, job.training.data) == wanted)


def probing(threads: int, device: torch.device) -> tuple[str, float, float]:
    """Name of the middle cell, seconds of all of its trial, seconds of its probes."""
    cache = cache_dir()
    job = middle_cell(cache)
    probes = [e for e in job.evaluations if e.protocol.startswith("linear-probe")]
    others = tuple(e for e in job.evaluations if e not in probes)
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(store=Path(folder), cache=cache, threads=threads)
        trainer = trainer_for(job.training)
        for evaluation in job.evaluations:  # corpora are made before a study starts
            open_corpus(evaluation.corpus, place)
        began = clock(device)
        run_job(dataclasses.replace(job, evaluations=others), place)
        between = clock(device)
        for record in trainer.evaluate_all(probes, job.training, place):
            assert record["status"] != "failed", record["error"]
        ended = clock(device)
    name = f"{job.training.size}, D {job.training.data}, {len(probes)} tasks"
    return name, ended - began, ended - between


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--precision", choices=("float32", "bf16"), default="bf16")
    parse.add_argument("--no-probing", action="store_true", help="only the loops")
    options = parse.parse_args()
    torch.set_num_threads(options.threads)
    device = pick_device()
    fine = True
    print(f"{device_name(device)}, {options.precision}, batch {BATCH}, {SAMPLES} samples")
    for family, size in MODELS:
        us, them = compare(family, size, options.precision, device)
        fine &= them / us >= LOOP_LIMIT
        print(
            f"{family} {size}: {us:.2f} ms a step, minimal loop {them:.2f} ms, "
            f"throughput {them / us:.3f} of it (limit {LOOP_LIMIT})"
        )
    if not options.no_probing:
        name, total, probes = probing(options.threads, device)
        fine &= probes / total <= PROBE_LIMIT
        print(
            f"trial {name}: {total:.1f} s, probing {probes:.1f} s, "
            f"{100 * probes / total:.1f} % (limit {100 * PROBE_LIMIT:.0f} %)"
        )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
