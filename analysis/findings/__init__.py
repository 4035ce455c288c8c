"""Our exponents beside the findings of S1; ``python -m analysis.findings <folder>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.findings.content import Findings, study_findings

__all__ = ["Findings", "study_findings"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from analysis.findings import content

        return getattr(content, name)
    raise AttributeError(f"module 'analysis.findings' has no attribute {name!r}")
