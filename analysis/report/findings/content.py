"""Everything the findings page says, before any page or figure."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.questions.claims.absolute import absolute_claims
from analysis.questions.claims.claim import Claim, Quantity
from analysis.questions.claims.generalisation import mean_kappa, transfer_claims
from analysis.questions.claims.limits import bottleneck_claims, data_share, used_up
from analysis.questions.claims.scaling import (
    allocation_claims,
    efficiency_claims,
    mean_exponent,
    mean_to_data,
)
from analysis.questions.evidence.configurations import By, Configuration, TaskFit, configurations
from analysis.studies.load import Study, study
from analysis.studies.rows import pooled
from analysis.text.numbers import Interval, finite_or_none
from analysis.transfer.gap import gap_cells
from scaling.records.tables import ResultsError

SCHEMA = 1
TITLES = {
    "i": "In distribution: is data or model size the limit?",
    "ii": "On other tasks: parameter and data efficiency",
    "iii": "Transfer: what a lower loss in distribution is worth elsewhere",
    "iv": "Whose loss on other tasks is lowest?",
    "v": "Where the next unit of compute goes",
}
S1_SAYS = {
    "i": "SL models saturate in model size and are far from saturation in data, their main "
    "bottleneck; SSL models show no visible saturation in either.",
    "ii": "ResNets are more parameter-efficient than Transformers, SSL more data-efficient than "
    "SL (how many times is lost in the text we have). S1 takes ratios of exponents averaged over "
    "tasks; ours are geometric means over tasks of ratios, as a task counts in both or in neither.",
    "iii": "Transfer exponents are below 1 under nearly all conditions, and larger for SSL than "
    "for SL (means of Table S.7 over all its tasks; eight of its 44 exponents are exactly 0.050, "
    "which looks like the lower bound of its fits).",
    "iv": "ResNets have the lowest absolute loss across most sizes (counted from Table S.5; by "
    "data size, Table S.6, 56 of 66); Transformer-SSL is below Transformer-SL at every scale and "
    "overtakes ResNet-SSL at very large sizes only; on unseen clinical tasks SSL is below SL.",
    "v": "Transformer-SL gives 90 % of marginal compute to data, ResNet-SL 79 %; Transformer-SSL "
    "gives 73 % to model size: alpha / (alpha + beta) under C ~ N D (constant epochs) on the one "
    "task of its Figure 5, with the same trends on the others.",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A study beside S1.

    Attributes:
        study: as it was read, its folds pooled.
        configurations: with their fits.
        claims: in the order of S1's findings.
        gaps: train-validation gap by cell.
        notes: what was left out.
    """

    study: Study
    configurations: tuple[Configuration, ...]
    claims: tuple[Claim, ...]
    gaps: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def virtual(self) -> bool:
        """Whether everything trained on is made of virtual patients."""
        return all(str(c.key["corpus"]).startswith("virtual/") for c in self.configurations)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain JSON values."""
        return {
            "schema": SCHEMA,
            "study": self.study.name,
            "claims": [
                {
                    **dataclasses.asdict(c),
                    "estimate": finite_or_none(c.estimate),
                    "check": pair(c.check) if c.check else None,
                    "interval": pair(c.interval),
                    "verdict": str(c.verdict),
                    "why_unknown": c.why_unknown,
                }
                for c in self.claims
            ],
            "configurations": {c.name: _numbers(c) for c in self.configurations},
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)


def study_findings(folder: str | Path, n_boot: int = 1000) -> Findings:
    """Load a study, fit its laws and judge the claims of S1.

    Raises:
        ResultsError: the folder cannot be read or holds no pretraining with a law.
    """
    read = study(folder)
    read = dataclasses.replace(read, frame=pooled(read.frame))
    fitted, notes = configurations(read.frame, n_boot)
    if not fitted:
        raise ResultsError(f"{folder}: no pretrained models with a held-out loss: no law to fit")
    by: By = {c.kind: c for c in fitted}
    for c in fitted:
        if not c.fit.ok:
            notes.append(f"{c.name}: no joint law in distribution ({'; '.join(c.fit.warnings)})")
    claims = [
        *bottleneck_claims(by),
        *efficiency_claims(by),
        *transfer_claims(by),
        *absolute_claims(by),
        *allocation_claims(by),
    ]
    if read.counts["failed"] or read.counts["diverged"]:
        notes.append(
            f"{read.counts['failed']} trials failed and {read.counts['diverged']} diverged"
        )
    if read.missing:
        notes.append(f"{read.missing} of {read.planned} planned trials have not run yet")
    return Findings(
        study=read,
        configurations=tuple(fitted),
        claims=tuple(claims),
        gaps=gap_cells(read.frame),
        notes=tuple(notes),
    )


def pair(value: Interval) -> list[float | None]:
    """An interval as two JSON values."""
    return [finite_or_none(value.low), finite_or_none(value.high)]


def _quantity(value: Quantity) -> dict[str, Any]:
    return {"estimate": finite_or_none(value.estimate), "interval": pair(value.interval)}


def _numbers(c: Configuration) -> dict[str, Any]:
    return {
        "key": {k: None if pd.isna(v) else str(v) for k, v in c.key.items()},
        "in_distribution": c.fit.to_dict(),
        "data_share": _quantity(data_share(c.fit)),
        "used_up": {axis: _quantity(used_up(c.fit, axis)) for axis in ("N", "D")},
        "mean_alpha": _quantity(mean_exponent(c, "alpha")),
        "mean_beta": _quantity(mean_exponent(c, "beta")),
        "mean_kappa": _quantity(mean_kappa(c)),
        "mean_kappa_free": _quantity(mean_kappa(c, free=True)),
        "to_data": _quantity(mean_to_data(c)),
        "to_data_macs": _quantity(mean_to_data(c, c.compute.macs)),
        "macs_exponent": finite_or_none(c.compute.macs),
        "compute_exponent_of_data": finite_or_none(c.compute.data),
        "alike": c.alike,
        "statuses": c.statuses,
        "tasks": {t.task: _task(t) for t in c.tasks},
    }


def _task(found: TaskFit) -> dict[str, Any]:
    transfer = found.transfer
    return {
        "law": found.fit.to_dict(),
        "identified": {axis: found.identified(axis) for axis in ("N", "D")},
        "doubt": found.doubt,
        "transfer": transfer and {
            "kappa": finite_or_none(transfer.kappa),
            "interval": pair(transfer.interval),
            "K": finite_or_none(transfer.K),
            "floors": [finite_or_none(v) for v in transfer.floors],
            "r2": finite_or_none(transfer.r2),
            "kappa_free": finite_or_none(transfer.kappa_free),
            "interval_free": pair(transfer.interval_free),
            "floor_free": finite_or_none(transfer.floor_free),
            "warnings": list(transfer.warnings),
        },
    }  # fmt: skip
