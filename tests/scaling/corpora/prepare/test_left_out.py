"""Records that preparation leaves out: listed where they are unusable, an error where damaged."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.corpora import catalogue
from scaling.corpora.errors import CorpusError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.sources.read import listed
from tests.scaling.corpora import fake_source
from tests.scaling.corpora.fake_source import FAKE, KilledError, make

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake source is in the catalogue, and chunks are of three records."""
    monkeypatch.setitem(catalogue.SOURCES, "fake", fake_source.INFO)
    monkeypatch.setattr(listed, "CHUNK", 3)


def test_unusable_records_are_listed(tmp_path: Path) -> None:
    root = fake_source.write(tmp_path / "fakes", fake_source.some(11, r1="unusable", r4="unusable"))
    corpus = make(root, tmp_path)
    assert [(d.record, d.patient, d.split, d.damaged) for d in corpus.dropped()] == [
        ("r1", 1, "train", False),
        ("r4", 4, "train", False),
    ]
    assert corpus.dropped()[1].reason == "5 s long, but the corpus asks for 4 s"
    assert corpus.info["quality"]["dropped"] == 2
    assert corpus.info["quality"]["dropped_as_damaged"] == 0
    assert corpus.info["quality"]["dropped_because"] == {"2 s long, but the corpus asks for 4 s": 2}
    with pytest.raises(CorpusError, match="record r1 was left out: 2 s long"):
        corpus.row_of("r1")


def test_damage_stops_the_preparation_and_keeps_the_rest(tmp_path: Path) -> None:
    fates = {f"r{i}": "damaged" for i in range(2, 26, 2)}
    root = fake_source.write(tmp_path / "fakes", fake_source.some(40, **fates))
    with pytest.raises(CorpusError, match=r"12 of 40 records of fake cannot be used") as caught:
        make(root, tmp_path)
    text = str(caught.value)
    assert "fake record r2: " in text
    assert "r2.dat: truncated at 2 bytes" in text
    assert "and 2 more" in text
    assert "--drop-damaged" in text
    (root / "mended").touch()
    told: list[int] = []
    folder = prepare(FAKE, tmp_path, root, lambda done, total: told.append(done), workers=1)
    assert told[0] == 40 - 9 * 3  # nine chunks held a damaged record
    assert len(Corpus.open(folder)) == 40


def test_damage_can_be_dropped(tmp_path: Path) -> None:
    root = fake_source.write(tmp_path / "fakes", fake_source.some(11, r0="damaged", r1="unusable"))
    corpus = make(root, tmp_path, drop_damaged=True)
    assert [(drop.record, drop.damaged) for drop in corpus.dropped()] == [
        ("r0", True),
        ("r1", False),
    ]
    assert corpus.info["quality"]["dropped_as_damaged"] == 1
    assert len(corpus) == 9


def test_what_was_dropped_as_damaged_is_read_again_when_it_must_not_be(tmp_path: Path) -> None:
    root = fake_source.write(tmp_path / "fakes", fake_source.some(11, r0="damaged"))

    def stop(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(FAKE, tmp_path, root, stop, drop_damaged=True, workers=1)
    with pytest.raises(CorpusError, match="1 of 11 records of fake cannot be used"):
        make(root, tmp_path)
    (root / "mended").touch()
    assert len(make(root, tmp_path)) == 11


@pytest.mark.parametrize(
    ("fates", "message"),
    [
        (dict.fromkeys([f"r{i}" for i in range(11)], "unusable"), "all 11 records of fake were"),
        ({"r9": "unusable", "r10": "unusable"}, "all 2 test records of fake were left out: 2 like "
         "record r9: 10 s long"),
        ({"r8": "unitless"}, "mixes recordings in millivolts with ones without a unit"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_corpus(tmp_path: Path, fates: dict[str, str], message: str) -> None:
    root = fake_source.write(tmp_path / "fakes", fake_source.some(11, **fates))
    with pytest.raises(CorpusError, match=message):
        make(root, tmp_path)
    assert not any(path.is_dir() for path in (tmp_path / "corpora").glob("*.part"))


def test_recordings_without_a_unit(tmp_path: Path) -> None:
    fates = {f"r{i}": "unitless" for i in range(6)}
    root = fake_source.write(tmp_path / "fakes", fake_source.some(6, **fates))
    assert make(root, tmp_path).units == "1"


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([("a", 1, "train", "ok"), ("b", 2, "test", "ok"), ("a", 3, "train", "ok")],
         r"record ids appear twice:\n  a$"),
        ([("a", 1, "train", "ok"), ("b", 1, "test", "ok")], "both train and test"),
        ([], "fake has no record"),
    ],
)  # fmt: skip
def test_sources_that_contradict_themselves(
    tmp_path: Path, records: list[fake_source.Record], message: str
) -> None:
    root = fake_source.write(tmp_path / "fakes", records)
    with pytest.raises(CorpusError, match=message):
        make(root, tmp_path)


FATES = st.sampled_from(["ok", "ok", "ok", "unusable", "damaged"])


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    fates=st.lists(FATES, min_size=1, max_size=9), size=st.integers(1, 5), stop=st.integers(0, 9)
)
def test_whatever_is_dropped_the_rest_is_stored_in_order(
    tmp_path_factory: pytest.TempPathFactory, fates: list[str], size: int, stop: int
) -> None:
    folder = tmp_path_factory.mktemp("drops")
    records = fake_source.some(len(fates) + 3, **{f"r{i}": fate for i, fate in enumerate(fates)})
    if "ok" not in fates:
        records[0] = ("r0", 0, "train", "ok")
    root = fake_source.write(folder / "fakes", records)

    def interrupt(done: int, total: int) -> None:
        if done >= stop:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed, "CHUNK", size)
        with contextlib.suppress(KilledError):
            prepare(FAKE, folder, root, interrupt, drop_damaged=True, workers=1)
        corpus = make(root, folder, drop_damaged=True)
    kept = [record for record in records if record[3] == "ok"]
    assert corpus.record_ids == tuple(record[0] for record in kept)
    assert corpus.patients.tolist() == [record[1] for record in kept]
    for row, record in enumerate(kept):
        expected = fake_source.signal_mv(record[1])
        np.testing.assert_allclose(corpus.batch(np.array([row]))[0], expected, atol=5.1e-4)
        assert corpus.valid("odd")[row] == record[1] % 2
    assert len(corpus.dropped()) == len(records) - len(kept)
