"""The page of findings: our exponents beside S1's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.report.findings.content import Findings, study_findings

__all__ = ["Findings", "study_findings"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from analysis.report.findings import content

        return getattr(content, name)
    raise AttributeError(f"module 'analysis.report.findings' has no attribute {name!r}")
