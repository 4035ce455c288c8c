"""What a model costs: parameters by group, MACs, FLOPs and bytes.

MACs are counted by ``torch.utils.flop_counter`` on the meta device (halved: it counts a
multiply-accumulate as two). Attention is counted, which fvcore alone leaves out and the flop
counter does on a CPU: both are given the missing entry here.
C = 6 x MACs x batch x steps (S1, section 4.2): two FLOPs a MAC, backward twice the forward.
MACs are of what is computed with all slots of a Transformer filled, so that C does not depend on
the records; ``macs_full`` is what the field counts (``docs/models.md``).
Importing this module needs no torch; counting a network does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scaling.records.record import PARAMETER_GROUPS

# Learned, though by averages and not by gradients, so they are no parameters to PyTorch.
LEARNED_BUFFERS = ("codebook.codes",)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from scaling.identity import Training


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Size and cost of one model.

    Attributes:
        params: parameters by group (``PARAMETER_GROUPS``); they sum to ``total``.
        macs: multiply-accumulates of one forward pass on one record.
        macs_full: the same with every token in every block, also where only the class token of
            the last is read.
        bytes: size of the 32-bit weights.
    """

    params: dict[str, int]
    macs: int
    macs_full: int
    bytes: int

    @property
    def N(self) -> int:  # noqa: N802 - the field's name for it
        """Backbone parameters."""
        return self.params["backbone"]

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.params.values())


def training_flops(macs: int, batch: int, steps: int) -> int:
    """C: floating-point operations of ``steps`` training steps (S1, section 4.2)."""
    return 6 * macs * batch * steps


def count(family: str, size: str, leads: int, samples: int, num_labels: int) -> Counts:
    """Count a model with a linear head, without allocating it.

    Args:
        family: architecture.
        size: point on its ladder.
        leads: input leads.
        samples: samples per lead.
        num_labels: outputs of the head.
    """
    if family == "simulated":
        return _simulated(size, num_labels)
    import torch

    from scaling.models.classifier import Classifier

    with torch.device("meta"):
        return _counts(Classifier(family, size, leads, num_labels), leads, samples)


def count_training(training: Training, num_labels: int) -> Counts:
    """Count the model that a training trains, its objective's head included.

    MACs are those of one record in one pass of training: both halves of a contrastive one.
    """
    if training.family == "simulated":
        return _simulated(training.size, num_labels)
    import torch

    from scaling.objectives.base import Context
    from scaling.objectives.registry import objective_of

    with torch.device("meta"):
        model = objective_of(training).build(Context(training=training, outputs=num_labels))
        return _counts(model, len(training.leads), training.corpus.samples)


def _counts(model: nn.Module, leads: int, samples: int) -> Counts:
    params, shape = count_params(model), (1, leads, samples)
    macs = count_macs(model, shape)
    with in_full(model) as other:
        macs_full = count_macs(model, shape) if other else macs
    return Counts(params=params, macs=macs, macs_full=macs_full, bytes=4 * sum(params.values()))


@contextlib.contextmanager
def in_full(model: nn.Module) -> Iterator[bool]:
    """Within, the backbone computes every token in every block; whether that is anything else."""
    backbone: Any = model.get_submodule("backbone")
    if other := hasattr(backbone, "in_full"):
        backbone.in_full = True
    try:
        yield other
    finally:
        if other:
            backbone.in_full = False


def _simulated(size: str, num_labels: int) -> Counts:
    backbone = int(size.removeprefix("n"))
    params = dict.fromkeys(PARAMETER_GROUPS, 0) | {"backbone": backbone, "head": num_labels}
    # MACs grow more slowly than parameters, as they do on the real ladders.
    macs = round(40 * backbone**0.85)
    return Counts(params=params, macs=macs, macs_full=macs, bytes=4 * (backbone + num_labels))


def count_params(model: nn.Module) -> dict[str, int]:
    """Parameters by group: the name of the top-level module each belongs to.

    The codes of a codebook are counted with them (``LEARNED_BUFFERS``).
    """
    params = dict.fromkeys(PARAMETER_GROUPS, 0)
    learned = [(name, b) for name, b in model.named_buffers() if name in LEARNED_BUFFERS]
    for name, value in (*model.named_parameters(), *learned):
        params[name.split(".")[0]] += value.numel()
    return params


def count_macs(model: nn.Module, shape: tuple[int, ...]) -> int:
    """MACs of one forward pass on an input of ``shape``; the model may be on the meta device.

    Every slot of a Transformer is filled.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def attention(q: Any, k: Any, v: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return int(sdpa_flop_count(q, k, v))  # type: ignore[no-untyped-call]

    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    kernels = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with FlopCounterMode(display=False, custom_mapping=kernels) as counter, torch.no_grad():
        model(torch.empty(shape, device=device), _crowded(shape, device))
    model.train(was_training)
    return int(counter.get_total_flops()) // 2


def _crowded(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """An R peak at every sample, (B, T) int16: no slot is padding, which would be left out."""
    import torch

    return torch.arange(shape[-1], dtype=torch.int16, device=device).repeat(shape[0], 1)


def count_macs_fvcore(model: nn.Module, shape: tuple[int, ...]) -> int:
    """The same by fvcore, convolutions, matrix products and attention only, as a cross-check.

    fvcore adds normalisations to its total, which are not MACs; they are left out. It has no
    entry for scaled-dot-product attention, which gets the two matrix products it stands for.
    """
    import warnings

    import torch

    with warnings.catch_warnings():
        # fvcore's last release (2022) compiles and traces with torch.jit, deprecated since.
        warnings.simplefilter("ignore", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        inputs = (torch.zeros(shape), _crowded(shape, torch.device("cpu")))
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
