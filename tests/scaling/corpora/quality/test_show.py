"""ECG paper: true proportions, every lead where a reader looks for it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from scaling.corpora import catalogue
from scaling.corpora.errors import CorpusError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.quality import paper
from scaling.identity import LEADS, CorpusSpec
from tests.scaling.corpora import fake_source


def draw(corpus: Corpus, record: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure that ``save_png`` saved."""
    saved: list[Figure] = []
    real = Figure.savefig

    def save(figure: Figure, *arguments: Any, **options: Any) -> None:
        saved.append(figure)
        real(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", save)
    paper.save_png(corpus, record, out)
    return saved[0]


def test_twelve_leads_stand_in_four_columns_above_a_rhythm_strip() -> None:
    sheet = paper.lay_out(LEADS, 100, 1000)
    rows = {row: [t.lead for t in sheet.traces if t.y_mm == 22.5 + 25 * row] for row in range(4)}
    assert rows == {
        0: ["I", "aVR", "V1", "V4"],
        1: ["II", "aVL", "V2", "V5"],
        2: ["III", "aVF", "V3", "V6"],
        3: ["II"],
    }
    first = {t.lead: t for t in sheet.traces[:-1]}
    assert (first["V1"].start, first["V1"].stop) == (500, 750)
    assert first["V1"].x_mm - first["I"].x_mm == 5 * 25
    assert (sheet.width_mm, sheet.height_mm) == (260, 115)


@pytest.mark.parametrize(
    ("leads", "fs_hz", "samples", "rows", "seconds"),
    [
        (("I",), 500, 5120, 1, 10.0),  # more than ten seconds: the first ten
        (("I", "II", "V2"), 100, 500, 3, 5.0),
        (LEADS, 500, 1250, 4, 2.5),
        (LEADS[::-1], 257, 2570, 4, 10.0),
    ],
)
def test_other_windows_and_leads(
    leads: tuple[str, ...], fs_hz: int, samples: int, rows: int, seconds: float
) -> None:
    sheet = paper.lay_out(leads, fs_hz, samples)
    assert sheet.height_mm == rows * 25 + 15
    assert max(trace.stop for trace in sheet.traces) / fs_hz == seconds
    assert {t.lead for t in sheet.traces} == set(leads)
    for trace in sheet.traces:
        end = trace.x_mm + (trace.stop - trace.start) / fs_hz * 25
        assert trace.x_mm >= paper.LEFT_MM
        assert end <= sheet.width_mm


def test_a_fine_signal_is_thinned_to_its_extremes() -> None:
    lead = np.sin(np.arange(5000) / 30).astype(np.float32)
    lead[1234] = 9.0
    index, values = paper.extremes(lead, 8)
    assert len(index) == len(values) == 1250
    assert values.max() == 9.0
    assert index[values.argmax()] == 1234
    assert (np.diff(index) >= 0).all()
    assert len(paper.extremes(lead, 2)[0]) == 5000


def test_a_png_in_true_proportions(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = draw(corpus, "2", tmp_path / "x.png", monkeypatch)
    data = (tmp_path / "x.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    axes = figure.axes[0]
    box = axes.get_window_extent()
    mm = 260 / box.width
    assert axes.get_xlim() == (0, 260)
    assert mm == pytest.approx(115 / box.height)  # a millimetre is as long as it is high
    assert mm * paper.DPI == pytest.approx(25.4)
    assert width > box.width
    assert height > box.height
    signal = corpus.batch(np.array([1]))[0]
    ink = [line.get_data() for line in axes.lines if line.get_color() == paper.INK]
    x, y = max(ink, key=lambda data: np.size(data[0]))
    np.testing.assert_allclose(97.5 - np.asarray(y, float), signal[1] * 10, atol=1e-4)
    np.testing.assert_allclose(np.diff(np.asarray(x, float)), 0.25, atol=1e-9)


def test_the_calibration_pulse_is_a_millivolt_for_a_fifth_of_a_second() -> None:
    x, y = paper.pulse(50.0)
    assert (min(y), max(y)) == (40.0, 50.0)
    assert [x[k] for k in range(6) if y[k] == 40.0] == [1.5, 6.5]


def test_the_header_says_who_and_how(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = draw(corpus, "3", tmp_path / "x.png", monkeypatch)
    text = " | ".join(t.get_text() for t in figure.texts)
    for word in ("Record 3", "patient 12", "train", "female", "90 years", "preset none", "10 mm/mV",
                 "superclass: STTC", "rhythm: AFIB"):  # fmt: skip
        assert word in text
    assert {t.get_text() for t in figure.axes[0].texts} == set(LEADS)
    assert "not in the task" in paper.header(corpus, 5)[2]
    assert "years" not in paper.header(corpus, 3)[1]


def test_r_peaks_are_marked_on_the_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue.SOURCES, "fake", fake_source.INFO)
    text = "a$b^{c$ </b>"  # would be mathematics, or markup
    records = [(text, 1, "train", "ok"), ("r2", 2, "test", "ok")]
    root = fake_source.write(tmp_path / "fakes", records)
    spec = CorpusSpec(source="fake", window_s=4)
    corpus = Corpus.open(prepare(spec, tmp_path, root, lambda done, total: None, workers=1))
    figure = draw(corpus, text, tmp_path / "x.png", monkeypatch)
    assert figure.texts[0].get_text() == f"Record {text}"
    marks = next(line for line in figure.axes[0].lines if line.get_marker() == "^")
    expected = 8 + corpus.r_peaks(0) / 100 * 25
    np.testing.assert_allclose(np.asarray(marks.get_xdata(), float), expected)
    assert len(expected) == 4


def test_no_such_record(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no record '99'"):
        paper.save_png(corpus, "99", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
