"""Fetch one file over HTTP so that whatever stands under its name is whole and right.

Bytes go to ``name.part`` beside the file. A broken connection, or a process killed, is taken up
where the part ends (RFC 9110, section 14); the whole part is hashed before it takes the name.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

from scaling.corpora.download.connection import FetchError, Server
from scaling.corpora.errors import CorpusError
from scaling.corpora.format.folder import digest

PART = ".part"
ATTEMPTS = 6  # in a row without a new byte
WRONG = 3  # whole files that do not have their hash
LONGEST_WAIT_S = 60.0
_BLOCK = 1 << 18
_SPARE = 64 << 20  # bytes left free on the disk
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class UnreachableError(FetchError):
    """The server did not answer, or broke off every time."""


class DiskError(CorpusError):
    """Nothing more can be written."""


class _BusyError(Exception):
    """The server asks to try again later."""

    def __init__(self, status: int, wait_s: float) -> None:
        super().__init__(f"HTTP {status}")
        self.wait_s = wait_s


def fetch(
    server: Server,
    path: str,
    target: Path,
    expected: str,
    received: Callable[[int], None],
    sleep: Callable[[float], object],
) -> None:
    """Fetch one file, or take up its part, until it is there with the right hash.

    Args:
        server: where from.
        path: below the server's base.
        target: final name; its folder must exist.
        expected: SHA-256 in hexadecimal.
        received: told the number of bytes as they come.
        sleep: waits that many seconds between attempts; may raise to give up.

    Raises:
        FetchError: the server does not have it, or not with that hash.
        UnreachableError: the server does not answer, or never gets any further.
        DiskError: the disk is full or cannot be written.
    """
    part = target.with_name(target.name + PART)
    failures = wrong = 0
    while True:
        before = _size(part)
        try:
            _transfer(server, path, part, before, received)
        except ssl.SSLCertVerificationError as error:
            raise bad_certificate(server, error) from None
        except (OSError, http.client.HTTPException, _BusyError) as error:
            server.close()
            failures = 1 if _size(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise UnreachableError(f"{path}: {_told(error)}, {failures} times") from None
            wait_s = error.wait_s if isinstance(error, _BusyError) else 0.0
            sleep(min(max(wait_s, 2.0 ** (failures - 1)), LONGEST_WAIT_S))
            continue
        if part.exists() and digest(part) == expected:
            _settle(part, target)
            return
        part.unlink(missing_ok=True)
        wrong += 1
        if wrong >= WRONG:
            raise FetchError(f"{path}: came {wrong} times without the SHA-256 it should have")


def bad_certificate(server: Server, error: ssl.SSLCertVerificationError) -> CorpusError:
    """What to say where trying again cannot help."""
    return CorpusError(
        f"{server.base_url}: its certificate is not good ({error.verify_message}): another server "
        "may stand between; nothing was fetched from it"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _told(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()


def _transfer(
    server: Server, path: str, part: Path, start: int, received: Callable[[int], None]
) -> None:
    """One request; returns when the server has sent all it has."""
    response = server.get(path, start)
    status = response.status
    if status == 416 and start:  # nothing beyond what is here already: the hash decides
        response.read()
        return
    if status == 429 or status >= 500:
        raise _BusyError(status, _seconds(response.headers.get("Retry-After")))
    if status not in (200, 206):
        server.close()
        raise FetchError(f"{path}: the server answers HTTP {status} {response.reason}")
    if status == 206 and not _continues(response, start):
        part.unlink(missing_ok=True)
        raise ConnectionError("another range than the one asked for")
    length = response.length
    _check_space(part, length)
    got = _save(response, part, append=status == 206, received=received)
    if length is not None and got < length:
        raise ConnectionError(f"broken off after {got:,} of {length:,} bytes")


def _save(
    response: http.client.HTTPResponse, part: Path, append: bool, received: Callable[[int], None]
) -> int:
    """Write the body; the number of bytes. Errors of the disk are told from the network's."""
    got = 0
    try:
        file = part.open("ab" if append else "wb")
    except OSError as error:
        raise DiskError(f"{part}: cannot be written ({error})") from None
    with file:
        while block := response.read(_BLOCK):
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise DiskError(f"{part}: cannot be written ({error})") from None
            got += len(block)
            received(len(block))
    return got


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range") or "")
    return found is not None and int(found[1]) == start


def _seconds(text: str | None) -> float:
    """``Retry-After`` in seconds; a date counts as no wish."""
    return float(text) if text and text.isdecimal() else 0.0


def _check_space(part: Path, length: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if length is not None and free < length + _SPARE:
        raise DiskError(
            f"{part}: {length / 1e6:,.0f} MB are to come, but only {free / 1e6:,.0f} MB are free "
            "on that disk: make room; the same command goes on from here"
        )


def _settle(part: Path, target: Path) -> None:
    """Give a verified part its name, surviving a power failure."""
    try:
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise DiskError(f"{target}: cannot be written ({error})") from None
