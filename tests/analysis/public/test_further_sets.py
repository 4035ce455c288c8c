"""Five further public sets, each with the procedure of its description, as a user calls it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.checks.held_out import choose_law
from analysis.compute.isoflop import isoflop
from analysis.fit.certificate import Status
from analysis.fit.result import Fit
from analysis.laws import FloatArray, Law, plain_law
from tests.analysis.public.laws import answers, rows

POSITIVE, EXPONENT = (0.0, math.inf), (0.01, 4.0)
ROUNDED = 1e-8  # the tables give ten digits


def relative(found: Fit, held: pd.DataFrame) -> FloatArray:
    """Relative errors of the runs held out."""
    at = {axis: held[axis].to_numpy() for axis in found.law.axes}
    predicted = found.predict(**at)["loss"].to_numpy()
    error: FloatArray = predicted / held["loss"].to_numpy() - 1
    return error


# --- Farseer ---------------------------------------------------------------------------------


def test_farseer_is_fitted_below_its_published_objective_and_predicts_the_larger_runs(
    shared: Path,
) -> None:
    table, about = rows(shared, "farseer"), answers(shared, "farseer")
    fitted, held = table[table["split"] == "fit"], table[table["split"] == "holdout"]
    assert (len(fitted), len(held)) == (404, 7)
    found = fit_law(fitted[["N", "D", "loss"]], "farseer", delta=1e-3, n_boot=0)
    own = about["ours"]["own_law_delta_1e-3"]["objective"]
    assert found.certificate.objective <= min(
        own, about["published"]["constants_log_huber_1e-3_on_404"]
    )
    assert found.status is Status.CONVERGED
    for fit in (found, fit_law(fitted[["N", "D", "loss"]], "farseer", n_boot=0)):
        assert np.abs(relative(fit, held)).mean() < 0.005
        assert (
            1 - np.mean((relative(fit, held) * held["loss"]) ** 2) / held["loss"].var(ddof=0) > 0.92
        )


def test_farseers_published_constants_give_the_published_objective(shared: Path) -> None:
    about, table = answers(shared, "farseer")["published"], rows(shared, "farseer")
    fitted = table[table["split"] == "fit"][["N", "D", "loss"]]
    found = fit_law(fitted, "farseer", delta=1e-3, n_boot=0)
    theta = np.array([about["constants"][name] for name in found.law.names])
    residual = found.problem.scale.forward(found.law.value(theta, found.problem.x))
    total = found.problem.penalty.value(residual - found.problem.target).sum()
    assert total == pytest.approx(about["constants_log_huber_1e-3_on_404"], rel=1e-6)


@pytest.mark.slow
def test_farseer_and_the_gamma_form_beat_their_rival_at_the_rolling_origin(shared: Path) -> None:
    table = rows(shared, "farseer").query("split == 'fit'")[["N", "D", "loss"]]
    choice = choose_law(table, ("chinchilla", "gamma_law", "farseer"), variants=("plain",))
    error = dict(zip(choice.table["candidate"], choice.table["error"], strict=True))
    assert error["farseer"] < 0.8 * error["chinchilla"]
    assert error["gamma_law"] < 0.5 * error["chinchilla"] and choice.chosen == "gamma_law"


# --- xLSTM's transformer runs ----------------------------------------------------------------


@pytest.fixture(scope="module")
def xlstm(shared: Path) -> pd.DataFrame:
    table = rows(shared, "xlstm_llama_ctx8192")
    return table[table["selected"]]


def test_isoflop_budgets_by_label_give_the_published_exponent(
    shared: Path, xlstm: pd.DataFrame
) -> None:
    wanted = answers(shared, "xlstm_llama_ctx8192")["recomputed_by_their_procedure"]
    found = isoflop(xlstm, budget="budget", n_boot=0)
    assert found.a == pytest.approx(wanted["a"], abs=1e-3)
    assert found.b == pytest.approx(wanted["b"], abs=1e-3)
    np.testing.assert_allclose(found.budgets["N"], wanted["N"], rtol=1e-9)
    assert found.budgets["runs"].sum() == len(xlstm) == 107 and not found.refused
    assert any("budget=" in w for w in isoflop(xlstm, n_boot=0).warnings)


def test_the_gamma_form_reaches_the_published_objectives(shared: Path, xlstm: pd.DataFrame) -> None:
    published = answers(shared, "xlstm_llama_ctx8192")["published"]
    wanted = {
        np.inf: published["gamma_fit_all_107"]["objective"],
        300.0: published["gamma_fit_D_over_N_up_to_300_(104_rows)"],
        100.0: published["up_to_100_(92_rows)"],
    }
    for most, objective in wanted.items():
        part = xlstm[xlstm["D"] / xlstm["N"] <= most]
        found = fit_law(part[["N", "D", "loss"]], "gamma_law", delta=1e-3, n_boot=0)
        assert found.certificate.objective <= objective * (1 + ROUNDED)
        assert found.certificate.agreed > 0.5
        if math.isinf(most):
            for name in ("alpha", "beta", "gamma"):
                assert found.params[name] == pytest.approx(
                    published["gamma_fit_all_107"][name], abs=1e-4
                )


# --- openCLIP --------------------------------------------------------------------------------

BINS = 5


def on_frontier(runs: pd.DataFrame) -> pd.DataFrame:
    """The run of the smallest error in each of five bins of log compute."""
    log_c = np.log10(runs["gmacs_total"])
    edges = np.linspace(log_c.min(), log_c.max(), BINS + 1)
    place = np.clip(np.digitize(log_c, edges) - 1, 0, BINS - 1)
    return runs.loc[runs["error"].groupby(place).idxmin()]


def test_openclips_frontiers_have_the_published_exponents(shared: Path) -> None:
    table, about = rows(shared, "openclip_zeroshot"), answers(shared, "openclip_zeroshot")
    published = about["published"]
    wanted = published["exponents_recomputed_from_their_notebook"]
    for task, (ours, wit) in wanted.items():
        runs = table[table["downstream_dataset"] == task]
        small = runs[runs["upstream_dataset"] == "CLIP-WIT"]
        line = fit_law(
            {"D": small["gmacs_total"], "loss": small["error"]}, "power_law", loss="least_squares",
            n_boot=0,
        )  # fmt: skip
        assert line.params["beta"] == pytest.approx(-wit, abs=1e-6)
        runs = runs[runs["upstream_dataset"] != "CLIP-WIT"]
        best = on_frontier(runs)
        data = {"C": best["gmacs_total"], "loss": best["error"]}
        found = fit_law(data, "frontier", fixed={"E": 0, "C0": 0}, loss="least_squares", n_boot=0)
        assert found.params["gamma"] == pytest.approx(-ours, abs=0.006)
        cells = runs.loc[runs.groupby(["arch", "samples_seen_pretty"])["error"].idxmin()]
        assert len(cells) == 11
        predicted = found.predict(C=cells["gmacs_total"].to_numpy())["loss"].to_numpy()
        error = 100 * np.abs(predicted - cells["error"].to_numpy()).mean()
        assert error <= published.get(f"MAE_{task.removesuffix('_captions')}", math.inf)
        free = fit_law(data, "frontier", n_boot=0)
        assert "C0" not in free.certificate.bounds_hit
        if free.certificate.vanished:
            assert free.status is Status.CONVERGED
            assert any("C0 vanishes" in note for note in free.notes)


# --- vocabulary ------------------------------------------------------------------------------


def vocabulary_law(own: bool) -> Law:
    """The law of Tao et al. 2024; ``own`` gives N an exponent of its own."""
    first = "alpha1" if own else "beta"
    names = ["E", "A1", *(["alpha1"] if own else []), "beta", "A2", "alpha2", "B"]
    size = {"E": (0.0, 20.0), "A1": POSITIVE, "A2": POSITIVE, "B": POSITIVE}
    return plain_law(
        "vocabulary",
        lambda x, E, A1, A2, alpha2, B, beta, alpha1=None: (
            -E + A1 / x["N"] ** (beta if alpha1 is None else alpha1) + A2 / x["V"] ** alpha2
            + B / x["D"] ** beta
        ),
        formula=f"L(N, V, D) = -E + A1 / N^{first} + A2 / V^alpha2 + B / D^beta",
        source="Tao et al. 2024 (arXiv 2407.13623)", axes=("N", "V", "D"), residual="linear",
        parameters={name: size.get(name, EXPONENT) for name in names},
    )  # fmt: skip


def vocabulary_runs(shared: Path) -> pd.DataFrame:
    """Runs used, in millions of parameters and billions of characters (H) or tokens (D)."""
    table = rows(shared, "vocab").query("FLOPs >= 2.18e17")
    log_v = np.log(table["vocab_size"] / 1000)
    H = table["num_characters"] / 1e9
    return pd.DataFrame({
        "N": table["Non_vocab_parameters"] / 1e6,
        "V": table["vocab_size"] * table["embed_dim"] / 1e6,
        "D": H * (0.00639222 * log_v**2 - 0.15811069 * log_v + 1.20470122),
        "H": H, "C": table["FLOPs"], "loss": table["Lossu"],
    })  # fmt: skip


@pytest.mark.slow
def test_the_vocabulary_law_reaches_the_lowest_objective_on_negative_losses(shared: Path) -> None:
    about, runs = answers(shared, "vocab"), vocabulary_runs(shared)
    assert len(runs) == 1054 and (runs["loss"] < 0).any()
    found = fit_law(runs.drop(columns=["H", "C"]), vocabulary_law(False), delta=1e-3, n_boot=0)
    assert found.status is Status.CONVERGED
    lowest = min(about["ours"]["objective"], about["published"]["objective_recomputed"])
    assert found.certificate.objective <= lowest * (1 + ROUNDED)
    assert found.params["E"] == pytest.approx(about["ours"]["E"], rel=1e-4)
    larger = runs["C"] >= runs["C"].quantile(0.9)
    characters = runs[~larger].assign(D=runs["H"])
    seven = fit_law(characters, vocabulary_law(True), delta=1e-3, n_boot=0)
    assert seven.certificate.objective <= 0.0675054


# --- single cells ----------------------------------------------------------------------------

CELLS = plain_law(
    "cells", lambda x, I_inf, N0, s: I_inf - (x["n"] / N0) ** -s,
    formula="I(n) = I_inf - (n / N0)^-s", source="measurement-noise scaling of single cells",
    axes=("n",), response="information", unit="bits", rises=("n",), residual="linear",
    parameters={"I_inf": (0.1, 10.0), "N0": (10.0, 1e7), "s": (0.01, 10.0)},
)  # fmt: skip


@pytest.mark.slow
def test_curves_of_information_are_fitted_as_well_as_published(shared: Path) -> None:
    """Every fifth published curve; a constant one has nothing to fit, and says so."""
    table = rows(shared, "cells_pbmc_larry")
    published = rows(shared, "cells_pbmc_larry_published").iloc[::5]
    fits, negative = 0, 0
    for curve in published.to_dict("records"):
        own = (table["dataset"] == curve["dataset"]) & (table["algorithm"] == curve["method"])
        own &= table["signal"] == curve["metric"]
        part = table[own & np.isclose(table["quality"], curve["quality"], rtol=1e-3)]
        data = {"n": part["size"], "information": part["mi_value"]}
        found = fit_law(data, CELLS, loss="least_squares", n_boot=0)
        if np.ptp(part["mi_value"]) == 0:
            assert any("are equal" in w for w in found.warnings)
            continue
        theta = [curve[name] for name in CELLS.names]
        theirs = CELLS.value(np.array(theta), part[["size"]].to_numpy(dtype=np.float64))
        assert 2 * found.certificate.objective <= ((theirs - part["mi_value"]) ** 2).sum()
        fits += 1
        negative += bool((part["mi_value"] <= 0).any() or (theirs <= 0).any())
    assert fits >= 20 and negative >= 1
