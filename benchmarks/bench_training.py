"""Our training loop against loops written by hand, and the share of a trial that probing takes.

``python -m benchmarks.bench_training`` takes about two minutes on one core. A step of our loop
(``scaling.training.loop.Run.step``) is timed against a minimal loop: the same model, batch,
records, precision, optimiser and clipping, and nothing else. ResNets are timed against the plain
loop, which has their one-dimensional form (``tests/scaling/models/plain_resnet.py``) and PyTorch's
own AdamW instead; so is measuring 1,024 records. Both sides run in this process, a few steps of one
and a few of the other by turns, so that neither has the quieter machine; medians of the rounds
are compared. Then the middle cell of ``grid.yaml`` is trained and evaluated, and the time of its
probes is put beside that of the trial.
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

from scaling.cost import bf16_note
from scaling.data.batches import Split, open_corpus, predict
from scaling.data.device import device_name, pick_device
from scaling.identity import CorpusSpec, Job, Recipe, Training
from scaling.objectives.base import Context, objective_of
from scaling.training.loop import Run
from scaling.training.trainer import initial_model
from scaling.trial import run_job, trainer_for
from scaling.workspace import Workspace, cache_dir
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import find_corpora
from sweeps.plan.cost import Speeds
from sweeps.plan.plan import make_plan

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plain_loop import by_hand

from tests.scaling.models.plain_resnet import PlainResnet

LOOP_LIMIT = 0.97  # least throughput of ours over that of the minimal loop
PLAIN_LIMIT = 1.5  # least throughput of our ResNets over that of the plain loop, on a CPU in bf16
PROBE_LIMIT = 0.15  # most of a trial's time that probes may take
MODELS = (("resnet", "d2w24"), ("transformer", "l1d32h1t128"))
RESNETS = ("d2w6", "d2w24", "d2w64")
BATCH, SAMPLES, RECORDS, CLASSES, MEASURED = 64, 500, 2048, 6, 1024
ROUNDS, STEPS, WARM = 60, 3, 3

Work = Callable[[], object]


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
        r_peaks=torch.from_numpy(peaks),
    )


def model_of(training: Training, split: Split) -> nn.Module:
    context = Context(training=training, outputs=CLASSES)
    return initial_model(objective_of(training), context, split).to(split.device)


def plain_of(training: Training, split: Split) -> nn.Module:
    """The same classifier with the ResNet of one-dimensional layers, and the same weights."""
    model = model_of(training, split)
    backbone = PlainResnet(training.size)
    backbone.load_state_dict(model.backbone.state_dict())  # type: ignore[union-attr]
    model.backbone = backbone.to(split.device)
    return model


def ours(training: Training, split: Split) -> Work:
    """A step of our loop."""
    run = Run(
        model_of(training, split),
        objective_of(training),
        {"train": split},
        training.recipe,
        macs=1,
        seed=0,
    )
    return run.step


def measuring(training: Training, split: Split, model: nn.Module) -> Work:
    """Outputs on ``MEASURED`` records."""
    some, bf16 = split.first(MEASURED), training.recipe.precision == "bf16"

    def measure() -> None:
        with torch.no_grad(), torch.autocast(split.device.type, torch.bfloat16, enabled=bf16):
            predict(model, some)

    return measure


def clock(device: torch.device) -> float:
    """Seconds; on a CPU those of the processor, which other processes do not lengthen."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def compare(
    works: tuple[Work, Work], device: torch.device, rounds: int = ROUNDS, repeats: int = STEPS
) -> tuple[float, float]:
    """Median milliseconds of each of two works, ``repeats`` of one and of the other by turns."""
    for _ in range(WARM * repeats):
        for work in works:
            work()
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            began = clock(device)
            for _ in range(repeats):
                works[which]()
            times[which].append((clock(device) - began) / repeats)
    return 1e3 * statistics.median(times[0]), 1e3 * statistics.median(times[1])


def loops(precision: str, device: torch.device) -> bool:
    """Our loop against the minimal one; whether it keeps the limit."""
    fine, split = True, made_records(device)
    for family, size in MODELS:
        training = training_of(family, size, precision)
        minimal = by_hand(training.recipe, split, model_of(training, split), fused=True)
        us, them = compare((ours(training, split), minimal), device)
        fine &= them / us >= LOOP_LIMIT
        print(
            f"{family} {size}: {us:.2f} ms a step, minimal loop {them:.2f} ms, "
            f"throughput {them / us:.3f} of it (limit {LOOP_LIMIT})"
        )
    return fine


def resnets(precision: str, device: torch.device) -> bool:
    """ResNets against their plain form; whether steps keep the limit where there is one."""
    fine, split = True, made_records(device)
    held = device.type == "cpu" and precision == "bf16" and not bf16_note(device)
    for size in RESNETS:
        training = training_of("resnet", size, precision)
        plain = by_hand(training.recipe, split, plain_of(training, split))
        us, them = compare((ours(training, split), plain), device)
        fine &= them / us >= PLAIN_LIMIT or not held
        models = model_of(training, split), plain_of(training, split)
        a, b = (measuring(training, split, model) for model in models)
        us_ms, them_ms = compare((a, b), device, rounds=9, repeats=1)
        print(
            f"resnet {size}: {us:.2f} ms a step, plain loop {them:.2f} ms, throughput "
            f"{them / us:.2f} of it{f' (limit {PLAIN_LIMIT})' if held else ''}; {MEASURED} records "
            f"measured in {us_ms:.0f} ms, plain model {them_ms:.0f} ms, {them_ms / us_ms:.2f} of it"
        )
    return fine


def middle_cell(cache: Path) -> Job:
    """The default study's trial of middle size and data, with its evaluations."""
    study = load_grid(Path(__file__).parents[1] / "grid.yaml")
    plan = make_plan(study, find_corpora(study, {}), {}, cache, Speeds(cache))
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
    print(f"{device_name(device)}, {options.precision}, batch {BATCH}, {SAMPLES} samples")
    fine = loops(options.precision, device)
    fine &= resnets(options.precision, device)
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
