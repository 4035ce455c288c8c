"""Loss on other tasks against the loss on the task trained on, with the law through it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.studies.rows import law_rows

if TYPE_CHECKING:
    from analysis.figures.base import Picture

PANELS = 4
_FEWEST = 6


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OtherTask:
    """One task that models of a group were probed on.

    Attributes:
        task: its name.
        pairs: ``N``, ``L_id`` and ``L_ood`` of each run, in nats.
        law: loss-to-loss law through them, with E_id of the joint law held where it lies below
            all of them; without an interval here (see ``analysis.findings``).
    """

    task: str
    pairs: pd.DataFrame
    law: Fit


def other_tasks(part: pd.DataFrame, rows: pd.DataFrame, joint: Fit) -> list[OtherTask]:
    """Tasks with enough pairs of losses, in the order of their names.

    Args:
        part: all loss rows of a group, linear probes among them.
        rows: its law rows in distribution.
        joint: the joint law of these.
    """
    probes = part[(part["protocol"] == "linear-probe") & (part["split"] == "test")]
    own = rows[["trial", "N", "value"]].rename(columns={"value": "L_id"})
    found = []
    for task in sorted(map(str, probes["task"].unique())):
        other = law_rows(part, task=task, protocol="linear-probe")[["trial", "value"]]
        pairs = own.merge(other.rename(columns={"value": "L_ood"}), on="trial")
        if len(pairs) < _FEWEST:
            continue
        floor = joint.params["E"] if joint.ok else 0.0
        held = {"E_id": floor} if floor < pairs["L_id"].min() else None
        law = fit_law(pairs, "loss_to_loss", fixed=held, n_boot=0)
        found.append(OtherTask(task=task, pairs=pairs.drop(columns="trial"), law=law))
    return found


def transfer_picture(tasks: list[OtherTask]) -> Picture:
    """One panel for each of the first four tasks."""
    from analysis.figures.base import FLOOR, colours, legend, picture, style
    from analysis.text.numbers import count, number

    shown = tasks[:PANELS]
    with style():
        figure, panels = picture(len(shown), width=3.3, height=3.1)
        looks: dict[float, tuple[Any, str]] = colours(
            [float(n) for t in shown for n in t.pairs["N"]]
        )
        for axes, each in zip(panels, shown, strict=True):
            for n, part in each.pairs.groupby("N"):
                colour, marker = looks[float(str(n))]
                axes.plot(part["L_id"], part["L_ood"], marker, color=colour, ms=5, mec="white",
                          mew=0.6, label=count(float(str(n))))  # fmt: skip
            title = each.task.rsplit("/", 1)[-1]
            if each.law.ok:
                low, high = each.pairs["L_id"].min(), each.pairs["L_id"].max()
                at = low + (high - low) * np.linspace(0.0, 1.0, 120) ** 3  # steep near the floor
                line = each.law.predict(L_id=at)["L_ood"]
                axes.plot(at, line, color=FLOOR, lw=1.4)
                title += (
                    f"\nkappa {number(each.law.params['kappa'], 2)}, R² {number(each.law.r2, 2)}"
                )
            axes.set_title(title)
            axes.set_xlabel("loss trained on, nats")
        panels[0].set_ylabel("loss of a linear probe, nats")
        legend(panels[-1], "N")
    return figure
