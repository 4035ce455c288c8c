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
LEFT = {"stage", "kind", "trial", "model", "recipe", "status"}
SAID_IF_VARIED = {"stage", "kind", "recipe"}
STATUSES = ("new", "failed", "measure", "waiting", "finished")

Row = dict[str, str]  # column: cell


def full_text(plan: Plan, workers: int) -> str:
    """Table of trials (grouped by model when there are many), totals and warnings."""
    rows = _rows(plan.trials) if len(plan.trials) <= MOST_ROWS else _grouped(plan.trials)
    return "\n".join([*_table(rows), "", short_text(plan, workers)])


def short_text(plan: Plan, workers: int) -> str:
    """Totals and warnings."""
    missing = plan.missing
    counts = Counter(planned.status for planned in plan.trials)
    parts = [f"{counts[s]} {s}" for s in STATUSES if counts[s]]
    lines = [f"study {plan.study}: {len(plan.trials)} trials ({', '.join(parts)})"]
    if missing:
        flops = f"{sum(planned.flops for planned in missing):.2e} FLOPs"
        if taught := sum(planned.teacher_flops for planned in missing):
            flops += f" and {taught:.2e} of teachers"
        seconds = sum(
            makespan([p.seconds for s in stages for p in s.trials if p.todo is not None], workers)
            for stages in plan.together
        )
        disk = sum(planned.disk for planned in missing) + plan.corpus_bytes
        calibrated = sum(planned.calibrated for planned in missing)
        basis = "calibrated" if calibrated == len(missing) else "uncalibrated"
        if 0 < calibrated < len(missing):
            basis = f"{calibrated} of {len(missing)} trials calibrated"
        lines.append(
            f"to run: {len(missing)} trials, at most {flops}, "
            f"{_about(seconds)} on {workers} worker(s) ({basis}), {_mb(disk)} MB of disk"
        )
    if counts["waiting"]:
        lines.append(
            f"waiting: {counts['waiting']} trials start from the best of earlier ones, which are "
            "not finished; they are counted as if the largest were the best"
        )
    lines += [f"warning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def _rows(trials: Sequence[Planned]) -> list[Row]:
    varying = _varying(trials)
    rows = []
    for planned in trials:
        training = planned.job.training
        about = _settings(training)
        row = {
            "stage": training.stage,
            "kind": training.paradigm,
            "trial": "-" if planned.status == "waiting" else training.id,
            "model": f"{training.family}/{training.size}",
            "N": f"{planned.counts.N:,}",
            "D": f"{training.data:,}",
            "seed": str(training.seed),
            "recipe": " ".join(f"{k}={about[k]}" for k in varying if k in about),
        }
        rows.append(row | _costs([planned]) | {"status": planned.status})
    return rows


def _costs(trials: Sequence[Planned]) -> Row:
    return {
        "FLOPs": f"{sum(p.flops for p in trials):.2e}",
        "min": _minutes(sum(p.seconds for p in trials)),
        "MB": _mb(sum(p.disk for p in trials)),
    }


def _settings(training: Training) -> dict[str, object]:
    """What may differ between trials beside the columns of the table."""
    said: dict[str, object] = {
        "corpus": corpus_name(training.corpus.source, training.task, training.corpus.fold),
        "objective": training.objective,
        "parents": "+".join(training.parent_ids) or "none",
        "labels": training.labels_fraction,
        "label_set": training.label_set or "all",
        "leads": "+".join(training.input_leads) or "all",
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

    def varies(name: str, group: list[dict[str, object]]) -> bool:
        return len({json.dumps(about.get(name)) for about in group}) > 1

    return [name for name in names if any(varies(name, group) for group in groups.values())]


def _grouped(trials: Sequence[Planned]) -> list[Row]:
    groups: dict[tuple[str, str, str], list[Planned]] = {}
    for planned in trials:
        training = planned.job.training
        model = f"{training.family}/{training.size}"
        groups.setdefault((training.stage, training.paradigm, model), []).append(planned)
    rows = []
    for (stage, paradigm, model), group in groups.items():
        data = sorted({planned.job.training.data for planned in group})
        status = Counter(planned.status for planned in group)
        row = {
            "stage": stage,
            "kind": paradigm,
            "model": model,
            "N": f"{group[0].counts.N:,}",
            "trials": str(len(group)),
            "D": f"{data[0]:,}..{data[-1]:,}" if len(data) > 1 else f"{data[0]:,}",
        }
        statuses = ", ".join(f"{n} {name}" for name, n in sorted(status.items()))
        rows.append(row | _costs(group) | {"status": statuses})
    return rows


def _table(rows: Sequence[Row]) -> list[str]:
    """Aligned lines, without columns that say the same in every row."""
    names = [n for n in rows[0] if n not in SAID_IF_VARIED or len({row[n] for row in rows}) > 1]
    lines = [dict(zip(names, names, strict=True)), *rows]
    widths = {name: max(len(line[name]) for line in lines) for name in names}
    return [
        "  ".join(f"{line[n]:{'<' if n in LEFT else '>'}{widths[n]}}" for n in names).rstrip()
        for line in lines
    ]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}" if seconds >= 6 or seconds == 0 else "<0.1"


def _about(seconds: float) -> str:
    return f"about {seconds / 60:.1f} min" if seconds >= 6 else "a few seconds"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}" if size >= 100_000 or size == 0 else "<0.1"
