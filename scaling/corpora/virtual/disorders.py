"""Who has which disorder: prevalence, age, and disorders that come together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from scaling.corpora.virtual.draws import Draws
from scaling.corpora.virtual.population import DISORDERS, RHYTHMS, STATES, Population

# log of the prevalence ratio for 16 years of age; the share over all ages stays as stated.
AGE_EFFECT: dict[str, float] = {
    "af": 0.6, "flutter": 0.5, "av_block1": 0.4, "av_block2": 0.4, "av_block3": 0.5, "paced": 0.6,
    "lbbb": 0.4, "rbbb": 0.3, "lafb": 0.4, "ivcd": 0.3, "lvh": 0.3, "left_atrium": 0.3,
    "pvcs": 0.3, "pacs": 0.4, "cardiomyopathy": 0.2, "aortic_stenosis": 0.7,
    "mitral_regurgitation": 0.4, "infarct_anterior": 0.4, "infarct_inferior": 0.4,
    "infarct_lateral": 0.4, "infarct_posterior": 0.4, "digitalis": 0.4, "sinus_arrhythmia": -0.6,
    "early_repolarisation": -0.7, "irbbb": -0.2, "preexcitation": -0.4, "tachycardia": -0.2,
}  # fmt: skip
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

    Args:
        population: who the patients are.
        older: (B,) age in standard deviations above the population's mean.
    """
    found: dict[str, Tensor] = {}
    for name in DISORDERS:
        # E[exp(k z)] = exp(k^2 / 2) for a standard normal z.
        k = AGE_EFFECT.get(name, 0.0) * population.age_sd / 16.0
        share = population.prevalence.get(name, 0.0)
        found[name] = (share * torch.exp(k * older - k * k / 2)).clamp(max=0.98)
    return found


def disorders(population: Population, draws: Draws, older: Tensor) -> dict[str, Tensor]:
    """Which disorders each patient has: name -> (B,) bool.

    Of those that exclude each other the graver one stays.

    Args:
        population: who the patients are.
        draws: random numbers.
        older: (B,) age in standard deviations above the population's mean.
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
    unseen = ventricular_rhythm(states, draws)
    for name in UNSEEN_IF_VENTRICULAR:
        states[name] = states[name] & ~unseen
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
    return states


def wide_escape(states: Mapping[str, Tensor], draws: Draws) -> Tensor:
    """Complete block whose escape rhythm begins in the ventricles, (B,) bool."""
    return states["av_block3"] & (draws.uniform("wide escape") < 0.5)


def ventricular_rhythm(states: Mapping[str, Tensor], draws: Draws) -> Tensor:
    """Every beat begins in the ventricles, (B,) bool."""
    return states["paced"] | states["vt"] | wide_escape(states, draws)


def degree(
    states: Mapping[str, Tensor], draws: Draws, name: str, low: float = 0.65, high: float = 1.1
) -> Tensor:
    """Degree of a disorder: ``low`` to ``high`` where it is present, below 0.15 elsewhere."""
    share = draws.share("degree." + name)
    return torch.where(states[name], low + (high - low) * share, 0.15 * share**2)
