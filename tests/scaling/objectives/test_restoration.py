"""The loss of restored leads: in the unit of the signal, or relative to each lead's variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.identity import CorpusSpec, Recipe, Training
from scaling.objectives.base import objective_of
from scaling.objectives.fir import QUIET, lead_quality
from scaling.objectives.restoration import squared_errors

TRUE = 0.3 * torch.randn(5, 12, 80, generator=torch.Generator().manual_seed(0))
RESTORED = TRUE + 0.1 * torch.randn(5, 12, 80, generator=torch.Generator().manual_seed(1))


def test_both_losses_are_their_formulas() -> None:
    true, restored = TRUE.numpy().astype(float), RESTORED.numpy().astype(float)
    errors = ((restored - true) ** 2).mean(axis=2)
    np.testing.assert_allclose(squared_errors(RESTORED, TRUE), errors.mean(axis=1), rtol=1e-5)
    relative = (errors / true.var(axis=2)).mean(axis=1)
    np.testing.assert_allclose(squared_errors(RESTORED, TRUE, relative=True), relative, rtol=1e-5)


def test_the_relative_loss_is_the_error_that_is_measured() -> None:
    errors = lead_quality(TRUE, RESTORED)[1].mean(dim=1)
    found = squared_errors(RESTORED, TRUE, relative=True)
    torch.testing.assert_close(found.double(), errors, rtol=1e-5, atol=0.0)


def test_records_of_any_voltage_count_alike_but_for_quiet_leads() -> None:
    gains = torch.tensor([0.5, 1.0, 2.0, 4.0, 8.0])[:, None, None]
    once, scaled = (squared_errors(RESTORED * g, TRUE * g, relative=True) for g in (1.0, gains))
    torch.testing.assert_close(scaled, once)
    squared = squared_errors(RESTORED * gains, TRUE * gains)
    torch.testing.assert_close(squared, squared_errors(RESTORED, TRUE) * gains.flatten() ** 2)
    flat = torch.zeros(1, 12, 80)
    off = squared_errors(flat + QUIET, flat, relative=True)  # by its own size, and finite
    torch.testing.assert_close(off, torch.ones(1))


@pytest.mark.parametrize("error", ["squared", "relative"])
def test_the_objective_takes_it_from_its_options(error: str) -> None:
    options = (("error", error),) if error != "squared" else ()
    training = Training(
        stage="restore", corpus=CorpusSpec(source="virtual/basic"), task="", family="unet",
        size="c4", paradigm="ssl", objective="restoration", data=64, recipe=Recipe(),
        input_leads=("I",), options=options,
    )  # fmt: skip
    assert objective_of(training).settings == {"error": error}
    assert "options" not in training.to_dict() or error == "relative"
