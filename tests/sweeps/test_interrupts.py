"""Signals: what they raise where, and a study that they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeps import interrupts
from sweeps.interrupts import (
    Interrupted,
    check,
    code_of,
    gently,
    handled,
    requested,
    shielded,
)
from sweeps.store import Store
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.study import (
    PATIENCE_S,
    alive,
    descendants,
    finish,
    records_of,
    run,
    start,
    store_of,
    wait_for,
)

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def hearing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Handlers as in a terminal, whatever started the tests; the limit would end the tests."""
    monkeypatch.setattr(interrupts, "GRACE_S", 600.0)
    monkeypatch.setattr(interrupts, "LIMIT_S", 1200.0)
    before = {number: signal.getsignal(number) for number in ALL}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in ALL[1:]:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, old in before.items():
        signal.signal(number, old)


@pytest.mark.parametrize(("number", "code"), [(ALL[0], 130), (ALL[1], 143), (ALL[2], 129)])
def test_a_signal_raises_where_the_run_is(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with handled():
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(number)
        assert code_of(caught.value) == code
        assert requested()
    assert signal.getsignal(number) is before
    assert not requested()


def test_an_interrupt_without_a_signal_has_the_code_of_ctrl_c() -> None:
    assert code_of(KeyboardInterrupt()) == 130


def test_gently_it_waits_for_a_place_to_stop_and_breaks_off_at_a_second_ctrl_c() -> None:
    with handled(), gently():
        check()
        signal.raise_signal(signal.SIGINT)
        assert requested()
        with pytest.raises(Interrupted):
            check()
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)


def test_what_the_shell_sends_again_says_nothing_new() -> None:
    with handled():
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGINT)
        assert code_of(caught.value) == 129  # of the first


def test_a_shield_holds_until_it_is_taken_away() -> None:
    with handled():
        with shielded():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            check()
        with pytest.raises(Interrupted):
            check()


def test_it_raises_twice_and_lets_the_end_be() -> None:
    with handled():
        for _ in range(2):
            with pytest.raises(Interrupted):
                signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_signals_after_the_end_do_not_change_the_exit_code() -> None:
    with handled(last=True), pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)
    for number in ALL:
        signal.raise_signal(number)
    assert {signal.getsignal(number) for number in ALL} == {signal.SIG_IGN}


def test_without_a_signal_the_handlers_come_back() -> None:
    with handled(last=True):
        pass
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_that_comes_while_an_error_is_told(
    grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(line: str) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("sweeps.interrupts.tell", tell)
    grid.write_text("study: [")
    assert run(grid) == 143


def test_a_signal_after_the_last_trial_leaves_whole_tables(
    grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It struck in the middle of them: nothing ran any more, and nothing was gentle."""
    real = Store.compact

    def compact(self: Store) -> None:
        signal.raise_signal(signal.SIGTERM)
        real(self)

    monkeypatch.setattr(Store, "compact", compact)
    assert run(grid) == 143
    runs = store_of(grid).runs
    left = {path.name for path in runs.iterdir()}
    assert left >= {"trials.parquet", "evaluations.parquet", "compacted.json"}


def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    with handled():
        signal.raise_signal(signal.SIGHUP)
        assert not requested()


def test_outside_the_main_thread_nothing_is_handled() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def look() -> None:
        with handled():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


def test_what_finds_no_place_to_stop_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE_S", 0.05)
    with handled(), gently(), pytest.raises(Interrupted) as caught:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(PATIENCE_S)
    assert code_of(caught.value) == 143


def test_an_end_that_does_not_end_is_ended() -> None:
    code = (
        "import signal, time; from sweeps import interrupts\n"
        "interrupts.GRACE_S, interrupts.LIMIT_S = 0.05, 0.1\n"
        "with interrupts.handled(), interrupts.shielded():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        f"    time.sleep({PATIENCE_S})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 143
    assert done.stderr == interrupts.LATE


TRAINED = """\
study: trained
corpus: {source: virtual/basic, records: 96, validation: 32, test: 32, fs_hz: 100, window_s: 5}
stages:
  - pretrain:
      families: {resnet: [d2w6]}
      data: [64]
      seeds: [0, 1, 2, 3]
      recipe: {max_steps: 60, batch: 16, eval_every: 20, patience: 100}
"""
OF_THE_RUN = ("duration_s", "started", "commit", "dirty")


def numbers(grid: Path) -> dict[str, Any]:
    """Every record of a study without what tells runs apart, and every weight."""
    found: dict[str, Any] = {}
    for name, record in records_of(grid).items():
        trial = record["trial"]
        if isinstance(trial, dict):
            trial = {k: v for k, v in trial.items() if k not in OF_THE_RUN}
        found[name] = (trial, record.get("curve"), record.get("values"))
    for path in (store_of(grid).runs / "weights").glob("*.safetensors"):
        found[path.name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A cache with the corpus, and what the study gives when nobody interrupts it."""
    folder = tmp_path_factory.mktemp("whole")
    grid, cache = folder / "grid.yaml", folder / "cache"
    grid.write_text(TRAINED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECG_CACHE", str(cache))
        assert run(grid, "--threads", "1") == 0
    return cache, numbers(grid)


@pytest.fixture
def whole(prepared: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the study gives when nobody interrupts it, with its corpus at hand."""
    monkeypatch.setenv("ECG_CACHE", str(prepared[0]))
    return prepared[1]


def interrupt_training(
    grid: Path, executor: str, number: int, send: Callable[[int, int], None]
) -> None:
    """Send a signal in the middle of a training; nothing may be left but what goes on."""
    process = start(grid, executor, "--threads", "1")
    store = store_of(grid)
    # The first record is of an evaluation of one training; the second training has begun.
    wait_for(lambda: process.poll() is not None or list(store.live.records.glob("e*.json")))
    family = list(descendants(process.pid))
    send(process.pid, number)
    output = finish(process)
    assert process.returncode == 128 + number, output
    assert "run the same command again to continue" in output
    assert "Traceback" not in output
    wait_for(lambda: not alive(family))
    left = {path.name for path in store.runs.iterdir()}
    assert not left & {"ray", "ray.log"}
    assert not list(store.runs.rglob(".*.part"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "number"),
    [
        ("serial", signal.SIGTERM),
        ("serial", signal.SIGHUP),
        pytest.param("tune", signal.SIGTERM, marks=pytest.mark.ray),
        pytest.param("tune", signal.SIGHUP, marks=[pytest.mark.ray, pytest.mark.accept]),
    ],
)
@pytest.mark.timeout(900)
def test_a_training_that_was_ended_goes_on_and_gives_the_same_numbers(
    executor: str, number: int, write_grid: WriteGrid, whole: dict[str, Any]
) -> None:
    grid = write_grid(TRAINED)
    interrupt_training(grid, executor, number, os.kill)
    assert numbers(grid) != whole
    if executor == "tune":  # serially it may end between two trainings
        assert list((store_of(grid).runs / "checkpoints").glob("*.safetensors"))
    output = finish(start(grid, executor, "--threads", "1"))
    assert "0 failed" in output
    notes = [note for record in records_of(grid).values() for note in record.get("notes", ())]
    assert executor != "tune" or [note for note in notes if "went on at step " in note]
    assert numbers(grid) == whole


def test_a_study_ended_while_it_is_planned(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(*words: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("sweeps.run._plan", plan)
        assert run(grid) == 143
    assert run(grid) == 0


class Gone:
    """A terminal that hung up."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor


@pytest.mark.parametrize("streams", [("stderr",), ("stdout",), ("stdout", "stderr")])
def test_a_terminal_that_hung_up_costs_no_record(
    streams: tuple[str, ...], grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "nowhere").open("w") as file:
        for stream in streams:
            monkeypatch.setattr(f"sys.{stream}", Gone(file.fileno()))
        assert run(grid) == 0
    assert len(records_of(grid)) == 27


def test_a_signal_in_a_trial_leaves_a_checkpoint_and_whole_tables(
    write_grid: WriteGrid, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    from scaling.training.loop import Run

    grid = write_grid(TRAINED)
    real = Run.step

    def step(self: Run) -> bool:
        if self.outcome.steps == 30:  # between two evaluations, and before any checkpoint
            signal.raise_signal(signal.SIGTERM)
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", step)
        assert run(grid, "--threads", "1") == 143
    (checkpoint,) = (store_of(grid).runs / "checkpoints").iterdir()
    assert checkpoint.suffix == ".safetensors"
    assert json.loads((store_of(grid).runs / "compacted.json").read_text())["ids"] == []
    assert run(grid, "--threads", "1") == 0
    (noted,) = [r for r in records_of(grid).values() if r.get("notes")]
    assert "went on at step 31" in noted["notes"][0]
    assert numbers(grid) == whole


def test_requests_are_of_one_run() -> None:
    with handled(), pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)
    with handled():
        check()
        assert not requested()
