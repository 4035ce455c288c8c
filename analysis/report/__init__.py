"""One self-contained page about a study; ``python -m analysis.report <folder>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.report.content import Content, study_content
    from analysis.report.page import write_figures, write_report

__all__ = ["Content", "study_content", "write_figures", "write_report"]


def __getattr__(name: str) -> object:
    if name in ("Content", "study_content"):
        from analysis.report import content

        return getattr(content, name)
    if name in ("write_report", "write_figures"):
        from analysis.report import page

        return getattr(page, name)
    raise AttributeError(f"module 'analysis.report' has no attribute {name!r}")
