"""Latency: how long a forward pass takes on one CPU core, beside what it holds and computes.

``python -m scaling.deploy.latency`` prints one table of systems (``systems``) beside the teacher,
all measured in the same run. Per system, number of samples and batch:

- **Latency** is that of ``forward`` in evaluation mode and inference mode, in float32, as PyTorch
  runs it: nothing is compiled, fused or quantised. One thread. Median and 95 % percentile of the
  repetitions on the wall's clock, and the median of processor time, which is the same on a machine
  that does nothing else.
- Systems take turns (A B C A B C ...), so that what disturbs the machine disturbs all alike. Each
  pass that is timed follows one that is not, of the same system: the others have driven its
  weights out of the caches. These are times in steady use, then; a first pass takes longer.
- **Ratios** are medians over rounds of the teacher's processor time by that of the system in the
  same round. On a busy machine those of the wall's clock flatter small systems, whose passes are
  over before another program gets its turn.
- **Weights** are bytes of parameters and buffers. **Peak** is the most that one pass holds at once
  above weights and input: the running sum of what PyTorch's CPU allocator gives out and takes back,
  as ``torch.profiler`` records it. That is every tensor, and what oneDNN is given to work in. Left
  out are what libraries allocate themselves, fragmentation, and the interpreter with the libraries'
  code. On one kind of processor it is the same in every run; the resident size of a process is not.
- **MACs** are of the whole batch (``scaling.cost.count_macs``).

Importing this module needs no torch.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import gc
import itertools
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.signals.leads import lead_order
from scaling.cost import count_macs
from scaling.deploy.systems import PAIRS, S2, TEACHER, Ratios, build_system, check_system
from scaling.identity import LEADS
from scaling.provenance import commit, library_versions
from scaling.records.files import without_nan

if TYPE_CHECKING:
    from torch import Tensor, nn

Seconds = tuple[list[float], list[float]]  # of each round: on the wall, and of the processor

REPETITIONS, WARM_UP = 30, 3
OK, BAD_CONFIGURATION = 0, 2
CPUINFO = Path("/proc/cpuinfo")
HEADER = ("samples", "batch", "model", "ms", "p95", "CPU ms", "faster", "weights MB", "peak MB",
          "smaller", "GMAC", "fewer MACs", "parameters")  # fmt: skip
S2_SAYS = "S2 measured its ratios at batch 4 and 6,144 samples, on a device that it does not name."
BETWEEN_BEATS = 80  # samples from one R peak to the next, for models that read heartbeats
PERCENTILE = 95


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What one forward pass of a model costs; see the module's text.

    Ratios say how many times less it is than the reference; NaN where there is none.
    """

    model: str  # its name
    samples: int  # per lead
    batch: int  # records at once
    ms: float  # median latency of the batch in milliseconds
    p95_ms: float  # 95 % percentile of it
    cpu_ms: float  # median processor time in milliseconds
    weights_bytes: int  # of parameters and buffers
    peak_bytes: int  # the most held at once above weights and input
    macs: int  # multiply-accumulates of the batch
    params: int  # parameters
    faster: float  # median over rounds of the reference's processor time by this one's
    wall_faster: float  # the same of latencies
    smaller: float  # weights and peak of the reference by those of this one
    fewer_macs: float  # MACs of the reference by those of this one

    @property
    def held_bytes(self) -> int:
        """Weights and peak."""
        return self.weights_bytes + self.peak_bytes


def measure(
    models: Mapping[str, nn.Module],
    samples: int,
    batch: int,
    *,
    reference: str | None = None,
    leads: int = len(LEADS),
    repetitions: int = REPETITIONS,
    warm_up: int = WARM_UP,
) -> list[Latency]:
    """Measure models on the CPU, in turns on one thread; see the module's text.

    Args:
        models: by name; called with records (B, L, T) float32 and their R peaks (B, P), and on the
            CPU. They are left in the mode they were in, and so is the number of threads.
        samples: T.
        batch: B.
        reference: name of the model that the others are compared with.
        leads: L.
        repetitions: rounds.
        warm_up: passes of each model before the first round.

    Returns:
        One row a model, in their order.

    Raises:
        ValueError: no models or repetitions, or a reference that is none of them.
    """
    import torch

    if not models or repetitions < 1:
        raise ValueError(f"nothing to measure: {len(models)} models, {repetitions} repetitions")
    if reference is not None and reference not in models:
        raise ValueError(f"reference {reference!r} is none of {', '.join(models)}")
    x_BLT = torch.randn(batch, leads, samples, generator=torch.Generator().manual_seed(0))
    beats_P = torch.arange(0, samples, BETWEEN_BEATS, dtype=torch.int16)
    inputs = (x_BLT, beats_P.expand(batch, -1))
    with one_thread(), evaluating(models), torch.inference_mode():
        for model, _ in itertools.product(models.values(), range(warm_up)):
            model(*inputs)
        seconds = _take_turns(models, inputs, repetitions)
        peaks = {name: peak_bytes(model, *inputs) for name, model in models.items()}
        macs = {name: count_macs(model, tuple(x_BLT.shape)) for name, model in models.items()}
    rows = [
        _row(name, model, seconds[name], peaks[name], macs[name], (samples, batch))
        for name, model in models.items()
    ]
    against = {row.model: row for row in rows}.get(reference or "")
    return [_compared(row, against, seconds) for row in rows] if against else rows


def _take_turns(
    models: Mapping[str, nn.Module], inputs: tuple[Tensor, Tensor], repetitions: int
) -> dict[str, Seconds]:
    """Seconds on the wall and of the processor of each model in each round."""
    found: dict[str, Seconds] = {name: ([], []) for name in models}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _, (name, model) in itertools.product(range(repetitions), models.items()):
            model(*inputs)  # the others have driven its weights out of the caches
            wall, cpu = time.perf_counter(), time.process_time()
            model(*inputs)
            found[name][1].append(time.process_time() - cpu)
            found[name][0].append(time.perf_counter() - wall)
    finally:
        if collecting:
            gc.enable()
    return found


def _row(
    name: str,
    model: nn.Module,
    seconds: Seconds,
    peak: int,
    macs: int,
    shape: tuple[int, int],
) -> Latency:
    import numpy as np

    wall, cpu = seconds
    nothing = float("nan")
    return Latency(
        model=name,
        samples=shape[0],
        batch=shape[1],
        ms=1e3 * statistics.median(wall),
        p95_ms=1e3 * float(np.percentile(wall, PERCENTILE)),
        cpu_ms=1e3 * statistics.median(cpu),
        weights_bytes=weights_bytes(model),
        peak_bytes=peak,
        macs=macs,
        params=sum(value.numel() for value in model.parameters()),
        faster=nothing,
        wall_faster=nothing,
        smaller=nothing,
        fewer_macs=nothing,
    )


def _compared(row: Latency, reference: Latency, seconds: Mapping[str, Seconds]) -> Latency:
    """The same row with its ratios, those of times round by round."""
    wall_faster, faster = (
        statistics.median(map(_times, theirs, ours))
        for theirs, ours in zip(seconds[reference.model], seconds[row.model], strict=True)
    )
    return dataclasses.replace(
        row,
        faster=faster,
        wall_faster=wall_faster,
        smaller=_times(reference.held_bytes, row.held_bytes),
        fewer_macs=_times(reference.macs, row.macs),
    )


def _times(theirs: float, ours: float) -> float:
    """How many times less ours is; NaN where it is nothing."""
    return theirs / ours if ours else float("nan")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within, PyTorch computes on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def evaluating(models: Mapping[str, nn.Module]) -> Iterator[None]:
    """Within, models are in evaluation mode."""
    training = [
        module for model in models.values() for module in model.modules() if module.training
    ]
    for model in models.values():
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def weights_bytes(model: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    held = itertools.chain(model.parameters(), model.buffers())
    return sum(value.numel() * value.element_size() for value in held)


def peak_bytes(model: nn.Module, *inputs: Tensor) -> int:
    """The most bytes that one forward pass on ``inputs`` holds at once; see the module's text.

    What is returned counts, weights and inputs do not.
    """
    from torch.profiler import ProfilerActivity, profile

    # Without ``acc_events`` PyTorch warns of a loss of events that concerns schedules alone.
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as recorded:
        model(*inputs)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    events = sorted((e for e in events if e["name"] == "[memory]"), key=lambda e: e["ts"])
    changes = [int(event["args"]["Bytes"]) for event in events]
    return max(itertools.accumulate(changes, initial=0))


def table(rows: Sequence[Latency]) -> str:
    """Rows as a Markdown table; ratios that S2 prints stand in brackets beside ours."""
    names = {system: name for name, system in PAIRS.items()} | {TEACHER: "teacher"}
    lines: list[tuple[str, ...]] = [HEADER]
    for row in rows:
        ours = Ratios(row.faster, row.smaller, row.fewer_macs)
        s2 = S2.get(row.model) or (None,) * len(ours)
        faster, smaller, fewer = map(_beside, ours, s2)
        lines.append((
            f"{row.samples}", f"{row.batch}", f"{names.get(row.model, '')} {row.model}".strip(),
            *map(_figures, (row.ms, row.p95_ms, row.cpu_ms)), faster,
            f"{row.weights_bytes / 1e6:.2f}", f"{row.peak_bytes / 1e6:.2f}", smaller,
            _figures(row.macs / 1e9), fewer, f"{row.params:,}",
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    padded = (map(str.ljust, line, widths) for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _figures(value: float) -> str:
    """Three significant figures, and all of a whole number."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def _beside(ours: float, s2: float | None) -> str:
    """A ratio and that of S2; empty where there is none."""
    if math.isnan(ours):
        return ""
    return f"{ours:.2f}" + (f" (S2 {s2:g})" if s2 else "")


def processor() -> str:
    """Name of the processor, as the system gives it."""
    with contextlib.suppress(OSError):
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def parser() -> argparse.ArgumentParser:
    """The command line; needs no torch."""
    parse = argparse.ArgumentParser(
        prog="python -m scaling.deploy.latency",
        description="Latency, memory and MACs of systems on one CPU core, beside a teacher's.",
        epilog="exit code: 0 done, 2 no such system, or it cannot read such records",
    )
    add = parse.add_argument
    add("--pairs", nargs="*", choices=PAIRS, metavar="PAIR",
        help=f"S2's pairs of restoration net and student: {', '.join(PAIRS)} (default: all, or "
        "none with --models)")  # fmt: skip
    add("--models", nargs="+", default=[], metavar="NAME",
        help="others: FAMILY/SIZE, or unet/SIZE+FAMILY/SIZE")  # fmt: skip
    add("--teacher", default=TEACHER, metavar="FAMILY/SIZE",
        help="what ratios are to (default: %(default)s)")  # fmt: skip
    add("--samples", nargs="+", type=_positive, default=[1000, 6144], help="per lead")
    add("--batch", nargs="+", type=_positive, default=[1, 4], help="records at once")
    add("--input-leads", nargs="+", default=["I"], metavar="LEAD",
        help="leads that a pair sees (default: I)")  # fmt: skip
    add("--millivolts", action="store_true",
        help="a pair derives hidden limb leads (default: z-scored records, as in S2)")  # fmt: skip
    add("--classes", type=_positive, default=6, help="outputs (default: %(default)s)")
    add("--repetitions", type=_positive, default=REPETITIONS, help="rounds (default: %(default)s)")
    add("--json", action="store_true", help="JSON in place of the table, in milliseconds and bytes")
    return parse


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    given = parser().parse_args(arguments)
    pairs = list(PAIRS) if given.pairs is None and not given.models else given.pairs or []
    systems = list(dict.fromkeys([given.teacher, *(PAIRS[p] for p in pairs), *given.models]))
    try:
        for system, samples in itertools.product(systems, given.samples):
            check_system(system, samples, len(LEADS))
        lead_order(LEADS, given.input_leads)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_CONFIGURATION
    # Read when torch is imported: what its profiler says of itself.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    models = {
        name: build_system(
            name, LEADS, given.input_leads, given.classes, millivolts=given.millivolts
        )
        for name in systems
    }
    rows: list[Latency] = []
    for samples, batch in itertools.product(given.samples, given.batch):
        sys.stderr.write(f"{samples} samples, batch {batch}: {given.repetitions} rounds\n")
        rows += measure(
            models, samples, batch, reference=given.teacher, repetitions=given.repetitions
        )
    about = {
        "processor": processor(),
        "threads": 1,
        "versions": library_versions(),
        "commit": commit()[0],
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "repetitions": given.repetitions,
        "teacher": given.teacher,
        "input_leads": given.input_leads,
    }
    sys.stdout.write(_as_json(about, rows) if given.json else _as_text(about, rows))
    return OK


def _as_json(about: Mapping[str, Any], rows: Sequence[Latency]) -> str:
    """All that was measured, and the ratios that S2 prints where it has them."""
    found = [
        dataclasses.asdict(row) | {"s2": S2[row.model]._asdict() if row.model in S2 else None}
        for row in rows
    ]
    return json.dumps(without_nan({**about, "rows": found}), indent=1, allow_nan=False) + "\n"


def _as_text(about: Mapping[str, Any], rows: Sequence[Latency]) -> str:
    return (
        f"{about['processor']}, one thread, float32, torch {about['versions']['torch']}, "
        f"{about['date']}; {about['repetitions']} rounds. Times are of the batch; ratios are to\n"
        f"{about['teacher']} in the same run. Pairs see {', '.join(about['input_leads'])} of "
        f"{len(LEADS)} leads.\n{S2_SAYS}\n\n{table(rows)}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
