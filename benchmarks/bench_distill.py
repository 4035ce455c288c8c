"""A step of distillation against its parts: a student's step and a teacher's forward pass.

``python -m benchmarks.bench_distill`` takes a few seconds. Rounds of all three follow each other,
on one thread, so that a busy machine slows them alike. What is judged is the median over rounds of

    a step of KD / (a step of ``none`` + a forward pass of the teacher),

at boxes, where the teacher is asked at every step, on the same records. Processor time.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from scaling.data.batches import NO_PEAK, Split
from scaling.data.device import keep_freed
from scaling.identity import CorpusSpec, Recipe, Training
from scaling.models.families import build
from scaling.objectives.base import Context, objective_of
from scaling.objectives.labels import Classifier
from scaling.training.loop import Run

LARGEST = 1.15
CLASSES, RECORDS, BATCH = 5, 256, 64


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--rounds", type=int, default=15)
    parse.add_argument("--student", default="convtx/d16n1h2s2")
    parse.add_argument("--teacher", default="convtx/d64n1h4s2")
    options = parse.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed()  # as a trial does
    worst = 0.0
    print("student            teacher            samples  none ms  teacher ms  kd ms  ratio")
    for samples in (500, 1000):
        teacher = Classifier(build(*options.teacher.split("/")), CLASSES)
        teacher = teacher.eval().requires_grad_(False)
        steps = {name: stepper(name, options.student, teacher, samples) for name in ("none", "kd")}
        records = made_up(samples).batch(torch.arange(BATCH)).x_BLT
        parts: dict[str, Callable[[], object]] = {
            **steps,
            "teacher": functools.partial(forward, teacher, records),
        }
        found = rounds(parts, options.rounds)
        ratios = [
            kd / (none + forward_s)
            for none, forward_s, kd in zip(
                found["none"], found["teacher"], found["kd"], strict=True
            )
        ]
        ratio = statistics.median(ratios)
        worst = max(worst, ratio)
        none, ours, kd = (1e3 * statistics.median(found[n]) for n in ("none", "teacher", "kd"))
        print(
            f"{options.student:18} {options.teacher:18} {samples:7} {none:8.1f} {ours:11.1f} "
            f"{kd:6.1f} {ratio:6.2f}"
        )
    print(f"largest {worst:.2f}, at most {LARGEST}: {'ok' if worst <= LARGEST else 'MISSED'}")
    return int(worst > LARGEST)


def made_up(samples: int) -> Split:
    """Noise with labels; what a step costs does not depend on the numbers."""
    rng = np.random.default_rng(0)
    return Split(
        signals=torch.from_numpy(rng.integers(-900, 900, (RECORDS, 12, samples), dtype=np.int16)),
        labels=torch.from_numpy((rng.random((RECORDS, CLASSES)) < 0.3).astype(np.float32)),
        patients=np.arange(RECORDS),
        mv=1e-3,
        r_peaks=torch.full((RECORDS, 1), NO_PEAK, dtype=torch.int16),
    )


def stepper(name: str, student: str, teacher: nn.Module, samples: int) -> Callable[[], object]:
    """A training step of a method with boxes, on a model of its own."""
    family, size = student.split("/")
    training = Training(
        stage="distill",
        corpus=CorpusSpec(source="virtual/ptbxl", window_s=samples / 100),
        task="superclass",
        family=family,
        size=size,
        paradigm="sl",
        objective=name,
        data=RECORDS,
        recipe=Recipe(batch=BATCH, max_steps=10**6, precision="bf16"),
        options=(("boxes", "record"),),
        input_leads=("I",),
    )
    parents = {"teacher": teacher} if name != "none" else {}
    context = Context(training=training, outputs=CLASSES, parents=parents)
    objective, split = objective_of(training), made_up(samples)
    splits = {"train": split, "validation": split, "test": split}
    objective.annotate(splits, context)
    return Run(objective.build(context), objective, splits, training.recipe, macs=1, seed=0).step


@torch.no_grad()
def forward(teacher: nn.Module, x_BLT: torch.Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        teacher(x_BLT)


def rounds(parts: dict[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Seconds of processor time of each part, one after the other, in every round."""
    found: dict[str, list[float]] = {name: [] for name in parts}
    for i in range(count + 2):
        for name, part in parts.items():
            started = time.process_time()
            part()
            if i >= 2:  # the first rounds allocate
                found[name].append(time.process_time() - started)
    return found


if __name__ == "__main__":
    sys.exit(main())
