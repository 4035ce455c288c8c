"""The plan as text: what ``--dry-run`` prints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeps.schedule import makespan

if TYPE_CHECKING:
    from sweeps.plan import Plan, Planned

MOST_ROWS = 40
HEADER = ("trial", "model", "N", "D", "seed", "recipe", "FLOPs", "min", "MB", "status")
LEFT = {"trial", "model", "recipe", "status"}
GROUPED = ("model", "N", "trials", "D", "FLOPs", "min", "MB", "status")


def full_text(plan: Plan, workers: int) -> str:
    """Table of trials (grouped by model when there are many), totals and warnings."""
    rows = _rows(plan.trials) if len(plan.trials) <= MOST_ROWS else _grouped(plan.trials)
    return "\n".join([*_aligned(rows), "", short_text(plan, workers)])


def short_text(plan: Plan, workers: int) -> str:
    """Totals and warnings."""
    missing = plan.missing
    counts = Counter(planned.status for planned in plan.trials)
    parts = [f"{counts[s]} {s}" for s in ("new", "failed", "measure", "finished") if counts[s]]
    lines = [f"study {plan.study}: {len(plan.trials)} trials ({', '.join(parts)})"]
    if missing:
        flops = sum(planned.flops for planned in missing)
        seconds = makespan([planned.seconds for planned in missing], workers)
        disk = sum(planned.disk for planned in missing) + plan.corpus_bytes
        calibrated = sum(planned.calibrated for planned in missing)
        basis = "calibrated" if calibrated == len(missing) else "uncalibrated"
        if 0 < calibrated < len(missing):
            basis = f"{calibrated} of {len(missing)} trials calibrated"
        lines.append(
            f"to run: {len(missing)} trials, at most {flops:.2e} FLOPs, "
            f"{_about(seconds)} on {workers} worker(s) ({basis}), {_mb(disk)} MB of disk"
        )
    lines += [f"warning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def _rows(trials: Sequence[Planned]) -> list[tuple[str, ...]]:
    varying = _varying(trials)
    rows: list[tuple[str, ...]] = [HEADER]
    for planned in trials:
        training = planned.job.training
        recipe = " ".join(f"{k}={getattr(training.recipe, k)}" for k in varying)
        rows.append(
            (
                training.id,
                f"{training.family}/{training.size}",
                f"{planned.counts.N:,}",
                f"{training.data:,}",
                str(training.seed),
                recipe,
                f"{planned.flops:.2e}",
                _minutes(planned.seconds),
                _mb(planned.disk),
                planned.status,
            )
        )
    return rows if varying else [row[:5] + row[6:] for row in rows]


def _varying(trials: Sequence[Planned]) -> list[str]:
    """Recipe fields that differ between trials."""
    recipes = [planned.job.training.recipe for planned in trials]
    fields = recipes[0].__dataclass_fields__ if recipes else {}
    return [f for f in fields if len({json.dumps(getattr(r, f)) for r in recipes}) > 1]


def _grouped(trials: Sequence[Planned]) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[Planned]] = {}
    for planned in trials:
        training = planned.job.training
        groups.setdefault((training.family, training.size), []).append(planned)
    rows: list[tuple[str, ...]] = [GROUPED]
    for (family, size), group in groups.items():
        data = sorted({planned.job.training.data for planned in group})
        status = Counter(planned.status for planned in group)
        rows.append(
            (
                f"{family}/{size}",
                f"{group[0].counts.N:,}",
                str(len(group)),
                f"{data[0]:,}..{data[-1]:,}" if len(data) > 1 else f"{data[0]:,}",
                f"{sum(p.flops for p in group):.2e}",
                _minutes(sum(p.seconds for p in group)),
                _mb(sum(p.disk for p in group)),
                ", ".join(f"{n} {name}" for name, n in sorted(status.items())),
            )
        )
    return rows


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    left = {i for i, name in enumerate(rows[0]) if name in LEFT}
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}" if seconds >= 6 or seconds == 0 else "<0.1"


def _about(seconds: float) -> str:
    return f"about {seconds / 60:.1f} min" if seconds >= 6 else "a few seconds"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}" if size >= 100_000 or size == 0 else "<0.1"
