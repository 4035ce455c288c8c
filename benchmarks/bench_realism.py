"""How near virtual patients come to real recordings, in figures and to a network.

``python -m benchmarks.bench_realism --root PTB-XL`` takes about two minutes on one core and
compares ``virtual/ptbxl`` with PTB-XL at 100 Hz. The generator may have been adjusted to records
of the odd folds (``strat_fold`` 1, 3, 5, 7, 9); those of the even folds, other patients, judge it.

Figures: "inside" is inside the 95 % interval of the even folds (1,000 bootstraps over patients),
"halfway" at most half as far from their value as the generator before, and "no" neither. The
generator before is that of commit f55f055, measured by this same code (``--before``, kept in
``realism_before.json``). The exit code is 1 if a named figure says no; the others, in brackets,
are for information.

Network: how well a small one tells real recordings called NORM and SR (preset ``heartlang``) from
as many virtual ones, after learning on the odd folds: AUROC on the even ones, 0.5 being chance;
three seeds. It is reported and does not change the exit code. How sharp the test is shows in a
model that knows only means and covariances: beats drawn from a Gaussian fitted to the odd folds.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.signals.presets import MV_PER_LSB, quantise
from scaling.identity import CorpusSpec
from scaling.records.patients import Estimate, Resamples

sys.path.insert(0, str(Path(__file__).resolve().parent))  # also as a module

from realism_figures import (
    FS_HZ,
    Figure,
    Recordings,
    named_figures,
    other_figures,
    table,
    verdict,
)
from realism_tell import Halves, filtered, filtered_beat, gaussian_model, told

COHORT, RECORDS, PART = "virtual/ptbxl", 6000, 250
BEFORE = Path(__file__).with_name("realism_before.json")
RESAMPLES, SEEDS = 1000, (0, 1, 2)
EPOCHS = {"median beat": 25, "strip of 10 s": 12}
MOST = 500  # records of a half that the network sees
BAR = 0.95  # largest mean AUROC on the median beat
TASKS = ("all", "superclass", "rhythm")


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parse.add_argument("--root", type=Path, default=Path("../shared/data/ptb-xl"))
    parse.add_argument("--markdown", action="store_true", help="print the table of the docs")
    parse.add_argument(
        "--before", type=Path, metavar="TREE",
        help="measure the generator of another checkout and keep its values as those before",
    )  # fmt: skip
    options = parse.parse_args()
    if not (options.root / "ptbxl_database.csv").is_file():
        print(f"      left out: no PTB-XL at {options.root}; pass --root FOLDER")
        return 0
    torch.set_num_threads(1)
    began = time.perf_counter()
    if options.before:
        use_generator(options.before)
    comparison = compare(options.root)
    if options.before:
        kept = json.dumps(dataclasses.asdict(comparison.now), indent=1)
        BEFORE.write_text(kept + "\n")
        return 0
    before = Generator(**json.loads(BEFORE.read_text()))
    if options.markdown:
        print("\n".join(markdown(comparison, before)))
        return 0
    good = report(comparison, before)
    print(f"      {time.perf_counter() - began:.0f} s")
    return 0 if good else 1


# --- recordings ------------------------------------------------------------------------------


def use_generator(tree: Path) -> None:
    """Take the generator of another checkout, and all else from this one."""
    name, folder = "scaling.corpora.virtual", tree / "scaling/corpora/virtual"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec and spec.loader and not any(module.startswith(name) for module in sys.modules)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def recorded(root: Path) -> tuple[Recordings, NDArray[np.bool_]]:
    """PTB-XL, and which records are of the odd folds."""
    with tempfile.TemporaryDirectory() as cache:
        spec = CorpusSpec(source="ptbxl", fs_hz=FS_HZ)
        corpus = Corpus.open(prepare(spec, Path(cache), root, lambda done, total: None))
        frames = [
            pd.DataFrame(corpus.labels(task).astype(bool), columns=corpus.classes(task))
            for task in TASKS
        ]
        rows = np.arange(len(corpus))
        found = Recordings(corpus.batch(rows), corpus.patients.copy(), *frames)
        folds = pd.read_csv(root / "ptbxl_database.csv", index_col="ecg_id")["strat_fold"]
        return found, folds[[int(name) for name in corpus.record_ids]].to_numpy() % 2 == 1


def made(count: int) -> Recordings:
    """The first records of the cohort, in steps of 1 uV as PTB-XL is."""
    from scaling.corpora.virtual.cohorts import COHORTS
    from scaling.corpora.virtual.cohorts.records import records_of

    parts = [
        records_of(COHORTS[COHORT], 0, "train", start, start + PART, FS_HZ, 10 * FS_HZ)
        for start in range(0, count, PART)
    ]
    frames = [
        pd.DataFrame(
            np.concatenate([part.labels[task] for part in parts]).astype(bool),
            columns=COHORTS[COHORT].tasks[task].classes,
        )
        for task in TASKS
    ]
    steps = np.concatenate([quantise(part.signals)[0] for part in parts])
    patients = np.concatenate([part.patients for part in parts])
    return Recordings(steps * np.float32(MV_PER_LSB), patients, *frames)


# --- compared --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Generator:
    """What is measured of a generator, and kept of the one before.

    Attributes:
        figures: name -> value.
        told: "median beat" or "strip of 10 s" -> AUROC of each seed.
    """

    figures: dict[str, float]
    told: dict[str, list[float]]


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that is measured.

    Attributes:
        odd: figure -> value on the odd folds.
        even: figure -> the same on the even folds, with its interval.
        now: of the virtual patients.
        gaussian: AUROC of the Gaussian model's beats, for each seed.
    """

    odd: dict[str, float]
    even: dict[str, Estimate]
    now: Generator
    gaussian: list[float]


def compare(root: Path) -> Comparison:
    """Measure both."""
    real, is_odd = recorded(root)
    virtual = made(RECORDS)
    rows, virtual_rows = table(real), table(virtual)
    weights = Resamples.draw(real.patients[~is_odd], count=RESAMPLES).weights_NR
    figures = [*named_figures(), *other_figures()]
    strips, beats = split(real, is_odd, virtual)
    told_apart = {
        name: [told(*halves, EPOCHS[name], seed) for seed in SEEDS]
        for name, halves in (("median beat", beats), ("strip of 10 s", strips))
    }
    return Comparison(
        odd={f.name: f.of(f.values(rows[is_odd])) for f in figures},
        even={f.name: f.estimate(rows[~is_odd], weights) for f in figures},
        now=Generator({f.name: f.of(f.values(virtual_rows)) for f in figures}, told_apart),
        gaussian=[
            told(beats[0], drawn(beats[0], seed), EPOCHS["median beat"], seed) for seed in SEEDS
        ],
    )


def drawn(real: Halves, seed: int) -> Halves:
    """As many beats of the Gaussian model."""
    return gaussian_model(real.train_NLT, (len(real.train_NLT), len(real.test_NLT)), seed)


def split(
    real: Recordings, is_odd: NDArray[np.bool_], virtual: Recordings
) -> tuple[tuple[Halves, Halves], tuple[Halves, Halves]]:
    """Strips and median beats called normal, real and virtual, to learn from and judge on."""
    strips, beats, rows = normal(real)
    halves = [np.flatnonzero(is_odd[rows])[:MOST], np.flatnonzero(~is_odd[rows])[:MOST]]
    made_strips, made_beats, rows = normal(virtual)
    made_halves = apart(virtual.patients[rows], [len(half) for half in halves])
    return (
        (Halves(*(strips[k] for k in halves)), Halves(*(made_strips[k] for k in made_halves))),
        (Halves(*(beats[k] for k in halves)), Halves(*(made_beats[k] for k in made_halves))),
    )


def apart(patients: NDArray[np.int64], sizes: list[int]) -> list[NDArray[np.int64]]:
    """Two sets of rows of these sizes without a patient in common.

    Args:
        patients: (records,) ids; the records of a patient lie together.
        sizes: of the sets.

    Raises:
        ValueError: there are not as many.
    """
    first = np.arange(sizes[0])
    second = np.flatnonzero(~np.isin(patients, patients[first]))[: sizes[1]]
    if len(second) < sizes[1]:
        raise ValueError(f"{len(patients)} normal virtual records are too few: raise RECORDS")
    return [first, second]


def normal(
    of: Recordings,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Filtered strips and median beats of the records called normal, and their rows."""
    rows = np.flatnonzero(of.normal)
    strips = filtered(of.signals[rows])
    beats = [filtered_beat(of.signals[row], strip) for row, strip in zip(rows, strips, strict=True)]
    kept = [k for k, beat in enumerate(beats) if beat is not None]
    return strips[kept], np.stack([beat for beat in beats if beat is not None]), rows[kept]


# --- shown -----------------------------------------------------------------------------------


def report(c: Comparison, before: Generator) -> bool:
    """Print everything; whether no named figure says no."""
    said_of_named = []
    print_row("", "real odd", "real even", "95 % interval", "now", "before", "")
    for figure in [*named_figures(), *other_figures()]:
        name, even = figure.name, c.even[figure.name]
        now, old = c.now.figures[name], before.figures[name]
        said = verdict(now, old, even)
        said_of_named += [said] if figure.named else []
        odd, value = number(c.odd[name]), number(even.value)
        shown = said if figure.named else f"({said})"
        print_row(label(figure), odd, value, interval(even), number(now), number(old), shown)
    counts = ", ".join(f"{said_of_named.count(v)} {v}" for v in ("inside", "halfway", "no"))
    print(f"      named figures: {counts}")
    for name, values in c.now.told.items():
        line = f"AUROC {spread(values)}, before {spread(before.told[name])}"
        print(f"      told apart by the {name}: {line}")
    print(f"      a Gaussian model fitted to the odd folds, median beat: {spread(c.gaussian)}")
    reached = np.mean(c.now.told["median beat"]) <= BAR
    print(f"      at most {BAR} on the median beat: {'reached' if reached else 'not reached'}")
    return "no" not in said_of_named


def print_row(name: str, odd: str, even: str, ends: str, now: str, old: str, said: str) -> None:
    """One line of the table."""
    print(f"      {name:31}{odd:>9}{even:>11}{ends:>18}{now:>10}{old:>10}  {said}")


def markdown(c: Comparison, before: Generator) -> Iterator[str]:
    """The table of ``docs/virtual-patients.md``."""
    yield "| | real, even folds | before | now | |"
    yield "|---|---|---|---|---|"
    for figure in named_figures():
        name, even = figure.name, c.even[figure.name]
        now, old = c.now.figures[name], before.figures[name]
        real = f"{number(even.value)} {interval(even)}"
        values = f"{number(old)} | {number(now)} | {verdict(now, old, even)}"
        yield f"| {label(figure)} | {real} | {values} |"
    for name, told_now in c.now.told.items():
        told_before = spread(before.told[name])
        yield f"| told apart by the {name}, AUROC | | {told_before} | {spread(told_now)} | |"
    yield f"| the same of beats of a Gaussian model | | | {spread(c.gaussian)} | |"


def label(figure: Figure) -> str:
    """Name and unit."""
    return f"{figure.name} ({figure.unit})" if figure.unit else figure.name


def number(value: float) -> str:
    """Three digits, at most three of them decimals."""
    return f"{value:.{sum(abs(value) < limit for limit in (1, 10, 100))}f}"


def interval(estimate: Estimate) -> str:
    """Its ends."""
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def spread(values: Sequence[float]) -> str:
    """Mean and range."""
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    sys.exit(main())
