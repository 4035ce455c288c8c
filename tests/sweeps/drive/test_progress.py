"""The progress line, with a clock that the test turns."""

from __future__ import annotations

import io

import pytest

from sweeps.drive.progress import EVERY_S, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, stream: io.StringIO, workers: int = 1) -> Progress:
    jobs = [("big", 900.0, 90.0), ("small", 100.0, 10.0)]
    return Progress(jobs, workers, stream, clock)


def test_the_share_is_that_of_flops_not_of_trials(clock: Clock) -> None:
    progress = make(clock, io.StringIO())
    progress.started("small")
    clock.now += 10
    progress.finished("small", failed=False)
    assert progress.line() == "1/2 trials, 10 % of FLOPs, about 2 min left"


def test_time_left_follows_the_pace_so_far(clock: Clock) -> None:
    progress = make(clock, io.StringIO())
    assert progress.seconds_left() == 100
    progress.started("small")
    clock.now += 20
    progress.finished("small", failed=False)
    assert progress.seconds_left() == 180
    progress.started("big")
    clock.now += 60
    assert progress.seconds_left() == 120


def test_time_left_is_at_least_that_of_the_longest_trial(clock: Clock) -> None:
    assert make(clock, io.StringIO(), workers=8).seconds_left() == 90


def test_progress_within_a_trial_counts(clock: Clock) -> None:
    progress = make(clock, io.StringIO())
    progress.started("big")
    progress.progress("big", 0.5)
    assert "45 % of FLOPs" in progress.line()


def test_failures_are_counted(clock: Clock) -> None:
    progress = make(clock, io.StringIO())
    progress.started("big")
    progress.finished("big", failed=True)
    progress.finished("small", failed=False)
    assert progress.line() == "2/2 trials, 100 % of FLOPs, 1 failed"


def test_a_log_gets_few_lines(clock: Clock) -> None:
    stream = io.StringIO()
    with make(clock, stream) as progress:
        for _ in range(20):
            clock.now += EVERY_S / 10
            progress.progress("big", 0.1)
        progress.say("hello")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5  # at the start, twice in between, the message, at the end
    assert lines[3] == "hello"
    assert "\r" not in stream.getvalue()


def test_a_terminal_gets_one_line_in_place(clock: Clock) -> None:
    stream = Terminal()
    with make(clock, stream) as progress:
        progress.progress("big", 0.1)
        progress.say("hello")
    text = stream.getvalue()
    assert text.count("\n") == 2
    assert "\r\x1b[Khello\n" in text
