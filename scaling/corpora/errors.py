"""The errors of this package."""

from __future__ import annotations

from typing import Self


class CorpusError(ValueError):
    """A source or a prepared corpus that cannot be used.

    The message names the file, record or setting, says what is wrong, and what to do.
    """


class UnusableError(CorpusError):
    """One record that the preset or the source's own rule cannot use, through no damage.

    Preparation leaves it out, and lists it with this message as the reason. A damaged file is
    a plain ``CorpusError``: it stops the preparation, since downloading again mends it.
    """


class WorkerDiedError(CorpusError):
    """A worker process was killed; what is done can be gone on from."""


def shown(problems: list[str], most: int = 10) -> str:
    """Join up to ``most`` problems, one a line, and say how many more there are."""
    lines = [f"  {problem}" for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"  and {len(problems) - most} more")
    return "\n".join(lines)


class RowProblems(list[str]):
    """What is wrong with rows: ``with problems.at(path, line):`` notes a ValueError and goes on."""

    _where: tuple[object, ...] = ()

    def at(self, *where: object) -> Self:
        """The same, with the place of the next row."""
        self._where = where
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, ValueError):
            return False
        self.append(f"{':'.join(map(str, self._where))}: {error}")
        return True


def refuse(problems: list[str], what: str = "rows") -> None:
    """Raise CorpusError where there is a problem; lists the first ten of what cannot be used."""
    if problems:
        raise CorpusError(f"{len(problems)} {what} cannot be used:\n{shown(problems)}")
