"""SNOMED CT codes of ECG headers, and the class lists made of them.

The scored diagnoses of the PhysioNet/CinC Challenge 2021 with the organisers' abbreviations
(``dx_mapping_scored.csv`` of its evaluation code), and the class lists of LiteHeart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Abbreviation -> code, in the order of the organisers' table.
SCORED = {
    "AF": "164889003",
    "AFL": "164890007",
    "BBB": "6374002",
    "Brady": "426627000",
    "CLBBB": "733534002",
    "CRBBB": "713427006",
    "IAVB": "270492004",
    "IRBBB": "713426002",
    "LAD": "39732003",
    "LAnFB": "445118002",
    "LBBB": "164909002",
    "LQRSV": "251146004",
    "NSIVCB": "698252002",
    "NSR": "426783006",
    "PAC": "284470004",
    "PR": "10370003",
    "PRWP": "365413008",
    "PVC": "427172004",
    "LPR": "164947007",
    "LQT": "111975006",
    "QAb": "164917005",
    "RAD": "47665007",
    "RBBB": "59118001",
    "SA": "427393009",
    "SB": "426177001",
    "STach": "427084000",
    "SVPB": "63593006",
    "TAb": "164934002",
    "TInv": "59931005",
    "VPB": "17338001",
}
# Pairs that the organisers score as one diagnosis.
EQUIVALENT = (("CLBBB", "LBBB"), ("CRBBB", "RBBB"), ("PAC", "SVPB"), ("PVC", "VPB"))


def _merged() -> dict[str, tuple[str, ...]]:
    partner = dict(EQUIVALENT)
    second = set(partner.values())
    classes: dict[str, tuple[str, ...]] = {}
    for name, code in SCORED.items():
        if name in partner:
            classes[f"{name}|{partner[name]}"] = (code, SCORED[partner[name]])
        elif name not in second:
            classes[name] = (code,)
    return classes


SCORED_CLASSES = _merged()  # 26 classes -> their one or two codes

# LiteHeart, Extended Data Table 1. Equivalent diagnoses are kept apart.
_LITEHEART = {
    "georgia": "AF IAVB IRBBB LAD LBBB LQRSV NSIVCB NSR PAC LQT QAb RBBB SA SB STach TAb TInv VPB",
    "ptb-xl": (
        "AF CRBBB IAVB IRBBB LAD LAnFB LBBB NSIVCB NSR PAC PR LPR QAb RAD SA SB STach TAb TInv"
    ),
    "ningbo": (
        "AFL BBB CLBBB CRBBB IAVB IRBBB LAD LAnFB LQRSV NSIVCB NSR PAC PR PRWP PVC LQT QAb RAD "
        "SA SB STach TAb TInv"
    ),
    "chapman_shaoxing": "AF AFL IAVB LAD LBBB LQRSV NSIVCB NSR PAC QAb RAD RBBB SB STach TAb VPB",
}
# More than 200 records in the published sets; fixed, so that a partial download keeps its classes.
LITEHEART_CLASSES: dict[str, dict[str, tuple[str, ...]]] = {
    part: {name: (SCORED[name],) for name in names.split()} for part, names in _LITEHEART.items()
}


def class_index(classes: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Code -> index of its class, for ``positives``."""
    return {code: i for i, codes in enumerate(classes.values()) for code in codes}


def positives(codes: Iterable[str], index: Mapping[str, int]) -> tuple[int, ...]:
    """Indices of the classes of which a record carries any code, ascending."""
    return tuple(sorted({index[code] for code in codes if code in index}))
