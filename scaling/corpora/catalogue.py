"""The catalogue: one row for each source there is, from ``catalogue.toml``.

Data only, and only the standard library: a grid is checked against it in no time. A new
source is one module below ``scaling.corpora.sources`` and one table there.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from pathlib import Path
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """One row of the catalogue.

    Attributes:
        name: what a grid calls it.
        kind: ``files`` needs a root, ``virtual`` makes its records, ``simulated`` has none
            and is only for the simulated trainer.
        about: one line for listings.
        reader: module with ``open_source``; empty for ``simulated``.
        tasks: label sets, first the one meant when a grid names none; ``("",)`` where there is
            only one.
        vocabularies: of each task, in their order, the column of ``equal_codes.csv`` that has the
            names of its classes; empty where none has. Without it no task has one.
        records: default number of training records; None for ``files``.
        validation: default number of validation records.
        test: default number of test records.
        size: records of the published set, all splits; None where it is the user's own.
        folds: number of cross-validation folds its publisher gives, numbered from 1; 0 for none.
        leads: number of leads.
        rates_hz: sampling rates of the published set in hertz.
        licence: of the data, as its publisher states it.
        access: ``open`` to all, ``restricted`` (a signed agreement, or asked of its authors),
            ``own`` (the user's), ``none`` (made here).
        url: where it is from.
        download: its folder below ``https://physionet.org/files/`` where ``download`` can
            fetch it; empty otherwise.
        bayes_loss: loss that no model can beat, in nats, of a simulated source; NaN otherwise.
    """

    name: str
    kind: Literal["virtual", "files", "simulated"]
    about: str
    reader: str = ""
    tasks: tuple[str, ...] = ("",)
    vocabularies: tuple[str, ...] = ()
    records: int | None = None
    validation: int | None = None
    test: int | None = None
    size: int | None = None
    folds: int = 0
    leads: int = 12
    rates_hz: tuple[int, ...] = ()
    licence: str = ""
    access: Literal["open", "restricted", "own", "none"] = "none"
    url: str = ""
    download: str = ""
    bayes_loss: float = math.nan

    @property
    def default_task(self) -> str:
        """The task meant when a grid names none."""
        return self.tasks[0]

    @property
    def root_env(self) -> str | None:
        """Environment variable that may hold the root, the same for a family; None without one."""
        family = self.name.partition("/")[0].replace("-", "_")
        return f"ECG_ROOT_{family.upper()}" if self.kind == "files" else None


def _read() -> dict[str, SourceInfo]:
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    sources = {}
    for name, own in tables["sources"].items():
        row = tables["families"].get(name.partition("/")[0], {}) | own
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        try:
            sources[name] = SourceInfo(name=name, **values)
        except TypeError as error:  # a key that a row lacks, or that no row has
            raise TypeError(f"catalogue.toml: [sources.{name}]: {error}") from None
    return sources


SOURCES = _read()
