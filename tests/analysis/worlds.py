"""Published studies of four configurations whose laws are known: what S1 found, or its opposite."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.laws import FloatArray, get
from scaling.records.schema import EVALUATIONS, TRIALS, names

Kind = tuple[str, str]
SIZES = (2_000, 6_000, 18_000, 54_000, 150_000)
DATA = (512, 1024, 2048, 4096, 8192)
TASKS = ("virtual/cpsc2018", "virtual/csn", "virtual/mimic:sex")
HOME = "virtual/code"
OBJECTIVES = {
    ("resnet", "sl"): "supervised", ("transformer", "sl"): "supervised",
    ("resnet", "ssl"): "contrastive", ("transformer", "ssl"): "masked",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """Laws of a configuration: parameters E, A, alpha, B, beta at home and elsewhere."""

    home: tuple[float, ...]
    away: tuple[float, ...]


def term(size: float, at: float, exponent: float) -> float:
    """Amplitude of a term that is ``size`` nats at the scale ``at``."""
    return float(size * at**exponent)


def truth(home: tuple[float, ...], away: tuple[float, ...]) -> Truth:
    """From E, then (size at the largest scale, exponent) of N and of D, at home and elsewhere."""
    n, d = SIZES[-1], DATA[-1]

    def law(e: float, of_n: float, alpha: float, of_d: float, beta: float) -> tuple[float, ...]:
        return (e, term(of_n, n, alpha), alpha, term(of_d, d, beta), beta)

    return Truth(home=law(*home), away=law(*away))


# As S1 found: SL is limited by data, SSL is not; ResNets have the larger alpha, SSL the larger
# beta; SSL transfers better; Transformer-SSL starts above ResNet-SSL and ends below it.
HOLDS: dict[Kind, Truth] = {
    ("resnet", "sl"): truth((0.12, 0.0008, 1.2, 0.03, 0.50), (0.14, 0.005, 0.6, 0.05, 0.25)),
    ("transformer", "sl"): truth((0.12, 0.0008, 1.2, 0.04, 0.50), (0.20, 0.012, 0.3, 0.10, 0.2)),
    ("resnet", "ssl"): truth((1.00, 0.200, 0.42, 0.04, 0.50), (0.12, 0.020, 0.36, 0.005, 0.46)),
    ("transformer", "ssl"): truth((2.00, 0.500, 0.4, 0.05, 0.60), (0.10, 0.070, 0.25, 0.016, 0.38)),
}  # fmt: skip


def opposite(world: Mapping[Kind, Truth]) -> dict[Kind, Truth]:
    """Families and paradigms change places."""
    other = {"resnet": "transformer", "transformer": "resnet", "sl": "ssl", "ssl": "sl"}
    return {(other[f], other[p]): t for (f, p), t in world.items()}


def _trial(kind: Kind, n: int, d: int, seed: int = 0) -> dict[str, Any]:
    """Trained for ten epochs, with MACs ~ N^0.9: C grows with both."""
    family, paradigm = kind
    steps, macs = 10 * d // 64, 100.0 * n**0.9
    name = f"{family}{paradigm}{n}{d}{seed}"
    return {
        "study": "world", "stage": "pretrain", "trial": f"t{zlib.crc32(name.encode()):08x}",
        "parents": "", "family": family, "size": f"s{n}", "paradigm": paradigm,
        "objective": OBJECTIVES[kind], "corpus": HOME, "preprocessing": "none", "recipe": "{}",
        "labels_fraction": 1.0, "num_labels": 6, "leads": 12, "N": n, "params_total": n + 10,
        "D": d, "patients": d // 2, "lr": 0.003, "batch": 64, "seed": seed, "status": "done",
        "steps": steps, "C": 6.0 * macs * 64 * steps, "macs": macs,
        "started": "2026-01-02T03:04:05+00:00", "duration_s": 4.5, "device": "cpu",
        "commit": "0123456789ab", "dirty": False,
    }  # fmt: skip


def _values(
    trial: Mapping[str, Any], values: Mapping[tuple[str, str, str], float]
) -> Iterator[dict[str, Any]]:
    """Rows by (protocol, task, split)."""
    for (protocol, task, split), loss in values.items():
        name = f"{trial['trial']}{protocol}{task}"
        base = {
            "evaluation": f"e{zlib.crc32(name.encode()):08x}", "trial": trial["trial"],
            "step": 300, "C": trial["C"], "task": task, "split": split, "protocol": protocol,
            "n": 1024, "value_se": 0.004,
        }  # fmt: skip
        yield base | {"metric": "loss", "value": loss}
        if protocol == "linear-probe":
            yield base | {"metric": "macro_auroc", "value": 0.9 - loss / 3}


def losses(theta: tuple[float, ...], n: float, d: float) -> float:
    """Loss of the joint law."""
    at: FloatArray = np.array([[n, d]], dtype=float)
    return float(get("chinchilla").value(np.array(theta), at)[0])


def write_world(
    folder: Path,
    world: Mapping[Kind, Truth],
    tasks: tuple[str, ...] = TASKS,
    noise: float = 0.004,
    extra: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], []),
) -> Path:
    """Write a published study: every configuration on the whole grid, probed on every task.

    Args:
        folder: where.
        world: laws by family and paradigm.
        tasks: probed; each is a little harder than the one before.
        noise: of the log of each loss.
        extra: more rows of *trials* and *evaluations*.
    """
    rng = np.random.default_rng(0)
    trials, rows = list(extra[0]), list(extra[1])
    for kind, laws in world.items():
        for n in SIZES:
            for d in DATA:
                trial = _trial(kind, n, d)
                trials.append(trial)
                home = losses(laws.home, n, d) * np.exp(noise * rng.standard_normal())
                values = {("held-out", HOME, s): home for s in ("validation", "test")}
                values["held-out", HOME, "train"] = home - 0.0001 * 8192 / d
                for i, task in enumerate(tasks):
                    away = (1 + 0.1 * i) * losses(laws.away, n, d)
                    away *= np.exp(noise * rng.standard_normal())
                    values["linear-probe", task, "test"] = away
                rows += _values(trial, values)
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(trials)[[*names(TRIALS, "id", "row")]].to_csv(folder / "trials.csv", index=False)
    pd.DataFrame(rows)[[*names(EVALUATIONS, "id", "row")]].to_csv(
        folder / "evaluations.csv", index=False
    )
    plan: dict[str, list[str]] = {}
    for trial in trials:
        plan.setdefault(trial["stage"], []).append(trial["trial"])
    evaluations = sorted({r["evaluation"] for r in rows})
    study = {
        "study": "world", "schema": 1, "grid": {}, "commit": "0123456789ab", "dirty": False,
        "stages": [{"stage": s, "trials": t, "evaluations": evaluations} for s, t in plan.items()],
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(study))
    return folder
