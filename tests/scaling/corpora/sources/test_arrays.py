"""The user's own arrays: every format, every wrong key, and what must not be read."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.format.splits import hashed_split
from scaling.corpora.registry import Summaries, open_source
from scaling.corpora.sources.read.arrays import open_array
from scaling.corpora.sources.read.base import Recording, Rows
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import arrays

SPEC = CorpusSpec(source="arrays", fs_hz=500, window_s=1)


class TestArrays(SourceContract):
    spec = SPEC
    # Row 4, lead 1 (II), sample 33: 7 x 33 = 231, 31 + 100 + 40 = 171 uV = 0.171 mV.
    expected = Expected(
        record="r4",
        lead="II",
        sample=33,
        value=0.171,
        task="",
        positives=frozenset({"AF", "SB"}),
        split="test",
    )

    @pytest.fixture(params=["npy", "npz", "h5", "parts"])
    def root(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        return arrays.write(tmp_path / "own", request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return arrays.write(tmp_path / "own")


def rows_of(root: Path) -> Rows:
    return open_source(SPEC, root).chunks()[0].read()[0]


def recordings_of(root: Path) -> list[Recording | CorpusError]:
    return list(open_source(SPEC, root).chunks()[0].read()[1])


def test_tables(root: Path) -> None:
    rows = rows_of(root)
    assert rows.splits == ["train", "train", "validation", "test", "test"]
    assert rows.ages == [60.0, 61.0, None, 40.5, 41.0]
    assert rows.sexes == ["female", "female", None, "male", "male"]
    assert rows.labels[""].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [1, 1]]
    assert rows.valid[""].tolist() == [True, True, True, False, True]
    assert rows.patients[0] == rows.patients[1] != rows.patients[2]
    assert Summaries().of(SPEC, "", root).test == 1


@pytest.mark.parametrize(
    ("empty", "valid"), [("negative", [1, 1, 1, 1, 1]), ("missing", [1, 1, 1, 0, 1])]
)
def test_a_column_that_lists_classes(root: Path, empty: str, valid: list[int]) -> None:
    listed = {"column": "codes", "separator": ";", "empty": empty}
    arrays.describe(root, labels=listed)
    assert open_source(SPEC, root).classes[""] == ("AF", "NORM", "PVC", "SB")
    rows = rows_of(root)
    assert rows.labels[""][4].tolist() == [1, 0, 0, 1]
    assert rows.valid[""].tolist() == [bool(v) for v in valid]
    arrays.describe(root, labels=listed | {"classes": ["SB", "PVC", "AF", "NORM", "LBBB"]})
    assert rows_of(root).labels[""][0].tolist() == [0, 1, 1, 0, 0]


def test_an_empty_cell_of_a_list_must_be_explained(root: Path) -> None:
    arrays.describe(root, labels={"column": "codes", "separator": ";"})
    with pytest.raises(CorpusError, match=r"labels\.csv:5: .*say in 'labels\.empty'"):
        open_source(SPEC, root)


def test_a_column_that_holds_the_row(root: Path) -> None:
    rows = [[*cells, row] for cells, row in zip(arrays.ROWS, ["4", "0", "", "1", "2"], strict=True)]
    arrays.write_table(root, rows, [*arrays.HEADER, "row"])
    arrays.describe(root, columns__row="row")
    source = open_source(SPEC, root)
    assert rows_of(root).records == ["r1", "r3", "r4", "r0"]  # in the order of the array
    first = recordings_of(root)[0]
    assert isinstance(first, Recording) and first.signal[0, 0] == 0.0
    notes = source.notes()
    assert notes["missing_files"] == 1
    assert notes["left_out"] == {"row of the arrays without a row of the table": 1}


def test_without_a_split_patients_are_hashed(root: Path) -> None:
    arrays.describe(root, columns__split=None, columns__patient="id")
    rows = rows_of(root)
    assert rows.splits == [hashed_split(int(p)) for p in rows.patients]
    remarks = open_source(SPEC, root).notes()["remarks"]
    assert any("another patient" in text for text in remarks) and len(remarks) == 2


def test_one_lead_needs_no_axis(root: Path) -> None:
    np.save(root / "ecg.npy", arrays.signal_uv()[:, 1])
    arrays.describe(root, axes=["records", "samples"], leads=["II"])
    found = recordings_of(root)[4]
    assert isinstance(found, Recording)
    assert found.signal.shape == (1, 700) and found.leads == ("II",)
    assert found.signal[0, 33] == pytest.approx(0.171)


def test_standardised_signals_have_no_unit(root: Path) -> None:
    arrays.describe(root, units="1", scale=0.01)
    found = recordings_of(root)[4]
    assert isinstance(found, Recording)
    assert (found.units, found.signal[1, 33]) == ("1", pytest.approx(1.71))


def test_a_missing_sample_stays_missing(root: Path) -> None:
    stored = arrays.signal_uv().astype(np.float32)
    stored[0, 1, 5] = np.nan
    np.save(root / "ecg.npy", stored)
    found = recordings_of(root)[0]
    assert isinstance(found, Recording)
    assert np.argwhere(np.isnan(found.signal)).tolist() == [[1, 5]]


@pytest.mark.parametrize("units", ["V", "mV"])
def test_a_wrong_unit_is_noticed(root: Path, units: str) -> None:
    np.save(root / "ecg.npy", arrays.signal_uv() * 10)
    arrays.describe(root, units=units)
    for found in recordings_of(root):
        assert isinstance(found, UnusableError)
        assert "check 'units' and 'scale'" in str(found)
    np.save(root / "ecg.npy", arrays.signal_uv() * 1e-6)
    arrays.describe(root, units="mV")
    assert all(isinstance(found, UnusableError) for found in recordings_of(root))


def test_flat_leads_are_not_a_wrong_unit(root: Path) -> None:
    np.save(root / "ecg.npy", np.zeros((5, 3, 700), np.float32))
    assert all(isinstance(found, Recording) for found in recordings_of(root))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal": "x"}, r"unknown key 'signal'; .*did you mean 'signals'\?"),
        ({"columns__patients": "who"}, r"unknown key 'columns\.patients'.*'patient'"),
        ({"labels__colums": []}, r"unknown key 'labels\.colums'"),
        ({"table": None}, "'table' is missing"),
        ({"table": "../labels.csv"}, r"'table': '\.\./labels\.csv' is not a path below"),
        ({"table": "/etc/passwd"}, "'table': '/etc/passwd' is not a path below"),
        ({"table": "no.csv"}, r"no\.csv: no such file; dataset\.json names it"),
        ({"table": 3}, "'table' is 3, not a text"),
        ({"columns": ["id"]}, "'columns' is .*not an object"),
        ({"columns__record": None}, r"'columns\.record' is missing"),
        ({"columns__patient": None}, r"'columns\.patient' is missing; name the record's column"),
        ({"columns__age": "years"}, "column years is missing"),
        ({"labels": {}}, "'labels' needs either"),
        ({"labels": {"columns": []}}, r"'labels\.columns' is \[\], not a list"),
        ({"labels": {"columns": ["AF", "AF"]}}, "names one twice"),
        ({"labels": {"columns": ["LBBB"]}}, "column LBBB is missing"),
        ({"labels": {"columns": ["age"]}}, r"labels\.csv:2: '60' is neither 0, 1"),
        ({"labels": {"column": "codes"}}, "'labels' needs either"),
        (
            {"labels": {"column": "codes", "separator": ";", "empty": "zero"}},
            "'labels.empty' is 'zero'",
        ),
        (
            {
                "labels": {
                    "column": "codes",
                    "separator": ";",
                    "classes": ["AF"],
                    "empty": "missing",
                }
            },
            r"labels\.csv:2: label 'PVC' is not among the classes",
        ),
        ({"signals": None}, "'signals' is missing"),
        ({"signals": []}, r"'signals' is \[\]"),
        ({"signals": "../ecg.npy"}, "'../ecg.npy' is not a path below"),
        ({"signals": "no.npy"}, "no such file"),
        ({"signals": "labels.csv"}, r"is not \.npy, \.npz"),
        ({"dataset": "ecg"}, "has no 'dataset' to name"),
        ({"dataset": 1}, "'dataset' is 1"),
        ({"axes": ["leads", "records", "samples"]}, "'axes' is"),
        ({"axes": ["records", "samples", "leads"]}, r"has shape \(5, 3, 700\).* 3 leads"),
        ({"axes": ["records", "samples"]}, "'axes' has no leads, but 'leads' names 3"),
        ({"fs_hz": 0}, "'fs_hz' is 0"),
        ({"fs_hz": "500"}, "'fs_hz' is '500'"),
        ({"fs_hz": True}, "'fs_hz' is True"),
        ({"leads": ["I", "II"]}, r"has shape \(5, 3, 700\)"),
        ({"leads": ["I", "II", "X9"]}, "'leads' cannot be used: unknown lead 'X9'"),
        ({"leads": ["I", "II", "ii"]}, "lead II appears twice"),
        ({"units": "millivolt"}, "'units' is 'millivolt', not one of mV, uV, V, 1"),
        ({"units": None}, "'units' is missing"),
        ({"scale": 0}, "'scale' is 0"),
        ({"scale": -1}, "'scale' is -1"),
        ({"scale": float("nan")}, "'scale' is nan"),
        ({"scale": float("inf")}, "'scale' is inf"),
        ({"scale": "1"}, "'scale' is '1'"),
    ],
)
def test_each_wrong_key_is_named(root: Path, changes: dict[str, Any], message: str) -> None:
    arrays.describe(root, **changes)
    with pytest.raises(CorpusError, match=message) as caught:
        open_source(SPEC, root)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "table": \n}', r"dataset\.json:3:1: Expecting value"),
        ("[]", "is not a JSON object"),
        ('{"table": "a.csv", "table": "b.csv"}', "the key 'table' appears twice"),
        ("[" * 100_000, r"dataset\.json"),
    ],
)
def test_what_is_no_description(root: Path, text: str, message: str) -> None:
    (root / "dataset.json").write_text(text)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)
    (root / "dataset.json").unlink()
    with pytest.raises(CorpusError, match=r"dataset\.json: no such file; docs/own-data\.md"):
        open_source(SPEC, root)


@pytest.mark.parametrize(
    ("row", "column", "text", "message"),
    [
        (1, "id", "r0", "record r0 appears twice"),
        (1, "id", "", r"labels\.csv:3: the record id is empty"),
        (1, "who", "", r"labels\.csv:3: the patient id is empty"),
        (1, "part", "test", "is in both train and test"),
        (1, "part", "", r"labels\.csv:3: split '' is not train"),
        (1, "part", "fold1", r"labels\.csv:3: split 'fold1'"),
        (1, "age", "old", r"labels\.csv:3: "),
        (1, "sex", "1", r"labels\.csv:3: sex '1' is not female or male"),
        (1, "AF", "2", r"labels\.csv:3: '2' is neither 0, 1"),
    ],
)
def test_rows_that_make_no_sense(
    root: Path, row: int, column: str, text: str, message: str
) -> None:
    rows = [list(cells) for cells in arrays.ROWS]
    rows[row][arrays.HEADER.index(column)] = text
    arrays.write_table(root, rows)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0", "1", "2", "3", "5"], r"labels\.csv:6: row 5 is beyond the 5 rows"),
        (["0", "1", "2", "3", "3"], r"labels\.csv:6: row 3 belongs to two records"),
        (["0", "1", "2", "3", "-1"], r"labels\.csv:6: '-1' is not a whole number"),
        (["", "", "", "", ""], r"labels\.csv: has no record"),
    ],
)
def test_rows_that_are_not_there(root: Path, rows: list[str], message: str) -> None:
    table = [[*cells, row] for cells, row in zip(arrays.ROWS, rows, strict=True)]
    arrays.write_table(root, table, [*arrays.HEADER, "row"])
    arrays.describe(root, columns__row="row")
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


@pytest.mark.parametrize("count", [4, 6])
def test_tables_of_another_length(root: Path, count: int) -> None:
    arrays.write_table(root, [[f"x{i}", *arrays.ROWS[i % 2][1:]] for i in range(count)])
    with pytest.raises(CorpusError, match=f"{count} rows, but the arrays have 5"):
        open_source(SPEC, root)


def test_nothing_is_unpickled(root: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (root / "sprung",))

    np.save(root / "ecg.npy", np.array([[[Trap()]]] * 5, object), allow_pickle=True)
    arrays.describe(root, leads=["I"])
    with pytest.raises(CorpusError, match="holds objects, which would have to be unpickled"):
        open_source(SPEC, root)
    (root / "ecg.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CorpusError, match=r"is no \.npy array"):
        open_source(SPEC, root)
    assert not (root / "sprung").exists()


@pytest.mark.parametrize("kind", ["npy", "npz", "h5"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_files_are_named(tmp_path: Path, kind: str, share: float) -> None:
    root = arrays.write(tmp_path, kind)
    path = root / f"ecg.{kind}"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CorpusError, match=rf"ecg\.{kind}"):
        open_source(SPEC, root)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_header_never_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "a.npz"
    np.savez(path, ecg=np.zeros((2, 3, 5)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        open_array(path, "ecg").row(0)
    except CorpusError as error:
        assert "a.npz" in str(error)


def test_archives(root: Path) -> None:
    np.savez_compressed(root / "ecg.npz", ecg=arrays.signal_uv())
    arrays.describe(root, signals="ecg.npz", dataset="ecg")
    with pytest.raises(CorpusError, match=r"ecg is compressed.*numpy\.savez, or as \.npy"):
        open_source(SPEC, root)
    arrays.describe(root, signals="ecg.npz", dataset="ecgs")
    with pytest.raises(CorpusError, match="has no array 'ecgs'; there is ecg"):
        open_source(SPEC, root)
    with zipfile.ZipFile(root / "ecg.npz", "w") as archive:
        archive.writestr("../../ecg.npy", b"climbs out")
    arrays.describe(root, signals="ecg.npz", dataset="../../ecg")
    with pytest.raises(CorpusError, match=r"is no \.npy array"):
        open_source(SPEC, root)


@pytest.mark.parametrize("dtype", [np.complex64, np.bool_, "U4", "M8[s]"])
def test_only_real_numbers(root: Path, dtype: Any) -> None:
    np.save(root / "ecg.npy", np.zeros((5, 3, 700), dtype))
    with pytest.raises(CorpusError, match="not real numbers"):
        open_source(SPEC, root)


def test_links_to_other_files_are_refused(tmp_path: Path) -> None:
    root = arrays.write(tmp_path, "h5")
    with h5py.File(root / "link.h5", "w") as file:
        file["ecg"] = h5py.ExternalLink("ecg.h5", "set/ecgs")
    arrays.describe(root, signals="link.h5", dataset="ecg")
    with pytest.raises(CorpusError, match="link to somewhere else"):
        open_source(SPEC, root)


@pytest.mark.parametrize("kind", ["npy", "h5"])
def test_another_signal_of_the_same_size_is_another_dataset(tmp_path: Path, kind: str) -> None:
    root = arrays.write(tmp_path, kind)
    first = open_source(SPEC, root).fingerprint
    path = root / f"ecg.{kind}"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert open_source(SPEC, root).fingerprint != first


def test_a_file_that_changes_under_way_is_an_error_of_each_record(root: Path) -> None:
    chunk = open_source(SPEC, root).chunks()[0]
    np.save(root / "ecg.npy", arrays.signal_uv(4))
    assert all(isinstance(found, CorpusError) for found in chunk.read()[1])


def test_rows_of_several_blocks_of_an_hdf5(tmp_path: Path) -> None:
    stored = np.arange(100 * 2 * 10, dtype=np.float32).reshape(100, 2, 10)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ecg"] = stored
    array = open_array(tmp_path / "a.h5", "ecg")
    for row in (0, 31, 32, 99, 5):
        np.testing.assert_array_equal(array.row(row), stored[row])
