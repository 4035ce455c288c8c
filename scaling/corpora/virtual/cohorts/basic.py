"""``virtual/basic``: a quiet clinic, where six findings vary and little else does.

For studies of laws on a laptop: models of minutes come near the Bayes loss, so the floor of a
fitted law can be held against it. ``virtual/code`` has the same labels in realistic company.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import Cohort, plain
from scaling.corpora.virtual.cohorts.code import SIX, SLIP
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Reading, all_of, below

# No second-degree block here that a slow sinus rate could be mistaken for.
READINGS = SIX | {"SB": Reading(all_of(below("rate_bpm", 57.0, 1.5), c.SINUS))}
PREVALENCE = {
    "af": 0.13, "bradycardia": 0.17, "tachycardia": 0.17, "av_block1": 0.17,
    "rbbb": 0.14, "irbbb": 0.04, "lbbb": 0.12, "ilbbb": 0.03, "t_lateral": 0.05, "t_low": 0.05,
}  # fmt: skip

BASIC = Cohort(
    name="virtual/basic",
    about="a quiet clinic: six findings vary, little else does",
    population=Population(
        age_mean=54.0,
        axis_sd=18.0,
        voltage_sd=0.18,
        pr_mean=156.0,
        pr_sd=15.0,
        p_voltage=0.4,
        variety=0.5,
        prevalence=PREVALENCE,
    ),
    device=Device(wander_mv=0.02, respiration_mv=0.015, pops_per_min=0.0, low_pass_hz=40.0),
    readings=READINGS,
    slip=SLIP,
    tasks={"": plain(tuple(READINGS))},
)
