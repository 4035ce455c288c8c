"""One latent patient: disorders, then every finding and nuisance of a record.

Disorders are drawn first: prevalence, age, and disorders that come together. Everything else is a
smooth function of them and of independent standard normals with names (``Draws``). Relations
follow textbooks of electrocardiography (Surawicz and Knilans, *Chou's Electrocardiography in
Clinical Practice*, 6th ed.); sizes are round figures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from scaling.corpora.virtual.population import (
    AGE_EFFECT,
    DISORDERS,
    OWN_DEGREE,
    RHYTHMS,
    STATES,
    Population,
)
from scaling.corpora.virtual.reproducible import Draws, softplus

# Another state that a state may bring with it: (state, brings, chance).
BRINGS = (
    ("aortic_stenosis", "lvh", 0.4), ("infarct_anterior", "cardiomyopathy", 0.2),
    ("lbbb", "cardiomyopathy", 0.2), ("mitral_regurgitation", "left_atrium", 0.4),
    ("lvh", "left_atrium", 0.25), ("cardiomyopathy", "pvcs", 0.2), ("rbbb", "lafb", 0.12),
    ("af", "t_low", 0.35), ("af", "digitalis", 0.2), ("af", "ischaemia_lateral", 0.2),
)  # fmt: skip

# Where every beat begins in the ventricles the trace says nothing of these.
UNSEEN_IF_VENTRICULAR = (
    "rbbb", "irbbb", "lbbb", "ilbbb", "lafb", "lpfb", "ivcd", "preexcitation", "av_block1",
    "lvh", "rvh", "infarct_anterior", "infarct_inferior", "infarct_lateral", "infarct_posterior",
    "ischaemia_anterior", "ischaemia_inferior", "ischaemia_lateral",
    "st_elevation_anterior", "st_elevation_inferior", "st_elevation_lateral",
    "t_anterior", "t_inferior", "t_lateral", "early_repolarisation", "poor_progression",
)  # fmt: skip
# Rhythms in which no beat is premature, see ``rhythm``.
NEVER_PREMATURE = ("svt", "vt", "flutter", "av_block2", "av_block3", "paced")


def chances(population: Population, older: Tensor) -> dict[str, Tensor]:
    """Prior probability of each disorder, before others bring it along: (B,) each.

    ``older`` (B,) is the age in standard deviations above the population's mean.
    """
    chance: dict[str, Tensor] = {}
    for name in DISORDERS:
        # E[exp(k z)] = exp(k^2 / 2) for a standard normal z.
        k = AGE_EFFECT[name] * population.age_sd / 16.0
        share = population.prevalence.get(name, 0.0)
        chance[name] = (share * torch.exp(k * older - k * k / 2)).clamp(max=0.98)
    return chance


def disorders(
    population: Population, draws: Draws, older: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Which disorders each patient has; of those that exclude each other the graver one stays.

    ``older`` (B,) is the age in standard deviations above the population's mean.

    Returns:
        Name -> (B,) bool, and (B,) bool: every beat begins in the ventricles.
    """
    chance = chances(population, older)
    states: dict[str, Tensor] = {}
    u = draws.uniform("rhythm")
    below = torch.zeros_like(u)
    for name in RHYTHMS:
        above = below + chance[name]
        states[name] = (u >= below) & (u < above)
        below = above
    for name in STATES:
        states[name] = draws.uniform("state." + name) < chance[name]
    for name, brings, extra in BRINGS:
        if brings in population.prevalence:
            also = states[name] & (draws.uniform(f"{name} brings {brings}") < extra)
            states[brings] = states[brings] | also
    ventricular = states["paced"] | states["vt"] | wide_escape(states, draws)
    for name in UNSEEN_IF_VENTRICULAR:
        states[name] = states[name] & ~ventricular
    states["rbbb"] = states["rbbb"] & ~states["lbbb"]
    states["irbbb"] = states["irbbb"] & ~states["rbbb"] & ~states["lbbb"]
    states["ilbbb"] = states["ilbbb"] & ~states["rbbb"] & ~states["lbbb"] & ~states["irbbb"]
    states["lafb"] = states["lafb"] & ~states["lbbb"]
    states["lpfb"] = states["lpfb"] & ~states["lbbb"] & ~states["lafb"]
    # Atrial tachycardia has premature beats only where it is conducted 1:1, so no pattern either.
    for name in (*NEVER_PREMATURE, "atrial_tachycardia"):
        for pattern in ("bigeminy", "trigeminy"):
            states[pattern] = states[pattern] & ~states[name]
    states["bigeminy"] = states["bigeminy"] & ~states["trigeminy"]
    states["preexcitation"] = states["preexcitation"] & ~states["av_block2"] & ~states["av_block3"]
    states["av_block1"] = states["av_block1"] & ~states["preexcitation"]
    states["tachycardia"] = states["tachycardia"] & ~states["bradycardia"]
    return states, ventricular


def wide_escape(states: Mapping[str, Tensor], draws: Draws) -> Tensor:
    """Complete block whose escape rhythm begins in the ventricles, (B,) bool."""
    return states["av_block3"] & (draws.uniform("wide escape") < 0.5)


def degree(
    states: Mapping[str, Tensor], draws: Draws, name: str, low: float = 0.65, high: float = 1.1
) -> Tensor:
    """Degree of a disorder: ``low`` to ``high`` where it is present, below 0.15 elsewhere."""
    share = draws.share("degree." + name)
    return torch.where(states[name], low + (high - low) * share, 0.15 * share**2)


# What a fully developed conduction disorder adds to QRS.
RIGHT_DELAY_MS, LEFT_DELAY_MS = 52.0, 55.0
ANTERIOR_DELAY_MS, POSTERIOR_DELAY_MS = 8.0, 6.0
DELTA_MS = 28.0
REGIONS = ("anterior", "inferior", "lateral")


@dataclasses.dataclass(frozen=True, slots=True)
class Latents:
    """A batch of visits before any beat is placed.

    Attributes:
        findings: those of ``population.FINDINGS`` that need no window and no geometry, and a few
            more: the mean rate ``base_rate_bpm``, ``conducted_qrs_ms`` of beats that come through
            the atrioventricular node, ``variety``, ``p_voltage``; (B,) float64 each.
        states: discrete disorders, name -> (B,) bool, rhythms included.
        ventricular: (B,) bool, every beat begins in the ventricles.
        draws: where all further numbers come from.
    """

    findings: dict[str, Tensor]
    states: dict[str, Tensor]
    ventricular: Tensor
    draws: Draws

    def __getitem__(self, name: str) -> Tensor:
        return self.findings[name]

    def shape(self, name: str, count: int) -> Tensor:
        """Normals by which waves differ between patients, (B, count); sd is the variety."""
        return self.findings["variety"][:, None] * self.draws.normal(name, count)


def develop(population: Population, draws: Draws) -> Latents:
    """Draw the latents of each record: (B,) float64 each."""
    f: dict[str, Tensor] = {}
    f["age_years"] = (population.age_mean + population.age_sd * draws.one("age")).clamp(18.0, 96.0)
    f["variety"] = torch.full_like(f["age_years"], population.variety)
    f["p_voltage"] = torch.full_like(f["age_years"], population.p_voltage)
    elderly = (f["age_years"] - 54.0) / 16.0
    f["male"] = (draws.uniform("male") < population.male).double()
    older = (f["age_years"] - population.age_mean) / population.age_sd
    states, ventricular = disorders(population, draws, older)
    _degrees(f, states, draws)
    _chambers(f, states, draws, population, elderly)
    _blood(f, states, draws)
    _conduction(f, states, draws, population, elderly)
    _rate(f, states, draws, population)
    _repolarisation(f, states, draws, population)
    _voltage(f, states, draws, population)
    return Latents(f, states, ventricular, draws)


def _degrees(f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws) -> None:
    for name in OWN_DEGREE:
        f[name] = degree(states, draws, name)
    f["av_block2_type2"] = f["av_block2"] * (draws.uniform("mobitz 2") < 0.35)
    for side in ("rbbb", "lbbb"):
        minor = 0.32 + 0.18 * draws.share("degree.i" + side)
        f[side] = torch.where(states["i" + side], minor, degree(states, draws, side))
    for region in (*REGIONS, "posterior"):
        f["scar_" + region] = degree(states, draws, "infarct_" + region, 0.45, 1.2)


def _chambers(
    f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws, p: Population, elderly: Tensor
) -> None:
    f["frailty"] = p.frailty_mean + draws.one("frailty") + 0.3 * elderly
    f["lv_mass"] = (
        p.mass_mean * torch.exp(p.mass_sd / p.mass_mean * draws.one("mass"))
        + 8.0 * f["male"] + 4.0 * elderly + 22.0 * f["aortic_stenosis"]
        + 10.0 * f["mitral_regurgitation"]
        + torch.where(states["lvh"], 40.0 + 40.0 * draws.share("degree.lvh"), 0.0)
    )  # fmt: skip
    ill = torch.where(states["cardiomyopathy"], 16.0 + 20.0 * draws.share("degree.ef"), 0.0)
    loss = (
        ill + 17.0 * f["scar_anterior"] + 7.0 * f["scar_inferior"] + 9.0 * f["scar_lateral"]
        + 5.0 * f["scar_posterior"] + 6.0 * f["lbbb"] + 0.12 * (f["lv_mass"] - 130.0).clamp(min=0.0)
        + 3.0 * f["af"]
    )  # fmt: skip
    raw = p.ef_mean + p.ef_sd * draws.one("ef") - loss
    # Smoothly kept above 10 %, however many losses meet.
    f["ef_percent"] = 10.0 + 12.0 * softplus((raw - 10.0) / 12.0)
    failure = _failure(f)
    f["rv_load"] = degree(states, draws, "rvh") + 0.15 * failure
    f["left_atrium"] = (
        degree(states, draws, "left_atrium") + 0.2 * f["mitral_regurgitation"] + 0.1 * failure
    )
    f["right_atrium"] = degree(states, draws, "right_atrium") + 0.25 * f["rv_load"]
    f["poor_progression"] = (
        degree(states, draws, "poor_progression") + 0.35 * failure + 0.25 * f["scar_anterior"]
    )


def _failure(f: Mapping[str, Tensor]) -> Tensor:
    """0 at a normal ejection fraction, about 1 at 30 %; smooth."""
    return 0.25 * softplus((52.0 - f["ef_percent"]) / 5.5)


def _blood(f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws) -> None:
    high = torch.where(states["hyperkalaemia"], 1.6 + 1.6 * draws.share("degree.high k"), 0.0)
    low = torch.where(states["hypokalaemia"], 1.0 + 0.7 * draws.share("degree.low k"), 0.0)
    f["potassium"] = 4.2 + 0.35 * draws.one("potassium") + high - low
    more = torch.where(states["hypercalcaemia"], 0.5 + 0.5 * draws.share("degree.high ca"), 0.0)
    less = torch.where(states["hypocalcaemia"], 0.4 + 0.4 * draws.share("degree.low ca"), 0.0)
    f["calcium"] = 2.35 + 0.08 * draws.one("calcium") + more - less


def _conduction(
    f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws, p: Population, elderly: Tensor
) -> None:
    excess = softplus((f["potassium"] - 6.0) / 0.3) * 0.3
    # Of the ventricles alone, with the bundles conducting: shapes are laid out in it.
    f["base_qrs_ms"] = (
        p.qrs_mean + p.qrs_sd * draws.one("qrs") + 5.0 * (f["male"] - 0.5)
        + 6.0 * _failure(f) + 7.0 * hypertrophy(f) + 26.0 * f["ivcd"] + 14.0 * excess
    ).clamp(66.0, 190.0)  # fmt: skip
    f["conducted_qrs_ms"] = f["base_qrs_ms"] + (
        RIGHT_DELAY_MS * f["rbbb"] + LEFT_DELAY_MS * f["lbbb"] + ANTERIOR_DELAY_MS * f["lafb"]
        + POSTERIOR_DELAY_MS * f["lpfb"] + DELTA_MS * f["preexcitation"]
    )  # fmt: skip
    normal = p.pr_mean + p.pr_sd * draws.one("pr") + 5.0 * elderly + 5.0 * f["left_atrium"]
    long = 207.0 + 22.0 * draws.one("degree.av_block1").abs() + 55.0 * draws.share("long pr") ** 2
    pr = torch.where(states["av_block1"], long, normal.clamp(105.0, 205.0))
    pr = pr + 4.0 * draws.at_visit("pr", 1)[:, 0] + 10.0 * excess
    f["pr_ms"] = torch.where(states["preexcitation"], 0.35 * pr + 48.0, pr).clamp(80.0, 420.0)


def hypertrophy(f: Mapping[str, Tensor]) -> Tensor:
    """Degree of left-ventricular hypertrophy: 0 at normal mass, 1 at about 150 g/m2; smooth."""
    return 0.28 * softplus((f["lv_mass"] - 112.0) / 10.0)


def _rate(f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws, p: Population) -> None:
    n = draws.one("rate")
    slow = 40.0 + 14.0 * draws.share("rate")
    fast = 99.0 + 10.0 * n.abs() + 9.0 * draws.share("fast")
    rate = p.rate_mean + p.rate_sd * n + 5.0 * _failure(f) + 2.0 * f["frailty"]
    rate = torch.where(states["bradycardia"], slow, rate)
    rate = torch.where(states["tachycardia"], fast, rate)
    typical = {
        "svt": (172.0, 22.0), "atrial_tachycardia": (132.0, 18.0),
        "junctional": (58.0, 13.0), "vt": (95.0, 38.0), "av_block2": (74.0, 10.0),
        "av_block3": (39.0, 6.0), "paced": (68.0, 8.0),
    }  # fmt: skip
    for name, (mean, sd) in typical.items():
        rate = torch.where(states[name], mean + sd * n, rate)
    rate = torch.where(states["svt"], rate.clamp(min=140.0), rate)
    rate = torch.where(states["af"], 86.0 * torch.exp(0.29 * n), rate)
    rate = rate * torch.exp(0.03 * draws.at_visit("rate", 1)[:, 0])
    f["base_rate_bpm"] = rate.clamp(27.0, 215.0)


def _repolarisation(
    f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws, p: Population
) -> None:
    low = (4.2 - f["potassium"]).clamp(min=0.0)
    long = torch.where(states["long_qt"], 55.0 + 45.0 * draws.share("long qt"), 0.0)
    f["qtf_ms"] = (
        p.qtc_mean + p.qtc_sd * draws.one("qtc") + 8.0 * (1.0 - f["male"]) + long
        - 70.0 * (f["calcium"] - 2.35) - 22.0 * f["digitalis"] + 14.0 * low + 6.0 * _failure(f)
        + 0.45 * (f["conducted_qrs_ms"] - 80.0) + 5.0 * draws.at_visit("qtc", 1)[:, 0]
    ).clamp(300.0, 640.0)  # fmt: skip
    f["u_wave"] = 0.15 * draws.share("u wave") + 0.55 * low.clamp(max=2.0)
    strain = (hypertrophy(f) - 0.5).clamp(min=0.0) * (0.4 + draws.share("strain"))
    flat = 0.12 * _failure(f) + 0.18 * low + 0.35 * states["t_low"] * (1 + draws.share("flat t"))
    for region in REGIONS:
        f[f"st_{region}_mv"], f[f"t_{region}"] = _region(f, states, draws, region, flat)
    f["st_lateral_mv"] = f["st_lateral_mv"] - 0.10 * strain
    f["t_lateral"] = f["t_lateral"] + 0.75 * strain
    f["st_anterior_mv"] = f["st_anterior_mv"] + 0.05 * strain
    f["t_anterior"] = f["t_anterior"] + 0.55 * (f["rv_load"] - 0.3).clamp(min=0.0)
    # A scar anywhere takes from T towards the left.
    scars = f["scar_anterior"] + f["scar_inferior"]
    f["t_lateral"] = f["t_lateral"] + 0.30 * scars * draws.share("scar t")


def _region(
    f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws, region: str, flat: Tensor
) -> tuple[Tensor, Tensor]:
    """ST level in mV and T change of one region."""
    ischaemia = degree(states, draws, "ischaemia_" + region, 0.5, 1.4)
    injury = degree(states, draws, "st_elevation_" + region, 0.5, 1.6)
    st = (
        0.022 * draws.one("st." + region) + 0.008 * draws.at_visit("st." + region, 1)[:, 0]
        - 0.11 * ischaemia + 0.17 * injury - 0.07 * f["digitalis"]
        + {"anterior": 0.06, "inferior": 0.07, "lateral": 0.07}[region] * f["early_repolarisation"]
        + 0.04 * f["scar_" + region]
    )  # fmt: skip
    change = torch.where(
        states["t_" + region], 0.45 + 0.55 * draws.share("degree.t_" + region), 0.0
    )
    t = (
        flat + change + 0.55 * f["scar_" + region] * draws.share("scar t." + region)
        + 0.45 * ischaemia * draws.share("ischaemic t." + region)
        + 0.25 * f["digitalis"] + 0.05 * draws.one("t." + region)
    )  # fmt: skip
    return st, t


def _voltage(f: dict[str, Tensor], states: dict[str, Tensor], draws: Draws, p: Population) -> None:
    low = torch.where(states["low_voltage"], 0.65 + 0.35 * draws.share("low voltage"), 0.0)
    f["log_voltage"] = (
        p.voltage_mean + p.voltage_sd * draws.one("voltage") - low - 0.65 * f["effusion"]
        + 0.05 * draws.at_visit("voltage", 1)[:, 0] + 0.04 * (f["male"] - 0.5)
    )  # fmt: skip
    limb = torch.where(states["limb_low_voltage"], 0.6 + 0.3 * draws.share("low limb"), 0.0)
    f["limb_voltage"] = f["log_voltage"] + 0.12 * draws.one("limb voltage") - limb
    elderly = (f["age_years"] - 54.0) / 16.0
    # Of the conducted loop before fascicular blocks; axis_deg is measured on what is seen.
    f["base_axis_deg"] = (
        p.axis_mean - 9.0 * elderly + p.axis_sd * draws.one("axis")
        - 10.0 * hypertrophy(f) + 55.0 * f["rv_load"]
        - 16.0 * f["scar_anterior"]
    )  # fmt: skip
    f["turn_deg"] = 16.0 * draws.one("turn") + 10.0 * f["rv_load"] + 8.0 * _failure(f)
    f["tilt_deg"] = math.sqrt(2.0) * 8.0 * draws.one("tilt")
