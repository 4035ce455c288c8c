"""Small made-up records whose patients, labels and heartbeats can all be told apart."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn

from scaling.data.batches import NO_PEAK, Split
from scaling.identity import CODEBOOK, TEACHER, CorpusSpec, Recipe, Training
from scaling.models.families import FAMILIES
from scaling.models.heartbeats import MIDDLE, Heartbeats
from scaling.models.sizes import VqShape
from scaling.models.vq_hbr import VqHbr
from scaling.objectives.base import Context, objective_of
from scaling.objectives.registry import OBJECTIVES
from scaling.objectives.testing import BATCH, Case

SAMPLES = 300
CLASSES = ("low", "middle", "high")
CODES = 8


def tiny_split(n: int, seed: int, *, exclusive: bool = False) -> Split:
    """``n`` records of 12 leads and 3 s, two of each patient.

    Every patient has beats of an own size in each lead, around one that is the lead's; labels
    are whether leads I, II and III are large (``exclusive``: which of them is the largest).
    """
    rng = np.random.default_rng(seed)
    patients = np.arange(n) // 2
    of_patient = rng.normal(size=(n // 2 + 1, 12))
    size = np.linspace(-1.0, 1.0, 12) + 0.6 * of_patient[patients]
    r_peaks = np.full((n, 8), NO_PEAK, np.int16)
    time = np.arange(SAMPLES)
    signals = 0.05 * rng.normal(size=(n, 12, SAMPLES))
    for row in range(n):
        peaks = np.arange(rng.integers(20, 60), SAMPLES - 10, rng.integers(60, 95))
        r_peaks[row, : len(peaks)] = peaks
        beats = np.exp(-(((time[None] - peaks[:, None]) / 4.0) ** 2)).sum(axis=0)
        signals[row] += size[row][:, None] * beats
    labels = of_patient[patients, :3] > 0.3
    if exclusive:
        labels = np.eye(3, dtype=bool)[of_patient[patients, :3].argmax(axis=1)]
    return Split(
        signals=torch.from_numpy(np.round(signals / 1e-3).astype(np.int16)),
        labels=torch.from_numpy(labels.astype(np.float32)),
        patients=patients,
        mv=1e-3,
        r_peaks=torch.from_numpy(r_peaks),
    )


class SizeCodebook(VqHbr):
    """A codebook without a network: the code of a beat is its size at the R peak, and ``more``."""

    more: Tensor

    def __init__(self, codes: int = CODES, tokens: int = 128, more: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.shape = VqShape(1, 1, 8, 1, 32, codes, 16, tokens)
        self.register_buffer("attends_padding", torch.zeros((), dtype=torch.bool))
        self.register_buffer("more", torch.tensor(more))
        self.calls = 0

    def codes(self, beats: Heartbeats) -> Tensor:
        self.calls += 1
        codes = int(self.shape.codes)
        size = beats.beats_BSW[..., MIDDLE] * 2 + codes / 2 + self.more
        return size.floor().long().clamp(0, codes - 1)


def tiny_training(name: str, family: str | None = None, **changes: object) -> Training:
    """A training of objective ``name`` of the smallest size."""
    info = OBJECTIVES[name]
    family = family or info.families[0]
    fields: dict[str, object] = {
        "stage": (info.stages or ("pretrain",))[0],
        "corpus": CorpusSpec(source="virtual/basic", window_s=SAMPLES / 100),
        "task": "",
        "family": family,
        "size": FAMILIES[family].sizes[0],
        "paradigm": info.paradigm,
        "objective": name,
        "data": 64,
        "recipe": Recipe(batch=BATCH, warmup_steps=4),
        "options": (("codes", CODES),) if CODEBOOK in info.roles else (),
        "input_leads": ("I",) if {"distill", "restore"} & set(info.stages) else (),
    }
    return Training(**(fields | changes))  # type: ignore[arg-type]


@functools.cache
def tiny_teacher() -> nn.Module:
    """A frozen teacher of another family's size and width, wiser than a student at its start."""
    training = tiny_training("supervised", "resnet", size="d2w12")
    torch.manual_seed(7)
    objective = objective_of(training)
    model = objective.build(Context(training=training, outputs=len(CLASSES)))
    split, random = tiny_split(64, 0), torch.Generator()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(20):
        batch = split.batch(torch.randperm(64, generator=random)[:32])
        optimiser.zero_grad()
        loss = objective.loss(objective.outputs(model, batch, random), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model.eval().requires_grad_(False)


def tiny_case(name: str, family: str | None = None) -> Case:
    """A case of the contract: 64 training and 80 validation records."""
    training = tiny_training(name, family)
    parents: dict[str, nn.Module] = {}
    if CODEBOOK in OBJECTIVES[name].roles:
        parents[CODEBOOK] = SizeCodebook()
    if TEACHER in OBJECTIVES[name].roles:
        parents[TEACHER] = tiny_teacher()
    exclusive = name == "categorical"
    return Case(
        training=training,
        context=Context(training=training, outputs=len(CLASSES), parents=parents),
        splits={
            "train": tiny_split(64, 0, exclusive=exclusive),
            "validation": tiny_split(80, 1, exclusive=exclusive),
        },
    )
