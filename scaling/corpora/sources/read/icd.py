"""From lists of ICD-10-CM codes to classes, by the rule of the ECG-MIMIC benchmark.

Strodthoff, Lopez Alcaraz and Haverkamp, European Heart Journal - Digital Health 5, 454
(2024): a code is cut to five characters, trailing placeholders X are dropped, every ancestor
down to three characters is added, and what occurs in at least 2,000 records of the table is
a class. On the full table of 800,035 records these are 1,076 classes.
"""

from __future__ import annotations

import collections
import functools
import re
import sys

MIN_COUNT = 2000
DIGITS = 5
_SHORTEST = 3
_CODE = re.compile(r"""'([^'"\\]*)'|"([^'"\\]*)\"""")
_LIST = re.compile(r"""\[\s*((?:'[^'"\\]*'|"[^'"\\]*")(\s*,\s*(?:'[^'"\\]*'|"[^'"\\]*"))*)?\s*\]""")


def parse_codes(text: str) -> tuple[str, ...]:
    """Codes of a Python list written as text, such as ``['I10', 'E785']``.

    Raises:
        ValueError: it is not a list of quoted strings.
    """
    if _LIST.fullmatch(text.strip()) is None:
        raise ValueError(f"{text[:80]!r} is not a list of codes")
    return tuple(one or other for one, other in _CODE.findall(text))


def with_ancestors(codes: tuple[str, ...]) -> tuple[str, ...]:
    """The codes, shortened, and their ancestors; sorted, each once.

    ``I4819`` gives I48, I481 and I4819; ``W19XXXA`` gives W19.
    """
    return tuple(sorted(set().union(*map(_ancestors, codes))))


@functools.lru_cache(maxsize=2**17)
def _ancestors(code: str) -> tuple[str, ...]:
    short = code.strip()[:DIGITS].rstrip("X")
    return tuple(sys.intern(short[:end]) for end in range(_SHORTEST, len(short) + 1))


class CodeLists:
    """The code lists of a table, each kept once: records of one stay share theirs."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._codes: list[tuple[str, ...]] = []
        self._records: list[int] = []

    def add(self, text: str) -> int | None:
        """Number of the list of one more record; None where it is empty.

        Raises:
            ValueError: it is not a list of quoted strings.
        """
        at = self._at.get(text)
        if at is None:
            codes = parse_codes(text)
            at = self._at[text] = len(self._codes) if codes else -1
            if codes:
                self._codes.append(with_ancestors(codes))
                self._records.append(0)
        if at < 0:
            return None
        self._records[at] += 1
        return at

    def classes(self, min_count: int) -> tuple[str, ...]:
        """Codes of at least ``min_count`` records, the commonest first, then by name."""
        counts: collections.Counter[str] = collections.Counter()
        for codes, records in zip(self._codes, self._records, strict=True):
            for code in codes:
                counts[code] += records
        kept = [code for code, count in counts.items() if count >= min_count]
        return tuple(sorted(kept, key=lambda code: (-counts[code], code)))

    def labels(self, classes: tuple[str, ...]) -> list[tuple[int, ...]]:
        """Indices of the positive classes of each list."""
        index = {code: i for i, code in enumerate(classes)}
        shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        labels = []
        for codes in self._codes:
            found = tuple(sorted(index[code] for code in codes if code in index))
            labels.append(shared.setdefault(found, found))
        return labels
