"""The cohorts: who the virtual patients are, what is labelled, and how they are recorded.

Cohorts differ in demographics, prevalence, labels, device and noise, so that a model moved
from one to another is out of distribution. The definitions need only the standard library;
signals are made in ``scaling.corpora.virtual.patient``.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
# Records per patient, repeated over the patients: fixed, so that record -> patient needs no
# state and any subset can be made anywhere. Mean 2 records a patient.
VISITS = (1, 2, 1, 3, 2, 4, 1, 2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How readers label one class: a logistic in one latent, then random flips.

    P(label | patient) = flip + (1 - 2 flip) * sigmoid((latent - threshold) / softness),
    times the chance of sinus rhythm where ``sinus_only``.

    Attributes:
        latent: name of the quantity read, see ``patient.FINDINGS``.
        threshold: where half of the readers call it, in the latent's unit.
        softness: width of the readers' disagreement, same unit; negative when low values count.
        sinus_only: whether atrial fibrillation rules the label out.
    """

    latent: str
    threshold: float
    softness: float
    sinus_only: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The recorder and what it picks up, in millivolts rms unless said otherwise.

    Attributes:
        muscle_mv: median of the record's white (muscle and electrode) noise.
        muscle_spread: standard deviation of its logarithm over records.
        wander_mv: median of the baseline wander, below 0.6 Hz.
        mains_mv: median of the power-line residue.
        mains_hz: power-line frequency.
        gain_error: standard deviation of the lead gains around one.
        low_pass_hz: cut-off of the recorder's first-order smoothing; 0 for none.
    """

    muscle_mv: float
    muscle_spread: float
    wander_mv: float
    mains_mv: float
    mains_hz: float
    gain_error: float
    low_pass_hz: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A population, its labels and its recorder.

    Attributes:
        name: name of the source.
        readings: class name -> how it is read, in label order.
        flip: chance that a label is recorded wrongly.
        device: recorder and noise.
        rates: heart-rate components as (share, mean bpm, standard deviation).
        pr_long: share of patients with slow atrioventricular conduction.
        rbbb, lbbb, af: shares of patients with that disorder.
        age_mean: mean age in years; age slows conduction and turns the axis left.
        axis_sd: standard deviation of the frontal axis in degrees.
        voltage_mean: mean of the log voltage scale.
        t_change: share of patients with flat or inverted T waves.
        qtc_mean: mean QTc in milliseconds (Bazett).
    """

    name: str
    readings: dict[str, Reading]
    flip: float
    device: Device
    rates: tuple[tuple[float, float, float], ...]
    pr_long: float
    rbbb: float
    lbbb: float
    af: float
    age_mean: float
    axis_sd: float = 28.0
    voltage_mean: float = 0.0
    t_change: float = 0.15
    qtc_mean: float = 412.0

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(self.readings)

    def bayes_loss(
        self, fs_hz: int = 100, samples: int = 500, seed: int = 0, test: int = 0
    ) -> dict[str, Any]:
        """The smallest expected loss any model can reach, see ``virtual.bayes``."""
        from scaling.corpora.virtual.bayes import bayes_loss

        return bayes_loss(self, fs_hz=fs_hz, samples=samples, seed=seed, test=test)


CODE = Cohort(
    name="virtual/code",
    readings={
        "1dAVb": Reading(latent="pr_ms", threshold=200.0, softness=8.0, sinus_only=True),
        "RBBB": Reading(latent="rbbb", threshold=0.5, softness=0.07),
        "LBBB": Reading(latent="lbbb", threshold=0.5, softness=0.07),
        "SB": Reading(latent="rate_bpm", threshold=55.0, softness=-1.5, sinus_only=True),
        "AF": Reading(latent="af", threshold=0.5, softness=0.06),
        "ST": Reading(latent="rate_bpm", threshold=100.0, softness=2.5, sinus_only=True),
    },
    flip=0.02,
    device=Device(
        muscle_mv=0.02, muscle_spread=0.5, wander_mv=0.06, mains_mv=0.006, mains_hz=60.0,
        gain_error=0.02, low_pass_hz=0.0,
    ),
    rates=((0.66, 74.0, 9.0), (0.17, 49.0, 5.0), (0.17, 113.0, 11.0)),
    pr_long=0.17,
    rbbb=0.16,
    lbbb=0.13,
    af=0.14,
    age_mean=54.0,
)  # fmt: skip

SHIFTED = Cohort(
    name="virtual/shifted",
    readings={
        "LAD": Reading(latent="axis_deg", threshold=-25.0, softness=-6.0),
        "LVOLT": Reading(latent="log_voltage", threshold=-0.55, softness=-0.06),
        "TInv": Reading(latent="t_change", threshold=0.9, softness=0.10),
        "LQT": Reading(latent="qtc_ms", threshold=460.0, softness=7.0),
        "CRBBB": Reading(latent="rbbb", threshold=0.6, softness=0.07),
    },
    flip=0.03,
    device=Device(
        muscle_mv=0.035, muscle_spread=0.6, wander_mv=0.12, mains_mv=0.010, mains_hz=50.0,
        gain_error=0.06, low_pass_hz=35.0,
    ),
    rates=((0.75, 80.0, 12.0), (0.10, 55.0, 6.0), (0.15, 105.0, 12.0)),
    pr_long=0.12,
    rbbb=0.10,
    lbbb=0.05,
    af=0.08,
    age_mean=68.0,
    axis_sd=38.0,
    voltage_mean=-0.2,
    t_change=0.35,
    qtc_mean=432.0,
)  # fmt: skip

COHORTS: dict[str, Cohort] = {cohort.name: cohort for cohort in (CODE, SHIFTED)}


def patient_of(index: int) -> tuple[int, int]:
    """Patient number and visit of a record: the k-th record of the repeating ``VISITS``."""
    cycle, rest = divmod(index, sum(VISITS))
    for position, visits in enumerate(VISITS):
        if rest < visits:
            return cycle * len(VISITS) + position, rest
        rest -= visits
    raise AssertionError("unreachable: rest is smaller than the cycle")


def make_records(
    cohort: str, seed: int, split: str, start: int, stop: int, fs_hz: int, samples: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int64]]:
    """Make records ``start`` to ``stop`` of one split.

    Every record depends only on (cohort, seed, split, index), whatever else is made.

    Args:
        cohort: name in ``COHORTS``.
        seed: seed of the cohort.
        split: one of ``SPLITS``; the splits share no patient.
        start: first record.
        stop: one past the last record.
        fs_hz: sampling rate in hertz.
        samples: samples per lead.

    Returns:
        Signals (n, 12, samples) in millivolts, labels (n, classes) and patient ids (n,).

    Raises:
        KeyError: unknown cohort.
        ValueError: unknown split.
    """
    import numpy as np

    from scaling.corpora.virtual.patient import make_record

    definition = COHORTS[cohort]
    n = stop - start
    signals = np.empty((n, 12, samples), np.float32)
    labels = np.empty((n, len(definition.classes)), np.uint8)
    patients = np.empty(n, np.int64)
    offset = SPLITS.index(split) * 1_000_000_000
    for row, index in enumerate(range(start, stop)):
        signals[row], labels[row] = make_record(definition, seed, split, index, fs_hz, samples)
        patients[row] = offset + patient_of(index)[0]
    return signals, labels, patients
