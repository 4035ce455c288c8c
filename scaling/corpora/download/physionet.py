"""Download an open PhysioNet set: every file verified, every interruption taken up again.

A PhysioNet version has one ``SHA256SUMS.txt`` in its root: a line ``<sha256> <path>`` for every
file. Files keep their path below that root, so parts of one version share a folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import re
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from scaling.corpora.catalogue import SourceInfo
from scaling.corpora.download.connection import Server
from scaling.corpora.download.fetch import PART, DiskError, UnreachableError, bad_certificate
from scaling.corpora.download.workers import Crew, Status
from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.tables import inside

PHYSIONET = "https://physionet.org/files/"
SUMS = "SHA256SUMS.txt"
LICENCE = "LICENSE.txt"
WORKERS = 4
_ATTEMPTS = 5
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(\S.*)")


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
    progress: Callable[[Status], None] = lambda status: None,
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
    with _alone(out):
        server = Server(f"{base_url.rstrip('/')}/{slug}/{version}", timeout_s=60.0)
        try:
            sums = _read_sums(server, time.sleep if sleep is None else sleep)
        finally:
            server.close()
        files = _below(sums, folder, server.base_url)
        Crew(files, out, server.base_url, sleep).work(workers, progress)
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
def _alone(out: Path) -> Iterator[None]:
    """Make the folder and lock it: two downloads into one would write the same parts."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".download.lock").open("w")
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusError(f"{out}: another download into this folder is running") from None
        yield


def _read_sums(server: Server, sleep: Callable[[float], object]) -> dict[str, str]:
    """The list of hashes, tried a few times."""
    where = server.base_url + SUMS
    for attempt in range(_ATTEMPTS):
        try:
            response = server.get(SUMS)
            length = response.length
            body = response.read()
            if response.status == 200 and length in (None, len(body)):
                return parse_sums(body.decode("utf-8", "replace"), where)
            problem = f"HTTP {response.status}, {len(body):,} bytes"
        except ssl.SSLCertVerificationError as error:
            raise bad_certificate(server, error) from None
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__} {error}"
        server.close()
        if attempt < _ATTEMPTS - 1:
            sleep(2.0**attempt)
    raise UnreachableError(f"{where}: {problem}, {_ATTEMPTS} times: try again later")


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
        found = _LINE.fullmatch(line)
        if found is None:
            raise CorpusError(f"{where}:{number}: {line[:80]!r} is not '<sha256> <path>'")
        try:
            path = str(inside(found[2]))
        except CorpusError as error:
            raise CorpusError(f"{where}:{number}: {error}: nothing was fetched") from None
        if path.endswith(PART) or sums.setdefault(path, found[1].lower()) != found[1].lower():
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
        raise CorpusError(f"{where}{SUMS}: lists no file below {folder or 'its root'}")
    return kept


def run(info: SourceInfo, out: Path, *, base_url: str = PHYSIONET, workers: int = WORKERS) -> Path:
    """``download`` for a command line: licence first, then progress, both on stderr.

    On a terminal the progress is one line that is written over; otherwise a line every minute.
    """
    _check_open(info)
    sys.stderr.write(terms(info) + "\n")
    live = sys.stderr.isatty()
    told_s = -60.0

    def progress(status: Status) -> None:
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
