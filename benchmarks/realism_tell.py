"""How well a small network tells recordings apart that should be alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from realism_figures import FS_HZ, INDEPENDENT, beat_centres
from torch import nn

from scaling.corpora.signals.presets import MV_PER_LSB, preset, quantise, resample
from tests.scaling.areas import auroc
from tests.scaling.corpora.median_beat import WORK_HZ, cut

BEAT_MS = (320, 500)  # before and after R
BATCH, LR, DECAY = 64, 4e-3, 0.01
COMPONENTS = 100  # of the Gaussian model

Signals = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Halves:
    """Recordings to learn from and others, of other patients, to be judged on.

    Attributes:
        train_NLT: (records, leads, samples).
        test_NLT: the same.
    """

    train_NLT: Signals
    test_NLT: Signals


def filtered(signals_NLT: Signals) -> Signals:
    """The eight independent leads as a corpus with the preset ``heartlang`` would hold them.

    Args:
        signals_NLT: (records, 12, samples) at 100 Hz, in mV.
    """
    chosen, samples = preset("heartlang"), signals_NLT.shape[-1]
    steps = [
        quantise(chosen.apply(signal[INDEPENDENT], FS_HZ, FS_HZ, samples))[0]
        for signal in signals_NLT
    ]
    return np.stack(steps) * np.float32(MV_PER_LSB)


def filtered_beat(raw_LT: Signals, filtered_LT: Signals) -> Signals | None:
    """Median beat of the filtered leads at 100 Hz; None without three beats alike."""
    centres, _ = beat_centres(raw_LT.astype(np.float64))
    if not len(centres):
        return None
    x_LT = resample(filtered_LT.astype(np.float64), FS_HZ, WORK_HZ)
    before, after = (ms * WORK_HZ // 1000 for ms in BEAT_MS)
    beat = np.median(cut(x_LT, centres, before, after), axis=0)
    return np.asarray(beat[:, :: WORK_HZ // FS_HZ], np.float32)


def told(real: Halves, made: Halves, epochs: int, seed: int) -> float:
    """AUROC on the test halves of a network that has learned from the train halves."""
    torch.manual_seed(seed)
    train, real_train = _joined(real.train_NLT, made.train_NLT)
    test, real_test = _joined(real.test_NLT, made.test_NLT)
    scale = train.std(axis=(0, 2), keepdims=True)
    model = _network(train.shape[1])
    _learn(model, torch.from_numpy(train / scale), torch.from_numpy(real_train), epochs)
    model.eval()
    with torch.inference_mode():
        x = torch.from_numpy(test / scale)
        scores = torch.cat([model(x[k : k + BATCH])[:, 0] for k in range(0, len(x), BATCH)])
    return auroc(scores.double().numpy(), real_test)


def _joined(real_NLT: Signals, made_NLT: Signals) -> tuple[Signals, NDArray[np.bool_]]:
    is_real = np.arange(len(real_NLT) + len(made_NLT)) < len(real_NLT)
    return np.concatenate([real_NLT, made_NLT]), is_real


def _network(leads: int) -> nn.Module:
    """Three convolutions and the averages of eighths of what they find."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel in ((leads, 24, 7), (24, 32, 5), (32, 32, 5)):
        layers += [nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)]
        layers += [nn.BatchNorm1d(outputs), nn.ReLU(), nn.MaxPool1d(2)]
    pooled = [nn.AdaptiveAvgPool1d(8), nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 1)]
    return nn.Sequential(*layers[:-1], *pooled)


def _learn(model: nn.Module, x: torch.Tensor, is_real: torch.Tensor, epochs: int) -> None:
    wanted = is_real.float()
    optimiser = torch.optim.AdamW(model.parameters(), LR, weight_decay=DECAY)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for k in range(0, len(x), BATCH):
            rows = order[k : k + BATCH]
            logits = model(x[rows])[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def gaussian_model(train_NLT: Signals, sizes: tuple[int, int], seed: int = 0) -> Halves:
    """Draws of a Gaussian with the principal components of some beats, and white noise.

    The noise has, for each sample, the size of what the components leave.

    Args:
        train_NLT: the beats.
        sizes: how many to draw to learn from, and to judge on.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    flat = train_NLT.reshape(len(train_NLT), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    left, size, axes = np.linalg.svd(flat - mean, full_matrices=False)
    kept = axes[:COMPONENTS]
    scores = (left * size)[:, :COMPONENTS]
    rest = (flat - mean - scores @ kept).std(axis=0)
    count = sum(sizes)
    drawn = mean + (rng.normal(size=(count, len(kept))) * scores.std(axis=0)) @ kept
    drawn += rng.normal(size=drawn.shape) * rest
    beats = drawn.reshape(count, *train_NLT.shape[1:]).astype(np.float32)
    return Halves(beats[: sizes[0]], beats[sizes[0] :])
