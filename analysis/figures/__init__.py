"""Figures of results: ``draw`` knows them by their type, and results know nothing of figures."""

from analysis.figures import compute, fits  # what they register, ``draw`` draws
from analysis.figures.base import draw

__all__ = ["compute", "draw", "fits"]
