"""The numbers of a report, before any page or figure: what was planned, each law, each table."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.checks.held_out import Holdout, leave_out_largest
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.questions.answers import Answers, Asking, asked_of
from analysis.questions.configurations import Configuration, TaskFit, configurations, task_fits
from analysis.report.compute import Compute, compute_of
from analysis.report.labels import label_cells
from analysis.report.tasks import chosen_models, other_tables, probe_cells
from analysis.studies.groups import groups, titles
from analysis.studies.load import Study, study
from analysis.studies.rows import law_rows, pooled, trial_rows
from analysis.text import finite_or_none, jsonable
from scaling.records.names import LINEAR_PROBE

SCHEMA = 1
MARGINALS = ("n_law", "d_law")
R2_EXPECTED = 0.9
_FEWEST = 6  # pairs of losses that a law is drawn through


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupContent:
    """What one law describes: runs of one family, objective and corpus."""

    key: dict[str, Any]  # what sets the group apart
    title: str  # family, paradigm and corpus in one line, and more where that is not enough
    rows: pd.DataFrame  # law rows, one per run; empty when no trial finished
    warnings: tuple[str, ...]  # what a reader must know first
    joint: Fit | None = None  # the joint law, or None without rows
    marginals: tuple[Fit, ...] = ()  # laws of N at the largest D and of D at the largest N
    # the largest cell predicted from the others, where that is possible
    holdout: Holdout | None = None
    # ``value``, ``se``, ``covered`` and more, or None where the Bayes loss is unknown
    bayes: dict[str, Any] | None = None
    compute: Compute | None = None  # allocation and frontier, or None without a joint law
    others: tuple[TaskFit, ...] = ()  # laws of the losses on other tasks, and loss to loss

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The joint law and the marginals, as far as there are any."""
        return (self.joint, *self.marginals) if self.joint else ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything a report says; see ``to_dict`` for the numbers."""

    study: Study  # as it was read, its folds pooled
    groups: tuple[GroupContent, ...]  # one per law; pretrained models only
    # those of S1, less kappas fitted together with both joint laws, which take long
    questions: Answers
    others: list[dict[str, Any]]  # tables of the trainings that no law describes
    probes: pd.DataFrame  # cells by task and metric: linear probes, averaged over seeds
    labels: dict[str, pd.DataFrame]  # scores by the amount of labels, by the name of their figure
    # by task, the configuration chosen on validation and its test score
    models: list[dict[str, Any]]
    study_warnings: tuple[str, ...]  # of the whole study; each group has its own

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings, those of a group under its title where there are several."""
        several = len(self.groups) > 1
        labelled = []
        for g in self.groups:  # reasons against a law are one warning, where there are several
            refused = several and not (g.joint and g.joint.ok)
            own = ("; ".join(g.warnings),) if refused else g.warnings
            labelled += [f"{g.title}: {w}" if several else w for w in own if w]
        return (*self.study_warnings, *labelled)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain JSON values."""
        return {
            "schema": SCHEMA,
            "study": self.study.name,
            "folder": str(self.study.folder),
            "warnings": list(self.study_warnings),
            "plan": plan_numbers(self.study),
            "groups": [_group_numbers(g) for g in self.groups],
            "questions": self.questions.to_dict(),
            "others": self.others,
            "probes": _rows(self.probes),
            "labels": {name: _rows(cells) for name, cells in self.labels.items()},
            "models": self.models,
            "trials": _rows(trial_rows(self.study.frame).drop(columns=["recipe", "parents"])),
            "provenance": provenance(self.study),
        }

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)


def study_content(folder: str | Path, n_boot: int = 1000) -> Content:
    """Load a study and fit its laws.

    Raises:
        ResultsError: the folder cannot be read.
    """
    read = study(folder)
    read = dataclasses.replace(read, frame=pooled(read.frame))
    frame = read.frame
    parts = list(groups(frame))
    named = titles([key for key, _ in parts])
    # The fits behind the questions are those of the page, so that it gives no number twice.
    fitted, notes = configurations(frame, n_boot)
    by_key = {str(c.key): c for c in fitted}
    found = [
        _group(key, title, part, read.corpora, n_boot, by_key.get(str(key)))
        for (key, part), title in zip(parts, named, strict=True)
    ]
    asking = Asking(frame=frame, n_boot=n_boot, together=False)
    return Content(
        study=read,
        groups=tuple(found),
        questions=asked_of(fitted, notes, asking),
        others=other_tables(frame),
        probes=probe_cells(frame),
        labels=label_cells(frame),
        models=chosen_models(frame),
        study_warnings=tuple(_study_warnings(read)),
    )


def _group(
    key: dict[str, Any],
    title: str,
    part: pd.DataFrame,
    corpora: Mapping[str, Any],
    n_boot: int,
    chosen: Configuration | None,
) -> GroupContent:
    part = part[part["metric"].isin(("loss", ""))]  # "": trials without a value
    try:
        rows = law_rows(part)
    except ValueError as error:
        return GroupContent(key=key, title=title, rows=part.iloc[:0], warnings=(str(error),))
    joint = chosen.fit if chosen else fit_law(part, "chinchilla", n_boot=n_boot)
    marginals = tuple(fit_law(part, law, n_boot=n_boot) for law in MARGINALS)
    holdout = None
    if joint.ok and joint.residuals[["N", "D"]].drop_duplicates().shape[0] > 1:
        # Nothing else is drawn with the runs that are left, so they need no common pool.
        options = dataclasses.replace(joint.options, pool=None)
        holdout = leave_out_largest(dataclasses.replace(joint, options=options))
    # The Bayes loss is of the labels in binary cross-entropy: no other loss is compared with it.
    own = str(key["corpus"]) if key["objective"] == "supervised" else ""
    bayes = _bayes(joint, corpora.get(own, {}))
    warnings = list(joint.warnings)
    if not joint.ok:
        warnings.insert(0, "the joint law cannot be fitted: only the measured points are shown")
    elif joint.r2 < R2_EXPECTED:
        warnings.insert(0, f"the joint law explains little of the loss: R² {joint.r2:.2f}")
    if holdout and holdout.covered is False:
        warnings.append("the largest cell, left out, lies outside its prediction interval")
    if bayes and bayes["covered"] is False:
        warnings.append("E's interval does not cover the Bayes loss, its standard error counted")
    if bayes and bayes["covered_test"] is False:
        warnings.append("E's interval does not cover the Bayes loss on the test labels drawn")
    return GroupContent(
        key=key,
        title=title,
        rows=rows,
        joint=joint,
        marginals=marginals,
        holdout=holdout,
        bayes=bayes,
        compute=compute_of(part, rows, joint, n_boot) if joint.ok else None,
        others=other_tasks(part, chosen),
        warnings=tuple(warnings),
    )


def _bayes(fit: Fit, corpus: Mapping[str, Any]) -> dict[str, Any] | None:
    known = corpus.get("bayes_loss")
    if not known:
        return None
    interval, se = fit.intervals["E"], known.get("se") or 0.0
    finite = math.isfinite(interval.low) and math.isfinite(interval.high)
    test = known.get("test")  # the same floor on the test labels drawn, which E shares
    return {
        **known,
        "E": finite_or_none(fit.params["E"]),
        "interval": jsonable(interval),
        "covered": interval.agrees(fit.params["E"], known["value"], se) if finite else None,
        "covered_test": (
            interval.agrees(fit.params["E"], test["value"], se) if finite and test else None
        ),
    }


def other_tasks(part: pd.DataFrame, chosen: Configuration | None) -> tuple[TaskFit, ...]:
    """Tasks with enough pairs of losses, in the order of their names.

    Those of the questions where they are about the group; else without resamples.
    """
    if chosen:
        tasks = chosen.tasks
    elif (part["protocol"] == LINEAR_PROBE).any():
        tasks = task_fits(part, fit_law(part, n_boot=0), "", [])
    else:  # a study of many groups without probes would fit each twice
        tasks = ()
    return tuple(t for t in tasks if len(t.fit.rows) >= _FEWEST)


def _study_warnings(read: Study) -> list[str]:
    found = []
    if read.missing:
        found.append(f"{read.missing} of {read.planned} planned trials have not run yet")
    if read.empty_evaluations:
        found.append(f"{read.empty_evaluations} planned evaluations gave no value")
    trials = trial_rows(read.frame)
    commits = trials["commit"].unique()
    if len(commits) > 1:
        found.append(f"trials come from {len(commits)} different commits")
    if bool(trials["dirty"].fillna(False).any()):
        found.append("some trials ran with uncommitted changes")
    return found


def _group_numbers(group: GroupContent) -> dict[str, Any]:
    held = group.holdout if group.holdout and group.holdout.covered is not None else None
    return {
        "key": jsonable({k: None if pd.isna(v) else v for k, v in group.key.items()}),
        "title": group.title,
        "laws": {f.law.name: f.to_dict() for f in group.fits},
        "holdout": held.to_dict() if held else None,
        "bayes": group.bayes,
        "compute": group.compute.to_dict() if group.compute else None,
        "transfer": {t.task: jsonable(t.numbers()) for t in group.others},
        "warnings": list(group.warnings),
        "runs": _rows(group.rows[["trial", "size", "N", "D", "seed", "value", "value_se"]]),
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON values, None where a cell is empty."""
    rows: list[dict[str, Any]] = jsonable(frame.astype(object).where(frame.notna(), None))
    return rows


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
