"""The 38 labels of CSN: by SNOMED CT code, and by the rule of the published benchmark.

The benchmark (MERL, Liu et al., ICML 2024) joined the acronyms of a record into one text and
gave it every label whose acronym is *inside* that text, so AFIB is also AF (flutter), 1AVB also
AVB and VB (bigeminy), STE, STTC and STDD also ST (sinus tachycardia), CCR also CR and LVQRSAL
also SA. It leaves out records with a code that the table of conditions does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.tables import read_table

CONDITIONS = "ConditionNames_SNOMED-CT.csv"
CLASSES = (
    "AQW", "UW", "SR", "WPW", "2AVB", "AT", "VB", "ARS", "STTC", "SA", "STE", "VPB", "TWO", "STTU",
    "ALS", "APB", "2AVB1", "PRIE", "CCR", "CR", "AF", "AVB", "QTIE", "LBBB", "VEB", "SVT", "RBBB",
    "1AVB", "STDD", "MI", "AFIB", "TWC", "PWC", "ERV", "RVH", "LVH", "ST", "JEB",
)  # fmt: skip
# Code -> acronym as in ConditionNames_SNOMED-CT.csv; of several with one code, the first.
ACRONYMS = {
    "270492004": "1AVB",
    "195042002": "2AVB",
    "54016002": "2AVB1",
    "28189009": "2AVB2",
    "27885002": "3AVB",
    "251173003": "ABI",
    "39732003": "ALS",
    "284470004": "APB",
    "164917005": "AQW",
    "47665007": "ARS",
    "233917008": "AVB",
    "251199005": "CCR",
    "251198002": "CR",
    "428417006": "ERV",
    "164942001": "FQRS",
    "698252002": "IDC",
    "426995002": "JEB",
    "251164006": "JPT",
    "164909002": "LBBB",
    "164873001": "LVH",
    "251146004": "LVQRSAL",
    "251148003": "LVQRSCL",
    "251147008": "LVQRSLL",
    "164865005": "MI",
    "164947007": "PRIE",
    "164912004": "PWC",
    "111975006": "QTIE",
    "446358003": "RAH",
    "59118001": "RBBB",
    "89792004": "RVH",
    "429622005": "STDD",
    "164930006": "STE",
    "428750005": "STTC",
    "164931005": "STTU",
    "164934002": "TWC",
    "59931005": "TWO",
    "164937009": "UW",
    "11157007": "VB",
    "75532003": "VEB",
    "13640000": "VFW",
    "17338001": "VPB",
    "195060002": "VPE",
    "251180001": "VET",
    "195101003": "WAVN",
    "74390002": "WPW",
    "426177001": "SB",
    "426783006": "SR",
    "164889003": "AFIB",
    "427084000": "ST",
    "164890007": "AF",
    "427393009": "SA",
    "426761007": "SVT",
    "713422000": "AT",
    "233896004": "AVNRT",
    "233897008": "AVRT",
}


def read_conditions(path: Path) -> dict[str, str]:
    """Code -> acronym from the set's own table; ``ACRONYMS`` where it is not there.

    Where several conditions share one code, headers cannot tell them apart: the first counts.

    Raises:
        CorpusError: the table cannot be read, or has no code for one of the 38 labels.
    """
    if not path.is_file():
        return ACRONYMS
    found: dict[str, str] = {}
    for _, row in read_table(path, ("Acronym Name", "Snomed_CT")):
        found.setdefault(row["Snomed_CT"].strip(), row["Acronym Name"].strip())
    if absent := [name for name in CLASSES if name not in found.values()]:
        raise CorpusError(f"{path}: has no code for {', '.join(absent)}: download it again")
    return found


def labels_by_code(codes: Iterable[str], acronyms: Mapping[str, str]) -> tuple[int, ...]:
    """Indices of the labels whose own code the record carries, ascending."""
    named = {acronyms.get(code) for code in codes}
    return tuple(i for i, name in enumerate(CLASSES) if name in named)


def labels_as_published(codes: Iterable[str], acronyms: Mapping[str, str]) -> tuple[int, ...]:
    """Indices of the labels by the benchmark's rule, ascending; none where it has no record."""
    try:
        text = ",".join(acronyms[code] for code in codes)
    except KeyError:
        return ()
    return tuple(i for i, name in enumerate(CLASSES) if name in text)
