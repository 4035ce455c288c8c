"""How the signal and the findings of a virtual record change with its latents.

Every continuous latent is a smooth function of standard normals with names, so derivatives are
taken by shifting one normal at a time, through the generator itself. Changes of the signal are
expressed in units of the recorder's noise. Beats stay where they are, since their jitter would
hide what shifts them: they tell the mean rate as well as their scatter allows, and the interval
from P to QRS, but not, say, the age of the patient.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.prepare.pool import in_order, one_thread
from scaling.corpora.virtual import generate
from scaling.corpora.virtual.bayes.noise import spectrum, whitened
from scaling.corpora.virtual.bayes.posterior import Surroundings, refit
from scaling.corpora.virtual.heart.lead_field import heart, leads
from scaling.corpora.virtual.heart.rhythm import Events, events
from scaling.corpora.virtual.latents import Draws, chances, develop
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.rng import Stream

Array = NDArray[np.float64]

# Standard deviations by which a latent is shifted: in double precision rounding is far below
# the noise, and no bend of a wave is left.
STEP = 1e-5
# Disorders that may leave hardly a trace, and the finding each is read from: what the signal
# says of them is a likelihood ratio.
HARDLY_VISIBLE = {
    "cardiomyopathy": "ef_percent", "aortic_stenosis": "aortic_stenosis",
    "mitral_regurgitation": "mitral_regurgitation", "effusion": "effusion", "lvh": "lv_mass",
    "rvh": "rv_load", "left_atrium": "left_atrium", "right_atrium": "right_atrium",
    "digitalis": "digitalis", "hyperkalaemia": "potassium", "hypokalaemia": "potassium",
    "hypercalcaemia": "calcium", "hypocalcaemia": "calcium",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Probe(Draws):
    """Random numbers that remember which normals were used, and may force a choice.

    Attributes:
        used: name -> (B, count) values before any shift; filled while drawing.
        forced: name of a uniform -> (B,) its value; NaN leaves it.
    """

    used: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    forced: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    def _shifted(self, name: str, values: Tensor) -> Tensor:
        self.used[name] = values
        shift = self.shifts.get(name)
        return values if shift is None else values + shift

    def uniform(self, name: str) -> Tensor:
        """Uniform of the patient for a discrete choice, (B,)."""
        values = self.patient.uniform(name, 1)[:, 0]
        forced = self.forced.get(name)
        return values if forced is None else torch.where(forced.isnan(), values, forced)


@dataclasses.dataclass(frozen=True, slots=True)
class Same(Stream):
    """The numbers of one record in every row, hashed once.

    Attributes:
        known: what has been drawn, shared by streams of the same record.
    """

    known: dict[tuple[str, str, int, int], Tensor] = dataclasses.field(default_factory=dict)

    def uniform(self, name: str, count: int, start: int = 0) -> Tensor:
        """See ``Stream``."""
        return self._once("uniform", name, count, start)

    def normal(self, name: str, count: int, start: int = 0) -> Tensor:
        """See ``Stream``."""
        return self._once("normal", name, count, start)

    def _once(self, kind: str, name: str, count: int, start: int) -> Tensor:
        key = (kind, name, count, start)
        if key not in self.known:
            self.known[key] = getattr(Stream(self.keys[:1]), kind)(name, count, start)
        return self.known[key].expand(len(self.keys), -1)

    def rows(self, count: int) -> Same:
        """The same record ``count`` times."""
        return Same(self.keys[:1].expand(count), self.known)


def surroundings(
    cohort: generate.Recorded,
    seed: int,
    indices: Iterable[int],
    fs_hz: float,
    samples: int,
    names: tuple[str, ...],
    workers: int = 1,
) -> Iterator[Surroundings]:
    """Linearise records of the split ``bayes``, which no study uses.

    Args:
        cohort: name, population and recorder.
        seed: seed of the cohort.
        indices: records.
        fs_hz: sampling rate.
        samples: samples per lead.
        names: findings wanted.
        workers: processes, see ``pool.in_order``.
    """
    around = functools.partial(_around, cohort, seed, fs_hz, samples, names)
    yield from in_order(around, indices, workers)


def _around(
    cohort: generate.Recorded,
    seed: int,
    fs_hz: float,
    samples: int,
    names: tuple[str, ...],
    index: int,
) -> Surroundings:
    with one_thread():
        return _linearised(Neighbours(cohort, seed, index, fs_hz, samples, names), names)


def _linearised(record: Neighbours, names: tuple[str, ...]) -> Surroundings:
    count, switches = len(record.normals), len(record.switches)
    signal, found = record.changes(STEP * np.eye(count), np.full(count, -1))
    jacobian = signal / STEP
    moved, distance2 = refit(lambda z, s: record.changes(z, s)[0], jacobian, switches)
    toggled = record.changes(moved, np.arange(switches))[1] if switches else {}
    return Surroundings(
        findings={name: record.findings[name] for name in names},
        normals=record.normals,
        gram=jacobian @ jacobian.T,
        slopes={name: found[name] / STEP for name in names},
        toggled={name: toggled.get(name, np.zeros(0)) for name in names},
        distance2=distance2,
        log_odds=np.array([odds for _, _, odds in record.switches]),
    )


class Neighbours:
    """A record, and what it would be with other latents.

    Attributes:
        normals: (K,) true values of its latents, the gains of the leads last.
        switches: (uniform, value that toggles it, prior log odds of the other state) of each
            disorder that may be hardly visible, and of sex, where a label depends on it.
        findings: finding -> its true value.
    """

    def __init__(
        self,
        cohort: generate.Recorded,
        seed: int,
        index: int,
        fs_hz: float,
        samples: int,
        names: tuple[str, ...],
    ) -> None:
        self.cohort, self.fs_hz, self.samples = cohort, fs_hz, samples
        fresh, _ = generate.draws(cohort, seed, "bayes", index, index + 1)
        self._patient, self._visit = Same(fresh.patient.keys), Same(fresh.visit.keys)
        one = Probe(self._patient, self._visit)
        self.switches = _switches(cohort.population, one, names)
        truth = develop(cohort.population, one)
        self._beats, self._pr_ms = events(truth, samples / fs_hz), truth["pr_ms"]
        one.used.clear()
        self._signal, self._values = self._render(one)
        self._spots = {name: values.shape[1] for name, values in one.used.items()}
        values = [one.used[name][0] for name in self._spots]
        self.normals = torch.cat([*values, one.at_visit("gain", 8)[0]]).numpy()
        self.findings = {name: float(value[0]) for name, value in self._values.items()}
        self._power = spectrum(cohort.device, one, fs_hz, samples)

    def changes(self, moved: Array, toggled: NDArray[np.int64]) -> tuple[Array, dict[str, Array]]:
        """Changes from the true record, for each row.

        Args:
            moved: (rows, K) shifts of the latents.
            toggled: (rows,) place in ``switches`` of the one toggled, -1 for none.

        Returns:
            Change of the signal in units of the noise (rows, M), and of each finding (rows,).
        """
        shifts, column = {}, 0
        for name, count in self._spots.items():
            shifts[name] = torch.from_numpy(moved[:, column : column + count])
            column += count
        forced = {}
        for place, (name, value, _) in enumerate(self.switches):
            choice = np.where(toggled == place, value, np.nan)
            forced[name] = torch.from_numpy(choice)
        rows = len(moved)
        probe = Probe(self._patient.rows(rows), self._visit.rows(rows), shifts, {}, forced)
        signal, values = self._render(probe)
        gain = self.cohort.device.gain_error * moved[:, column:, None]
        white = whitened(signal * (1.0 + gain) - self._signal, self._power)
        rate = (values["base_rate_bpm"] - self._values["base_rate_bpm"]) / self._rate_error()
        together = np.concatenate([white, rate[:, None]], axis=1)
        return together, {name: values[name] - self._values[name] for name in values}

    def place(self, name: str, position: int = 0) -> int:
        """Where a named normal stands among the latents."""
        before = list(self._spots).index(name)
        return sum(list(self._spots.values())[:before]) + position

    def _render(self, probe: Probe) -> tuple[Array, dict[str, Array]]:
        """Leads I, II, V1-V6 (rows, 8, samples) in mV without noise, and findings (rows,)."""
        x = develop(self.cohort.population, probe)
        beats, whole = _repeated(self._beats, len(x["pr_ms"])), heart(x)
        longer = (x["pr_ms"] - self._pr_ms) / 1e3
        beats = dataclasses.replace(beats, p_s=beats.p_s - longer[:, None])
        found = generate.findings(x, whole, beats, self.samples / self.fs_hz)
        found["base_rate_bpm"] = x["base_rate_bpm"]
        low_pass = self.cohort.device.low_pass_hz
        signal = leads(x, whole, beats, self.fs_hz, self.samples, low_pass, torch.float64)
        return signal.numpy(), {name: value.numpy() for name, value in found.items()}

    def _rate_error(self) -> float:
        """Standard error of the rate from the scatter of the intervals; 1 % at least."""
        times = self._beats.qrs_s[0]
        intervals = times[~times.isnan()].diff()
        scatter = float(intervals.std() / intervals.mean()) / math.sqrt(len(intervals))
        return float(self._values["base_rate_bpm"][0]) * max(0.01, scatter)


def _repeated(beats: Events, rows: int) -> Events:
    fields = [field.name for field in dataclasses.fields(beats)]
    more = {name: getattr(beats, name) for name in fields}
    return Events(**{name: value.expand(rows, *value.shape[1:]) for name, value in more.items()})


def _switches(
    population: Population, one: Draws, names: tuple[str, ...]
) -> list[tuple[str, float, float]]:
    """(uniform, value that toggles it, prior log odds of the other state)."""
    x = develop(population, one)
    prior = chances(population, (x["age_years"] - population.age_mean) / population.age_sd)
    both = {"male": (population.male, bool(x["male"][0]))} if "male" in names else {}
    for name, finding in HARDLY_VISIBLE.items():
        if finding in names and (p := float(prior[name][0])) > 0.0:
            both["state." + name] = p, bool(x.states[name][0])
    found = []
    for name, (p, present) in both.items():
        odds = math.log(p / (1.0 - p))
        found.append((name, 1.0 - 1e-12, -odds) if present else (name, 1e-12, odds))
    return found
