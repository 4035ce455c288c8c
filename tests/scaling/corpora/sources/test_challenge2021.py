"""Challenge 2021: labels from codes, parts, rates, and what is odd in the headers."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.errors import CorpusError
from scaling.corpora.registry import open_source
from scaling.corpora.sources.challenge2021 import LITEHEART_CLASSES, SCORED, SCORED_CLASSES
from scaling.corpora.sources.read.base import Recording, Rows, Source
from scaling.corpora.sources.read.headers import parse_annotated
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import challenge2021 as layout
from tests.scaling.corpora.layouts import wfdb_mat

WHOLE = CorpusSpec(source="challenge2021")
GEORGIA = CorpusSpec(source="challenge2021/georgia")
Break = Callable[[Path], object]


class TestWhole(SourceContract):
    spec = WHOLE
    # lead V1, sample 10 of record 11: (70 + 186 + 1111) mod 2001 - 1000 = 367 steps of 1 uV;
    # the only record of its part, and a single record is one of training
    expected = Expected(
        record="I0001", lead="V1", sample=10, value=0.367,
        task="scored", positives=frozenset({"PAC|SVPB"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "challenge")


class TestGeorgia(SourceContract):
    spec = GEORGIA
    # lead II, sample 3 of record 1: (21 + 31 + 101) mod 2001 - 1000 = -847;
    # the only record of AF, and the first record of a class goes to training
    expected = Expected(
        record="E00001", lead="II", sample=3, value=-0.847,
        task="liteheart", positives=frozenset({"AF", "RBBB"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write_georgia(tmp_path / "anything")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layout.write(tmp_path / "challenge")


def rows_of(source: Source) -> Rows:
    (chunk,) = source.chunks()
    return chunk.read()[0]


def names(source: Source, task: str) -> dict[str, set[str]]:
    rows = rows_of(source)
    return {
        record: {source.classes[task][k] for k in np.flatnonzero(positive)}
        for record, positive, valid in zip(
            rows.records, rows.labels[task], rows.valid[task], strict=True
        )
        if valid
    }


def liteheart_rule(counts: dict[str, int]) -> tuple[str, ...]:
    """The classes that LiteHeart keeps of a set: scored diagnoses with more than 200 records."""
    return tuple(name for name in SCORED if counts.get(name, 0) > 200)


def test_equivalent_diagnoses_are_one_class_in_scored_and_two_in_liteheart(root: Path) -> None:
    assert len(SCORED) == 30
    assert len(SCORED_CLASSES) == 26
    georgia = open_source(GEORGIA, root)
    assert names(georgia, "scored") == {
        "E00001": {"AF", "CRBBB|RBBB"}, "E00002": {"NSR"}, "E00003": {"NSR"},
        "E00005": {"PAC|SVPB"},
    }  # fmt: skip
    # SVPB is no class of Georgia's list, and is not taken for PAC, which is one
    assert names(georgia, "liteheart") == {
        "E00001": {"AF", "RBBB"}, "E00002": {"NSR"}, "E00003": {"NSR"},
    }  # fmt: skip


def test_ventricular_ectopics_of_cpsc_are_not_scored(root: Path) -> None:
    found = names(open_source(WHOLE, root), "scored")
    assert "A0001" not in found
    assert found["S23074"] == {"AFL", "SB"}


def test_the_class_lists_follow_from_the_published_counts() -> None:
    assert set(layout.PARTS) == set(LITEHEART_CLASSES)
    having = {name for name, info in SOURCES.items() if "liteheart" in info.tasks}
    assert having == {f"challenge2021/{part}" for part in LITEHEART_CLASSES}
    sizes = {"georgia": 18, "ptb-xl": 19, "ningbo": 23, "chapman_shaoxing": 16}
    for column, part in enumerate(layout.PARTS):
        counts = {name: row[column] for name, row in layout.PUBLISHED_COUNTS.items()}
        assert liteheart_rule(counts) == tuple(LITEHEART_CLASSES[part])
        assert len(LITEHEART_CLASSES[part]) == sizes[part]
    assert liteheart_rule({"AF": 200, "SB": 201}) == ("SB",)
    assert layout.PUBLISHED_COUNTS["AF"][2] == 0  # Ningbo codes fibrillation as flutter
    assert "AF" not in LITEHEART_CLASSES["ningbo"]


def test_ages_sexes_rates_and_lengths(root: Path) -> None:
    source = open_source(WHOLE, root)
    (chunk,) = source.chunks()
    rows, recordings = chunk.read()
    people = dict(zip(rows.records, zip(rows.ages, rows.sexes, strict=True), strict=True))
    assert people["E00001"] == (None, "female")
    assert people["E00002"] == (56.0, "male")
    assert people["E00003"] == (None, None)
    assert people["E00004"] == (90.0, None)
    assert people["E00005"] == (None, "female")
    shapes = {}
    for record, recording in zip(rows.records, recordings, strict=True):
        assert isinstance(recording, Recording)
        shapes[record] = (recording.fs_hz, recording.signal.shape[1])
    assert shapes["I0001"] == (257, 4626)
    assert shapes["S0001"] == (1000, 10_000)
    assert shapes["E00005"] == (500, 2500)
    assert shapes["S23074"] == (500, 5000)  # its signal is in JS23074.mat


def test_no_patient_is_invented_and_the_notes_say_so(root: Path) -> None:
    source = open_source(WHOLE, root)
    rows = rows_of(source)
    assert len(set(rows.patients.tolist())) == len(rows.records)
    assert any("every record counts as one patient" in line for line in source.notes()["remarks"])


def test_a_gain_that_is_not_the_usual_one_is_reported_and_followed(root: Path) -> None:
    head = root / "training/georgia/g1/E00002.hea"
    head.write_text(head.read_text().replace("1000/mV", "4880/mV"))
    source = open_source(GEORGIA, root)
    assert any("4880/mV in 1 (such as E00002)" in line for line in source.notes()["remarks"])
    signals = dict(zip(rows_of(source).records, source.chunks()[0].read()[1], strict=True))
    recording = signals["E00002"]
    assert isinstance(recording, Recording)
    assert recording.signal[1, 3] == pytest.approx((21 + 31 + 202 - 1000) / 4880)


def test_a_single_lead_of_another_gain_is_reported(root: Path) -> None:
    head = root / "training/georgia/g1/E00002.hea"
    lines = head.read_text().split("\n")
    lines[7] = lines[7].replace("1000/mV", "500/mV")
    head.write_text("\n".join(lines))
    remarks = open_source(GEORGIA, root).notes()["remarks"]
    assert any("1000/mV and 500/mV in 1 (such as E00002)" in line for line in remarks)


@pytest.mark.parametrize("place", ["training", "training/georgia"])
def test_the_root_may_be_further_down(root: Path, place: str) -> None:
    found = open_source(GEORGIA, root / place)
    assert found.fingerprint == open_source(GEORGIA, root).fingerprint


def test_a_part_is_split_as_it_is_in_the_whole(root: Path) -> None:
    for number in range(20, 60):
        code = (layout.NSR, layout.SB, layout.AF)[number % 3]
        wfdb_mat.write(root / "training/georgia/g3", f"E{number:05d}", number, code, samples=10)
    whole, part = rows_of(open_source(WHOLE, root)), rows_of(open_source(GEORGIA, root))
    in_whole = dict(zip(whole.records, whole.splits, strict=True))
    assert all(in_whole[r] == s for r, s in zip(part.records, part.splits, strict=True))
    counts = collections.Counter(part.splits)
    assert counts["train"] > counts["test"] > 0 < counts["validation"]


def test_a_partial_download_is_counted(root: Path) -> None:
    (root / "training/georgia/g1/E00002.mat").unlink()
    (root / "training/georgia/g1/E00003.hea").unlink()
    source = open_source(GEORGIA, root)
    assert source.summary("scored").absent == 1
    assert source.notes()["missing_files"] == 1
    assert source.notes()["left_out"] == {"signal file that no header names": 1}


def edit(old: str, new: str) -> Break:
    def apply(root: Path) -> None:
        path = root / "training/georgia/g1/E00002.hea"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return apply


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (edit("#Dx: 426783006", "#Dx: sinus"), r"E00002\.hea: #Dx: 'sinus' is not a SNOMED"),
        (edit("#Dx: 426783006\n", ""), r"E00002\.hea: has no #Dx line"),
        (edit("E00002.mat", "../E00001.mat"), r"E00002\.hea: names the file '\.\./E00001\.mat'"),
        (edit("E00002.mat", "E00001.mat"), r"E00002\.hea: names the signal file of .*E00001\.hea"),
        (edit("#Dx: 426783006\n", "#Dx: 1\n#Dx: 2\n"), r"E00002\.hea: has two #Dx lines"),
        (lambda root: (root / "training/georgia/g1/E00002.hea").write_text(""), "truncated"),
        (
            lambda root: wfdb_mat.write(root / "training/georgia/g9", "E00002", 1, "1", samples=9),
            "record E00002 appears twice",
        ),
        (lambda root: (root / "training/georgia").rename(root / "x"), "georgia: no such folder"),
    ],
)
def test_bad_headers(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(GEORGIA, root)


def test_a_folder_without_records(tmp_path: Path) -> None:
    (tmp_path / "training/georgia").mkdir(parents=True)
    with pytest.raises(CorpusError, match="no record"):
        open_source(GEORGIA, tmp_path)


@pytest.mark.parametrize("line", ["#Dx: 1,2", "# Dx: 1,2", "#Dx: 1, 2", "#Dx:1,2 \r"])
def test_spellings_of_the_diagnosis_line(line: str) -> None:
    text = f"r 1 500 10\nr.mat 16+24 1000/mV 16 0 0 0 0 I\n#Age: 5\n{line}\n"
    assert parse_annotated("g1/r", text).codes == ("1", "2")


def test_real_headers(shared: Path) -> None:
    root = shared / "data/challenge-2021"
    source = open_source(WHOLE, root)
    rows = rows_of(source)
    assert len(rows.records) == 123
    assert rows.ages.count(None) == 2
    found = names(source, "scored")
    assert found["JS00001"] == {"AF", "CRBBB|RBBB", "TAb"}
    remark = next(line for line in source.notes()["remarks"] if line.startswith("gain"))
    assert "200/mV in 2" in remark
    assert "4880/mV in 2" in remark
    sizes = {
        part: len(rows_of(open_source(CorpusSpec(source=f"challenge2021/{part}"), root)).records)
        for part in ("georgia", "ningbo", "ptb-xl", "cpsc_2018_extra", "chapman_shaoxing")
    }
    assert sizes == {
        "georgia": 37, "ningbo": 33, "ptb-xl": 20, "cpsc_2018_extra": 15, "chapman_shaoxing": 10,
    }  # fmt: skip
