"""Corpora and tasks of a study, resolved on this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.identity import CorpusSpec
from scaling.provenance import corpus_name

if TYPE_CHECKING:
    from scaling.corpora.sources.read.base import Summary


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A corpus and task.

    Attributes:
        spec: the corpus, with default sizes and fingerprint filled in.
        task: label set of it.
        root: folder of its files; None where it needs none.
        summary: records, patients and classes.
    """

    spec: CorpusSpec
    task: str
    root: Path | None
    summary: Summary

    @property
    def name(self) -> str:
        """The name used in tables, ``ptbxl:superclass`` or ``ptbxl:superclass@fold3``."""
        return corpus_name(self.spec.source, self.task, self.spec.fold)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What some trials of a stage train on, and the tasks they are probed on."""

    corpus: Target
    tasks: tuple[Target, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A converted codebook that a grid names by its file.

    Attributes:
        id: its content id, the parent of the trials that use it.
        path: the safetensors file; its sidecar lies beside it.
        size: of the family ``vq-hbr``.
        training: what its sidecar says of its training.
    """

    id: str
    path: Path
    size: str
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the stages of a study need of this machine.

    Attributes:
        stages: the cases of each stage, one for each fold.
        codebooks: for each stage the released codebook it names, or None.
    """

    stages: tuple[tuple[Case, ...], ...]
    codebooks: tuple[Released | None, ...]

    def all(self) -> list[Target]:
        """Every corpus and task once; in each stage those trained on first."""
        found: dict[str, Target] = {}
        for cases in self.stages:
            for target in [case.corpus for case in cases] + [t for c in cases for t in c.tasks]:
                found.setdefault(target.name, target)
        return list(found.values())

    def trained(self) -> list[Target]:
        """Every corpus that is trained on, once."""
        return list({c.corpus.name: c.corpus for cases in self.stages for c in cases}.values())

    def of(self, spec: CorpusSpec, task: str) -> Target:
        """The target of a training or an evaluation of this study."""
        name = corpus_name(spec.source, task, spec.fold)
        return next(target for target in self.all() if target.name == name)

    def roots(self) -> tuple[tuple[str, str], ...]:
        """(source, folder) of every source of files."""
        return tuple(
            sorted({(t.spec.source, str(t.root)) for t in self.all() if t.root is not None})
        )
