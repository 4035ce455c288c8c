"""No teacher: the student learns from labels alone, at the inputs and boxes of the others.

It is the baseline of every method, and with all labels the ceiling that they are measured by.
"""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import nn

from scaling.objectives.distill.base import Distillation, Pair


class NoTeacher(Distillation):
    """Binary cross-entropy of labels; unlabelled records are not used."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> NoReturn:
        """There is nothing to imitate: always an error."""
        raise ValueError("the method none has no teacher: remove the parent of that role")
