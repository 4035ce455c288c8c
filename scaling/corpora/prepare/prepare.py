"""Stream a source into a prepared corpus: read, filter, resample, quantise, write.

Work goes on in ``<folder>.part``, chunk by chunk; a process that is killed at any point leaves
there what it has done, and the next call goes on from it. The corpus gets its final name when
it is complete and synced, so whatever stands under that name is whole. Chunks are independent:
one process or many, in one go or in several, give the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from scaling.corpora.errors import CorpusError, WorkerDiedError, shown
from scaling.corpora.format import folder as files
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.chunks import Work, fill, load
from scaling.corpora.prepare.finish import finish, write_fold
from scaling.corpora.processes import (
    DIED,
    available_cores,
    in_order,
    one_thread,
    refuse_while_importing,
)
from scaling.corpora.registry import corpus_folder, open_resolved
from scaling.corpora.signals.presets import preset
from scaling.corpora.sources.read.base import Chunk, Source
from scaling.corpora.sources.read.listed import ListedSource
from scaling.identity import CorpusSpec

PLAN = "plan.json"
PLAN_FORMAT = 1  # raised when the files that chunks leave change
POOL_AFTER_S = 3.0  # less work than this is done before another process has started

Progress = Callable[[int, int], None]


def prepare(
    spec: CorpusSpec,
    cache: Path,
    root: Path | None,
    progress: Progress,
    *,
    drop_damaged: bool = False,
    workers: int | None = None,
) -> Path:
    """Return the prepared corpus of a spec, making it first where needed.

    A spec of files with its fingerprint filled in needs no root once it is prepared. Several
    processes may ask at once: one prepares, the others wait for it. Records that the preset or
    the source cannot use are left out and listed in ``dropped.csv``.

    Args:
        spec: which corpus; see ``registry.resolve`` for what may be left open.
        cache: folder for prepared corpora.
        root: folder of a source of files; None looks in the environment.
        progress: called with (records done, records in all).
        drop_damaged: leave out damaged records too, rather than stop. Says nothing about a
            corpus that is prepared already.
        workers: processes; None takes one for each core. The bytes do not depend on it.

    Raises:
        CorpusError: the source cannot be used, or records are damaged (the first ten are
            named), or a script calls this without ``if __name__ == "__main__":``. What is done
            is kept for the next call.
        OSError: the corpus could not be written; what is done is kept for the next call.
    """
    if spec.fingerprint and _is_ready(folder := corpus_folder(spec, cache)):
        return folder
    refuse_while_importing()
    spec, source = open_resolved(spec, root)
    folder = corpus_folder(spec, cache)
    if _is_ready(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    if spec.fold:
        official = dataclasses.replace(spec, fold=0)
        whole = prepare(official, cache, root, progress, drop_damaged=drop_damaged, workers=workers)
        return _from_official(folder, whole, spec, source)
    with _locked(folder):
        part = _part(folder)
        if not folder.exists():
            work = Work(
                folder=part / "chunks",
                spec=spec,
                preprocessing=preset(spec.preprocessing),
                drop_damaged=drop_damaged,
            )
            _make(part, work, source, progress, workers or available_cores())
            (part / "corpus").rename(folder)
            files.sync(folder.parent)
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _from_official(folder: Path, official: Path, spec: CorpusSpec, source: Source) -> Path:
    """The corpus of a fold; nothing of it is worth resuming."""
    assert isinstance(source, ListedSource), f"{spec.source} has folds but lists no records"
    with _locked(folder):
        if not folder.exists():
            build = _part(folder)
            shutil.rmtree(build, ignore_errors=True)
            build.mkdir()
            write_fold(build, Corpus.open(official), spec, source)
            build.rename(folder)
            files.sync(folder.parent)
    return folder


def _part(folder: Path) -> Path:
    return folder.with_name(folder.name + ".part")


def _is_ready(folder: Path) -> bool:
    """Whether the corpus is there; clears what a process killed at the very end left beside it."""
    if not folder.exists():
        return False
    if _part(folder).exists():
        with _locked(folder):
            shutil.rmtree(_part(folder), ignore_errors=True)
    return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with folder.with_name(folder.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(part: Path, work: Work, source: Source, progress: Progress, workers: int) -> None:
    """Fill ``part/corpus``, from what an earlier call left where there is something."""
    chunks = source.chunks()
    if not chunks:
        raise CorpusError(f"{work.spec.source} has no record")
    total = sum(chunk.size for chunk in chunks)
    todo = _resume(part, work, source, chunks)
    _check_room(part, work, source, total)
    done = total - sum(chunk.size for chunk in todo.values())
    progress(done, total)

    def count(records: int) -> None:
        nonlocal done
        done += records
        progress(done, total)

    if problems := _fill_all(todo, work, workers, count):
        raise CorpusError(
            f"{len(problems)} of {total} records of {work.spec.source} cannot be used:\n"
            f"{shown(problems)}\nMend them and prepare again (what is done is kept), or leave "
            "them out: --drop-damaged"
        )
    files.sync(work.folder)
    try:
        finish(part / "corpus", work, source, len(chunks), workers)
    except WorkerDiedError:
        raise
    except CorpusError:
        shutil.rmtree(part)  # going on from these chunks would end the same way
        raise


def _resume(part: Path, work: Work, source: Source, chunks: list[Chunk]) -> dict[int, Chunk]:
    """Make the folder, or find what is done in it; return the chunks still to prepare."""
    sizes = json.dumps([chunk.size for chunk in chunks])
    plan = {
        "format": PLAN_FORMAT,
        "spec": work.spec.to_dict(),
        "preprocessing": work.preprocessing.to_dict(),
        "tasks": {task: list(classes) for task, classes in source.classes.items()},
        "chunks": hashlib.sha256(sizes.encode()).hexdigest(),
    }
    text = json.dumps(plan)
    if (part / PLAN).exists() and (part / PLAN).read_text() == text:
        joining = (part / "corpus" / files.SIGNALS).exists()
        todo = {i: c for i, c in enumerate(chunks) if not _is_done(i, work, joining)}
        if not (todo and joining):  # once signals are joined, a chunk cannot be done again
            return todo
    shutil.rmtree(part, ignore_errors=True)
    for new in (part, work.folder, part / "corpus"):
        new.mkdir()
    (part / PLAN).write_text(text)
    return dict(enumerate(chunks))


def _is_done(index: int, work: Work, joining: bool) -> bool:
    """Whether a chunk's files are whole, and made as this call would make them."""
    tables = load(index, work)
    if tables is None or (not work.drop_damaged and any(d.damaged for d in tables.drops)):
        return False
    signals = work.signals(index)
    if not signals.exists():
        return joining
    return signals.stat().st_size == work.bytes_of(len(tables))


def _check_room(part: Path, work: Work, source: Source, total: int) -> None:
    """Check that the disk can hold what is still to be written."""
    labels = 2 * total * sum(len(classes) for classes in source.classes.values())
    present = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    needed = work.bytes_of(total) + labels - present
    free = shutil.disk_usage(part).free
    if needed > free:
        raise CorpusError(
            f"{part.parent}: preparing {work.spec.source} takes {needed / 1e6:.1f} MB, but only "
            f"{free / 1e6:.1f} MB are free: make room or choose another cache"
        )


def _fill_all(
    todo: Mapping[int, Chunk], work: Work, workers: int, done: Callable[[int], None]
) -> list[str]:
    """Prepare chunks, in this process and in more beside it where that pays.

    Calls ``done`` with the number of records of each chunk that was read, and returns the damaged
    records in the order of the chunks.

    Raises:
        CorpusError: a worker process died.
    """
    problems: list[str] = []
    rest = iter(todo.items())
    records = sum(chunk.size for chunk in todo.values())
    began, timed = 0.0, 0
    for position, (i, chunk) in enumerate(rest):
        problems += fill(i, chunk, work)
        records -= chunk.size
        done(chunk.size)
        if position == 0:
            began = time.monotonic()  # the first chunk also paid for the imports
            continue
        timed += chunk.size
        if workers > 1 and (time.monotonic() - began) / timed * records > POOL_AFTER_S:
            break
    left = list(rest)
    fill_one = functools.partial(_fill_one, work)
    try:
        with contextlib.closing(in_order(fill_one, left, min(workers, len(left) + 1))) as filled:
            for (_, chunk), found in zip(left, filled, strict=True):
                problems += found
                done(chunk.size)
    except WorkerDiedError:
        raise WorkerDiedError(f"preparing {work.spec.source}: {DIED}") from None
    return problems


def _fill_one(work: Work, item: tuple[int, Chunk]) -> list[str]:
    with one_thread():
        return fill(*item, work)
