"""Latency is measured in turns on one thread; memory and ratios are exact where they are known."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from scaling.deploy import latency
from scaling.deploy.latency import Latency, main, measure, one_thread, peak_bytes, table
from scaling.deploy.systems import PAIRS, TEACHER

MIB = 1 << 20
FEW = ("--samples", "64", "--batch", "2", "--repetitions", "2")
RESNETS = ("--teacher", "resnet/d2w12", "--models", "resnet/d2w6", *FEW)


class Known(nn.Module):
    """Holds 4 MiB and 8 MiB together, then 8 MiB and 3 MiB; has 1 parameter and 2 buffers."""

    three: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))
        self.register_buffer("three", torch.ones(2, 3, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        first = x_BLT.new_empty(4 * MIB // 4)
        second = x_BLT.new_empty(8 * MIB // 4)
        del first
        third = x_BLT.new_empty(3 * MIB // 4)
        return third[:1] + second[:1]


class Timed(nn.Module):
    """Moves a clock of its own making by the next of its times, and notes who ran."""

    def __init__(self, clock: Clock, name: str, seconds: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.clock, self.name, self.seconds = clock, name, seconds
        self.threads: set[int] = set()
        self.modes: set[tuple[bool, bool]] = set()

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        turn = sum(name == self.name for name in self.clock.log)
        self.clock.log.append(self.name)
        self.clock.now += self.seconds[turn % len(self.seconds)]
        self.threads.add(torch.get_num_threads())
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        return x_BLT.mean()


class Clock:
    """A clock that only models move; processor time passes half as fast."""

    def __init__(self) -> None:
        self.now, self.log = 0.0, list[str]()

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.now / 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(latency, "time", made)
    return made


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_models_take_turns_after_warming_up(clock: Clock) -> None:
    models = {name: Timed(clock, name) for name in "ABC"}
    measure(models, 16, 1, repetitions=3, warm_up=2)
    log = "".join(clock.log)
    assert log.startswith("AABBCC" + 3 * "AABBCC")  # the first of two in a turn is not timed
    assert sorted(log[24:]) == sorted(2 * "ABC")  # memory and MACs of each


def test_times_are_medians_and_ratios_are_medians_of_rounds(clock: Clock) -> None:
    """In each turn the untimed pass takes 100 s. By rounds A takes 1, 4, 5 s and B 1, 1, 2 s."""
    models = {
        "A": Timed(clock, "A", (100, 1, 100, 4, 100, 5)),
        "B": Timed(clock, "B", (100, 1, 100, 1, 100, 2)),
    }
    a, b = measure(models, 16, 1, reference="A", repetitions=3, warm_up=0)
    assert (a.ms, a.cpu_ms, b.ms, b.cpu_ms) == (4000, 2000, 1000, 500)
    assert (a.p95_ms, b.p95_ms) == pytest.approx((4900, 1900))
    assert (a.faster, a.wall_faster) == (1, 1)
    assert (b.faster, b.wall_faster) == (2.5, 2.5)  # not 4, the ratio of medians


@pytest.mark.usefixtures("two_threads")
def test_one_thread_in_evaluation_and_all_is_restored(clock: Clock) -> None:
    model = Timed(clock, "A")
    model.part = nn.Dropout().eval()
    assert model.training
    measure({"A": model}, 16, 1, repetitions=1, warm_up=1)
    assert model.threads == {1} and {training for training, _ in model.modes} == {False}
    assert (False, True) in model.modes  # inference mode
    assert torch.get_num_threads() == 2 and model.training and not model.part.training
    with pytest.raises(RuntimeError, match="inside"), one_thread():
        raise RuntimeError("inside")
    assert torch.get_num_threads() == 2


def test_the_peak_is_what_is_held_at_once() -> None:
    with torch.inference_mode():
        inputs = torch.zeros(4, 12, MIB // 4), torch.zeros(4, 1)
        assert peak_bytes(Known(), *inputs) == 12 * MIB
        assert peak_bytes(nn.Identity(), inputs[0]) == 0
        convolution = nn.Conv1d(12, 5, 1)
        assert peak_bytes(convolution, inputs[0]) >= 4 * 5 * MIB


def test_a_row_says_what_was_measured() -> None:
    models = {"known": Known(), "linear": Known()}
    models["linear"].register_buffer("more", torch.zeros(12 * MIB // 4))
    known, linear = measure(models, 32, 3, reference="linear", repetitions=2, warm_up=0, leads=2)
    assert (known.model, known.samples, known.batch, known.params) == ("known", 32, 3, 1)
    assert (known.weights_bytes, known.peak_bytes) == (4 + 6 * 8 + 8, 12 * MIB)
    assert linear.weights_bytes == known.weights_bytes + 12 * MIB
    assert known.smaller == pytest.approx(2, rel=1e-4) and linear.smaller == 1
    (alone,) = measure({"known": Known()}, 32, 3, repetitions=2, warm_up=0)
    ratios = (alone.faster, alone.wall_faster, alone.smaller, alone.fewer_macs)
    assert all(map(math.isnan, ratios))
    assert 0 < known.ms <= known.p95_ms and known.cpu_ms >= 0


class Convolution(nn.Conv1d):
    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        return super().forward(x_BLT)


def test_macs_are_of_the_batch() -> None:
    models = {"3": Convolution(2, 4, 3, padding=1), "1": Convolution(2, 4, 1)}
    wide, narrow = measure(models, 10, 5, reference="3", repetitions=1, leads=2)
    assert (wide.macs, narrow.macs) == (5 * 10 * 2 * 4 * 3, 5 * 10 * 2 * 4)
    assert (wide.fewer_macs, narrow.fewer_macs) == (1, 3)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="0 models"):
        measure({}, 10, 1)
    with pytest.raises(ValueError, match="0 repetitions"):
        measure({"a": Known()}, 10, 1, repetitions=0)
    with pytest.raises(ValueError, match="'b' is none of a"):
        measure({"a": Known()}, 10, 1, reference="b")


ROW = Latency(
    model=TEACHER,
    samples=6144,
    batch=4,
    ms=602.3,
    p95_ms=700.0,
    cpu_ms=601.0,
    weights_bytes=201_900_000,
    peak_bytes=45_000_000,
    macs=39_386_000_000,
    params=50_487_302,
    faster=1.0,
    wall_faster=1.0,
    smaller=1.0,
    fewer_macs=1.0,
)


def test_the_table_has_the_ratios_of_s2_beside_the_right_pair() -> None:
    rows = [
        ROW,
        *(
            dataclasses.replace(ROW, model=PAIRS[name], faster=22.93, smaller=3.0, fewer_macs=35.8)
            for name in ("tiny", "small", "base")
        ),
        dataclasses.replace(ROW, model="resnet/d2w6", faster=math.nan, smaller=math.nan),
    ]
    head, rule, *lines = table(rows).splitlines()
    assert len({len(line) for line in (head, rule, *lines)}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    found = [dict(zip(columns, row, strict=True)) for row in cells]
    assert [row["model"] for row in found] == [
        f"teacher {TEACHER}", *(f"{name} {PAIRS[name]}" for name in PAIRS), "resnet/d2w6"
    ]  # fmt: skip
    assert [row["faster"] for row in found] == [
        "1.00", "22.93 (S2 2.09)", "22.93", "22.93 (S2 1.44)", ""
    ]  # fmt: skip
    assert [row["smaller"] for row in found][1:4] == ["3.00 (S2 14.82)", "3.00", "3.00 (S2 2.02)"]
    assert found[1]["fewer MACs"] == "35.80 (S2 35.86)"
    assert found[3]["fewer MACs"] == "35.80 (S2 8.4)"
    assert (found[0]["ms"], found[0]["weights MB"], found[0]["peak MB"]) == (
        "602",
        "201.90",
        "45.00",
    )
    assert (found[0]["GMAC"], found[0]["parameters"]) == ("39.4", "50,487,302")


def test_the_command_prints_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RESNETS) == 0
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if line.startswith("|")]
    assert len(lines) == 4 and "resnet/d2w12" in lines[2] and "resnet/d2w6" in lines[3]
    assert "one thread" in out and "2 rounds" in out and "64 samples, batch 2" in err


def test_the_command_writes_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RESNETS, "--json"]) == 0

    def refuse(text: str) -> None:
        raise AssertionError(text)

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert (found["threads"], found["repetitions"], found["input_leads"]) == (1, 2, ["I"])
    assert found["processor"] and found["versions"]["torch"] == torch.__version__
    teacher, model = found["rows"]
    fields = {field.name for field in dataclasses.fields(Latency)}
    assert set(teacher) == set(model) == fields | {"s2"}
    assert (teacher["model"], teacher["faster"], model["s2"]) == ("resnet/d2w12", 1.0, None)
    assert model["fewer_macs"] == pytest.approx(teacher["macs"] / model["macs"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--models", "resnt/d2w6"), "resnt/d2w6: no family 'resnt'; there are unet, resnet"),
        (("--models", "resnet/d9"), "resnet/d9: family resnet has no size 'd9'; it has d2w6"),
        (("--models", "vq-hbr/l1d48k256t128"), "vq-hbr is no backbone of a classifier"),
        (
            ("--models", "resnet/d2w6+resnet/d2w6"),
            "only one restoration net (unet/...) stands",
        ),
        (("--models", "resnet/d2w6", "--samples", "4"), "resnet/d2w6: "),
        (("--models", "resnet/d2w6", "--input-leads", "X"), "lead X is missing"),
    ],
)
def test_bad_configurations_are_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main(["--teacher", "resnet/d2w6", *words]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and message in err


def test_the_processor_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Quick: 9000\n")
    monkeypatch.setattr(latency, "CPUINFO", info)
    assert latency.processor() == "Quick: 9000"
    monkeypatch.setattr(latency, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(
        latency, "platform", SimpleNamespace(processor=lambda: "", machine=lambda: "armv9")
    )
    assert latency.processor() == "armv9"
