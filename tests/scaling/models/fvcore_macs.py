"""MACs by fvcore, to check ours against."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import nn

from scaling.cost import crowded


def count_macs_fvcore(model: nn.Module, shape: tuple[int, ...]) -> int:
    """MACs of one forward pass: convolutions, matrix products and attention only, see
    ``scaling.cost.count_macs``.

    fvcore adds normalisations to its total, which are not MACs; they are left out. It has no
    entry for scaled-dot-product attention, which gets the two matrix products it stands for.
    """
    with warnings.catch_warnings():
        # fvcore's last release (2022) compiles and traces with torch.jit, deprecated since.
        warnings.simplefilter("ignore", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        inputs = (torch.zeros(shape), crowded(shape, torch.device("cpu")))
        analysis = FlopCountAnalysis(model.eval(), inputs)
        analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = analysis.by_operator()
    norms = {"batch_norm", "layer_norm", "group_norm", "instance_norm"}
    return int(sum(value for name, value in operators.items() if name not in norms))


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """MACs of softmax(q k') v: fvcore's handle for traced values (B, H, S, E)."""
    q, k, v = (value.type().sizes() for value in inputs[:3])
    return int(math.prod(q) * k[-2] + math.prod(q[:-1]) * v[-2] * v[-1])
