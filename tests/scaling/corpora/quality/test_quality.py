"""The quality report: every finding counted where it was put, the page whole and harmless."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from scaling.corpora import catalogue
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.convert import Converted, convert
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.quality import report
from scaling.corpora.quality.report import findings, read_table
from scaling.corpora.sources.read import listed
from scaling.corpora.sources.read.base import Recording
from scaling.identity import CorpusSpec
from tests.scaling.corpora import fake_source

FAKE = CorpusSpec(source="fake", window_s=4)
Made = dict[str, dict[str, Any]]

# What conversion is to have found, by record; r3 is a copy of r2, and r9 (test) of r4 (train).
MADE: Made = {
    "r0": {"repaired_samples": 3},
    "r2": {"repaired_leads": ("III", "aVF")},
    "r4": {"flat_leads": ("V1",), "saturated_leads": ("V2",)},
    "r5": {"flat_leads": ("V1", "V2", "V3")},
    "r6": {"clipped_samples": 9},
    "r7": {"r_peaks": np.empty(0, np.int32)},
    "r8": {"lead_error_mv": 0.3},
    "r10": {"lead_error_mv": 0.01},
}
COPIES = {"r3": "r2", "r9": "r4"}


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setitem(catalogue.SOURCES, "fake", fake_source.INFO)
    monkeypatch.setattr(listed, "CHUNK", 3)
    records = fake_source.some(11, r1="unusable")
    numbers = {fake_source.signal_mv(i).tobytes(): i for i in range(11)}

    def made(recording: Recording, *rest: Any) -> Converted:
        name = f"r{numbers[recording.signal.tobytes()]}"
        original = int(COPIES.get(name, name)[1:])
        features = np.random.default_rng(original).integers(-9, 9, (2, 2080), np.int16)
        clean = dataclasses.replace(convert(recording, *rest), lead_error_mv=0.0, features=features)
        return dataclasses.replace(clean, **MADE.get(name, {}))

    monkeypatch.setattr("scaling.corpora.prepare.chunks.convert", made)
    root = fake_source.write(tmp_path / "fakes", records)
    return Corpus.open(prepare(FAKE, tmp_path, root, lambda done, total: None, workers=1))


def test_every_finding_is_counted_by_split(corpus: Corpus) -> None:
    head, *rows = read_table(corpus.path)
    assert head == ["check", "records", "share", "train", "validation", "test", "first"]
    table = {row[0]: row[1:] for row in rows}
    assert table == {
        "records": ["10", "1.000000", "7", "1", "2", ""],
        "listed, but the files are absent": ["2", "0.200000", "", "", "", ""],
        "left out by the source: the wrong kind": ["5", "0.500000", "", "", "", ""],
        "dropped, unusable: 2 s long, but the corpus asks for 4 s": [
            "1", "0.100000", "1", "0", "0", "r1",
        ],
        "missing samples filled in": ["1", "0.100000", "1", "0", "0", "r0"],
        "leads recomputed from others": ["1", "0.100000", "1", "0", "0", "r2"],
        "flat leads": ["2", "0.200000", "2", "0", "0", "r4 r5"],
        "leads clipped by the recorder": ["1", "0.100000", "1", "0", "0", "r4"],
        "samples beyond the range stored": ["1", "0.100000", "1", "0", "0", "r6"],
        "no R peak found": ["1", "0.100000", "1", "0", "0", "r7"],
        "limb leads disagree by more than 0.05 mV": ["1", "0.100000", "0", "1", "0", "r8"],
        "near-duplicate in the same split": ["2", "0.200000", "2", "0", "0", "r2 r3"],
        "near-duplicate in another split": ["2", "0.200000", "1", "0", "1", "r4 r9"],
        "not in the task odd": ["6", "0.600000", "4", "1", "1", "r0 r2 r4 r6 r8"],
        "no positive label of odd": ["0", "0.000000", "0", "0", "0", ""],
        "not in the task all": ["0", "0.000000", "0", "0", "0", ""],
        "no positive label of all": ["9", "0.900000", "7", "1", "1", "r0 r2 r3 r4 r5"],
    }  # fmt: skip


def test_the_worst_record_has_most_of_it(corpus: Corpus) -> None:
    worst = {finding.check: finding.worst for finding in findings(corpus)}
    assert worst["flat leads"] == corpus.row_of("r5")
    assert worst["leads clipped by the recorder"] == corpus.row_of("r4")
    assert worst["missing samples filled in"] == corpus.row_of("r0")
    assert worst["no positive label of odd"] is None


class Reader(html.parser.HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_page(corpus: Corpus) -> Reader:
    reader = Reader()
    reader.feed((corpus.path / "quality.html").read_text())
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_needs_no_other_file_and_runs_no_script(corpus: Corpus) -> None:
    reader = read_page(corpus)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in reader.seen}
    assert not any({"src", "href", "onload"} & set(attributes) for _, attributes in reader.seen)
    linked = {str(attributes.get("xlink:href", "#")) for _, attributes in reader.seen}
    assert all(place.startswith("#") for place in linked)  # marks that a plot repeats


def test_the_page_shows_the_worst_records_and_one_without_findings(corpus: Corpus) -> None:
    text = "".join(read_page(corpus).text)
    for shown in (
        "Record r5: flat leads",
        "Record r4: leads clipped by the recorder, near-duplicate in another split",
        "Record r7: no R peak found",
        "Record r0: missing samples filled in",
        "Record r2: leads recomputed from others, near-duplicate in the same split",
        "Mean heart rate of a record",
        "Peak-to-peak amplitude (10 records)",
        "odd: 3 train, 0 validation, 1 test",
    ):
        assert shown in text
    assert text.count("aVR") == 1 + report.STRIPS  # in a chart, and on every paper
    assert text.count("nothing found") == 1
    assert text.count("Record r") == report.STRIPS


def test_the_report_is_the_same_every_time(corpus: Corpus) -> None:
    first = (corpus.path / "quality.html").read_text()
    assert report.page(Corpus.open(corpus.path), findings(corpus)) == first


def test_text_of_a_dataset_cannot_become_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue.SOURCES, "fake", fake_source.INFO)
    evil = "<script>alert(1)</script>\n&'\""
    records = [(evil, 1, "train", "ok"), ("r2", 2, "train", "flat"), ("r3", 3, "test", "ok")]
    root = fake_source.write(tmp_path / "fakes", records)
    corpus = Corpus.open(prepare(FAKE, tmp_path, root, lambda done, total: None, workers=1))
    reader = read_page(corpus)
    assert "script" not in {tag for tag, _ in reader.seen}
    assert any(evil in text for text in reader.text)
    with (corpus.path / "quality.csv").open(newline="") as file:
        assert {len(row) for row in csv.reader(file)} == {7}


def test_many_classes_become_a_curve(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_CLASSES", 1)
    assert "rank of the class" in report.page(corpus, [])
    assert "rank of the class" not in (corpus.path / "quality.html").read_text()


def test_charts_of_nothing_are_drawn() -> None:
    none = np.zeros(1, np.int64)
    for svg in (
        report.histogram("s", np.array([0.0, 1.0]), {"all": none}),
        report.boxes("mV", ["I"], np.zeros((5, 1))),
        report.dots(["a"], {"train": [0.0]}),
    ):
        assert svg.startswith("<svg")


def test_dollars_and_decimals_of_a_class_stay() -> None:
    name = "a$b^{c$ <0.12345"
    with mpl.rc_context(report.STYLE):
        svg = report.dots([name], {"train": [0.5]})
    assert "a$b^{c$ &lt;0.12345" in svg
