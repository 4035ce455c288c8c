"""Figures of results: ``draw`` knows them by their type, and results know nothing of figures."""

from __future__ import annotations

from analysis.checks.sensitivity import Sensitivity
from analysis.compute.allocation import Allocation
from analysis.compute.approaches import Approaches
from analysis.compute.envelope import Envelope
from analysis.compute.isoflop import IsoFlop
from analysis.figures.base import draw
from analysis.figures.compute import (
    allocation_picture,
    approaches_picture,
    envelope_picture,
    isoflop_picture,
)
from analysis.figures.fits import curves, sensitivity_picture
from analysis.fit.result import Fit

__all__ = ["draw"]

draw.register(Fit, curves)
draw.register(Sensitivity, sensitivity_picture)
draw.register(Allocation, allocation_picture)
draw.register(Approaches, approaches_picture)
draw.register(Envelope, envelope_picture)
draw.register(IsoFlop, isoflop_picture)
