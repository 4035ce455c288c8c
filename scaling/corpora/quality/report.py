"""The quality report of a corpus: what was found in its records, as a table and a page.

``quality.csv`` has one row a finding: how many records, of which split, and the first of them.
``quality.html`` shows the same with its plots inside, and no script: its text is in
``page.html.j2``, the plots are matplotlib's, as SVG. Both depend on nothing but the corpus, the
bytes of the page on the version of matplotlib too.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format import folder
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.folder import group_by_reason
from scaling.corpora.quality import paper
from scaling.corpora.signals.leads import TOLERANCE_MV
from scaling.records.names import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIRST = 5
SAMPLED = 2_000  # records whose amplitudes are looked at, spread evenly over the corpus
MOST_CLASSES = 80  # more are shown as a curve of ranks
STRIPS = 8
_POINTS_PER_S = 125  # of a strip; more would only make the page large
COLOURS = ("#0072b2", "#e69f00", "#009e73")  # told apart by the colour-blind too
_LEAST_SHARE = 1e-4  # left end of the axis of prevalences
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#555555",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.labelcolor": "linecolor",
    "text.parse_math": False,  # a "$" in a label of a dataset would otherwise be parsed
    "svg.fonttype": "none",
    "svg.hashsalt": "quality",
}
_NO_METADATA: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_PATH, _DECIMALS = re.compile(r' d="[^"]*"'), re.compile(r"(?<=\.\d\d)\d+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the report.

    Attributes:
        check: what was looked for.
        records: how many records it was found in.
        by_split: the same for train, validation and test; None where the split is not known.
        first: ids of the first few.
        worst: row of the record with most of it; None where no record is stored.
    """

    check: str
    records: int
    by_split: tuple[int, int, int] | None = None
    first: tuple[str, ...] = ()
    worst: int | None = None


def write_report(corpus: Corpus) -> None:
    """Write ``quality.csv`` and ``quality.html`` into the folder of a corpus."""
    report = findings(corpus)
    write_table(corpus, report)
    (corpus.path / folder.PAGE).write_text(page(corpus, report), encoding="utf-8")


def write_table(corpus: Corpus, report: Iterable[Finding]) -> None:
    """Write ``quality.csv`` into the folder of a corpus."""
    with (corpus.path / folder.QUALITY).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["check", "records", "share", *SPLITS, "first"])
        for found in report:
            share = f"{found.records / len(corpus):.6f}" if len(corpus) else ""
            splits = found.by_split or ("",) * len(SPLITS)
            writer.writerow([found.check, found.records, share, *splits, " ".join(found.first)])


def read_table(path: Path) -> list[list[str]]:
    """Rows of ``quality.csv`` of a corpus folder, its header first."""
    with (path / folder.QUALITY).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def findings(corpus: Corpus) -> list[Finding]:
    """Look for everything the report lists."""
    everyone = _finding(corpus, "records", np.ones(len(corpus)))
    report = [dataclasses.replace(everyone, first=(), worst=None)]
    report += _left_out(corpus)
    report += [_finding(corpus, check, measure) for check, measure in _measures(corpus)]
    report += _duplicates(corpus)
    for task in corpus.tasks:
        valid = corpus.valid(task)
        name = f" {task}" if task else ""
        report.append(_finding(corpus, f"not in the task{name}", ~valid))
        positive = [labels.any(axis=1) for labels in corpus.label_blocks(task)]
        without = valid & ~np.concatenate(positive)
        report.append(_finding(corpus, f"no positive label{name and ' of' + name}", without))
    return report


def _finding(corpus: Corpus, check: str, measure: NDArray[np.float64 | np.bool_]) -> Finding:
    """A finding from (records,) numbers that are positive where it was found."""
    rows = np.flatnonzero(measure > 0)
    counts = np.bincount(corpus.splits[rows], minlength=len(SPLITS)).tolist()
    return Finding(
        check=check,
        records=len(rows),
        by_split=(counts[0], counts[1], counts[2]),
        first=tuple(corpus.record_ids[row] for row in rows[:FIRST]),
        worst=int(np.argmax(measure)) if len(rows) else None,
    )


def _left_out(corpus: Corpus) -> Iterator[Finding]:
    notes = corpus.info["quality"]
    yield Finding(check="listed, but the files are absent", records=notes.get("missing_files", 0))
    for reason, count in notes.get("left_out", {}).items():
        yield Finding(check=f"left out by the source: {reason}", records=count)
    drops = corpus.dropped()
    for damaged, what in ((False, "unusable"), (True, "damaged")):
        for group in group_by_reason(drop for drop in drops if drop.damaged == damaged):
            splits = [drop.split for drop in group]
            yield Finding(
                check=f"dropped, {what}: {group[0].reason}",
                records=len(group),
                by_split=(splits.count("train"), splits.count("validation"), splits.count("test")),
                first=tuple(drop.record for drop in group[:FIRST]),
            )


def _measures(corpus: Corpus) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What conversion noted of each record."""
    table = corpus.quality()
    yield "missing samples filled in", table["repaired_samples"].to_numpy(np.float64)
    for column, check in (
        ("repaired_leads", "leads recomputed from others"),
        ("flat_leads", "flat leads"),
        ("saturated_leads", "leads clipped by the recorder"),
    ):
        yield check, np.array([len(names.split()) for names in table[column]], np.float64)
    yield "samples beyond the range stored", table["clipped_samples"].to_numpy(np.float64)
    yield "no R peak found", np.asarray(table["n_r_peaks"] == 0, np.float64)
    error = np.nan_to_num(table["lead_error_mv"].to_numpy(np.float64))
    yield (
        f"limb leads disagree by more than {TOLERANCE_MV} mV",
        np.where(error > TOLERANCE_MV, error, 0.0),
    )


def _duplicates(corpus: Corpus) -> Iterator[Finding]:
    """Records with a near-duplicate in the same split, and in another one."""
    from scaling.corpora.quality.overlap import near_duplicates

    same, other = np.zeros(len(corpus)), np.zeros(len(corpus))
    for a, b, *_ in near_duplicates(corpus.signatures):
        (same if corpus.splits[a] == corpus.splits[b] else other)[[a, b]] = 1
    yield _finding(corpus, "near-duplicate in the same split", same)
    yield _finding(corpus, "near-duplicate in another split", other)


def page(corpus: Corpus, report: Sequence[Finding]) -> str:
    """The page as HTML text."""
    import jinja2
    import matplotlib as mpl

    template: jinja2.Template = jinja2.Template(
        Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user has set: the same corpus gives the same page
        mpl.rcParams.update(STYLE)
        return template.render(
            corpus=corpus,
            findings=report,
            splits=SPLITS,
            sections=[
                ("Rates and amplitudes", [*_rates(corpus), _amplitudes(corpus)]),
                ("Labels", list(_prevalences(corpus))),
            ],
            drawn=[_record(corpus, row, why) for row, why in _chosen(corpus, report)],
        )


def _rates(corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Title and SVG of the histograms of each record's mean heart rate and of all RR intervals."""
    offsets, peaks, fs_hz = corpus.r_peak_offsets, corpus.all_r_peaks, corpus.info["fs_hz"]
    counts = np.diff(offsets)
    rows = np.flatnonzero(counts > 1)
    spans = peaks[offsets[rows + 1] - 1] - peaks[offsets[rows]]
    rates = 60.0 * fs_hz * (counts[rows] - 1) / np.maximum(spans, 1)
    edges = np.arange(20.0, 225.0, 5.0)
    by_split = {
        split: np.histogram(rates[corpus.splits[rows] == i], edges)[0]
        for i, split in enumerate(SPLITS)
    }
    yield "Mean heart rate of a record", histogram("beats/min", edges, by_split)
    edges = np.arange(0.2, 2.55, 0.05) - 0.5 / fs_hz  # between the intervals that can occur
    beats = np.zeros(len(edges) - 1, np.int64)
    for start in range(0, len(corpus), folder.BLOCK):
        bounds = offsets[start : start + folder.BLOCK + 1]
        gaps = np.diff(peaks[bounds[0] : bounds[-1]]) / fs_hz
        across = bounds[1:-1] - bounds[0] - 1  # from the last beat of a record to the next one's
        gaps[across[(across >= 0) & (across < len(gaps))]] = 0.0
        beats += np.histogram(gaps, edges)[0]
    yield "RR intervals", histogram("s", edges, {"all": beats})


def _amplitudes(corpus: Corpus) -> tuple[str, str]:
    """Peak-to-peak amplitude of each lead."""
    rows = np.unique(np.linspace(0, len(corpus) - 1, SAMPLED).astype(np.int64))
    spans = []
    for i in range(0, len(rows), 128):
        steps_BLT = corpus.steps(rows[i : i + 128])
        spans.append(steps_BLT.max(axis=-1).astype(np.float64) - steps_BLT.min(axis=-1))
    percentiles = np.percentile(np.concatenate(spans), [1, 25, 50, 75, 99], axis=0) * corpus.lsb
    unit = "mV" if corpus.units == "mV" else "units"
    title = f"Peak-to-peak amplitude ({len(rows):,} records)"
    return title, boxes(unit, corpus.leads, percentiles)


def _prevalences(corpus: Corpus) -> Iterator[tuple[str, str]]:
    for task in corpus.tasks:
        rows = {split: corpus.rows(split, task) for split in SPLITS}
        series = {split: corpus.prevalence(task, r) for split, r in rows.items() if len(r)}
        classes = corpus.classes(task)
        if not series or not classes:
            continue
        counts = ", ".join(f"{len(r):,} {split}" for split, r in rows.items())
        title = f"{task or 'Labels'}: {counts}"
        many = len(classes) > MOST_CLASSES
        yield title, ranks(series) if many else dots(classes, series)


def _chosen(corpus: Corpus, report: Iterable[Finding]) -> list[tuple[int, str]]:
    """Rows to draw, and why: the worst of each finding, then one that is in none."""
    chosen: dict[int, list[str]] = {}
    for finding in report:
        if finding.worst is not None and not finding.check.startswith(("not in", "no positive")):
            chosen.setdefault(finding.worst, []).append(finding.check)
    picked = [(row, ", ".join(why)) for row, why in list(chosen.items())[: STRIPS - 1]]
    table = corpus.quality()
    clean = (table["flat_leads"] == "") & (table["saturated_leads"] == "")
    clean &= (table["n_r_peaks"] > 1) & (table["clipped_samples"] == 0)
    rows = np.flatnonzero(clean.to_numpy())
    return picked + ([(int(rows[0]), "nothing found")] if len(rows) else [])


def _record(corpus: Corpus, row: int, why: str) -> dict[str, str]:
    """One record on paper in true size, and what stands above it."""
    sheet = paper.lay_out(corpus.leads, corpus.info["fs_hz"], corpus.info["samples"])
    axes = _axes(
        sheet.width_mm / paper.MM_PER_INCH, sheet.height_mm / paper.MM_PER_INCH, (0, 0, 0, 0)
    )
    paper.draw(axes, sheet, corpus, row, _POINTS_PER_S)
    title, known, labels = paper.header(corpus, row)
    return {"title": title, "why": why, "known": known, "labels": labels, "svg": _svg(axes)}


def histogram(
    unit: str, edges: NDArray[np.float64], series: Mapping[str, NDArray[np.int64]]
) -> str:
    """Outlines of histograms, name -> (bins,) counts, each scaled to a sum of one.

    ``edges`` are (bins + 1,) ascending; series without a count are left out.
    """
    axes = _axes(4.8, 2.4)
    for k, (name, counts) in enumerate(series.items()):
        if counts.sum():
            axes.stairs(counts / counts.sum(), edges, color=COLOURS[k], label=name)
    axes.set(xlim=(edges[0], edges[-1]), xlabel=unit, ylim=(0, None))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    if axes.patches:
        axes.legend()
    return _svg(axes)


def dots(names: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """One row a name with a dot for each series, on a common logarithmic axis of shares.

    ``series`` has (rows,) shares from 0 to 1; 0 stands as a ring at the left end.
    """
    axes = _rows(names)
    for k, (name, shares) in enumerate(series.items()):
        x, y = np.maximum(shares, _LEAST_SHARE), np.arange(len(names))
        some = np.asarray(shares) > 0
        style: dict[str, Any] = {"color": COLOURS[k], "markersize": 5, "clip_on": False}
        axes.plot(x[some], y[some], "o", alpha=0.7, label=name, **style)
        axes.plot(np.full((~some).sum(), 0.7 * _LEAST_SHARE), y[~some], "o", mfc="none", **style)
    axes.set(xscale="log", xlim=(0.7 * _LEAST_SHARE, 1.0), xlabel="share of the records")
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes.grid(axis="x", color="#e8e8e8")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(series), borderaxespad=0)
    return _svg(axes)


def boxes(unit: str, names: Sequence[str], percentiles: NDArray[np.float64]) -> str:
    """One row a name: whiskers, box and stroke at ``percentiles`` (5, rows): 1, 25, 50, 75, 99."""
    axes = _rows(names)
    y = np.arange(len(names))
    low, quarter, middle, three, high = percentiles
    axes.hlines(y, low, high, color=COLOURS[0], linewidth=1)
    axes.barh(y, three - quarter, 0.6, quarter, facecolor="#cfe3f1", edgecolor=COLOURS[0])
    axes.plot(middle, y, "|", color=COLOURS[0], markersize=9, markeredgewidth=2)
    axes.set(xlim=(0, float(high.max()) or 1.0), xlabel=unit)
    return _svg(axes)


def ranks(series: Mapping[str, Sequence[float]]) -> str:
    """Prevalences, name -> (classes,), in falling order against their rank, on a log axis."""
    axes = _axes(4.8, 2.4)
    for k, (name, shares) in enumerate(series.items()):
        falling = np.maximum(np.sort(shares)[::-1], 1e-5)
        axes.plot(np.arange(1, len(falling) + 1), falling, color=COLOURS[k], label=name)
    axes.set(yscale="log", ylim=(1e-5, 1.0), xlabel="rank of the class")
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:g}")
    axes.legend()
    return _svg(axes)


def _axes(
    width: float, height: float, margins: tuple[float, ...] = (0.55, 0.45, 0.15, 0.1)
) -> Axes:
    """Axes of a figure of their own; its size and margins (left, bottom, right, top) in inches."""
    from matplotlib.figure import Figure

    left, bottom, right, top = margins
    inside = ((width - left - right) / width, (height - bottom - top) / height)
    return Figure(figsize=(width, height)).add_axes((left / width, bottom / height, *inside))


def _rows(names: Sequence[str]) -> Axes:
    """Axes that have a row a name, the first at the top."""
    left = 0.25 + 0.065 * max(map(len, names))
    axes = _axes(left + 3.9, 0.75 + 0.18 * len(names), (left, 0.45, 0.3, 0.3))
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_ylim(len(names) - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
    return axes


def _svg(axes: Axes) -> str:
    """The figure as an ``<svg>`` element, to a hundredth of a point: 4 um on paper."""
    target = io.StringIO()
    axes.figure.canvas.print_figure(target, format="svg", metadata=_NO_METADATA)
    text = target.getvalue()
    return _PATH.sub(lambda path: _DECIMALS.sub("", path[0]), text[text.index("<svg") :])
