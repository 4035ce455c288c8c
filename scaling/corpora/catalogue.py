"""The catalogue: one row for each source there is.

Data only, and only the standard library: a grid is checked against it in no time. A new
source is one module below ``scaling.corpora.sources`` and one row here.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

_SOURCES = "scaling.corpora.sources."
PTBXL_TASKS = ("superclass", "subclass", "diagnostic", "form", "rhythm", "all")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """One row of the catalogue.

    Attributes:
        name: what a grid calls it.
        kind: ``files`` needs a root, ``virtual`` makes its records, ``simulated`` has none
            and is only for the simulated trainer.
        about: one line for listings.
        reader: module with ``open_source``; empty for ``simulated``.
        tasks: label sets; ``("",)`` where there is only one.
        default_task: the one meant when a grid names none.
        root_env: environment variable that may hold the root.
        records: default number of training records; None for ``files``.
        validation: default number of validation records.
        test: default number of test records.
        size: records of the published set, all splits; None where it is the user's own.
        folds: number of cross-validation folds its publisher gives, numbered from 1; 0 for none.
        leads: number of leads.
        rates_hz: sampling rates of the published set in hertz.
        licence: of the data, as its publisher states it.
        access: ``open`` to all, ``restricted`` (a signed agreement, or asked of its authors),
            ``own`` (the user's), ``none`` (made here).
        url: where it is from.
        bayes_loss: loss that no model can beat, in nats, of a simulated source.
        download: its folder below ``https://physionet.org/files/`` where ``download`` can
            fetch it; empty otherwise.
    """

    name: str
    kind: Literal["virtual", "files", "simulated"]
    about: str
    reader: str = ""
    tasks: tuple[str, ...] = ("",)
    default_task: str = ""
    root_env: str | None = None
    records: int | None = None
    validation: int | None = None
    test: int | None = None
    size: int | None = None
    folds: int = 0
    leads: int = 12
    rates_hz: tuple[int, ...] = ()
    licence: str = ""
    access: Literal["open", "restricted", "own", "none"] = "none"
    url: str = ""
    download: str = ""
    bayes_loss: float | None = None


def _virtual(
    name: str,
    about: str,
    tasks: tuple[str, ...] = ("",),
    records: int = 8192,
    validation: int = 1024,
    test: int = 4096,
) -> SourceInfo:
    return SourceInfo(
        name=name,
        kind="virtual",
        reader=_SOURCES + "virtual",
        tasks=tasks,
        default_task=tasks[0],
        records=records,
        validation=validation,
        test=test,
        about=about,
    )


SIMULATED_BAYES_LOSS, SHIFTED_BAYES_LOSS = 0.20, 0.25  # E of the laws of ``scaling.simulated``


def _simulated(name: str, about: str, bayes_loss: float = SIMULATED_BAYES_LOSS) -> SourceInfo:
    return SourceInfo(
        name=name,
        kind="simulated",
        records=1_000_000,
        validation=1024,
        test=4096,
        about=about,
        bayes_loss=bayes_loss,
    )


CC_BY = "CC BY 4.0"
CREDENTIALED = "PhysioNet Credentialed Health Data License 1.5.0"

_PTBXL = SourceInfo(
    name="ptbxl",
    kind="files",
    reader=_SOURCES + "ptbxl",
    tasks=PTBXL_TASKS,
    default_task="superclass",
    root_env="ECG_ROOT_PTBXL",
    about="PTB-XL 1.0.x, ten-second records of 18,869 patients, 71 statements, folds",
    size=21_799,
    folds=10,
    rates_hz=(100, 500),
    licence=CC_BY,
    access="open",
    url="https://physionet.org/content/ptb-xl/1.0.3/",
    download="ptb-xl/1.0.3",
)
_CPSC = SourceInfo(
    name="cpsc2018",
    kind="files",
    reader=_SOURCES + "cpsc2018",
    root_env="ECG_ROOT_CPSC2018",
    about="CPSC 2018, 6-144 s, nine classes; Challenge WFDB copy or the original .mat",
    size=6_877,
    rates_hz=(500,),
    licence="not stated by the organisers; Challenge 2021 copy CC BY 4.0",
    access="open",
    url="http://2018.icbeb.org/Challenge.html",
    download="challenge-2021/1.0.3/training/cpsc_2018",
)


def _csn(name: str, size: int, about: str) -> SourceInfo:
    return SourceInfo(
        name=name,
        kind="files",
        reader=_SOURCES + "csn",
        tasks=("codes", "published"),
        default_task="codes",
        root_env="ECG_ROOT_CSN",
        about=about,
        size=size,
        rates_hz=(500,),
        licence=CC_BY,
        access="open",
        url="https://physionet.org/content/ecg-arrhythmia/1.0.0/",
        download="ecg-arrhythmia/1.0.0",
    )


def _challenge(part: str, size: int, about: str, rates_hz: tuple[int, ...] = (500,)) -> SourceInfo:
    folder = f"/{part}" if part else ""
    return SourceInfo(
        name="challenge2021" + folder,
        kind="files",
        reader=_SOURCES + "challenge2021",
        tasks=("scored", "liteheart") if part in LITEHEART_PARTS else ("scored",),
        default_task="scored",
        root_env="ECG_ROOT_CHALLENGE2021",
        about=about,
        size=size,
        rates_hz=rates_hz,
        licence=CC_BY,
        access="open",
        url="https://physionet.org/content/challenge-2021/1.0.3/",
        download="challenge-2021/1.0.3/training" + folder,
    )


LITEHEART_PARTS = ("georgia", "ptb-xl", "ningbo", "chapman_shaoxing")
LUDB_TASKS = (
    "rhythm", "axis", "conduction", "extrasystole", "hypertrophy", "pacing", "ischemia",
    "repolarization", "other",
)  # fmt: skip
MDS_TASKS = ("icd", "sex", "icu", "mortality")

_FILES = (
    _PTBXL,
    _CPSC,
    _csn("csn", 45_152, "Chapman-Shaoxing-Ningbo, 10 s, the 38-label benchmark"),
    _csn("csn/chapman", 10_646, "the Chapman-Shaoxing part of csn"),
    _csn("csn/ningbo", 34_506, "the Ningbo part of csn"),
    SourceInfo(
        name="chapman",
        kind="files",
        reader=_SOURCES + "chapman",
        root_env="ECG_ROOT_CHAPMAN",
        about="Chapman-Shaoxing on figshare, 10 s, four rhythm groups",
        size=10_646,
        rates_hz=(500,),
        licence=CC_BY,
        access="open",
        url="https://figshare.com/collections/ChapmanECG/4560497/2",
    ),
    _challenge("", 88_253, "PhysioNet/CinC Challenge 2021, all public sources", (257, 500, 1000)),
    _challenge("georgia", 10_344, "Challenge 2021: Georgia (G12EC), 5 or 10 s"),
    _challenge("ptb-xl", 21_837, "Challenge 2021: its copy of PTB-XL"),
    _challenge("ningbo", 34_905, "Challenge 2021: Ningbo"),
    _challenge("chapman_shaoxing", 10_247, "Challenge 2021: Chapman-Shaoxing"),
    _challenge("cpsc_2018", 6_877, "Challenge 2021: its copy of CPSC 2018"),
    _challenge("cpsc_2018_extra", 3_453, "Challenge 2021: unused CPSC 2018 records"),
    _challenge("ptb", 516, "Challenge 2021: PTB, about 100 s", (1000,)),
    _challenge("st_petersburg_incart", 74, "Challenge 2021: INCART, 30 minutes", (257,)),
    SourceInfo(
        name="code15",
        kind="files",
        reader=_SOURCES + "code_hdf5",
        root_env="ECG_ROOT_CODE15",
        about="CODE-15 %, HDF5 parts of 4096 samples, six labels, 233,770 patients",
        size=345_779,
        rates_hz=(400,),
        licence=CC_BY,
        access="open",
        url="https://zenodo.org/records/4916206",
    ),
    SourceInfo(
        name="code",
        kind="files",
        reader=_SOURCES + "code",
        root_env="ECG_ROOT_CODE",
        about="CODE, the full set as WFDB, six labels",
        size=2_322_465,
        rates_hz=(300, 400, 600, 1000),
        licence="by agreement with the Telehealth Network of Minas Gerais",
        access="restricted",
        url="https://scilifelab.figshare.com/articles/dataset/CODE_dataset/15169716",
    ),
    SourceInfo(
        name="code-test",
        kind="files",
        reader=_SOURCES + "code_hdf5",
        root_env="ECG_ROOT_CODE_TEST",
        about="CODE-test, 827 records annotated by a committee of cardiologists",
        size=827,
        rates_hz=(400,),
        licence=CC_BY,
        access="open",
        url="https://zenodo.org/records/3765780",
    ),
    SourceInfo(
        name="mimic",
        kind="files",
        reader=_SOURCES + "mimic",
        tasks=MDS_TASKS,
        default_task="icd",
        root_env="ECG_ROOT_MIMIC",
        about="MIMIC-IV-ECG, 161,352 patients; its ext-icd and MDS-ED labels are credentialed",
        size=800_035,
        rates_hz=(500,),
        licence="ODC Open Database License 1.0 (signals); labels: " + CREDENTIALED,
        access="open",
        url="https://physionet.org/content/mimic-iv-ecg/1.0/",
        download="mimic-iv-ecg/1.0",
    ),
    SourceInfo(
        name="echonext",
        kind="files",
        reader=_SOURCES + "echonext",
        tasks=("shd", "flags"),
        default_task="shd",
        root_env="ECG_ROOT_ECHONEXT",
        about="EchoNext, standardised 10 s records with echocardiographic flags",
        size=100_000,
        rates_hz=(250,),
        licence="PhysioNet Restricted Health Data License 1.5.0",
        access="restricted",
        url="https://physionet.org/content/echonext/1.1.0/",
    ),
    SourceInfo(
        name="sph",
        kind="files",
        reader=_SOURCES + "sph",
        tasks=("primary",),
        default_task="primary",
        root_env="ECG_ROOT_SPH",
        about="Shandong Provincial Hospital, 10-60 s, AHA statements",
        size=25_770,
        rates_hz=(500,),
        licence=CC_BY,
        access="open",
        url="https://springernature.figshare.com/collections/5779802/1",
    ),
    SourceInfo(
        name="ludb",
        kind="files",
        reader=_SOURCES + "ludb",
        tasks=LUDB_TASKS,
        default_task="rhythm",
        root_env="ECG_ROOT_LUDB",
        about="LUDB, 200 records with P, QRS and T delineated by cardiologists",
        size=200,
        rates_hz=(500,),
        licence="ODC Attribution License 1.0",
        access="open",
        url="https://physionet.org/content/ludb/1.0.1/",
        download="ludb/1.0.1",
    ),
    SourceInfo(
        name="arrays",
        kind="files",
        reader=_SOURCES + "arrays",
        root_env="ECG_ROOT_ARRAYS",
        about="your own arrays: npy, npz or HDF5 beside a CSV (SMU is read this way)",
        access="own",
    ),
    SourceInfo(
        name="wfdb",
        kind="files",
        reader=_SOURCES + "wfdb_folder",
        root_env="ECG_ROOT_WFDB",
        about="your own folder of WFDB records beside a CSV",
        access="own",
    ),
)
_COHORTS = (
    _virtual("virtual/basic", "virtual patients of a quiet clinic, CODE's six labels"),
    _virtual("virtual/code", "virtual patients with CODE's six labels"),
    _virtual(
        "virtual/shifted", "virtual patients, other labels, device and mix", ("",), 1024, 512, 1024
    ),
    _virtual("virtual/cpsc2018", "virtual patients with CPSC 2018's nine labels"),
    _virtual("virtual/csn", "virtual patients with CSN's 38 labels"),
    _virtual("virtual/ptbxl", "virtual patients with PTB-XL's tasks", PTBXL_TASKS),
    _virtual(
        "virtual/echonext", "virtual patients, structural disease by subtle signs", ("shd", "flags")
    ),
    _virtual("virtual/mimic", "virtual inpatients: a long tail of codes, outcomes", MDS_TASKS),
    _virtual("virtual/wearable", "virtual patients on dry electrodes in motion", ("",)),
)
_SIMULATED = (
    _simulated("simulated/chinchilla", "no ECG: losses drawn from a known law"),
    _simulated(
        "simulated/shifted", "no ECG: the out-of-distribution task of the above", SHIFTED_BAYES_LOSS
    ),
    _simulated("simulated/flaky", "no ECG: some trials fail at first"),
    _simulated("simulated/diverging", "no ECG: some trials diverge"),
    _simulated("simulated/slow", "no ECG: trials that take their time"),
)
SOURCES: dict[str, SourceInfo] = {info.name: info for info in _FILES + _COHORTS + _SIMULATED}
