"""The loss of restored leads: in the unit of the signal, or relative to each lead's variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scaling.identity import CorpusSpec, Recipe, Training
from scaling.objectives.base import objective_of
from scaling.objectives.fir import QUIET, lead_quality
from scaling.objectives.restoration import squared_errors
from tests.scaling.objectives.test_fir import STEP, split_of

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


def test_records_of_any_voltage_count_alike() -> None:
    gains = torch.tensor([0.5, 1.0, 2.0, 4.0, 8.0])[:, None, None]
    once, scaled = (squared_errors(RESTORED * g, TRUE * g, relative=True) for g in (1.0, gains))
    torch.testing.assert_close(scaled, once)
    squared = squared_errors(RESTORED * gains, TRUE * gains)
    torch.testing.assert_close(squared, squared_errors(RESTORED, TRUE) * gains.flatten() ** 2)


def test_flat_leads_do_not_count() -> None:
    true = torch.zeros(1, 12, 80)
    assert squared_errors(true + 0.3, true, relative=True).item() == 0.0
    quiet = true + 0.5 * QUIET * torch.tensor([1.0, -1.0]).repeat(40)
    off = squared_errors(quiet + QUIET, quiet, relative=True)  # by QUIET, not by less
    torch.testing.assert_close(off, torch.ones(1))


class Half(nn.Module):
    """What it is given, halved."""

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        return 0.5 * x_BLT


@pytest.mark.parametrize("error", ["squared", "relative"])
def test_the_objective_has_the_loss_of_its_option(error: str) -> None:
    options = (("error", error),) if error != "squared" else ()
    training = Training(
        stage="restore", corpus=CorpusSpec(source="virtual/basic"), task="", family="unet",
        size="c4", paradigm="ssl", objective="restoration", data=64, recipe=Recipe(),
        input_leads=("I",), options=options,
    )  # fmt: skip
    objective, split = objective_of(training), split_of((TRUE.numpy() / STEP).round())
    batch = split.batch(torch.arange(5))
    wanted = squared_errors(0.5 * batch.x_BLT, batch.x_BLT, relative=error == "relative")
    assert wanted.std() > 0
    torch.testing.assert_close(objective.held_out(Half(), split), wanted)
    torch.testing.assert_close(objective.loss(0.5 * batch.x_BLT, batch), wanted.mean())
    mean = 0.25 if error == "relative" else 0.25 * batch.x_BLT.square().mean()
    assert float(wanted.mean()) == pytest.approx(float(mean), rel=0.05)
