"""Threads that share a list of files to fetch, and how far they are."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from scaling.corpora.download.connection import FetchError, Server
from scaling.corpora.download.fetch import DiskError, UnreachableError, fetch
from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.format.folder import digest

GIVE_UP = 10  # files in a row that the server did not answer for


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Status:
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


class _StoppedError(Exception):
    """Work was called off."""


class Crew:
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
        self._files = files
        self._out = out
        self._base_url = base_url
        self._sleep = sleep
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue = collections.deque(files.items())
        self._servers: list[Server] = []
        self._done = self._fetched = self._received = self._silent = 0
        self._problems: list[str] = []
        self._began = time.monotonic()

    def work(self, workers: int, progress: Callable[[Status], None]) -> None:
        """Fetch everything; CorpusError names what could not be had."""
        pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="download")
        try:
            pending = {pool.submit(self._member) for _ in range(max(1, workers))}
            while pending:
                done, pending = wait(pending, 0.2, FIRST_EXCEPTION)
                progress(self._status())
                for future in done:
                    future.result()
        finally:
            self._stop.set()
            for server in self._servers:
                server.abort()
            pool.shutdown()
        if self._problems:
            raise CorpusError(
                f"{len(self._problems)} of {len(self._files)} files could not be fetched:\n"
                f"{shown(sorted(self._problems))}\n"
                "the others are there and verified; the same command tries these again"
            )

    def _status(self) -> Status:
        with self._lock:
            left = len(self._files) - self._done - len(self._problems)
            per_file_s = (time.monotonic() - self._began) / max(1, self._fetched)
            return Status(
                files=self._done,
                total=len(self._files),
                received=self._received,
                eta_s=left * per_file_s if self._fetched else None,
            )

    def _member(self) -> None:
        server = Server(self._base_url)
        self._servers.append(server)
        try:
            while not self._stop.is_set():
                try:
                    path, expected = self._queue.popleft()
                except IndexError:
                    return
                self._one(server, path, expected)
        except _StoppedError:
            return
        finally:
            server.close()

    def _one(self, server: Server, path: str, expected: str) -> None:
        target = self._out / path
        try:
            there = _prepared(target, expected)
            if not there:
                fetch(server, path, target, expected, self._count, self._wait)
        except UnreachableError as error:
            with self._lock:
                self._problems.append(str(error))
                self._silent += 1
                if self._silent >= GIVE_UP:
                    raise UnreachableError(
                        f"{error}\nand so for {GIVE_UP} files in a row: the server is out of "
                        "reach; the same command goes on from here"
                    ) from None
        except FetchError as error:
            with self._lock:
                self._problems.append(str(error))
                self._silent = 0
        except OSError as error:
            raise DiskError(f"{target}: cannot be read or written ({error})") from None
        else:
            with self._lock:
                self._done += 1
                self._fetched += not there
                self._silent = 0

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


def _prepared(target: Path, expected: str) -> bool:
    """Whether the file is there and right; if not, its folder is made."""
    try:
        if target.is_file() and digest(target) == expected:
            return True
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"{target}: cannot be written ({error})") from None
    return False
