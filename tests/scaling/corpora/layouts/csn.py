"""A small ecg-arrhythmia 1.0.0: headers, the table of conditions, the published split."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.scaling.corpora.layouts import wfdb_mat

# Rows of ConditionNames_SNOMED-CT.csv; three conditions share the code of infarction.
CONDITIONS = """1AVB,1 degree atrioventricular block,270492004
2AVB,2 degree atrioventricular block,195042002
2AVB1,2 degree atrioventricular block(Type one),54016002
ALS,Axis left shift,39732003
APB,atrial premature beats,284470004
AQW,abnormal Q wave,164917005
ARS,Axis right shift,47665007
AVB,atrioventricular block,233917008
CCR,countercolockwise rotation,251199005
CR,colockwise rotation,251198002
ERV,Early repolarization of the ventricles,428417006
FQRS,fQRS Wave,164942001
IDC,Interior differences conduction,698252002
IVB,Intraventricular block,698252002
JEB,junctional escape beat,426995002
LBBB,left bundle branch block,164909002
LBBBB,left back bundle branch block,164909002
LVH,left ventricle hypertrophy,164873001
LVQRSAL,lower voltage QRS in all lead,251146004
MI,myocardial infarction,164865005
MIBW,myocardial infraction in back wall,164865005
MIFW,Myocardial infgraction in the front wall,164865005
PRIE,PR interval extension,164947007
PWC,P wave Change,164912004
QTIE,QT interval extension,111975006
RBBB,right bundle branch block,59118001
RVH,right ventricle hypertrophy,89792004
STDD,ST drop down,429622005
STE,ST extension,164930006
STTC,ST-T Change,428750005
STTU,ST tilt up,164931005
TWC,T wave Change,164934002
TWO,T wave opposite,59931005
UW,U wave,164937009
VB,ventricular bigeminy,11157007
VEB,ventricular escape beat,75532003
VPB,ventricular premature beat,17338001
WPW,WPW,74390002
SB,Sinus Bradycardia,426177001
SR,Sinus Rhythm,426783006
AFIB,Atrial Fibrillation,164889003
ST,Sinus Tachycardia,427084000
AF,Atrial Flutter,164890007
SA,Sinus Irregularity,427393009
SVT,Supraventricular Tachycardia,426761007
AT,Atrial Tachycardia,713422000
"""
# number -> codes; 10646 is the last of Chapman
ROWS = {
    1: "164889003,59118001,164934002",  # AFIB RBBB TWC
    2: "426177001",  # SB alone
    3: "426177001,164934002",  # SB, TWC
    4: "426177001,270492004,428750005",  # SB, 1AVB, STTC
    10646: "164890007,251146004",  # AF, LVQRSAL
    10647: "251199005,164865005",  # CCR, MI
    10648: "426783006,55827005",  # SR, and high voltage, which is not in the table
    10649: "698252002,426177001",  # IDC, SB: none of the 38
    10650: "195042002,54016002",  # 2AVB, 2AVB1
}
SPLIT = {"train": (1, 3, 10646, 10650), "val": (4,), "test": (10647, 10649)}


def path_of(number: int) -> str:
    """Path of a record below ``WFDBRecords``: folders of a thousand and of a hundred."""
    return f"{number // 1000 + 1:02d}/{number // 100 + 10:03d}/JS{number:05d}"


def write(root: Path, conditions: bool = True) -> Path:
    """Write the records, and the table."""
    for number, codes in ROWS.items():
        stem = root / "WFDBRecords" / path_of(number)
        wfdb_mat.write(stem.parent, stem.name, number, codes, samples=500)
    if conditions:
        text = "Acronym Name,Full Name,Snomed_CT\n" + CONDITIONS
        (root / "ConditionNames_SNOMED-CT.csv").write_text(text)
    return root


def write_split(folder: Path, labels: tuple[str, ...]) -> None:
    """Write MERL's three files: path, age, acronyms, and 0 or 1 by the rule it used."""
    acronym: dict[str, str] = {}
    for line in CONDITIONS.splitlines():
        name, _, code = line.split(",")
        acronym.setdefault(code, name)
    folder.mkdir(parents=True, exist_ok=True)
    for part, numbers in SPLIT.items():
        with (folder / f"chapman_{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["ecg_path", "age", "diagnose", *labels])
            for number in numbers:
                text = ",".join(acronym[code] for code in ROWS[number].split(","))
                path = f"/chapman/WFDBRecords/{path_of(number)}.mat"
                writer.writerow([path, 12, text, *(int(label in text) for label in labels)])
