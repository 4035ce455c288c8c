"""Download an open PhysioNet set: every file verified, every interruption taken up again.

A PhysioNet version has one ``SHA256SUMS.txt`` in its root: a line ``<sha256> <path>`` for every
file. Files keep their path below that root, so parts of one version share a folder.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import fcntl
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from scaling.corpora.catalogue import SourceInfo
from scaling.corpora.download.fetch import PART, FetchError, Server, UnreachableError, writing
from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.format.folder import digest
from scaling.corpora.sources.read.tables import inside

PHYSIONET = "https://physionet.org/files/"
SUMS = "SHA256SUMS.txt"
LICENCE = "LICENSE.txt"
WORKERS = 4
GIVE_UP = 10  # files in a row that the server did not answer for
_LEAVE_S = 2.0  # a worker that still waits for the server by then is left behind
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(\S.*)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DownloadStatus:
    """How far a download is.

    Attributes:
        files: files that are there and verified.
        total: files in all.
        received: bytes that came over the network in this call.
        eta_s: seconds still to go at this speed; None until the first file has come.
    """

    files: int
    total: int
    received: int
    eta_s: float | None

    def __str__(self) -> str:
        """One line for a terminal."""
        text = f"{self.files:,} of {self.total:,} files, {self.received / 1e6:,.1f} MB received"
        if self.eta_s is None:
            return text
        minutes, seconds = divmod(round(self.eta_s), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{text}, {hours}:{minutes:02}:{seconds:02} to go"


def terms(info: SourceInfo) -> str:
    """What a user should know before anything is fetched: licence and home page."""
    return (
        f"{info.name}: {info.about}\n"
        f"licence: {info.licence}; by downloading you accept it\n"
        f"see {info.url} for its text and what to cite"
    )


def download(
    info: SourceInfo,
    out: Path,
    *,
    base_url: str = PHYSIONET,
    progress: Callable[[DownloadStatus], None] = lambda status: None,
    workers: int = WORKERS,
    sleep: Callable[[float], object] | None = None,
) -> Path:
    """Fetch what is not there yet, and verify every file by its hash.

    Files that are there with the right hash are not fetched again, so a call after an
    interruption, or after kill -9, goes on; a file with another hash is replaced.

    Args:
        info: a source with ``download`` in the catalogue, open to all.
        out: folder of the dataset's version; made if it is not there.
        base_url: where the folders of PhysioNet are; no other host is asked.
        progress: called with the status about five times a second, and at the end.
        workers: files fetched at a time.
        sleep: waits between attempts, in seconds; None waits on the clock.

    Returns:
        The folder below ``out`` that holds the files: ``out`` itself for a whole version.

    Raises:
        CorpusError: not open, no list of hashes, a path that climbs out, a full disk, no
            answer; or some files could not be had (all others are there), the first ten named.
    """
    _check_open(info)
    slug, version, *sub = PurePosixPath(info.download).parts
    folder = "/".join(sub)
    with _locked(out):
        url = f"{base_url.rstrip('/')}/{slug}/{version}"
        with contextlib.closing(Server(url, time.sleep if sleep is None else sleep)) as server:
            where = server.base_url + SUMS
            sums = parse_sums(server.read(SUMS).decode("utf-8", "replace"), where)
        _Download(_below(sums, folder, where), out, url, sleep).work(max(1, workers), progress)
    return out / folder


def _check_open(info: SourceInfo) -> None:
    if info.download and info.access == "open":
        return
    how = {
        "restricted": "it is given to those who sign an agreement with its publisher",
        "own": "it is your own data",
        "none": "it is made here and needs no files",
    }.get(info.access, "it is not on PhysioNet")
    where = f"; get it from {info.url}" if info.url else ""
    raise CorpusError(f"{info.name} cannot be downloaded here: {how}{where}")


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Make the folder and lock it: two downloads into one would write the same parts."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".download.lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusError(f"{out}: another download into this folder is running") from None
        yield


def parse_sums(text: str, where: str) -> dict[str, str]:
    """Path -> SHA-256 of the lines of a ``SHA256SUMS.txt``.

    Raises:
        CorpusError: a line of another form, a path that climbs out, one listed twice with
            different hashes, or one that a partial download would be named.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        entry = _LINE.fullmatch(line)
        if entry is None:
            raise CorpusError(f"{where}:{number}: {line[:80]!r} is not '<sha256> <path>'")
        try:
            path = str(inside(entry[2]))
        except CorpusError as error:
            raise CorpusError(f"{where}:{number}: {error}: nothing was fetched") from None
        if path.endswith(PART) or sums.setdefault(path, entry[1].lower()) != entry[1].lower():
            raise CorpusError(f"{where}:{number}: {path!r} is listed twice, or cannot be stored")
    return sums


def _below(sums: dict[str, str], folder: str, where: str) -> dict[str, str]:
    """The files of one folder, and the licence."""
    kept = {
        path: hashed
        for path, hashed in sums.items()
        if not folder or path.startswith(folder + "/") or path == LICENCE
    }
    if not set(kept) - {LICENCE}:
        raise CorpusError(f"{where}: lists no file below {folder or 'its root'}")
    return kept


class _StoppedError(Exception):
    """Work was called off."""


class _Download:
    """Threads that share one list of files.

    Args:
        files: path below ``base_url`` and ``out`` -> SHA-256.
        out: where to.
        base_url: where from.
        sleep: waits between attempts, in seconds; None waits on the clock.
    """

    def __init__(
        self,
        files: dict[str, str],
        out: Path,
        base_url: str,
        sleep: Callable[[float], object] | None,
    ) -> None:
        self._files, self._out, self._base_url, self._sleep = files, out, base_url, sleep
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._queue = collections.deque(files.items())
        self._done = self._fetched = self._received = self._unanswered = 0
        self._problems: list[str] = []
        self._ended_by: list[Exception] = []
        self._began = time.monotonic()

    def work(self, workers: int, progress: Callable[[DownloadStatus], None]) -> None:
        """Fetch everything; CorpusError names what could not be had."""
        # Daemons, as nothing wakes a thread that waits for a server: Ctrl-C would wait with it.
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        try:
            for thread in threads:
                thread.start()
            while True:
                alive = [thread for thread in threads if thread.is_alive()]
                progress(self._status())
                if not alive or self._ended_by:
                    break
                alive[0].join(0.2)
        finally:
            self._stop.set()
            leave_s = time.monotonic() + _LEAVE_S
            for thread in threads:
                thread.join(max(0.0, leave_s - time.monotonic()))
        if self._ended_by:
            raise self._ended_by[0]
        if self._problems:
            raise CorpusError(
                f"{len(self._problems)} of {len(self._files)} files could not be fetched:\n"
                f"{shown(sorted(self._problems))}\n"
                "the others are there and verified; the same command tries these again"
            )

    def _status(self) -> DownloadStatus:
        with self._lock:
            left = len(self._files) - self._done - len(self._problems)
            per_file_s = (time.monotonic() - self._began) / max(1, self._fetched)
            return DownloadStatus(
                files=self._done,
                total=len(self._files),
                received=self._received,
                eta_s=left * per_file_s if self._fetched else None,
            )

    def _work(self) -> None:
        """Take files from the list until it is empty."""
        try:
            with contextlib.closing(Server(self._base_url, self._wait)) as server:
                while not self._stop.is_set() and (file := self._next()):
                    self._have(server, *file)
        except _StoppedError:
            pass
        except Exception as error:
            self._ended_by.append(error)

    def _next(self) -> tuple[str, str] | None:
        with self._lock:
            return self._queue.popleft() if self._queue else None

    def _have(self, server: Server, path: str, expected: str) -> None:
        """Have one file there and right, or note why not."""
        target = self._out / path
        try:
            with writing(target):
                there = target.is_file() and digest(target) == expected
                target.parent.mkdir(parents=True, exist_ok=True)
            if not there:
                server.fetch(path, target, expected, self._count)
        except FetchError as error:
            self._note(error)
        else:
            with self._lock:
                self._done += 1
                self._fetched += not there
                self._unanswered = 0

    def _note(self, error: FetchError) -> None:
        with self._lock:
            self._problems.append(str(error))
            unanswered = isinstance(error, UnreachableError)
            self._unanswered = self._unanswered + 1 if unanswered else 0
            if self._unanswered >= GIVE_UP:
                raise UnreachableError(
                    f"{error}\nand so for {GIVE_UP} files in a row: the server is out of "
                    "reach; the same command goes on from here"
                )

    def _count(self, received: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        with self._lock:
            self._received += received

    def _wait(self, seconds: float) -> None:
        if self._sleep is not None:
            self._sleep(seconds)
        if self._stop.wait(seconds if self._sleep is None else 0):
            raise _StoppedError


def run(info: SourceInfo, out: Path, *, base_url: str = PHYSIONET, workers: int = WORKERS) -> Path:
    """``download`` for a command line: licence first, then progress, both on stderr.

    On a terminal the progress is one line that is written over; otherwise a line every minute.
    """
    _check_open(info)
    sys.stderr.write(terms(info) + "\n")
    live = sys.stderr.isatty()
    told_s = -60.0

    def progress(status: DownloadStatus) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if live:
            sys.stderr.write(f"\r\x1b[K{status}")
        elif now_s - told_s >= 60.0 or status.files == status.total:
            told_s = now_s
            sys.stderr.write(f"{status}\n")
        sys.stderr.flush()

    try:
        return download(info, out, base_url=base_url, progress=progress, workers=workers)
    finally:
        if live:
            sys.stderr.write("\n")
