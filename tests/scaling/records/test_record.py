"""A record is complete or absent, and a broken one says what is wrong."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from scaling.identity import Training
from scaling.provenance import failed_evaluation, failed_training
from scaling.records.files import write_json, write_whole
from scaling.records.record import RecordError, read_record, trial_row, validate, write_record
from scaling.records.schema import EVALUATIONS, names
from tests.scaling.test_identity import TRAINING


def failed(training: Training = TRAINING) -> dict[str, Any]:
    try:
        raise RuntimeError("out of luck")
    except RuntimeError as error:
        return failed_training(training, error)


def test_a_failed_training_keeps_its_traceback(tmp_path: Path) -> None:
    path = write_record(tmp_path, failed())
    record = read_record(path)
    assert path.name == f"{TRAINING.id}.json"
    assert record["trial"]["status"] == "failed"
    assert record["trial"]["D"] == 256
    assert "out of luck" in record["error"]["traceback"]


def test_columns_of_the_configuration_are_text() -> None:
    """Older records, and those at the defaults, do not have them."""
    options = (("boxes", 1), ("mixing", "none"), ("tau", 2.0))
    other = dataclasses.replace(TRAINING, options=options, label_set="tail-0.1")
    record = json.loads(json.dumps(failed(other)))
    row = trial_row(record, "s")
    assert row["options"] == '{"boxes": 1, "mixing": "none", "tau": 2.0}'
    assert row["label_set"] == "tail-0.1"
    plain = trial_row(failed(), "s")
    assert plain["options"] == plain["label_set"] == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "poem"}, "kind is 'poem'"),
        ({"schema": 99}, "schema 99"),
        ({"extra": 1}, "unknown extra"),
        ({"params": {"backbone": 1}}, "groups sum to 1"),
        ({"params": {"backbone": "1"}}, r"\.params\.backbone: '1' is not a whole number"),
        ({"params": []}, r"\.params: \[\] is not an object"),
        ({"curve": None}, r"\.curve: None is not a list"),
        ({"curve": [1]}, r"\[0\]: 1 is not an object"),
        ({"config": None}, r"\.config: None is not an object"),
        ({"id": None}, r"\.id: None is not text"),
        ({"id": []}, r"\.id: \[\] is not text"),
        ({"kind": []}, r"kind is \[\]"),
        ({"trial": "t0"}, r"\.trial: 't0' is not an object"),
        ({"trial": None}, r"\.trial: None is not an object"),
        ({"error": "no"}, r"\.error: 'no' is not an object or null"),
        ({"provenance": 1}, r"\.provenance: 1 is not an object"),
        ({"notes": "none"}, r"\.notes: 'none' is not a list"),
        ({"curve": [{"step": 1}]}, r"\[0\]: missing C"),
    ],
)
def test_broken_records_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        validate(failed() | change)


def test_an_unknown_status_is_refused() -> None:
    record = failed()
    record["trial"]["status"] = "fine"
    with pytest.raises(RecordError, match="status 'fine'"):
        validate(record)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("N", "many", "a whole number"),
        ("N", 1.5, "a whole number"),
        ("N", True, "a whole number"),
        ("N", 2**63, "a whole number"),
        ("lr", "0.1", "a number"),
        ("C", [], "a number"),
        ("dirty", "yes", "true or false"),
        ("family", 1, "text"),
        ("status", ["done"], "text"),
    ],
)
def test_what_a_column_cannot_hold_is_named(column: str, value: object, kind: str) -> None:
    record = failed()
    record["trial"][column] = value
    words = re.escape(f"{record['id']}.trial.{column}: {value!r} is not {kind}")
    with pytest.raises(RecordError, match=f"^{words}$"):
        validate(record)


def test_a_value_is_a_number_or_empty() -> None:
    for value in (None, 1, 1.5, float("nan")):
        validate(measured(value=value))
    with pytest.raises(RecordError, match=r"\[0\]\.value: '1' is not a number"):
        validate(measured(value="1"))
    validate(measured(n=3.0))
    with pytest.raises(RecordError, match=r"\[0\]\.n: 3\.5 is not a whole number"):
        validate(measured(n=3.5))


def test_a_record_under_another_name_is_refused(tmp_path: Path) -> None:
    path = write_record(tmp_path, failed())
    other = path.rename(tmp_path / "other.json")
    with pytest.raises(RecordError, match=rf"{other}: its id is '{TRAINING.id}', which is not its"):
        read_record(other)


def test_truncated_json_names_the_file(tmp_path: Path) -> None:
    path = write_record(tmp_path, failed())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match=path.name):
        read_record(path)


def test_json_that_is_not_a_record_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "t0.json").write_text("[]")
    with pytest.raises(RecordError, match=r"t0\.json: not a record"):
        read_record(tmp_path / "t0.json")


def test_disk_full_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "r.json"
    write_whole(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_a_file_that_cannot_be_written_is_named_and_not_its_temporary_one() -> None:
    path = Path("/proc/record.json")  # where nobody makes files
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(path, b"{}")
    assert caught.value.filename == str(path)


def test_nan_becomes_null(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": [float("nan"), 1.0], "b": float("inf")})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 1.0], "b": None}


def test_a_failed_evaluation_is_a_valid_record() -> None:
    from scaling.identity import Evaluation

    evaluation = Evaluation(training="t0", corpus=TRAINING.corpus, task="", protocol="held-out")
    record = failed_evaluation(evaluation, ValueError("no positives"))
    validate(record)
    assert record["error"]["message"] == "no positives"


def measured(**row: Any) -> dict[str, Any]:
    from scaling.identity import Evaluation
    from scaling.provenance import evaluation_record

    evaluation = Evaluation(training="t0", corpus=TRAINING.corpus, task="", protocol="held-out")
    fixed = dict.fromkeys(names(EVALUATIONS, "row"))
    return evaluation_record(evaluation, "done", [fixed | row])


def test_a_value_may_have_an_interval(tmp_path: Path) -> None:
    path = write_record(tmp_path, measured(value=0.5, low=0.4, high=0.6))
    assert read_record(path)["values"][0]["high"] == 0.6
    validate(measured(value=0.5))
    with pytest.raises(RecordError, match="both low and high"):
        validate(measured(value=0.5, low=0.4))


def test_a_training_curve_has_no_interval() -> None:
    row = dict.fromkeys(names(EVALUATIONS, "row")) | {"low": 0.1, "high": 0.2}
    with pytest.raises(RecordError, match="unknown high, low"):
        validate(failed() | {"curve": [row]})
