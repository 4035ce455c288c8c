"""Read what WFDB headers say beside the signal: diagnoses, age and sex in ``#`` lines.

This is how the Challenge 2020 and 2021 sets and ecg-arrhythmia are labelled: there is no
table, so every header is read when the source is opened.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from scaling.corpora.errors import CorpusError, refuse
from scaling.corpora.sources.read.listed import Entry
from scaling.corpora.sources.read.tables import file_sizes, fingerprint, patient_number
from scaling.corpora.sources.read.wfdb16 import SUFFIXES

_FIELD = re.compile(r"^#[ \t]*(Age|Sex|Dx)[ \t]*:[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_GAINS = re.compile(r"^[^#\s]\S* 16(?:\+24)? (\S+) ", re.MULTILINE)
_SEX = {"male": "male", "m": "male", "female": "female", "f": "female"}
_UNKNOWN = ("", "unknown", "nan")
OLDEST = 90.0  # PTB-XL writes 300 for patients older than 89
_GREATEST_AGE = 120.0


@dataclasses.dataclass(frozen=True, slots=True)
class Annotated:
    """One record as its header describes it.

    Attributes:
        record: name of the header without ``.hea``.
        stem: its path below the root, without ``.hea``.
        file: name of its signal file, in the same folder.
        codes: SNOMED CT codes of ``#Dx``.
        age: years, None where unknown.
        sex: ``female``, ``male``, or None where unknown.
        gain: gain of the leads as written, such as ``1000/mV``; several where they differ.
    """

    record: str
    stem: str
    file: str
    codes: tuple[str, ...]
    age: float | None
    sex: str | None
    gain: str

    def entry(self, labels: dict[str, tuple[int, ...]]) -> Entry:
        """The record as one of training, its own patient; tasks without a label leave it out."""
        return Entry(
            record=self.record,
            patient=patient_number(self.record),
            split="train",
            labels={task: positive for task, positive in labels.items() if positive},
            where=(self.stem, self.file),
            age=self.age,
            sex=self.sex,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """All headers below a folder.

    Attributes:
        records: those whose signal file is there, sorted by path.
        fingerprint: content id of the headers, and of the signal files' paths and sizes.
        absent: headers whose signal file is not there.
        left_out: signal files that no header names, for ``ListedSource``.
    """

    records: tuple[Annotated, ...]
    fingerprint: str
    absent: int
    left_out: dict[str, int]


def read_headers(
    root: Path,
    folder: Path,
    wanted: Callable[[str], bool] = lambda record: True,
    tables: tuple[bytes, ...] = (),
) -> Headers:
    """Read every header below a folder; no signal is read.

    Args:
        root: what paths are relative to.
        folder: ``root`` or a folder below it.
        wanted: whether a record of that name belongs to the source.
        tables: contents of the source's tables, for the fingerprint.

    Raises:
        CorpusError: a header cannot be read or has no ``#Dx`` line (the first ten), or there is
            no record at all.
    """
    # Paths are plain text here: a Path for each of 100,000 headers costs more than reading them.
    sizes = {
        path: size
        for path, size in file_sizes(folder, root, (".hea", *SUFFIXES)).items()
        if wanted(_name(path))
    }
    heads = [path for path in sizes if path.endswith(".hea")]
    base = os.fspath(root)
    records: list[Annotated] = []
    used: dict[str, int] = {}
    claimed: dict[str, str] = {}
    problems: list[str] = []
    digest = hashlib.sha256()
    for head in heads:
        try:
            with open(os.path.join(base, head), "rb") as file:  # noqa: PTH118, PTH123
                content = file.read()
            record = parse_annotated(head.removesuffix(".hea"), content.decode())
        except (OSError, UnicodeDecodeError, CorpusError) as error:
            problems.append(f"{root / head}: {error}")
            continue
        signal = head.removesuffix(_base(head)) + record.file
        if claimed.setdefault(signal, head) != head:
            problems.append(f"{root / head}: names the signal file of {claimed[signal]} too")
        if signal in sizes:
            records.append(record)
            used |= {head: sizes[head], signal: sizes[signal]}
            digest.update(content)
    refuse(problems, "headers")
    if not records:
        raise CorpusError(
            f"{folder}: no record: of {len(heads)} headers none has its signal file beside it"
        )
    unclaimed = len(sizes.keys() - claimed.keys() - set(heads))
    return Headers(
        records=tuple(records),
        fingerprint=fingerprint(tables, used, digest.digest()),
        absent=len(heads) - len(records),
        left_out={"signal file that no header names": unclaimed},
    )


def _base(path: str) -> str:
    """Last part of a path."""
    return path.rpartition("/")[2]


def _name(path: str) -> str:
    """Last part of a path, without its suffix."""
    return _base(path).rpartition(".")[0]


def parse_annotated(stem: str, text: str) -> Annotated:
    """Parse the ``#`` lines and the first signal line of a header.

    Args:
        stem: path of the header without ``.hea``.
        text: its content.

    Raises:
        CorpusError: no signal line, a signal file elsewhere, not one ``#Dx`` line, or a
            diagnosis that is no code.
    """
    lines = _FIELD.findall(text)
    fields = dict(lines)
    signal_line = text.split("\n", 2)[1].split() if text.count("\n") > 1 else []
    if len(signal_line) < 3 or signal_line[0].startswith("#"):
        raise CorpusError("describes no lead: truncated; download it again")
    file = signal_line[0]
    if "/" in file or "\\" in file:
        raise CorpusError(f"names the file {file!r}, which is not in its own folder")
    if "Dx" not in fields:
        raise CorpusError("has no #Dx line, which says the diagnoses: download it again")
    if sum(name == "Dx" for name, _ in lines) > 1:
        raise CorpusError("has two #Dx lines: download it again")
    codes = () if fields["Dx"].lower() in _UNKNOWN else tuple(fields["Dx"].split(","))
    codes = tuple(code.strip() for code in codes if code.strip())
    if wrong := [code for code in codes if not code.isdecimal()]:
        raise CorpusError(f"#Dx: {wrong[0]!r} is not a SNOMED CT code")
    return Annotated(
        record=_base(stem),
        stem=stem,
        file=file,
        codes=codes,
        age=_age(fields.get("Age", "")),
        sex=_SEX.get(fields.get("Sex", "").lower()),
        gain=" and ".join(sorted(set(_GAINS.findall(text)) or {signal_line[2]})),
    )


def _age(text: str) -> float | None:
    """Years; None for what is no age, 90 for the 300 that PTB-XL writes for 90 or older."""
    try:
        age = float(text)
    except ValueError:
        return None
    if age == 300:
        return OLDEST
    return age if 0 <= age <= _GREATEST_AGE else None


def unusual_gains(records: tuple[Annotated, ...], usual: str = "1000/mV") -> str:
    """A remark on the records whose gain is not the usual one; empty where there is none."""
    others = [r for r in records if r.gain.lower() != usual.lower()]
    if not others:
        return ""
    kinds = collections.Counter(record.gain for record in others)
    listed = ", ".join(f"{gain} in {count}" for gain, count in sorted(kinds.items()))
    return (
        f"gain other than {usual}: {listed} (such as {others[0].record}); read as the headers say, "
        "though amplitudes suggest that some of these headers are wrong"
    )


def class_index(classes: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Code -> index of its class, for ``positives``."""
    return {code: i for i, codes in enumerate(classes.values()) for code in codes}


def positives(codes: Iterable[str], index: Mapping[str, int]) -> tuple[int, ...]:
    """Indices of the classes of which a record carries any code, ascending."""
    return tuple(sorted({index[code] for code in codes if code in index}))
