"""A small Challenge 2021 training set, and the real counts of its codes."""

from __future__ import annotations

from pathlib import Path

from tests.scaling.corpora.layouts import wfdb_mat

AF, AFL, NSR, SB, PAC, SVPB = (
    "164889003", "164890007", "426783006", "426177001", "284470004", "63593006",
)  # fmt: skip
CRBBB, RBBB, PVC, VPB, VEB, STC = (
    "713427006", "59118001", "427172004", "17338001", "164884008", "55930002",
)  # fmt: skip
GEORGIA = {  # name -> number, #Dx, age, sex
    "E00001": (1, f"{AF},{RBBB}", "NaN", "Female"),
    "E00002": (2, NSR, "56", "M"),
    "E00003": (3, NSR, "Unknown", "Unknown"),
    "E00004": (4, STC, "300", "NaN"),  # no scored class
    "E00005": (5, SVPB, "-1", "F"),
}

# Records with each scored code in the four sets of LiteHeart: the columns of the organisers'
# dx_mapping_scored.csv. Georgia, PTB-XL, Ningbo, Chapman-Shaoxing.
PUBLISHED_COUNTS = {
    "AF": (570, 1514, 0, 1780),
    "AFL": (186, 73, 7615, 445),
    "BBB": (116, 0, 385, 0),
    "Brady": (6, 0, 7, 0),
    "CLBBB": (0, 0, 213, 0),
    "CRBBB": (28, 542, 1096, 0),
    "IAVB": (769, 797, 893, 247),
    "IRBBB": (407, 1118, 246, 0),
    "LAD": (940, 5146, 1163, 382),
    "LAnFB": (180, 1626, 380, 0),
    "LBBB": (231, 536, 35, 205),
    "LQRSV": (374, 182, 794, 249),
    "NSIVCB": (203, 789, 536, 235),
    "NSR": (1752, 18092, 6299, 1826),
    "PAC": (639, 398, 1054, 258),
    "PR": (0, 296, 1182, 0),
    "PRWP": (0, 0, 638, 0),
    "PVC": (0, 0, 1091, 0),
    "LPR": (0, 340, 40, 12),
    "LQT": (1391, 118, 337, 57),
    "QAb": (464, 548, 828, 235),
    "RAD": (83, 343, 638, 215),
    "RBBB": (542, 0, 195, 454),
    "SA": (455, 772, 2550, 0),
    "SB": (1677, 637, 12670, 3889),
    "STach": (1261, 826, 5687, 1568),
    "SVPB": (1, 157, 9, 0),
    "TAb": (2306, 2345, 5167, 1876),
    "TInv": (812, 294, 2720, 157),
    "VPB": (357, 0, 0, 294),
}
PARTS = ("georgia", "ptb-xl", "ningbo", "chapman_shaoxing")


def write_georgia(folder: Path) -> Path:
    """Write the part ``georgia``, in two groups; some records are 5 s long."""
    for name, (number, dx, age, sex) in GEORGIA.items():
        group, samples = ("g2", 2500) if number > 3 else ("g1", 5000)
        wfdb_mat.write(folder / group, name, number, dx, age=age, sex=sex, samples=samples)
    return folder


def write(root: Path) -> Path:
    """Write ``training`` with four parts of different rates."""
    training = root / "training"
    write_georgia(training / "georgia")
    wfdb_mat.write(training / "st_petersburg_incart/g1", "I0001", 11, PAC, fs_hz=257, samples=4626)
    wfdb_mat.write(training / "ptb/g1", "S0001", 12, NSR, fs_hz=1000, samples=10_000)
    wfdb_mat.write(training / "cpsc_2018/g1", "A0001", 13, VEB, samples=3000)
    # One header of Ningbo lacks the first letter of its name.
    wfdb_mat.write(training / "ningbo/g13", "JS23074", 14, f"{AFL},{SB}", header="S23074")
    return root
