"""Download against a server on this machine that drops, delays, corrupts and lies."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaling.corpora.catalogue import SOURCES, SourceInfo
from scaling.corpora.download import fetch, physionet
from scaling.corpora.download.fetch import Server
from scaling.corpora.download.physionet import DownloadStatus, download, parse_sums, run, terms
from scaling.corpora.errors import CorpusError
from tests.scaling.corpora.loopback import Loopback, serve

INFO = dataclasses.replace(SOURCES["ptbxl"], name="set", download="set/1.0.0")
# Made for these tests by openssl, signed by itself, and secret to nobody.
SELF_SIGNED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSAXX0J0SiOI9I2iU
raa4WiZGmJI2sBPFf95RP/70EhihRANCAASoKAijYfe/uHx8X/nU8oNLvUGNEtpH
Udvx4WjrxYvbWOwsB9lpnQlA3tvDALIZz2MFgLy3A2ybRjXntR2Jwa8B
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUfYWAkpc/DyyhuGLbMvxpFpAdtgkwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMzA2NTkwOVoYDzIxMjYxMDMw
MDY1OTA5WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASoKAijYfe/uHx8X/nU8oNLvUGNEtpHUdvx4WjrxYvbWOwsB9lpnQlA
3tvDALIZz2MFgLy3A2ybRjXntR2Jwa8Bo2QwYjAdBgNVHQ4EFgQUeXg2jB21wU2M
XuM7sfrZ89qXMdYwHwYDVR0jBBgwFoAUeXg2jB21wU2MXuM7sfrZ89qXMdYwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQCAk71qVfUiFL5Jw1xxKEoX+sK4gVF3dKjHsxF5lsOoYwIgRGNJmWKZ/TOaiTs+
SSvj7coZAhb7qj4oPE/zAhH5/jM=
-----END CERTIFICATE-----
"""
BIG = bytes(range(256)) * 2000  # 512,000 bytes: more than two blocks
FILES = {
    "LICENSE.txt": b"open\n",
    "table.csv": b"a,b\n1,2\n",
    "records/00/r1.dat": BIG,
    "records/00/r 2.hea": b"r2 1 100 10\n",
    "records/01/r3.dat": BIG[::-1],
}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would not find the server on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serve(dict(FILES)) as loopback:
        yield loopback


class Waits(list[float]):
    """Stands for the clock: remembers the seconds it was asked to wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def get(
    server: Loopback, out: Path, info: SourceInfo = INFO, workers: int = 2
) -> tuple[Path, Waits]:
    waits = Waits()
    return download(info, out, base_url=server.url, workers=workers, sleep=waits), waits


def contents(out: Path) -> dict[str, bytes]:
    files = (p for p in sorted(out.rglob("*")) if p.is_file() and p.name != ".download.lock")
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def test_a_whole_version(server: Loopback, tmp_path: Path) -> None:
    root, waits = get(server, tmp_path / "new/folder")
    assert root == tmp_path / "new/folder"
    assert contents(root) == FILES
    assert waits == []


def test_what_is_there_and_right_is_not_fetched_again(server: Loopback, tmp_path: Path) -> None:
    get(server, tmp_path)
    (tmp_path / "table.csv").write_bytes(b"changed\n")
    (tmp_path / "records/00/r1.dat").unlink()
    server.asked.clear()
    get(server, tmp_path)
    asked = sorted(path for path, _ in server.asked)
    assert asked == ["SHA256SUMS.txt", "records/00/r1.dat", "table.csv"]
    assert contents(tmp_path) == FILES


def test_a_part_of_a_version_keeps_its_path(server: Loopback, tmp_path: Path) -> None:
    info = dataclasses.replace(INFO, download="set/1.0.0/records/00")
    root, _ = get(server, tmp_path, info)
    assert root == tmp_path / "records/00"
    assert sorted(contents(tmp_path)) == [
        "LICENSE.txt", "records/00/r 2.hea", "records/00/r1.dat",
    ]  # fmt: skip
    none = dataclasses.replace(INFO, download="set/1.0.0/records/0")
    with pytest.raises(CorpusError, match="lists no file below records/0"):
        get(server, tmp_path, none)


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        (["drop:1000"], [None, "bytes=1000-"]),
        (["drop:1000", "drop:300000"], [None, "bytes=1000-", "bytes=301000-"]),
        (["drop:1000", "norange"], [None, "bytes=1000-"]),
        (["drop:1000", "shifted"], [None, "bytes=1000-", None]),
        (["drop:1000", "503"], [None, "bytes=1000-", "bytes=1000-"]),
        (["drop:1000", "corrupt"], [None, "bytes=1000-", None]),
        (["corrupt", "corrupt"], [None, None, None]),
        (["longer"], [None, "bytes=512000-"]),
        (["shorter"], [None, None]),
        (["500", "429"], [None, None, None]),
        (["silent"], [None, None]),
        (["slow"], [None]),
    ],
)
def test_faults_are_overcome(
    server: Loopback, tmp_path: Path, faults: list[str], ranges: list[str | None]
) -> None:
    server.faults["records/00/r1.dat"] = list(faults)
    get(server, tmp_path)
    assert contents(tmp_path) == FILES
    assert server.requests("records/00/r1.dat") == ranges


def test_a_server_that_hangs_is_left_and_asked_again(server: Loopback, tmp_path: Path) -> None:
    server.faults["table.csv"] = ["hang"]
    waits, got = Waits(), list[int]()
    with contextlib.closing(Server(server.url + "set/1.0.0", waits, timeout_s=0.1)) as session:
        hashed = hashlib.sha256(FILES["table.csv"]).hexdigest()
        session.fetch("table.csv", tmp_path / "t.csv", hashed, got.append)
    assert contents(tmp_path) == {"t.csv": FILES["table.csv"]}
    assert (got, waits) == ([8], [1.0])


def test_waiting_grows_and_heeds_retry_after(server: Loopback, tmp_path: Path) -> None:
    server.faults["table.csv"] = ["500", "500", "busy", "500"]
    _, waits = get(server, tmp_path)
    assert waits == [1.0, 2.0, 7.0, 8.0]


def test_a_broken_connection_that_gets_further_never_gives_up(
    server: Loopback, tmp_path: Path
) -> None:
    server.always["records/00/r1.dat"] = "drop:60000"
    _, waits = get(server, tmp_path)
    assert contents(tmp_path) == FILES
    assert waits == [1.0] * 8


def test_a_wrong_hash_names_the_file_and_the_rest_goes_on(server: Loopback, tmp_path: Path) -> None:
    server.always["records/00/r1.dat"] = "corrupt"
    with pytest.raises(CorpusError, match=r"(?s)1 of 5 files .*r1\.dat: came 3 times without"):
        get(server, tmp_path)
    assert contents(tmp_path) == {k: v for k, v in FILES.items() if k != "records/00/r1.dat"}
    del server.always["records/00/r1.dat"]
    get(server, tmp_path)
    assert contents(tmp_path) == FILES


@pytest.mark.parametrize(
    ("fault", "message", "requests"),
    [
        ("404", "HTTP 404 Not Found", 1),
        ("403", "HTTP 403 Forbidden", 1),
        ("503", r"HTTP 503, 6 times", 6),
        ("to:ftp://127.0.0.1/x", "redirects to ftp://127.0.0.1/x: not followed", 1),
        ("to:http://localhost/x", "redirects to http://localhost/x: not followed", 1),
        ("to:file:///etc/passwd", "redirects to file:///etc/passwd: not followed", 1),
        ("to:/files/set/1.0.0/table.csv", "redirects in a circle", 5),
        ("to:", "HTTP 302 Found", 1),
    ],
)
def test_what_cannot_be_had_is_named(
    server: Loopback, tmp_path: Path, fault: str, message: str, requests: int
) -> None:
    server.always["table.csv"] = fault
    with pytest.raises(CorpusError, match=rf"(?s)1 of 5 files.*table\.csv: .*{message}"):
        get(server, tmp_path)
    assert len(server.requests("table.csv")) == requests
    assert len(contents(tmp_path)) == 4


def test_a_redirect_within_the_host_is_followed(server: Loopback, tmp_path: Path) -> None:
    server.faults["table.csv"] = ["to:/files/set/1.0.0/LICENSE.txt"]
    server.files["LICENSE.txt"] = server.files["table.csv"]
    get(server, tmp_path)
    assert (tmp_path / "table.csv").read_bytes() == FILES["table.csv"]
    assert len(server.requests("LICENSE.txt")) == 2


def test_a_server_out_of_reach_ends_it_soon(tmp_path: Path) -> None:
    files = {f"r{i}.dat": b"x" for i in range(100)}
    with serve(files) as server:
        server.always = dict.fromkeys(files, "silent")
        with pytest.raises(CorpusError, match="for 10 files in a row: the server is out of reach"):
            get(server, tmp_path, workers=1)
        assert len({path for path, _ in server.asked}) == physionet.GIVE_UP + 1
        url = server.url
    with pytest.raises(CorpusError, match=r"SHA256SUMS\.txt: ConnectionRefusedError .*6 times"):
        download(INFO, tmp_path, base_url=url, sleep=Waits())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{hash} ../evil", "'../evil' is not a path below the root: nothing was fetched"),
        ("{hash} a/../../evil", "is not a path below the root"),
        ("{hash} /etc/passwd", "is not a path below the root"),
        ("{hash} C:\\evil", "is not a path below the root"),
        ("<html>", "'<html>' is not '<sha256> <path>'"),
        ("{hash}", "is not '<sha256> <path>'"),
        ("{hash} table.csv", "'table.csv' is listed twice"),
        ("{hash} table.csv.part", "cannot be stored"),
    ],
)
def test_a_list_that_cannot_be_trusted(
    server: Loopback, tmp_path: Path, line: str, message: str
) -> None:
    server.sums = server.sums_text() + line.format(hash="0" * 64) + "\n"
    with pytest.raises(CorpusError) as caught:
        get(server, tmp_path / "out")
    assert "SHA256SUMS.txt:6: " in str(caught.value)
    assert message in str(caught.value)
    assert contents(tmp_path) == {}


def test_lines_of_both_usual_forms() -> None:
    text = f"{'a' * 64} x.dat\n{'B' * 64}  sub/y z.hea\n\n{'c' * 64} *w\n"
    assert parse_sums(text, "here") == {"x.dat": "a" * 64, "sub/y z.hea": "b" * 64, "w": "c" * 64}


def test_a_list_that_is_cut_is_asked_for_again(server: Loopback, tmp_path: Path) -> None:
    server.faults["SHA256SUMS.txt"] = ["drop:70", "500", "silent"]
    _, waits = get(server, tmp_path)
    assert contents(tmp_path) == FILES
    assert len(waits) >= 2


def test_a_full_disk(server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_SPARE", 1 << 60)
    with pytest.raises(CorpusError, match=r"MB are to come, but only .* MB are free"):
        get(server, tmp_path)
    assert contents(tmp_path) == {}


def test_a_folder_that_cannot_be_written(server: Loopback, tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file where a folder should be")
    with pytest.raises(CorpusError, match=r"records.*cannot be written"):
        get(server, tmp_path)


def test_two_downloads_into_one_folder(server: Loopback, tmp_path: Path) -> None:
    held: list[str] = []

    def progress(status: DownloadStatus) -> None:
        if not held:
            with pytest.raises(CorpusError, match="another download into this folder") as caught:
                download(INFO, tmp_path, base_url=server.url)
            held.append(str(caught.value))

    download(INFO, tmp_path, base_url=server.url, progress=progress)
    assert held


def test_progress_ends_complete(server: Loopback, tmp_path: Path) -> None:
    seen: list[DownloadStatus] = []
    download(INFO, tmp_path, base_url=server.url, progress=seen.append)
    last = seen[-1]
    assert (last.files, last.total, last.eta_s) == (5, 5, 0.0)
    assert last.received == sum(map(len, FILES.values()))
    assert str(dataclasses.replace(last, files=3, eta_s=3725.0)) == (
        "3 of 5 files, 1.0 MB received, 1:02:05 to go"
    )
    assert dataclasses.replace(last, eta_s=None).eta_s is None


def test_an_interrupt_stops_and_the_next_call_goes_on(server: Loopback, tmp_path: Path) -> None:
    server.always["records/00/r1.dat"] = "slow"

    def interrupt(status: DownloadStatus) -> None:
        if status.received > 70_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(INFO, tmp_path, base_url=server.url, progress=interrupt, workers=1)
    for path, content in contents(tmp_path).items():
        if not path.endswith(fetch.PART):
            assert content == FILES[path]
    del server.always["records/00/r1.dat"]
    get(server, tmp_path)
    assert contents(tmp_path) == FILES


def test_after_kill_9_only_the_rest_is_fetched(server: Loopback, tmp_path: Path) -> None:
    big = BIG * 8
    server.files = {"r1.dat": big}
    server.always["r1.dat"] = "slow"
    code = (
        "import dataclasses, sys; from pathlib import Path\n"
        "from scaling.corpora.catalogue import SOURCES\n"
        "from scaling.corpora.download.physionet import download\n"
        "info = dataclasses.replace(SOURCES['ptbxl'], download='set/1.0.0')\n"
        "download(info, Path(sys.argv[1]), base_url=sys.argv[2])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), server.url])
    part = tmp_path / "r1.dat.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 100_000):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    left = part.stat().st_size
    assert 0 < left < len(big) and not (tmp_path / "r1.dat").exists()
    assert part.read_bytes() == big[:left]
    server.always.clear()
    get(server, tmp_path)
    assert server.requests("r1.dat")[-1] == f"bytes={left}-"
    assert contents(tmp_path) == {"r1.dat": big}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("code", "given to those who sign an agreement"),
        ("echonext", r"given to those who sign an agreement.*content/echonext"),
        ("code15", "it is not on PhysioNet; get it from https://zenodo"),
        ("arrays", "your own data"),
        ("virtual/code", "needs no files"),
    ],
)
def test_what_is_not_open_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        download(SOURCES[name], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_licence_comes_before_anything_is_asked(
    server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(INFO, tmp_path, base_url=server.url) == tmp_path
    said = capsys.readouterr().err
    assert said.startswith(terms(INFO))
    assert "CC BY 4.0" in terms(INFO) and INFO.url in terms(INFO)
    assert "5 of 5 files" in said


def test_only_http_and_https_with_certificates() -> None:
    with pytest.raises(CorpusError, match="not an http or https address"):
        Server("ftp://physionet.org/files")
    with pytest.raises(CorpusError, match="not an http or https address"):
        Server("file:///etc")


def test_https_refuses_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(SELF_SIGNED)
    with serve(dict(FILES), certificate=tmp_path / "key.pem") as server:
        with pytest.raises(CorpusError, match=r"its certificate is not good.*self-signed"):
            get(server, tmp_path / "out")
        assert server.asked == []


def test_https_does_not_fall_back_to_http(tmp_path: Path) -> None:
    with serve(dict(FILES)) as plain:
        url = plain.url.replace("http://", "https://")
        with pytest.raises(CorpusError, match=r"SHA256SUMS\.txt: SSLError"):
            download(INFO, tmp_path, base_url=url, sleep=Waits())
        assert plain.asked == []
