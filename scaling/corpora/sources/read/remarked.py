"""A listed source that has something to say about itself in the quality report."""

from __future__ import annotations

import dataclasses
from typing import Any

from scaling.corpora.sources.read.listed import ListedSource


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RemarkedSource(ListedSource):
    """See ``listed.ListedSource``.

    Attributes:
        remarks: sentences for whoever reads the report: how the split was made, what is not
            known, what looks wrong in the files.
    """

    remarks: tuple[str, ...] = ()

    def notes(self) -> dict[str, Any]:
        """Absent files, what is left out, and the remarks."""
        return ListedSource.notes(self) | {"remarks": list(self.remarks)}
