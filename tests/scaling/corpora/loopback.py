"""A file server on 127.0.0.1 that misbehaves as told."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclasses.dataclass
class Loopback:
    """What the server has, how it misbehaves, and what it was asked.

    Attributes:
        files: path below the version's root -> bytes.
        faults: path -> faults, one used up by each request (see ``_Handler``).
        always: path -> fault of every request.
        asked: (path, Range header) of each request.
        sums: what ``SHA256SUMS.txt`` says; made from ``files`` when None.
    """

    files: dict[str, bytes]
    faults: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    always: dict[str, str] = dataclasses.field(default_factory=dict)
    asked: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)
    sums: str | None = None
    url: str = ""

    def sums_text(self) -> str:
        """One line a file, as physionet.org writes them: a hash, one space, a path."""
        if self.sums is not None:
            return self.sums
        lines = (f"{hashlib.sha256(b).hexdigest()} {p}" for p, b in sorted(self.files.items()))
        return "".join(line + "\n" for line in lines)

    def requests(self, path: str) -> list[str | None]:
        """Range headers of the requests for one file."""
        return [start for asked, start in self.asked if asked == path]


class _Handler(BaseHTTPRequestHandler):
    """Serves ``server.loopback``; the first request's fault of a file is taken from its list.

    Faults: ``drop:N`` closes after N bytes, ``corrupt`` flips the last byte, ``norange`` ignores
    Range, ``shifted`` sends another range than asked, ``longer`` and ``shorter`` lie about the
    length, ``NNN`` answers that status, ``busy`` is 503 with Retry-After, ``slow`` sends 64 KiB
    every 20 ms, ``silent`` closes without an answer, ``hang`` half a second later, ``to:URL``
    redirects.
    """

    protocol_version = "HTTP/1.1"
    loopback: Loopback

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's)
        """Keep quiet."""

    def do_GET(self) -> None:
        path = urllib.parse.unquote(self.path).removeprefix("/files/set/1.0.0/")
        with contextlib.suppress(ConnectionError):
            self._serve(path)

    def _serve(self, path: str) -> None:
        loopback = self.loopback
        loopback.asked.append((path, self.headers.get("Range")))
        queue = loopback.faults.get(path)
        fault = queue.pop(0) if queue else loopback.always.get(path, "")
        if path == "SHA256SUMS.txt":
            body = loopback.sums_text().encode()
        elif path in loopback.files:
            body = loopback.files[path]
        else:
            fault, body = fault or "404", b""
        if fault == "hang":
            time.sleep(0.5)
        if fault in ("silent", "hang"):
            self.close_connection = True
        elif fault.startswith("to:"):
            self._plain(302, b"", {"Location": fault[3:]})
        elif fault == "busy":
            self._plain(503, b"later", {"Retry-After": "7"})
        elif fault.isdecimal():
            self._plain(int(fault), b"<html>no</html>")
        else:
            self._file(body, fault)

    def _plain(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, body: bytes, fault: str) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted and fault != "norange" else 0
        if start >= len(body) and wanted and fault != "norange":
            self._plain(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            return
        if fault == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(206 if wanted and fault != "norange" else 200)
        if wanted and fault != "norange":
            first = start + 1 if fault == "shifted" else start
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        body = body[start:]
        length = len(body) + {"longer": 5, "shorter": -5}.get(fault, 0)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self._body(body, fault)

    def _body(self, body: bytes, fault: str) -> None:
        if fault.startswith("drop:"):
            body = body[: int(fault[5:])]
        if fault in ("longer", "shorter") or fault.startswith("drop:"):
            self.close_connection = True
        if fault != "slow":
            self.wfile.write(body)
            return
        for i in range(0, len(body), 1 << 16):
            self.wfile.write(body[i : i + (1 << 16)])
            self.wfile.flush()
            time.sleep(0.02)


@contextlib.contextmanager
def serve(files: dict[str, bytes], certificate: Path | None = None) -> Iterator[Loopback]:
    """Serve files as the version ``set/1.0.0`` below ``url`` until the block ends.

    With a certificate (PEM, key and certificate in one file) over TLS.
    """
    loopback = Loopback(files)
    handler = type("Handler", (_Handler,), {"loopback": loopback})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, True, do_handshake_on_connect=False)
    scheme = "http" if certificate is None else "https"
    loopback.url = f"{scheme}://127.0.0.1:{server.server_port}/files/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
