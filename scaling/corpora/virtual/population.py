"""Who the patients of a cohort are, what records them, and the findings: what a reader may label.

Demographics, means and the prevalence of disorders say who they are. The generator fills one
number for each finding of each record; a cohort's readings are logistics in them. A degree is 0
where the disorder is absent and about 1 where it is fully developed. Needs only the standard
library, so that a grid can be checked in no time.
"""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path


def packaged_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table of this package.

    Raises:
        ValueError: a row with more or fewer cells than the header.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{path}:{line}: not as many cells as the header has")
    return rows


# name -> (unit, what it is)
FINDINGS: dict[str, tuple[str, str]] = {
    row["finding"]: (row["unit"], row["meaning"])
    for row in packaged_rows(Path(__file__).with_name("findings.csv"))
}
# What they are, and how common in each cohort; empty where it is absent.
_DISORDERS = packaged_rows(Path(__file__).with_name("disorders.csv"))
DISORDERS: dict[str, str] = {row["disorder"]: row["meaning"] for row in _DISORDERS}
# log of the prevalence ratio for 16 years of age; the share over all ages stays as stated
AGE_EFFECT = {row["disorder"]: float(row["age_effect"]) for row in _DISORDERS}
# Disorders of which a record has at most one; where none is drawn the rhythm is sinus.
RHYTHMS = tuple(row["disorder"] for row in _DISORDERS if row["kind"] == "rhythm")
# All others are drawn one by one; several may meet in a patient.
STATES = tuple(name for name in DISORDERS if name not in RHYTHMS)

# Records per patient, repeated over the patients: fixed, so that record -> patient needs no
# state and any subset can be made anywhere. Mean 2 records a patient.
VISITS = (1, 2, 1, 3, 2, 4, 1, 2)

# Disorders whose degree is a finding of the same name.
OWN_DEGREE = (
    *RHYTHMS, "preexcitation", "lafb", "lpfb", "ivcd", "effusion", "digitalis", "aortic_stenosis",
    "mitral_regurgitation", "bigeminy", "trigeminy", "sinus_arrhythmia", "early_repolarisation",
)  # fmt: skip
# Findings that stay below ``UNRAISED`` in everyone who has none of these disorders.
UNRAISED = 0.3
RAISED_BY: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in OWN_DEGREE},
    "av_block2_type2": ("av_block2",),
    "rbbb": ("rbbb", "irbbb"), "lbbb": ("lbbb", "ilbbb"),
    **{f"scar_{w}": (f"infarct_{w}",) for w in ("anterior", "inferior", "lateral", "posterior")},
}  # fmt: skip
# Means outside of which everyone would be the same: the generator goes no further.
REACH: dict[str, tuple[float, float]] = {
    "age_mean": (18.0, 96.0), "rate_mean": (27.0, 215.0), "pr_mean": (105.0, 205.0),
    "qrs_mean": (66.0, 190.0), "qtc_mean": (300.0, 640.0), "ef_mean": (10.0, 90.0),
    "mass_mean": (20.0, 300.0), "axis_mean": (-180.0, 180.0), "male": (0.0, 1.0),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The people of a cohort: means, and standard deviations between patients in the same units.

    ``prevalence`` gives the share of the population with each disorder; one that is not named
    is absent. Age shifts who has it, not how many: see ``AGE_EFFECT``. Shares are of
    what is drawn; related disorders bring a little more of each other (see ``latents``).

    Attributes:
        age_mean: years.
        male: share of men.
        prevalence: disorder (``DISORDERS``) -> share in [0, 1].
        rate_mean: sinus rate of those with neither bradycardia nor tachycardia, 1/min.
        pr_mean: PR interval without block at 54 years, ms.
        qrs_mean: QRS duration without conduction disorder, ms.
        qtc_mean: QTc (Fridericia) of men in ms; women have 8 ms more.
        axis_mean: frontal QRS axis at 54 years, degrees.
        voltage_mean: mean log of the QRS amplitude; 0 is the average adult.
        p_voltage: mean log of the P amplitude; 0 is the average adult.
        ef_mean: ejection fraction without disorder, %.
        mass_mean: left-ventricular mass index without disorder, g/m2.
        frailty_mean: mean z-score of frailty.
        variety: how much the shapes of P, QRS and T and the torsos differ between patients; 1 is
            as in real ECG.

    Raises:
        ValueError: unknown disorder, a share outside [0, 1], or rhythms that add up to over 1; a
            number that is not finite, a negative spread, or a mean that nobody could have.
    """

    age_mean: float
    age_sd: float = 16.0
    male: float = 0.5
    prevalence: Mapping[str, float] = dataclasses.field(default_factory=dict)
    rate_mean: float = 72.0
    rate_sd: float = 10.0
    pr_mean: float = 163.0
    pr_sd: float = 18.0
    qrs_mean: float = 80.0
    qrs_sd: float = 8.0
    qtc_mean: float = 392.0
    qtc_sd: float = 18.0
    axis_mean: float = 38.0
    axis_sd: float = 18.0
    voltage_mean: float = 0.0
    voltage_sd: float = 0.21
    p_voltage: float = 0.0
    ef_mean: float = 61.0
    ef_sd: float = 5.0
    mass_mean: float = 80.0
    mass_sd: float = 15.0
    frailty_mean: float = 0.0
    variety: float = 1.0

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.prevalence) - set(DISORDERS)):
            raise ValueError(f"unknown disorders {unknown}; see population.DISORDERS")
        if wrong := {k: v for k, v in self.prevalence.items() if not 0.0 <= v <= 1.0}:
            raise ValueError(f"prevalence {wrong}: shares lie between 0 and 1")
        if (total := sum(self.prevalence.get(name, 0.0) for name in RHYTHMS)) > 1.0:
            raise ValueError(f"the rhythms' shares add up to {total:g}; a patient has only one")
        for field in dataclasses.fields(self):
            if field.name != "prevalence":
                self._check(field.name, getattr(self, field.name))

    def _check(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise ValueError(f"{name} {value} is not finite")
        if value < 0.0 and (name.endswith("_sd") or name == "variety"):
            raise ValueError(f"{name} {value:g} is negative")
        if value == 0.0 and name == "age_sd":
            raise ValueError("age_sd 0: a population has patients of several ages")
        low, high = REACH.get(name, (value, value))
        if not low <= value <= high:
            raise ValueError(f"{name} {value:g} must be in [{low:g}, {high:g}]")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The recorder and what it picks up; amplitudes in millivolts rms at an electrode.

    Amplitudes are medians over records; a spread is the standard deviation of their
    logarithm. Noise is that of electrodes, so every lead identity holds in the noisy record.

    Attributes:
        white_mv: white electronic and contact noise in the band of the recording.
        muscle_mv: muscle noise, coloured, with bursts.
        limbs: muscle noise of the limb electrodes as a multiple of that of the chest's.
        tremor_mv: muscle noise between the two arms, which the terminal of V1 to V6 cancels.
        wander_mv: baseline wander: drift of the electrodes, 1/f-like, below about 1 Hz.
        respiration_mv: baseline wander at the respiratory rate.
        mains_mv: power-line residue and its third harmonic.
        mains_hz: power-line frequency, 50 or 60.
        spread: of the log amplitudes between records, but for muscle noise and tremor.
        muscle_spread: of these two.
        pops_per_min: steps of a contact that decay within a second.
        loss: share of records in which one electrode loses contact for part of the time.
        motion_mv: motion artefact of a wearable, 0.5 to 8 Hz, in episodes.
        gain_error: standard deviation of the gain of leads I, II, V1 to V6 around one.
        low_pass_hz: -3 dB frequency of the recorder's Gaussian low-pass; 0 for none.
        high_pass_hz: corner of its first-order high-pass; 0 for none.
        step_mv: resolution of the converter; 0 for none.
        range_mv: leads are clipped at plus and minus this; 0 for no limit.

    Raises:
        ValueError: a number that is negative or not finite, a share above one, mains hum without
            a frequency, or a band or a range that leaves nothing.
    """

    white_mv: float = 0.005
    muscle_mv: float = 0.008
    limbs: float = 1.0
    tremor_mv: float = 0.0
    wander_mv: float = 0.05
    respiration_mv: float = 0.03
    mains_mv: float = 0.004
    mains_hz: float = 60.0
    spread: float = 0.6
    muscle_spread: float = 0.6
    pops_per_min: float = 0.2
    loss: float = 0.0
    motion_mv: float = 0.0
    gain_error: float = 0.02
    low_pass_hz: float = 150.0
    high_pass_hz: float = 0.05
    step_mv: float = 0.005
    range_mv: float = 10.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value):
                raise ValueError(f"{field.name} {value} is not finite; 0 stands for none")
            if value < 0.0:
                raise ValueError(f"{field.name} {value:g} is negative")
        if self.loss > 1.0:
            raise ValueError(f"loss {self.loss:g} is a share of the records, at most 1")
        if self.mains_mv > 0.0 and not self.mains_hz > 0.0:
            raise ValueError(f"mains_mv {self.mains_mv:g} needs the frequency mains_hz")
        if 0.0 < self.low_pass_hz <= self.high_pass_hz:
            raise ValueError(
                f"low_pass_hz {self.low_pass_hz:g} leaves nothing of what high_pass_hz "
                f"{self.high_pass_hz:g} lets through"
            )
        if 0.0 < self.range_mv <= self.step_mv:
            raise ValueError(
                f"step_mv {self.step_mv:g} is as large as range_mv {self.range_mv:g}: nothing "
                "but zero and the limits could be told"
            )


def prevalences(cohort: str) -> dict[str, float]:
    """Disorder -> share of a cohort's people, of those of the table that it has."""
    return {row["disorder"]: float(row[cohort]) for row in _DISORDERS if row[cohort]}


def patient_of(index: int) -> tuple[int, int]:
    """Patient number and visit of a record: the k-th record of the repeating ``VISITS``."""
    cycle, rest = divmod(index, sum(VISITS))
    for position, visits in enumerate(VISITS):
        if rest < visits:
            return cycle * len(VISITS) + position, rest
        rest -= visits
    raise AssertionError("unreachable: rest is smaller than the cycle")
