"""The one error of this package."""

from __future__ import annotations


class CorpusError(ValueError):
    """A source or a prepared corpus that cannot be used.

    The message names the file, record or setting, says what is wrong, and what to do.
    """


def shown(problems: list[str], most: int = 10) -> str:
    """Join up to ``most`` problems, one a line, and say how many more there are."""
    lines = [f"  {problem}" for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"  and {len(problems) - most} more")
    return "\n".join(lines)
