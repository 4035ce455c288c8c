"""What was planned, what ran, and where the numbers come from."""

from __future__ import annotations

from typing import Any

from analysis.studies.load import Study
from analysis.studies.rows import trial_rows


def plan_numbers(study: Study) -> dict[str, Any]:
    """What was planned and what it took."""
    trials = trial_rows(study.frame)
    sizes = trials.dropna(subset=["N"]).drop_duplicates(["family", "size"]).sort_values("N")
    return {
        "stages": dict(study.plan),
        "planned": study.planned,
        "missing": study.missing,
        "counts": dict(study.counts),
        "sizes": [
            {"family": str(r["family"]), "size": str(r["size"]), "N": int(r["N"])}
            for _, r in sizes.iterrows()
        ],
        "data": sorted(int(d) for d in trials["D"].dropna().unique()),
        "seeds": sorted(int(s) for s in trials["seed"].dropna().unique()),
        "flops": float(trials["C_total"].sum()),
        "trial_seconds": float(trials["duration_s"].sum()),
        "first_started": min((str(s) for s in trials["started"] if s), default=""),
        "last_started": max((str(s) for s in trials["started"] if s), default=""),
    }


def provenance(study: Study) -> dict[str, Any]:
    """Where the numbers come from."""
    trials = trial_rows(study.frame)
    corpora = {
        name: {k: c.get(k) for k in ("source", "task", "fingerprint", "records", "patients")}
        for name, c in study.corpora.items()
    }
    return {
        "study_commit": study.commit,
        "study_dirty": study.dirty,
        "trial_commits": sorted({str(c) for c in trials["commit"] if c}),
        "dirty_trials": int(trials["dirty"].fillna(False).sum()),
        "devices": sorted({str(d) for d in trials["device"] if d}),
        "versions": study.provenance.get("versions", {}),
        "corpora": corpora,
        "errors": dict(study.errors),
    }
