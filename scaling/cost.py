"""What a model costs: parameters by group, MACs, FLOPs and bytes; and bf16 where it is emulated.

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
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scaling.identity import TEACHER
from scaling.objectives.registry import OBJECTIVES, unlabelled_records
from scaling.records.record import AUXILIARY, PARAMETER_GROUPS

BF16 = ("avx512_bf16", "amx_bf16", "bf16")  # as PyTorch names what x86 and ARM have
# Learned, though by averages and not by gradients, so they are no parameters to PyTorch.
LEARNED_BUFFERS = ("codebook.codes",)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from scaling.identity import Training


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Size and cost of one model."""

    params: dict[str, int]  # parameters by group (``PARAMETER_GROUPS``); they sum to ``total``
    macs: int  # multiply-accumulates of one forward pass on one record
    # the same with every token in every block, also where only the class token of the last is read
    macs_full: int
    bytes: int  # size of the 32-bit weights

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


def records_per_step(training: Training) -> int:
    """Records that a step trains on, labelled and unlabelled."""
    batch = training.recipe.batch
    if training.family == "simulated":
        return batch
    settings = OBJECTIVES[training.objective].settings(training.options)
    return batch + unlabelled_records(batch, float(settings.get("unlabelled", 0.0)))


def taught_records(training: Training, steps: int) -> int:
    """Records that a teacher is shown in ``steps`` steps of a training; 0 without one.

    With boxes these are all of each step, since a mixture is not seen twice, else each record once.
    """
    if not training.parents_of_role(TEACHER):
        return 0
    settings = OBJECTIVES[training.objective].settings(training.options)
    if settings["boxes"] != "none":
        return steps * records_per_step(training)
    return training.data if settings["unlabelled"] else training.labelled


def count(family: str, size: str, leads: int, samples: int, num_labels: int) -> Counts:
    """Count a model with a linear head of ``num_labels`` outputs, without allocating it."""
    if family == "simulated":
        return _simulated(size, num_labels)
    import torch

    from scaling.models.families import build
    from scaling.objectives.labels import Classifier

    with torch.device("meta"):
        return _counts(Classifier(build(family, size, leads), num_labels), leads, samples)


def count_training(training: Training, num_labels: int) -> Counts:
    """Count the model that a training trains, its objective's head included.

    MACs are those of one record in one pass of training: both halves of a contrastive one.
    """
    if training.family == "simulated":
        return _simulated(training.size, num_labels)
    import torch

    from scaling.objectives.base import Context, objective_of

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

    What only training has (``AUXILIARY``) is left out; the codes of a codebook are counted
    (``LEARNED_BUFFERS``).
    """
    params = dict.fromkeys(PARAMETER_GROUPS, 0)
    known = (*PARAMETER_GROUPS, AUXILIARY)
    learned = [(name, b) for name, b in model.named_buffers() if name in LEARNED_BUFFERS]
    for name, value in (*model.named_parameters(), *learned):
        group = name.split(".")[0]
        if group not in known:
            raise KeyError(f"{name}: {group} is none of {', '.join(known)}")
        if group != AUXILIARY:
            params[group] += value.numel()
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
        model(torch.empty(shape, device=device), crowded(shape, device))
    model.train(was_training)
    return int(counter.get_total_flops()) // 2


def crowded(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """An R peak at every sample, (B, T) int16: no slot is padding, which would be left out."""
    import torch

    return torch.arange(shape[-1], dtype=torch.int16, device=device).repeat(shape[0], 1)


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 numbers itself (AVX512-BF16, AMX or their like)."""
    import torch

    found = torch.cpu.get_capabilities()
    return _onednn_takes_bf16() and any(found.get(name) for name in BF16)


def _onednn_takes_bf16() -> bool:
    """Whether oneDNN computes in bf16: also with AVX512 alone, where it emulates it."""
    import torch

    # Builds without oneDNN, such as those for Apple's processors, do not have the operator at all.
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def bf16_note(device: torch.device) -> str:
    """What to tell the user of a bf16 recipe on ``device``; empty where its hardware has bf16."""
    import torch

    from scaling.data.device import device_name

    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return ""
        advice = "precision: float32 in the recipe is likely faster"
    elif cpu_has_bf16():
        return ""
    else:
        advice = bf16_emulated(avx512=_onednn_takes_bf16())
    return f"{device_name(device)} has no bf16 arithmetic: {advice}"


def bf16_emulated(avx512: bool) -> str:
    """What to expect of bf16 and what to do, for the end of a sentence on a processor without it.

    With AVX512 oneDNN emulates bf16; without it PyTorch converts every number itself.
    """
    times, measured = ("1 to 3", "AVX512 alone") if avx512 else ("3 to 11", "AVX2 alone")
    return (
        f"bf16 is emulated, and with {measured} a training step took {times} times as long as in "
        "float32 (docs/training.md); set precision: float32 in the recipe"
    )
