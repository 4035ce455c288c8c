"""The plan as text: what ``--dry-run`` prints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.provenance import corpus_name
from sweeps.plan.cost import makespan

if TYPE_CHECKING:
    from scaling.identity import Training
    from sweeps.plan.plan import Plan, Planned

MOST_ROWS = 40
HEADER = (
    "stage", "kind", "trial", "model", "N", "D", "seed", "recipe", "FLOPs", "min", "MB", "status",
)  # fmt: skip
GROUPED = ("stage", "kind", "model", "N", "trials", "D", "FLOPs", "min", "MB", "status")
LEFT = {"stage", "kind", "trial", "model", "recipe", "status"}
SAID_IF_VARIED = {"stage", "kind", "recipe"}
STATUSES = ("new", "failed", "measure", "waiting", "finished")

Rows = list[tuple[str, ...]]


def full_text(plan: Plan, workers: int) -> str:
    """Table of trials (grouped by model when there are many), totals and warnings."""
    rows = _rows(plan.trials) if len(plan.trials) <= MOST_ROWS else _grouped(plan.trials)
    return "\n".join([*_aligned(_telling(rows)), "", short_text(plan, workers)])


def short_text(plan: Plan, workers: int) -> str:
    """Totals and warnings."""
    missing = plan.missing
    counts = Counter(planned.status for planned in plan.trials)
    parts = [f"{counts[s]} {s}" for s in STATUSES if counts[s]]
    lines = [f"study {plan.study}: {len(plan.trials)} trials ({', '.join(parts)})"]
    if missing:
        flops = sum(planned.flops for planned in missing)
        seconds = sum(
            makespan([p.seconds for p in stage.trials if p.todo is not None], workers)
            for stage in plan.stages
        )
        disk = sum(planned.disk for planned in missing) + plan.corpus_bytes
        calibrated = sum(planned.calibrated for planned in missing)
        basis = "calibrated" if calibrated == len(missing) else "uncalibrated"
        if 0 < calibrated < len(missing):
            basis = f"{calibrated} of {len(missing)} trials calibrated"
        lines.append(
            f"to run: {len(missing)} trials, at most {flops:.2e} FLOPs, "
            f"{_about(seconds)} on {workers} worker(s) ({basis}), {_mb(disk)} MB of disk"
        )
    if counts["waiting"]:
        lines.append(
            f"waiting: {counts['waiting']} trials start from the best of earlier ones, which are "
            "not finished; they are counted as if the largest were the best"
        )
    lines += [f"warning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def _rows(trials: Sequence[Planned]) -> Rows:
    varying = _varying(trials)
    rows: Rows = [HEADER]
    for planned in trials:
        training = planned.job.training
        about = _settings(training)
        rows.append(
            (
                training.stage,
                training.paradigm,
                "-" if planned.status == "waiting" else training.id,
                f"{training.family}/{training.size}",
                f"{planned.counts.N:,}",
                f"{training.data:,}",
                str(training.seed),
                " ".join(f"{k}={about[k]}" for k in varying if k in about),
                f"{planned.flops:.2e}",
                _minutes(planned.seconds),
                _mb(planned.disk),
                planned.status,
            )
        )
    return rows


def _settings(training: Training) -> dict[str, object]:
    """What may differ between trials beside the columns of the table."""
    said: dict[str, object] = {
        "corpus": corpus_name(training.corpus.source, training.task, training.corpus.fold),
        "objective": training.objective,
        "parents": "+".join(training.parent_ids) or "none",
        "labels": training.labels_fraction,
        "label_set": training.label_set or "all",
    }
    return said | dict(training.options) | training.recipe.to_dict()


def _varying(trials: Sequence[Planned]) -> list[str]:
    """Settings that differ between trials of one stage, paradigm and family."""
    groups: dict[tuple[str, str, str], list[dict[str, object]]] = {}
    for planned in trials:
        training = planned.job.training
        key = (training.stage, training.paradigm, training.family)
        groups.setdefault(key, []).append(_settings(training))
    names = dict.fromkeys(name for group in groups.values() for about in group for name in about)
    return [
        name
        for name in names
        if any(len({json.dumps(about.get(name)) for about in group}) > 1
               for group in groups.values())
    ]  # fmt: skip


def _grouped(trials: Sequence[Planned]) -> Rows:
    groups: dict[tuple[str, str, str], list[Planned]] = {}
    for planned in trials:
        training = planned.job.training
        model = f"{training.family}/{training.size}"
        groups.setdefault((training.stage, training.paradigm, model), []).append(planned)
    rows: Rows = [GROUPED]
    for (stage, paradigm, model), group in groups.items():
        data = sorted({planned.job.training.data for planned in group})
        status = Counter(planned.status for planned in group)
        rows.append(
            (
                stage,
                paradigm,
                model,
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


def _telling(rows: Rows) -> Rows:
    """Without columns that say the same in every row."""
    kept = [
        i
        for i, name in enumerate(rows[0])
        if name not in SAID_IF_VARIED or len({row[i] for row in rows[1:]}) > 1
    ]
    return [tuple(row[i] for i in kept) for row in rows]


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
