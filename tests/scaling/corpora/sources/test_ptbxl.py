"""PTB-XL: the tables, on a small copy of the layout and on real records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.registry import Summaries, describe, open_source
from scaling.corpora.sources.ptbxl import SUPERCLASSES, TASKS
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora import layout
from tests.scaling.corpora.conftest import SPEC

Break = Callable[[Path], None]


class TestPtbxl(SourceContract):
    spec = SPEC
    # lead II, sample 3 of record 2: (7*3 + 31*1 + 101*2) mod 2001 - 1000 = -746 uV
    expected = Expected(
        record="2", lead="II", sample=3, value=-0.746,
        task="superclass", positives=frozenset({"MI"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "ptb-xl")


def test_folds_become_splits_and_records_without_label_are_left_out(root: Path) -> None:
    found = Summaries().of(SPEC, "superclass", root)
    assert (found.train, found.validation, found.test) == (3, 1, 2)
    assert found.patients == 2
    assert found.classes == SUPERCLASSES
    everything = Summaries().of(SPEC, "all", root)
    assert (everything.train, everything.patients) == (4, 3)
    assert Summaries().of(SPEC, "form", root).train == 3  # NDT is diagnostic and form


def test_labels_follow_the_statements_whatever_the_likelihood(corpus: Corpus) -> None:
    labels = corpus.labels("superclass")
    assert labels[1].tolist() == [0, 1, 0, 0, 0]
    assert labels[2].tolist() == [0, 0, 1, 0, 0]
    assert not labels[3].any()
    assert not corpus.valid("superclass")[3]
    assert corpus.valid("all").all()
    assert corpus.classes("subclass") == ("STTC", "NORM", "IMI", "AMI", "LVH", "CRBBB")
    assert corpus.labels("subclass")[1].tolist() == [0, 0, 1, 1, 0, 0]
    assert corpus.rows("train", "superclass").tolist() == [0, 1, 2]
    assert corpus.rows("train").tolist() == [0, 1, 2, 3]


def test_ages_and_sexes(prepared: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(prepared / "records.parquet").to_pydict()
    assert table["age"] == [56.0, 56.0, 90.0, None, 56.0, 56.0, 56.0]
    assert table["sex"][:3] == ["female", "male", "female"]


def test_a_partial_download_is_counted(root: Path) -> None:
    layout.stem(root, 2).with_suffix(".dat").unlink()
    source = open_source(SPEC, root)
    assert source.notes() == {"missing_files": 1, "left_out": {}}
    assert source.summary("superclass").train == 2


def test_a_database_that_lost_rows_leaves_files_unlisted(root: Path) -> None:
    layout.write_database(root, [row.cells() for row in layout.ROWS[:-2]])
    listed = {"signal file that is not in ptbxl_database.csv": 2}
    assert open_source(SPEC, root).notes() == {"missing_files": 0, "left_out": listed}


def test_the_fingerprint_follows_tables_and_files(root: Path) -> None:
    first = Summaries().of(SPEC, "all", root).fingerprint
    assert Summaries().of(SPEC, "form", root).fingerprint == first
    data = layout.stem(root, 2).with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-2])
    second = Summaries().of(SPEC, "all", root).fingerprint
    layout.write_database(root, [row.cells() for row in layout.ROWS[:-1]])
    assert len({first, second, Summaries().of(SPEC, "all", root).fingerprint}) == 3


def cells(index: int, column: str, value: str) -> Break:
    """Change one cell of the database."""

    def apply(root: Path) -> None:
        table = [row.cells() for row in layout.ROWS]
        table[index][layout.DATABASE_COLUMNS.index(column)] = value
        layout.write_database(root, table)

    return apply


def without_column(root: Path) -> None:
    at = layout.DATABASE_COLUMNS.index("strat_fold")
    table = [row.cells()[:at] + row.cells()[at + 1 :] for row in layout.ROWS]
    columns = [name for name in layout.DATABASE_COLUMNS if name != "strat_fold"]
    layout.write_database(root, table, columns)


def without_records(root: Path) -> None:
    (root / "records100").rename(root / "elsewhere")


def wrong_class(root: Path) -> None:
    path = root / "scp_statements.csv"
    path.write_text(path.read_text().replace(",HYP,", ",HYPER,"))


def cut_statements(root: Path) -> None:
    path = root / "scp_statements.csv"
    path.write_text(path.read_text().rpartition(",")[0])


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (without_column, r"ptbxl_database\.csv: column strat_fold is missing"),
        (lambda root: (root / "ptbxl_database.csv").unlink(), r"ptbxl_database\.csv: no such file"),
        (lambda root: (root / "scp_statements.csv").unlink(), r"scp_statements\.csv: no such file"),
        (without_records, "none of the 7 records .* is below records100"),
        (wrong_class, r"scp_statements\.csv:6: diagnostic_class of LVH is 'HYPER'"),
        (cells(2, "strat_fold", "11"), r"database\.csv:4: .*strat_fold '11'"),
        (cells(2, "patient_id", ""), r"database\.csv:4: patient_id ''"),
        (cells(2, "scp_codes", "NORM"), r"database\.csv:4: "),
        (cells(2, "scp_codes", "['NORM']"), "is not a dictionary"),
        (cells(2, "scp_codes", "{['NORM']: 0}"), r"database\.csv:4: scp_codes .* cannot be read"),
        (cells(2, "scp_codes", "(" * 999), r"database\.csv:4: scp_codes .* cannot be read"),
        (cells(2, "sex", "2"), r"database\.csv:4: sex '2' is neither 0 \(male\) nor 1"),
        (cells(2, "age", "-1"), r"database\.csv:4: age '-1' is not one in years"),
        (cells(2, "age", "200"), r"database\.csv:4: age '200' is not one in years"),
        (cells(2, "filename_lr", "records100/00000/00001_lr"), "is that of another record too"),
        (cut_statements, r"scp_statements\.csv:10: 5 cells, but the header has 6"),
        (cells(2, "scp_codes", "{'XYZ': 0.0}"), "statements XYZ are not in scp_statements"),
        (cells(2, "ecg_id", "1"), "record 1 appears twice"),
        (cells(2, "filename_lr", "../../etc/passwd"), "is not a path below the root"),
        (cells(1, "strat_fold", "10"), "patient 11 is in both train and test"),
    ],
)
def test_bad_tables(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        Summaries().of(SPEC, "superclass", root)


def test_the_rate_chooses_the_folder(root: Path) -> None:
    (root / "records500").mkdir()
    (root / "records100/00000").rename(root / "records500/00000")
    for path in sorted((root / "records500/00000").iterdir()):
        path.rename(path.with_name(path.name.replace("_lr", "_hr")))
    for head in (root / "records500/00000").glob("*.hea"):
        text = head.read_text().replace("_lr", "_hr").replace(" 12 100 1000", " 12 500 1000")
        head.write_text(text)
    source = open_source(CorpusSpec(source="ptbxl", fs_hz=250), root)
    recording = next(iter(source.chunks()[0].read()[1]))
    assert isinstance(recording, Recording)
    assert recording.fs_hz == 500
    with pytest.raises(CorpusError, match="is below records100"):
        open_source(SPEC, root)


def test_the_fingerprint_is_that_of_earlier_versions(real_root: Path) -> None:
    assert open_source(SPEC, real_root).fingerprint == "ffda82c9092d741ed"


def test_real_counts(real_root: Path) -> None:
    counts = {}
    for task in TASKS:
        found = Summaries().of(SPEC, task, real_root)
        counts[task] = (found.train, found.validation, found.test, len(found.classes))
    assert counts == {
        "superclass": (1481, 232, 252, 5),
        "subclass": (1481, 232, 252, 23),
        "diagnostic": (1481, 232, 252, 44),
        "form": (526, 91, 76, 19),
        "rhythm": (1413, 227, 242, 12),
        "all": (1490, 242, 255, 71),
    }
    at_500 = open_source(CorpusSpec(source="ptbxl", fs_hz=500), real_root)
    assert at_500.notes()["missing_files"] == 1887


def test_real_signals_are_those_of_wfdb(real: Corpus, real_root: Path) -> None:
    import pyarrow.parquet as pq

    ids = pq.read_table(real.path / "records.parquet")["record"].to_pylist()
    rows = np.linspace(0, len(ids) - 1, 15).astype(np.int64)
    batch = real.batch(rows)
    for row, signal in zip(rows, batch, strict=True):
        number = int(ids[row])
        path = real_root / f"records100/{number // 1000 * 1000:05d}/{number:05d}_lr"
        record = wfdb.rdrecord(str(path))
        assert [name.upper() for name in record.sig_name] == [n.upper() for n in real.leads]
        np.testing.assert_allclose(signal, record.p_signal.T, atol=1e-6)


def test_real_corpus_as_reported(real: Corpus, real_root: Path) -> None:
    entry = describe(SPEC, "superclass", real.path.parents[1], real_root)
    assert entry["records"] == {"train": 1481, "validation": 232, "test": 252}
    assert entry["classes"] == list(SUPERCLASSES)
    assert entry["prevalence"][0] == pytest.approx(0.5409, abs=1e-4)
    assert entry["bayes_loss"] is None
    assert set(entry) == {
        "source", "task", "fingerprint", "records", "patients", "classes", "prevalence",
        "preprocessing", "bayes_loss", "absent",
    }  # fmt: skip
    assert len(np.unique(real.subset("superclass", 1024))) == 1024
