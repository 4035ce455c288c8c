"""The six abnormalities of the CODE datasets, in the order of the published model.

The order is that of Ribeiro et al., Nature Communications 11, 1760 (2020): SB, AF, ST. The
table of CODE-15 has them as SB, ST, AF; columns are therefore taken by name. A record without
any of the six is a valid negative. It need not be normal: most carry other findings, and
CODE-15 marks only 134,657 of 308,004 as ``normal_ecg``.
"""

from __future__ import annotations

from collections.abc import Sequence

from scaling.corpora.sources.read.columns import flag

CLASSES = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
SEXES = {"F": "female", "M": "male", "": None}

# Millions of records share these few dictionaries.
_SHARED: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}


def code_labels(cells: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Labels of an ``Entry`` from the six cells in the order of ``CLASSES``.

    Raises:
        ValueError: a cell that is neither yes nor no, by class.
    """
    positives = []
    for i, (name, cell) in enumerate(zip(CLASSES, cells, strict=True)):
        try:
            if flag(cell):
                positives.append(i)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    found = tuple(positives)
    return _SHARED.setdefault(found, {"": found})
