"""A kept-alive HTTP connection that stays with the host it was made for."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import urllib.parse
import urllib.request

from scaling.corpora.errors import CorpusError

_REDIRECTS = {301, 302, 303, 307, 308}


class FetchError(CorpusError):
    """One file cannot be had from the server; others may."""


class Server:
    """One kept-alive connection, for one thread; it stays with the host it was made for.

    An ``https_proxy`` of the environment is used as a tunnel, so certificates are still
    checked end to end.

    Args:
        base_url: ``http`` or ``https`` address that every path is relative to.
        timeout_s: seconds without a byte after which the connection counts as broken.

    Raises:
        CorpusError: another scheme, or no host.
    """

    def __init__(self, base_url: str, timeout_s: float = 60.0) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self._timeout_s = timeout_s
        self._origin = _origin(self.base_url)
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, start: int = 0) -> http.client.HTTPResponse:
        """Ask for a file from byte ``start`` on; redirects within the host are followed.

        Raises:
            FetchError: the server has no such file, forbids it, or sends us to another host.
            OSError: the connection failed.
            http.client.HTTPException: the answer is not HTTP.
        """
        url = self.base_url + urllib.parse.quote(path)
        for _ in range(5):
            response = self._ask(url, start)
            if response.status not in _REDIRECTS:
                return response
            url = urllib.parse.urljoin(url, response.headers.get("Location") or "")
            self.close()
            if not _is_at(url, self._origin):
                raise FetchError(f"{path}: the server redirects to {url}: not followed")
        raise FetchError(f"{path}: the server redirects in a circle")

    def _ask(self, url: str, start: int) -> http.client.HTTPResponse:
        target = urllib.parse.urlsplit(url)
        headers = {"Range": f"bytes={start}-"} if start else {}
        headers["Accept-Encoding"] = "identity"
        for reused in (self._connection is not None, False):
            connection = self._connection or self._open()
            try:
                connection.request("GET", target.path, headers=headers)
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                self.close()
                if not reused:  # a kept connection may have been closed long ago
                    raise
        raise AssertionError("unreachable")

    def _open(self) -> http.client.HTTPConnection:
        scheme, host, port = self._origin
        if scheme == "http":
            self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
            return self._connection
        context = ssl.create_default_context()
        proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies()
        via = urllib.parse.urlsplit((proxy or {}).get("https", ""))
        secure = http.client.HTTPSConnection(
            via.hostname or host,
            via.port or (8080 if via.hostname else port),
            timeout=self._timeout_s,
            context=context,
        )
        if via.hostname:
            user = urllib.parse.unquote(f"{via.username or ''}:{via.password or ''}")
            login = "Basic " + base64.b64encode(user.encode()).decode()
            headers = {"Proxy-Authorization": login} if via.username else {}
            secure.set_tunnel(host, port, headers)
        self._connection = secure
        return secure

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Wake the thread that waits for this connection, which then sees it broken."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CorpusError(f"{url!r} is not an http or https address")
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _is_at(url: str, origin: tuple[str, str, int]) -> bool:
    try:
        return _origin(url) == origin
    except ValueError:  # another scheme, no host, or a port that is no number
        return False
