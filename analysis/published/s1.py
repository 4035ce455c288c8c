"""What "How Do Electrocardiogram Models Scale?" (S1) prints, where its digits can still be read.

Whatever its tables give is derived from them.
"""

from __future__ import annotations

import math

import pandas as pd

from analysis.published import table

Kind = tuple[str, str]


def _transfer_exponents() -> dict[str, dict[Kind, float]]:
    frame = table("s1_s7")
    by_task: dict[str, dict[Kind, float]] = {}
    for row in frame[frame["quantity"] == "kappa"].to_dict("records"):
        kind = (str(row["architecture"]), str(row["paradigm"]))
        by_task.setdefault(str(row["task"]), {})[kind] = float(row["value"])
    return by_task


def _mean_exponents() -> dict[Kind, float]:
    frame = table("aggregates").query("table == 's1_s7' and quantity == 'kappa'")
    means: dict[Kind, float] = {}
    for row in frame[frame["statistic"] == "mean"].to_dict("records"):
        architecture, _, paradigm = str(row["row"]).partition("-")
        means[architecture, paradigm] = float(row["value"])
    return means


def losses_by_bin(name: str, bins: str) -> pd.DataFrame:
    """Losses by bin and task (rows) and configuration such as ``resnet-sl`` (columns)."""
    frame = table(name)
    frame["kind"] = frame["architecture"] + "-" + frame["paradigm"]
    return frame.pivot_table(index=[bins, "task"], columns="kind", values="loss")


def lowest_resnets(losses: pd.DataFrame) -> tuple[int, ...]:
    """On how many of the tasks a ResNet's loss is the lowest of the four, by bin."""
    of_resnet = losses.idxmin(axis=1).astype("string").str.startswith("resnet")
    return tuple(int(n) for n in of_resnet.groupby(level=0).sum())


def _ssl_gap(losses: pd.DataFrame) -> tuple[float, ...]:
    logs = (losses["transformer-ssl"] / losses["resnet-ssl"]).map(math.log)
    return tuple(round(float(gap), 3) for gap in logs.groupby(level=0).mean())


def _unseen_corpora() -> tuple[str, ...]:
    frame = table("s1_s7")
    tasks = frame.loc[frame["category"] != "A", "task"]
    return tuple(dict.fromkeys(str(t).partition(":")[0] for t in tasks))


# Table S.7: transfer exponent (Eq. 4) by task.
_KAPPA_BY_TASK = _transfer_exponents()
# Its smallest value, 0.050, is printed eight times and looks like the lower bound of its fits.
KAPPA_BOUND = min(min(by_kind.values()) for by_kind in _KAPPA_BY_TASK.values())
# Table S.7: mean over the eleven tasks, as printed.
KAPPA: dict[Kind, float] = _mean_exponents()
# Section 5: share of marginal compute that goes to data, alpha / (alpha + beta), for the one task
# of Figure 5 (our text does not name it); "these trends hold across the remaining OOD datasets".
DATA_SHARE: dict[Kind, float] = {
    ("transformer", "sl"): 0.90, ("resnet", "sl"): 0.79, ("transformer", "ssl"): 0.27,
}  # fmt: skip
_BY_SIZE = losses_by_bin("s1_s5", "size_bin")
# Table S.5: by bin of size (five), smallest first.
LOWEST_BY_SIZE = lowest_resnets(_BY_SIZE)
TASKS = len(_KAPPA_BY_TASK)
# Table S.5: mean over tasks of log(Transformer-SSL's loss / ResNet-SSL's) by bin of size.
GAP_BY_SIZE = _ssl_gap(_BY_SIZE)
# Corpora of the tasks unlike those trained on (categories B to D of Table S.7).
UNSEEN = _unseen_corpora()


def kappa(task: str) -> dict[Kind, float]:
    """Transfer exponents of Table S.7 for a task such as ``virtual/mimic:sex``; {} if unknown."""
    corpus, _, label = task.rsplit("/", 1)[-1].partition(":")
    for name in (f"{corpus}:{label}", corpus):
        if name in _KAPPA_BY_TASK:
            return dict(_KAPPA_BY_TASK[name])
    return {}


def unseen(task: str) -> bool:
    """Whether a task is of a kind unlike the diagnoses trained on, by its corpus' name."""
    return task.rsplit("/", 1)[-1].partition(":")[0].startswith(UNSEEN)
