"""The page of the quality report: one HTML file with its plots inside, and no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format import folder
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.splits import SPLITS
from scaling.corpora.quality import charts, paper
from scaling.corpora.quality.report import Finding
from scaling.corpora.quality.show import header

SAMPLED = 2_000  # records whose amplitudes are looked at, spread evenly over the corpus
MOST_CLASSES = 80  # more are shown as a curve of ranks
STRIPS = 8
_POINTS_PER_S = 125  # of a strip; more would only make the page large

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#222;max-width:1060px;margin:24px auto;
padding:0 16px}
h1{font-size:22px;margin:0 0 4px} h2{font-size:17px;margin:28px 0 8px}
p.about{color:#555;margin:0 0 16px} table{border-collapse:collapse;width:100%}
th,td{padding:4px 8px;text-align:right;border-bottom:1px solid #e5e5e5;
font-variant-numeric:tabular-nums}
th:first-child,td:first-child,th:last-child,td:last-child{text-align:left;overflow-wrap:anywhere}
tr.none td{color:#999} .charts{display:flex;flex-wrap:wrap;gap:18px;align-items:flex-start}
figure{margin:0} figcaption{font-weight:600;margin-bottom:2px} svg{max-width:100%;height:auto}
.charts text{font:11px system-ui,sans-serif}
.strip{margin:14px 0} .strip svg{border:1px solid #e9a5a5}
.strip p{margin:0 0 3px;color:#555;font-size:13px} .strip b{color:#222}
.lead{font:bold 3px system-ui,sans-serif;fill:#101010;stroke:none}
"""


def page(corpus: Corpus, found: Sequence[Finding]) -> str:
    """The page as HTML text."""
    spec, info = corpus.spec, corpus.info
    shape = f"{len(corpus.leads)} leads, {info['samples']} samples at {info['fs_hz']} Hz"
    about = (
        f"{len(corpus):,} records, {shape}, preset {spec.preprocessing}; "
        f"corpus {spec.key}, fingerprint {info['fingerprint'] or 'none (no files)'}"
    )
    title = f"Quality of {spec.source}"
    return "".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width, initial-scale=1'>",
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1><p class='about'>{escape(about)}</p>",
            _table(corpus, found),
            "<h2>Rates and amplitudes</h2><div class='charts'>",
            *_rates(corpus),
            _amplitudes(corpus),
            "</div><h2>Labels</h2><div class='charts'>",
            *_prevalences(corpus),
            "</div><h2>Records to look at</h2>",
            "<p class='about'>The record with most of each finding, and the first one without any."
            " 25 mm/s, 10 mm to the unit; triangles are R peaks.</p>",
            *(_strip(corpus, row, why) for row, why in _chosen(corpus, found)),
            "</body></html>\n",
        ]
    )


def _table(corpus: Corpus, found: Sequence[Finding]) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("finding", "records", "share", *SPLITS, "such as")
    )
    rows = []
    for finding in found:
        share = f"{finding.records / len(corpus):.2%}"
        splits = [f"{n:,}" for n in finding.by_split] if finding.by_split else [""] * len(SPLITS)
        cells = [finding.check, f"{finding.records:,}", share, *splits, ", ".join(finding.first)]
        kind = "" if finding.records else " class='none'"
        rows.append(f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _rates(corpus: Corpus) -> Iterator[str]:
    """Histograms of each record's mean heart rate, and of all RR intervals."""
    offsets, peaks, fs_hz = corpus.r_peak_offsets, corpus.all_r_peaks, corpus.info["fs_hz"]
    counts = np.diff(offsets)
    rows = np.flatnonzero(counts > 1)
    spans = peaks[offsets[rows + 1] - 1] - peaks[offsets[rows]]
    rates = 60.0 * fs_hz * (counts[rows] - 1) / np.maximum(spans, 1)
    edges = np.arange(20.0, 225.0, 5.0)
    by_split = {
        split: np.histogram(rates[corpus.splits[rows] == i], edges)[0].tolist()
        for i, split in enumerate(SPLITS)
    }
    yield charts.histogram("Mean heart rate of a record", "beats/min", edges.tolist(), by_split)
    edges = np.arange(0.2, 2.55, 0.05) - 0.5 / fs_hz  # between the intervals that can occur
    beats = np.zeros(len(edges) - 1, np.int64)
    for start in range(0, len(corpus), folder.BLOCK):
        bounds = offsets[start : start + folder.BLOCK + 1]
        gaps = np.diff(peaks[bounds[0] : bounds[-1]]) / fs_hz
        across = bounds[1:-1] - bounds[0] - 1  # from the last beat of a record to the next one's
        gaps[across[(across >= 0) & (across < len(gaps))]] = 0.0
        beats += np.histogram(gaps, edges)[0]
    yield charts.histogram("RR intervals", "s", edges.tolist(), {"all": beats.tolist()})


def _amplitudes(corpus: Corpus) -> str:
    """Peak-to-peak amplitude of each lead."""
    rows = np.unique(np.linspace(0, len(corpus) - 1, SAMPLED).astype(np.int64))
    spans = [_span(corpus, rows[i : i + 128]) for i in range(0, len(rows), 128)]
    shares = np.percentile(np.concatenate(spans), [1, 25, 50, 75, 99], axis=0).T * corpus.lsb
    unit = "mV" if corpus.units == "mV" else "units"
    title = f"Peak-to-peak amplitude ({len(rows):,} records)"
    return charts.boxes(title, unit, corpus.leads, shares.tolist())


def _span(corpus: Corpus, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    steps_BLT = corpus.steps(rows)
    spans: NDArray[np.float64] = steps_BLT.max(axis=-1).astype(np.float64) - steps_BLT.min(axis=-1)
    return spans


def _prevalences(corpus: Corpus) -> Iterator[str]:
    for task in corpus.tasks:
        rows = {split: corpus.rows(split, task) for split in SPLITS}
        series = {split: corpus.prevalence(task, r) for split, r in rows.items() if len(r)}
        classes = corpus.classes(task)
        if not series or not classes:
            continue
        counts = ", ".join(f"{len(r):,} {split}" for split, r in rows.items())
        title = f"{task or 'Labels'}: {counts}"
        if len(classes) > MOST_CLASSES:
            yield charts.curves(title, "rank of the class", series)
        else:
            yield charts.dots(title, classes, series)


def _chosen(corpus: Corpus, found: Iterable[Finding]) -> list[tuple[int, str]]:
    """Rows to draw, and why: the worst of each finding, then one that is in none."""
    chosen: dict[int, list[str]] = {}
    for finding in found:
        if finding.worst is not None and not finding.check.startswith(("not in", "no positive")):
            chosen.setdefault(finding.worst, []).append(finding.check)
    picked = [(row, ", ".join(why)) for row, why in list(chosen.items())[: STRIPS - 1]]
    table = corpus.quality()
    clean = (table["flat_leads"] == "") & (table["saturated_leads"] == "")
    clean &= (table["n_r_peaks"] > 1) & (table["clipped_samples"] == 0)
    rows = np.flatnonzero(clean.to_numpy())
    return picked + ([(int(rows[0]), "nothing found")] if len(rows) else [])


def _strip(corpus: Corpus, row: int, why: str) -> str:
    """One record on paper, as SVG in millimetres."""
    fs_hz = corpus.info["fs_hz"]
    sheet = paper.lay_out(corpus.leads, fs_hz, corpus.info["samples"])
    signal_LT = corpus.batch(np.array([row]))[0]
    parts = []
    for trace in sheet.traces:
        lead = signal_LT[corpus.leads.index(trace.lead), trace.start : trace.stop]
        x, y = _thinned(lead, fs_hz)
        points = " ".join(
            f"{trace.x_mm + a * paper.MM_PER_S:.2f},{trace.y_mm - b * paper.MM_PER_UNIT:.2f}"
            for a, b in zip(x.tolist(), y.tolist(), strict=True)
        )
        parts.append(f'<polyline points="{points}"/>')
        parts.append(
            f'<text x="{trace.x_mm + 0.8:.1f}" y="{trace.y_mm - 8:.1f}" class="lead">'
            f"{trace.lead}</text>"
        )
    last = sheet.traces[-1]
    peaks = corpus.r_peaks(row)
    for peak in peaks[(peaks >= last.start) & (peaks < last.stop)].tolist():
        at = last.x_mm + peak / fs_hz * paper.MM_PER_S
        foot = sheet.height_mm - 0.6
        parts.append(f'<path d="M{at:.2f} {foot - 2:.1f}l1 2h-2z" fill="#b00020" stroke="none"/>')
    title, known, labels = header(corpus, row)
    w, h = sheet.width_mm, sheet.height_mm
    return (
        f"<div class='strip'><p><b>{escape(title)}: {escape(why)}</b><br>{escape(known)}<br>"
        f"{escape(labels)}</p><svg viewBox='0 0 {w:g} {h:g}' width='{4 * w:g}' height='{4 * h:g}'>"
        f"{_grid(w, h)}<g fill='none' stroke='#101010' stroke-width='.25'>"
        f"{''.join(parts)}</g></svg></div>"
    )


def _thinned(
    lead: NDArray[np.float32], fs_hz: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times in seconds and values; of a fine signal the smallest and largest of each stretch."""
    width = max(1, 2 * fs_hz // _POINTS_PER_S)
    if width <= 2:
        return np.arange(len(lead)) / fs_hz, lead
    whole = len(lead) // width * width
    stretches = lead[:whole].reshape(-1, width)
    order = np.sort(np.stack([stretches.argmin(axis=1), stretches.argmax(axis=1)], axis=1), axis=1)
    index = (order + np.arange(0, whole, width)[:, None]).ravel()
    return index / fs_hz, lead[index]


def _grid(width: float, height: float) -> str:
    lines = []
    for step, colour, line in ((1, "#f6d5d5", 0.1), (5, "#e9a5a5", 0.15)):
        path = "".join(f"M{x} 0v{height:g}" for x in range(0, int(width) + 1, step))
        path += "".join(f"M0 {y}h{width:g}" for y in range(0, int(height) + 1, step))
        lines.append(f"<path d='{path}' stroke='{colour}' stroke-width='{line:g}' fill='none'/>")
    return "".join(lines)
