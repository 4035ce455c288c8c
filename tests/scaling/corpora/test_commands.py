"""The commands: what they print, their flags and exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaling.corpora import __main__ as command
from scaling.corpora import catalogue, commands
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.sources.read import listed
from scaling.identity import CorpusSpec
from tests.scaling.corpora import fake_source

HEAVY = {"numpy", "scipy", "pandas", "pyarrow", "torch", "matplotlib", "ray", "h5py"}


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue.SOURCES, "fake", fake_source.INFO)
    monkeypatch.setattr(listed, "CHUNK", 3)


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    return fake_source.write(tmp_path / "fakes", fake_source.some(8, r1="unusable", r2="flat"))


def prepare(root: Path, out: Path, *flags: str) -> int:
    words = ["prepare", "fake", "--root", str(root), "--out", str(out), "--window-s", "4"]
    return command.main([*words, "--workers", "1", *flags])


def test_the_flags_are_these() -> None:
    subparsers = next(a for a in command.parser()._actions if a.choices and a.dest == "command")
    assert isinstance(subparsers.choices, dict)
    flags = {
        name: [word for action in parse._actions for word in action.option_strings or [action.dest]]
        for name, parse in subparsers.choices.items()
    }
    assert flags == {
        "list": ["-h", "--help"],
        "prepare": ["-h", "--help", "source", "--root", "--out", "--preset", "--fs-hz",
                    "--window-s", "--records", "--validation", "--test", "--seed",
                    "--drop-damaged", "--workers"],
        "check": ["-h", "--help", "corpus", "--against"],
        "show": ["-h", "--help", "corpus", "record", "--out"],
        "download": ["-h", "--help", "source", "--out"],
    }  # fmt: skip


@pytest.mark.parametrize("words", [["list"], ["--help"], ["prepare", "--help"]])
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom scaling.corpora.__main__ import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        f"sys.exit(', '.join({HEAVY!r} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_list_names_every_source_one_can_prepare(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["list"]) == 0
    out = capsys.readouterr().out
    for info in catalogue.SOURCES.values():
        assert (f"\n{info.name} " in out) == (info.kind != "simulated")
        if info.kind == "files":
            assert info.url in out
    line = next(line for line in out.splitlines() if line.startswith("mimic "))
    assert line.split()[1:5] == ["800,035", "12", "500", "open"]
    assert "Open Database License" in line


def test_prepare_prints_the_report_and_the_folder(
    fakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(fakes, tmp_path / "cache") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    folder = Path(lines[-1])
    assert len(Corpus.open(folder)) == 7
    assert lines[-2] == f"plots: {folder / 'quality.html'}"
    assert any(line.split() == ["flat", "leads", "1", "1", "0", "0", "r2"] for line in lines)
    assert any(line.startswith("dropped, unusable: 2 s long") for line in lines)
    assert not any(line.startswith("no R peak") for line in lines)
    assert captured.err.splitlines()[0] == "preparing fake: 0 of 8 records"
    assert "8 of 8" in captured.err
    assert prepare(fakes, tmp_path / "cache") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(folder)


def test_check_tells_a_good_corpus_from_a_changed_one(
    fakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(fakes, tmp_path / "cache")
    folder = capsys.readouterr().out.splitlines()[-1]
    assert command.main(["check", folder]) == 0
    assert "7 records, every file as it was prepared" in capsys.readouterr().out
    with (Path(folder) / "signals.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    assert command.main(["check", folder]) == 1
    assert "signals.npy: changed after preparation" in capsys.readouterr().err
    assert command.main(["check", str(tmp_path)]) == 1
    assert "is not a prepared corpus" in capsys.readouterr().err


def test_check_against_another_corpus(
    fakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(fakes, tmp_path / "cache")
    folder = Path(capsys.readouterr().out.splitlines()[-1])
    other = {"train": "test", "test": "train"}
    swapped = [(r, p, other.get(split, split), fate) for r, p, split, fate in fake_source.some(9)]
    prepare(fake_source.write(tmp_path / "swapped", swapped), tmp_path / "cache")
    against = capsys.readouterr().out.splitlines()[-1]
    assert command.main(["check", str(folder), "--against", against]) == 1
    told = capsys.readouterr()
    assert [line.split() for line in told.out.splitlines() if line.startswith("r7")][-1:] == [
        ["r7", "test", "r7", "train", "0"]
    ]
    assert "training recordings of" in told.err
    assert "are in the test split of" in told.err


def test_show_writes_a_png(fakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(fakes, tmp_path / "cache")
    folder = capsys.readouterr().out.splitlines()[-1]
    assert command.main(["show", folder, "r3", "--out", str(tmp_path / "r3.png")]) == 0
    assert (tmp_path / "r3.png").read_bytes().startswith(b"\x89PNG")
    assert command.main(["show", folder, "r3", "--out", str(tmp_path / "r3.jpg")]) == 2
    assert "must end in .png" in capsys.readouterr().err
    assert command.main(["show", folder, "r1"]) == 2
    assert "record r1 was left out: 2 s long" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prepare", "fak"], "unknown source 'fak'"),
        (["prepare", "fake"], "fake needs the folder of its files"),
        (["prepare", "fake", "--preset", "s9"], "unknown preprocessing 's9'"),
        (["prepare", "fake", "--root", "/nowhere"], "no folder /nowhere"),
        (["prepare", "simulated/slow"], "only the simulated trainer"),
        (["prepare", "virtual/code", "--root", "/tmp"], "is made here: leave out --root"),
        (["prepare", "fake", "--seed", "1"], "--seed is for virtual cohorts"),
        (["download", "echonext", "--out", "x"], "echonext"),
        (["show", "/nowhere", "1"], "is not a prepared corpus"),
    ],
)
def test_errors_are_one_line_and_exit_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("flag", "word", "message"),
    [
        *((flag, word, "must be a whole number, 1 or more")
          for flag in ("--records", "--fs-hz", "--workers") for word in ("0", "-5", "1.5", "x")),
        *(("--seed", word, "must be a whole number, 0 or more") for word in ("-1", "x")),
        *(("--window-s", word, "must be a number of seconds above 0")
          for word in ("0", "-1", "nan", "inf", "ten")),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_before_any_work(
    flag: str, word: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["prepare", "virtual/code", f"{flag}={word}"])
    assert stopped.value.code == 2
    assert f"argument {flag}: {message}; not {word!r}" in capsys.readouterr().err


def test_damage_can_be_dropped_by_a_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fake_source.write(tmp_path / "fakes", fake_source.some(8, r1="damaged"))
    assert prepare(root, tmp_path) == 2
    assert "1 of 8 records of fake cannot be used" in capsys.readouterr().err
    assert prepare(root, tmp_path, "--drop-damaged") == 0
    assert "dropped, damaged: " in capsys.readouterr().out


def test_a_disk_error_says_that_the_work_is_kept(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scaling.corpora.prepare.finish.write_dropped", full)
    assert prepare(fakes, tmp_path) == 2
    assert "No space left on device; what is done is kept" in capsys.readouterr().err


@pytest.fixture
def hearing() -> Iterator[None]:
    """Ctrl-C is heard, though what started the tests may ignore it, as a shell's ``&`` does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hearing")
def test_an_interrupt_says_how_to_go_on(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("scaling.corpora.prepare.finish.write_dropped", interrupted)
    assert prepare(fakes, tmp_path) == 130
    assert "run the same command again to continue" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setitem(catalogue.SOURCES, "fake", fake_source.INFO)
    monkeypatch.setattr(listed, "CHUNK", 3)
    assert prepare(fakes, tmp_path) == 0
    assert "8 of 8 records" in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ptbxl"], CorpusSpec(source="ptbxl")),
        (["ptbxl", "--preset", "s1", "--window-s", "5"],
         CorpusSpec(source="ptbxl", preprocessing="s1", window_s=5)),
        (["virtual/code", "--records", "5", "--test", "6", "--seed", "7", "--fs-hz", "50"],
         CorpusSpec(source="virtual/code", records=5, test=6, seed=7, fs_hz=50)),
        (["csn", "--preset", "liteheart"],
         CorpusSpec(source="csn", preprocessing="liteheart", fs_hz=500, window_s=12.288)),
    ],
)  # fmt: skip
def test_rate_and_window_come_from_the_preset_unless_given(
    words: list[str], expected: CorpusSpec
) -> None:
    assert commands.spec_of(command.parser().parse_args(["prepare", *words])) == expected


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    out = Terminal()
    meter = commands.Meter("preparing x", out)
    meter(100, 1000)
    now[0] = 10.0
    meter(200, 1000)
    now[0] = 20.0
    meter(1000, 1000)
    meter.close()
    assert out.getvalue().split("\r\x1b[K") == [
        "",
        "preparing x: 100 of 1,000 records (100 from an earlier run)",
        "preparing x: 200 of 1,000 records, 0:01:20 left",
        "preparing x: 1,000 of 1,000 records, joining and measuring\n",
    ]


def test_progress_in_a_log_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    out = io.StringIO()
    meter = commands.Meter("preparing x", out)
    for done in range(101):
        meter(done, 100)
        now[0] += 0.5
    meter.close()
    assert len(out.getvalue().splitlines()) == 6


def test_the_module_runs(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "scaling.corpora", "check", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path} is not a prepared corpus: it has no corpus.json\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    words = f"{sys.executable} -m scaling.corpora list | head -1"
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("source ")
    assert done.stderr == ""


def test_corpus_json_is_readable(fakes: Path, tmp_path: Path) -> None:
    prepare(fakes, tmp_path)
    (path,) = tmp_path.glob("corpora/fake-*/corpus.json")
    info = json.loads(path.read_text())
    assert (info["units"], info["lsb"], info["quality"]["left_out"]) == (
        "mV", 0.001, {"the wrong kind": 5},
    )  # fmt: skip
