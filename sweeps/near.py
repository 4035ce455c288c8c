"""The nearest valid word, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a known word is near, else the list of known words."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.55)
    return f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(words)}"
