"""The 71 SCP-ECG statements of PTB-XL and what they belong to, as its own table has them.

Order, kinds, classes and subclasses are those of ``scp_statements.csv`` of PTB-XL 1.0.3 (Wagner
et al. 2020, CC BY 4.0), from which ``scaling.corpora.sources.ptbxl`` reads them.
"""

from __future__ import annotations

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
# Subclass of each diagnostic statement, in the table's order, below its superclass.
_DIAGNOSTIC = """
NDT:STTC/STTC NST_:STTC/NST_ DIG:STTC/STTC LNGQT:STTC/STTC NORM:NORM/NORM IMI:MI/IMI ASMI:MI/AMI
LVH:HYP/LVH LAFB:CD/LAFB/LPFB ISC_:STTC/ISC_ IRBBB:CD/IRBBB 1AVB:CD/_AVB IVCD:CD/IVCD
ISCAL:STTC/ISCA CRBBB:CD/CRBBB CLBBB:CD/CLBBB ILMI:MI/IMI LAO/LAE:HYP/LAO/LAE AMI:MI/AMI
ALMI:MI/AMI ISCIN:STTC/ISCI INJAS:MI/AMI LMI:MI/LMI ISCIL:STTC/ISCI LPFB:CD/LAFB/LPFB
ISCAS:STTC/ISCA INJAL:MI/AMI ISCLA:STTC/ISCA RVH:HYP/RVH ANEUR:STTC/STTC RAO/RAE:HYP/RAO/RAE
EL:STTC/STTC WPW:CD/WPW ILBBB:CD/ILBBB IPLMI:MI/IMI ISCAN:STTC/ISCA IPMI:MI/IMI SEHYP:HYP/SEHYP
INJIN:MI/IMI INJLA:MI/AMI PMI:MI/PMI 3AVB:CD/_AVB INJIL:MI/IMI 2AVB:CD/_AVB
"""
ALSO_FORM = ("NDT", "NST_", "DIG", "LNGQT")
_FORM = """
ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S)
"""
_RHYTHM = """
SR AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU
"""

_ROWS = [entry.split(":") for entry in _DIAGNOSTIC.split()]
SUPERCLASS: dict[str, str] = {code: place.split("/")[0] for code, place in _ROWS}
SUBCLASS: dict[str, str] = {code: place.split("/", 1)[1] for code, place in _ROWS}
DIAGNOSTIC = tuple(SUPERCLASS)
FORM = (*ALSO_FORM, *_FORM.split())
RHYTHM = tuple(_RHYTHM.split())
STATEMENTS = (*DIAGNOSTIC, *_FORM.split(), *RHYTHM)


def members(groups: dict[str, str], order: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Class -> its statements, from statement -> class; classes as they come, or in ``order``."""
    names = order or tuple(dict.fromkeys(groups.values()))
    return {name: tuple(code for code, of in groups.items() if of == name) for name in names}
