"""Fetch files of one server over HTTP so that whatever stands under a name is whole and right.

``requests`` carries the bytes; ``urllib3``'s ``Retry`` counts failures and says how long to wait.
Bytes go to ``name.part`` beside the file. A broken connection, or a process killed, is taken up
where the part ends (RFC 9110, section 14); the whole part is hashed before it takes the name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError
from urllib3.util import Retry

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.folder import digest

Result = TypeVar("Result")

PART = ".part"
WRONG = 3  # whole files that do not have their hash
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
RETRY = Retry(total=5, backoff_factor=1.0, backoff_max=LONGEST_WAIT_S)  # without a new byte
_BLOCK = 1 << 18
_SPARE = 64 << 20  # bytes left free on the disk
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class FetchError(CorpusError):
    """One file cannot be had from the server; others may."""


class UnreachableError(FetchError):
    """The server did not answer, or broke off every time."""


class DiskError(CorpusError):
    """Nothing more can be written."""


class _AgainError(Exception):
    """The answer is of no use, but asking again may help."""

    def __init__(self, problem: str, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell errors of the disk from those of the network.

    Raises:
        DiskError: names ``path``.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error})") from None


class Server:
    """One session with one host, for one thread; ``close`` it.

    Certificates are checked end to end, through a proxy of the environment too, and no other
    host is asked.

    Args:
        base_url: ``http`` or ``https`` address that every path is relative to.
        sleep: waits that many seconds between attempts; may raise to give up.
        timeout_s: seconds without a byte after which the connection counts as broken.

    Raises:
        CorpusError: another scheme, or no host.
    """

    def __init__(
        self, base_url: str, sleep: Callable[[float], object] = time.sleep, timeout_s: float = 60.0
    ) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self._origin = _origin(self.base_url)
        if self._origin is None:
            raise CorpusError(f"{base_url!r} is not an http or https address")
        self._sleep, self._timeout_s = sleep, timeout_s
        self._session = requests.Session()
        self._session.max_redirects = 4
        self._session.headers["Accept-Encoding"] = "identity"
        self._session.auth = lambda request: request  # no password of ~/.netrc

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()

    def read(self, path: str) -> bytes:
        """The whole of a small file.

        Raises:
            FetchError: the server does not have it.
            UnreachableError: the server does not answer, or breaks off every time.
            CorpusError: its certificate is not good.
        """

        def attempt() -> bytes:
            with self._ask(path, 0) as response:
                return bytes(response.content)

        return self._repeat(path, attempt, lambda: 0)

    def fetch(
        self, path: str, target: Path, expected: str, received: Callable[[int], None]
    ) -> None:
        """Fetch one file, or take up its part, until it is there with the right hash.

        Args:
            path: below ``base_url``.
            target: final name; its folder must exist.
            expected: SHA-256 in hexadecimal.
            received: told the number of bytes as they come; may raise to give up.

        Raises:
            FetchError: the server does not have it, or not with that hash.
            UnreachableError: the server does not answer, or never gets any further.
            DiskError: the disk is full or cannot be written.
            CorpusError: its certificate is not good.
        """
        part = target.with_name(target.name + PART)
        for _ in range(WRONG):
            self._repeat(path, lambda: self._transfer(path, part, received), lambda: _size(part))
            if part.exists() and digest(part) == expected:
                with writing(target):
                    with part.open("rb") as file:
                        os.fsync(file.fileno())  # survives a power failure
                    part.replace(target)
                return
            part.unlink(missing_ok=True)
        raise FetchError(f"{path}: came {WRONG} times without the SHA-256 it should have")

    def _repeat(
        self, path: str, attempt: Callable[[], Result], progress: Callable[[], int]
    ) -> Result:
        """Try until it works, or fails for good or too often with no ``progress`` between."""
        retry = RETRY
        while True:
            before = progress()
            try:
                return attempt()
            except (requests.RequestException, HTTPError, _AgainError) as error:
                problem, wait_s = self._problem(error), getattr(error, "wait_s", 0.0)
                try:
                    retry = RETRY if progress() > before else retry
                    retry = retry.increment("GET", path, error=error)
                except MaxRetryError:
                    times = len(retry.history) + 1
                    raise UnreachableError(f"{path}: {problem}, {times} times") from None
            wait_s = max(wait_s, FIRST_WAIT_S, retry.get_backoff_time())
            self._sleep(min(wait_s, LONGEST_WAIT_S))

    def _problem(self, error: BaseException) -> str:
        """What lies behind an error; CorpusError where trying again cannot help."""
        while error.__context__ is not None:
            error = error.__context__
        if isinstance(error, ssl.SSLCertVerificationError):
            raise CorpusError(
                f"{self.base_url}: its certificate is not good ({error.verify_message}): another "
                "server may stand between; nothing was fetched from it. For a proxy of your own, "
                "name its certificates in REQUESTS_CA_BUNDLE"
            ) from None
        name = "" if isinstance(error, _AgainError) else f"{type(error).__name__} "
        return f"{name}{error}".strip()

    def _ask(self, path: str, start: int) -> requests.Response:
        """The answer to one request from byte ``start`` on; it is 200, 206 or 416."""

        def stay(response: requests.Response, **_: Any) -> None:
            if response.is_redirect:
                url = urllib.parse.urljoin(response.url, response.headers["Location"])
                if _origin(url) != self._origin:
                    response.close()
                    raise FetchError(f"{path}: the server redirects to {url}: not followed")

        try:
            response = self._session.get(
                self.base_url + urllib.parse.quote(path),
                headers={"Range": f"bytes={start}-"} if start else {},
                hooks={"response": stay},
                stream=True,
                timeout=self._timeout_s,
            )
        except requests.TooManyRedirects:
            raise FetchError(f"{path}: the server redirects in a circle") from None
        status = response.status_code
        if status in (200, 206) or (status == 416 and start):
            return response
        response.close()
        if status == 429 or status >= 500:
            raise _AgainError(f"HTTP {status}", _retry_after(response))
        raise FetchError(f"{path}: the server answers HTTP {status} {response.reason}")

    def _transfer(self, path: str, part: Path, received: Callable[[int], None]) -> None:
        """One request; returns when the server has sent all it has."""
        start = _size(part)
        with self._ask(path, start) as response:
            if response.status_code == 416:  # nothing beyond what is here: the hash decides
                return
            if response.status_code == 206 and not _continues(response, start):
                part.unlink(missing_ok=True)
                raise _AgainError("another range than the one asked for")
            _check_space(part, response.raw.length_remaining)
            with contextlib.ExitStack() as stack:
                with writing(part):
                    mode = "ab" if response.status_code == 206 else "wb"
                    file = stack.enter_context(part.open(mode))
                # Not ``read``, which keeps the bytes before a connection broke to itself.
                while block := response.raw.read1(_BLOCK):
                    received(len(block))
                    with writing(part):
                        file.write(block)
                        file.flush()


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None where it is no address to be asked."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # a port that is no number
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continues(response: requests.Response, start: int) -> bool:
    """Whether a partial answer begins where we stopped."""
    span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return span is not None and int(span[1]) == start


def _retry_after(response: requests.Response) -> float:
    """Seconds the server asks us to wait; 0 where it does not say."""
    try:
        return RETRY.get_retry_after(response.raw) or 0.0
    except InvalidHeader:
        return 0.0


def _check_space(part: Path, length: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if length is not None and free < length + _SPARE:
        raise DiskError(
            f"{part}: {length / 1e6:,.0f} MB are to come, but only {free / 1e6:,.0f} MB are free "
            "on that disk: make room; the same command goes on from here"
        )
