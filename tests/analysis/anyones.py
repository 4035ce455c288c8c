"""Runs as other people write them down: made up, from laws that are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

TRUTH = {"E": 1.8, "A": 450.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37}
SIZES = (2e7, 6e7, 2e8, 6e8, 2e9)
TOKENS = (4e8, 1.6e9, 6.4e9, 2.56e10, 1e11)


def law(N: float, D: float) -> float:
    """The loss, nats."""
    return float(TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D ** TRUTH["beta"])


def runs(*, noise: float = 0.004, seeds: int = 1, shift: float = 0.0) -> pd.DataFrame:
    """A grid of sizes and tokens with its loss: columns N, D, seed, loss."""
    rng = np.random.default_rng(7)
    rows = [
        {"N": n, "D": d, "seed": s, "loss": (law(n, d) + shift) * np.exp(noise * rng.normal())}
        for n in SIZES
        for d in TOKENS
        for s in range(seeds)
    ]
    return pd.DataFrame(rows)


def write(folder: Path, lines: Sequence[str], name: str = "runs.csv") -> Path:
    """A file of these lines."""
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ladder(folder: Path) -> Path:
    """The file of docs/your-runs.md: 25 runs, their largest held out, as a spreadsheet has them."""
    frame = runs()
    split = np.where((frame["N"] == SIZES[-1]) & (frame["D"] == TOKENS[-1]), "holdout", "fit")
    table = pd.DataFrame({
        "run": [f"r{i:02d}" for i in range(len(frame))],
        "params (M)": frame["N"] / 1e6,
        "tokens_B": frame["D"] / 1e9,
        "val_loss": frame["loss"].round(4),
        "train_loss": (frame["loss"] - 0.05).round(4),
        "split": split,
    })  # fmt: skip
    path = folder / "ladder.csv"
    table.to_csv(path, index=False)
    return path
