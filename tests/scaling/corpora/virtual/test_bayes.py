"""The Bayes loss: bounds, exact integrals through the generator, and an oracle that attains it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora.virtual import bayes_loss as bayes
from scaling.corpora.virtual import sensitivity
from scaling.corpora.virtual.bayes_loss import draw_findings, entropy, hidden_entropy
from scaling.corpora.virtual.cohorts import COHORTS
from scaling.corpora.virtual.cohorts.base import task_of
from scaling.corpora.virtual.cohorts.chances import Chances
from scaling.corpora.virtual.cohorts.records import as_arrays, labels_of
from scaling.corpora.virtual.generate import visits
from scaling.corpora.virtual.reading import Outcome, Reading, above, below
from scaling.corpora.virtual.sensitivity import Surroundings
from tests.scaling.corpora.virtual.lone import reading_chances, task_chances

Array = NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Fewer records than the stored losses have: the tests look at what must hold anyway."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bayes, "ENTROPY_RECORDS", 2048)
        patch.setattr(bayes, "FEWEST", 4)
        patch.setattr(bayes, "MOST", 6)
        patch.setattr(bayes, "READERS", 64)
        patch.setattr(bayes, "MANY_READERS", 256)
        yield


@pytest.fixture(scope="module")
def losses(quick: None) -> dict[str, dict[str, dict[str, Any]]]:
    names = ("virtual/code", "virtual/ptbxl", "virtual/echonext")
    return {name: bayes.bayes_loss(COHORTS[name], 100, 300, 0, 2048) for name in names}


def test_every_task_has_its_loss(losses: dict[str, dict[str, dict[str, Any]]]) -> None:
    for name, tasks in losses.items():
        assert tasks.keys() == COHORTS[name].tasks.keys()
        for task, found in tasks.items():
            assert tuple(found["per_label"]) == COHORTS[name].classes[task]
            assert found["value"] == pytest.approx(np.mean(list(found["per_label"].values())))
            assert 0.0 < found["se"] < 0.1 * found["value"] + 0.02
            assert "Laplace" in found["method"]
            assert "2048 and " in found["method"]


def test_the_loss_lies_between_its_bound_and_that_of_the_prevalence(
    losses: dict[str, dict[str, dict[str, Any]]],
) -> None:
    for name, tasks in losses.items():
        found = visits(COHORTS[name], 0, "train", 0, 2048, 3.0)
        labels, valid = labels_of(COHORTS[name], found)
        for task, loss in tasks.items():
            share = labels[task][valid[task]].mean(axis=0)
            guessing = entropy(np.clip(share, 1e-6, 1 - 1e-6)).mean()
            assert loss["lower_bound"] < loss["value"] < guessing
            assert loss["test"]["n"] == pytest.approx(2048 * valid[task].mean(), rel=0.15)
            assert loss["test"]["value"] == pytest.approx(loss["value"], abs=0.02 + 4 * loss["se"])


def test_hidden_disease_costs_more_than_a_visible_rhythm(
    losses: dict[str, dict[str, dict[str, Any]]],
) -> None:
    def hidden(name: str, task: str) -> float:
        found = losses[name][task]
        return float(found["value"] / found["lower_bound"] - 1.0)

    assert hidden("virtual/code", "") < 0.05
    assert hidden("virtual/echonext", "flags") > 0.2


def test_it_is_the_same_every_time() -> None:
    cohort = COHORTS["virtual/shifted"]
    assert bayes.bayes_loss(cohort, 100, 200) == bayes.bayes_loss(cohort, 100, 200, workers=2)
    assert bayes.bayes_loss(cohort, 100, 200)[""]["test"] is None


def test_noise_costs_more_where_the_signal_says_less() -> None:
    cohort = COHORTS["virtual/shifted"]
    noisy = dataclasses.replace(cohort, device=dataclasses.replace(cohort.device, white_mv=0.3))
    quiet_loss, noisy_loss = (bayes.bayes_loss(c, 100, 200)[""] for c in (cohort, noisy))
    assert noisy_loss["lower_bound"] == quiet_loss["lower_bound"]
    quiet_cost, noisy_cost = (x["value"] - x["lower_bound"] for x in (quiet_loss, noisy_loss))
    assert quiet_cost >= 0.0
    assert noisy_cost > 1.3 * quiet_cost


def test_an_oracle_attains_the_entropy_given_the_findings() -> None:
    # This RBBB is read off one finding: its rate of labels in narrow bins, learned from half of
    # the records, is all that a model can know, and loses H(label | findings) on the other half.
    cohort = dataclasses.replace(
        COHORTS["virtual/code"],
        readings={"RBBB": Reading(above("rbbb", 0.6, 0.06))},
        tasks={"": task_of(("RBBB",))},
    )
    found = visits(cohort, 0, "train", 0, 24_000, 5.0)
    findings = as_arrays(found.findings)
    y = labels_of(cohort, found)[0][""][:, 0].astype(bool)
    train = np.arange(24_000) < 12_000
    edges = np.quantile(findings["rbbb"], np.linspace(0, 1, 61))[1:-1]
    bins = np.digitize(findings["rbbb"], edges)
    learned = np.array([(y[train & (bins == b)].sum() + 0.02) / ((bins[train] == b).sum() + 1)
                        for b in range(60)])[bins]  # fmt: skip
    loss = -np.log(np.where(y, learned, 1 - learned))[~train]
    known = entropy(reading_chances(cohort, findings)["RBBB"])[~train]
    se = (loss - known).std() / np.sqrt(len(loss))
    assert abs(loss.mean() - known.mean()) < 3.5 * se + 60 / 2 / 12_000  # 1/2 nat a parameter


def one_latent(name: str, index: int, white_mv: float) -> sensitivity.Neighbours:
    """A record of which everything but one latent is known, under white noise."""
    base = COHORTS["virtual/code"]
    device = dataclasses.replace(
        base.device, white_mv=white_mv, spread=0.0, muscle_mv=0.0, motion_mv=0.0
    )
    cohort = dataclasses.replace(base, device=device)
    return sensitivity.Neighbours(cohort, 0, index, 100, 300, (name,))


@pytest.mark.parametrize("white_mv", [0.02, 0.3, 3.0])
def test_the_posterior_of_one_latent_agrees_with_its_integral(white_mv: float) -> None:
    record = one_latent("pr_ms", 2, white_mv)
    place = record.place("pr")
    half = record.findings["pr_ms"] + 8.0
    reading = Outcome(above("pr_ms", half, 5.0), flip=0.01)
    # Exactly: the likelihood of every value on a grid, for many noisy signals.
    grid = np.linspace(-5.0, 5.0, 401)
    moved = np.zeros((len(grid), len(record.normals)))
    moved[:, place] = grid - record.normals[place]
    change, found = record.changes(moved, np.full(len(grid), -1))
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, change.shape[1]))
    log = noise @ change.T - 0.5 * (change**2).sum(axis=1) - 0.5 * grid**2
    weights = np.exp(log - log.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    p = reading.probability({"pr_ms": found["pr_ms"] + record.findings["pr_ms"]})
    exact = (entropy(weights @ p) - weights @ entropy(p)).mean()
    # By Laplace, as the Bayes loss does it, with that latent alone.
    step = np.zeros((1, len(record.normals)))
    step[0, place] = sensitivity.STEP
    slope, slopes = record.changes(step, np.array([-1]))
    around = Surroundings(
        findings={"pr_ms": record.findings["pr_ms"]},
        normals=record.normals[place : place + 1],
        gram=slope @ slope.T / sensitivity.STEP**2,
        slopes={"pr_ms": slopes["pr_ms"] / sensitivity.STEP},
        toggled={"pr_ms": np.zeros(0)},
        distance2=np.zeros(0),
        log_odds=np.zeros(0),
    )
    drawn = draw_findings(around, rng, 400, 200)["pr_ms"]
    p = reading.probability({"pr_ms": drawn})
    laplace = hidden_entropy(p, np.ones_like(p))[0].mean()
    assert laplace == pytest.approx(exact, rel=0.2, abs=0.004)
    assert exact > (0.0 if white_mv < 0.1 else 0.02)


def test_derivatives_agree_with_a_finite_step() -> None:
    record = one_latent("pr_ms", 0, 0.05)
    step = np.zeros((2, len(record.normals)))
    place = record.place("voltage")
    step[0, place], step[1, place] = 1e-5, 1e-3
    change, found = record.changes(step, np.full(2, -1))
    assert np.allclose(change[0] / 1e-5, change[1] / 1e-3, rtol=1e-2, atol=1e-2)
    assert found["log_voltage"][1] / 1e-3 == pytest.approx(found["log_voltage"][0] / 1e-5, rel=1e-3)
    assert np.linalg.norm(change[0]) > 0


def test_what_is_known_of_a_disorder_is_a_likelihood_ratio() -> None:
    cohort = COHORTS["virtual/mimic"]
    names = ("male", "ef_percent", "frailty")
    for around in sensitivity.surroundings(cohort, 0, [0, 3], 100, 300, names):
        assert len(around.distance2) == 2  # sex and cardiomyopathy
        assert around.distance2.min() >= 0.0
        assert set(np.round(np.abs(around.toggled["male"]), 6)) == {0.0, 1.0}
        assert np.isfinite(around.log_odds).all()
        drawn = draw_findings(around, np.random.default_rng(0), 200, 50)
        # Frailty hardly shows: its posterior is about as wide as its prior.
        assert 0.8 < drawn["frailty"].std() < 1.3
        assert set(np.unique(np.round(drawn["male"], 6))) <= {0.0, 1.0}


def test_beside_few_test_records_fewer_patients_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENTROPY_RECORDS", 4096), ("FEWEST", 8), ("MOST", 16)):
        monkeypatch.setattr(bayes, name, value)
    cohort = COHORTS["virtual/basic"]
    few, many = (bayes.bayes_loss(cohort, 100, 200, 0, test)[""] for test in (511, 512))
    assert "2048 and 8 virtual" in few["method"] and "4096 and " in many["method"]
    assert abs(few["value"] - many["value"]) < 4 * float(np.hypot(few["se"], many["se"]))
    assert few["se"] < 0.2 * few["value"]
    assert abs(few["lower_bound"] - many["lower_bound"]) < 0.1 * many["lower_bound"]


def test_a_task_that_needs_a_label_is_weighted_by_belonging() -> None:
    rare = Reading(above("rate_bpm", 100.0, 2.0))
    both = dataclasses.replace(
        COHORTS["virtual/code"],
        readings={"ST": rare},
        tasks={"": task_of(("ST",)), "some": task_of(("ST",), needs_label=True)},
    )
    found = bayes.bayes_loss(both, 100, 200, 0, 512)
    # Of a task whose only class makes its records belong, the class is certain.
    for value in (found["some"]["value"], found["some"]["test"]["value"]):
        assert value == pytest.approx(0.0, abs=1e-12)
    assert found[""]["value"] > 0.01
    chances = task_chances(both, both.tasks["some"], {"rate_bpm": np.array([60.0, 120.0])})
    assert chances.classes[0, 1] == 1.0
    # Of the readers 4 % slip, half of them this way and half that way.
    assert chances.belongs == pytest.approx([0.02, 0.98], abs=0.03)


@pytest.mark.parametrize("readers", [30, 200])
def test_entropy_of_a_counted_chance_has_a_known_answer(readers: int) -> None:
    rng, times = np.random.default_rng(0), 200_000
    for p in (0.5, 0.3, 0.05):
        share = rng.binomial(readers, p, times) / readers
        found = bayes.known_entropy(counted(share, readers))
        exact = entropy(np.array(p))
        # What is left out begins with (1 - p)^n / n: nothing, but for the rarest.
        missing = p * (1 - p) ** readers / (readers * p) * 3
        se = found.std() / np.sqrt(times)
        assert exact - missing - 4 * se < found.mean() < exact + 4 * se
        assert entropy(share).mean() < exact - 10 * se  # as they are, shares look too certain


def test_readers_who_differ_do_not_hide_anything() -> None:
    # Every draw has the same chance: what its estimates scatter adds nothing in the mean, and is
    # below nothing as often as above.
    rng, p, readers = np.random.default_rng(0), 0.3, 64
    share = rng.binomial(readers, p, (4000, 96)) / readers
    known = bayes.known_entropy(counted(share.ravel(), readers)).reshape(share.shape)
    gain, _ = hidden_entropy(share, np.ones_like(share), known)
    missing = 0.5 / (96 * readers)  # of the entropy of the mean of all readers
    assert abs(gain.mean() + missing) < 4 * gain.std() / np.sqrt(len(gain))
    assert 0.3 < (gain > 0).mean() < 0.7
    assert hidden_entropy(share, np.ones_like(share))[0].mean() > 20 * abs(gain.mean())


@pytest.mark.parametrize("p", [0.5, 0.1, 0.02])
def test_surprise_of_a_counted_chance_is_the_entropy_in_the_mean(p: float) -> None:
    rng, times, readers = np.random.default_rng(0), 400_000, 300
    chances = counted(rng.binomial(readers, p, times) / readers, readers)
    y = (rng.random((1, times)) < p).astype(np.uint8)
    found = bayes.surprise(chances, y)
    assert np.isfinite(found).all()
    assert abs(found.mean() - entropy(np.array(p))) < 4 * found.std() / np.sqrt(times)


def test_entropy_and_surprise_of_a_formula_are_their_own() -> None:
    p = np.array([[0.2, 0.9, 0.5]])
    exact = Chances(classes=p, belongs=np.ones(3), readers=np.full((1, 3), np.inf))
    assert np.array_equal(bayes.known_entropy(exact), entropy(p))
    y = np.array([[1, 0, 1]], np.uint8)
    assert bayes.surprise(exact, y)[0] == pytest.approx(-np.log([0.2, 0.1, 0.5]))
    # Where no reader says anything, nothing is known and nothing is lost.
    nobody = counted(np.zeros(3), 0)
    assert np.array_equal(bayes.known_entropy(nobody), np.zeros((1, 3)))


def counted(share: Array, readers: int) -> Chances:
    """Chances of one class that are shares of so many readers."""
    among = np.full((1, len(share)), float(readers))
    return Chances(classes=share[None], belongs=np.ones(len(share)), readers=among)


def test_imagined_readers_cost_no_more_than_they_are_short_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against formulas, which two statements about different findings have."""
    readings = {"fast": Reading(above("rate_bpm", 95.0, 12.0)),
                "low": Reading(below("ef_percent", 50.0, 6.0))}  # fmt: skip
    tasks = {"some": task_of(tuple(readings), needs_label=True), "each": task_of(tuple(readings))}
    cohort = dataclasses.replace(COHORTS["virtual/code"], readings=readings, tasks=tasks)

    def by_formula(findings: dict[str, Array], *_: object) -> dict[str, Chances]:
        p = np.stack(list(reading_chances(cohort, findings).values()))
        belongs = 1 - np.prod(1 - p, axis=0)
        among = np.full(p.shape, np.inf)
        each = Chances(classes=p, belongs=np.ones_like(belongs), readers=among)
        return {"some": Chances(classes=p / belongs, belongs=belongs, readers=among), "each": each}

    counted_loss = bayes.bayes_loss(cohort, 100, 200, 0, 4096)
    with monkeypatch.context() as patch:
        patch.setattr(bayes, "class_chances", lambda _, *args: by_formula(*args))
        exact_loss = bayes.bayes_loss(cohort, 100, 200, 0, 4096)
    assert counted_loss["each"] == exact_loss["each"]
    got, true = counted_loss["some"], exact_loss["some"]
    # The same records, so only what the readers scatter differs: far less than the error.
    assert got["value"] == pytest.approx(true["value"], abs=0.5 * true["se"])
    assert got["lower_bound"] == pytest.approx(true["lower_bound"], rel=0.01)
    assert got["test"]["n"] == true["test"]["n"]
    assert got["test"]["value"] == pytest.approx(true["test"]["value"], rel=0.02)


def test_fewer_readers_bring_a_lower_bound_and_the_same_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort = COHORTS["virtual/ptbxl"]
    chosen = {name: cohort.tasks[name] for name in ("superclass", "diagnostic")}
    cohort = dataclasses.replace(cohort, tasks=chosen)
    found = {}
    for readers in (16, 128):
        monkeypatch.setattr(bayes, "READERS", readers)
        found[readers] = bayes.bayes_loss(cohort, 100, 200)
    for task in chosen:
        few, many = found[16][task], found[128][task]
        assert few["lower_bound"] < many["lower_bound"]
        assert abs(few["value"] - many["value"]) < 0.6 * many["se"]
