"""Grad-CAM of a record's time (Selvaraju et al. 2017, arXiv 1610.02391, Eq. 1 and 2).

With A^k_s feature k of a layer at place s of S, and y the logit of a class,

    alpha_k = (1/S) sum_s dy/dA^k_s,    map_s = ReLU(sum_k alpha_k A^k_s).

The map says where the layer holds what speaks for the class; what speaks against it is cut off. A
student that is given restored leads is asked about them, as they are, in what it is given.

The layer is the last one whose places are still those of the record:

- **resnet**: the main path of the last block. Its mean over time is what a linear head reads, so
  that the map is a class activation map (Zhou et al. 2016) over S.
- **convtx**: the last convolutional block. What attention makes of its tokens knows all earlier
  ones, so the place of a token there no longer says where in the record something was.
- **transformer**: the normalised tokens that attention of the last block reads. Each is a
  heartbeat of a lead and is put back on the samples that it was cut from; beats of all leads at a
  sample add up. With several blocks these tokens have attended to each other before.

A map has a place for every 16 samples or so of a ResNet (the product of its strides), and is
interpolated linearly between their middles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from scaling.models.sizes import shortest
from scaling.models.transformer import EcgTransformer


class Reading(NamedTuple):
    """Where a family holds its map."""

    module: str  # of the backbone, by name; its output holds the features
    tensor: Callable[[Any], Tensor]  # of the output, what holds them, as it is in the graph
    places: Callable[[Tensor], Tensor]  # the same of one record as (S, K)


def _tokens(state_1SK: Tensor) -> Tensor:
    """Without the class token."""
    return state_1SK[0, 1:]


def _images(x_1K1S: Tensor) -> Tensor:
    return x_1K1S[0, :, 0].T


READINGS = {
    "resnet": Reading("blocks.-1", lambda output: output[1], _images),
    "convtx": Reading("tokenizer.blocks.-1", lambda output: output, _images),
    "transformer": Reading("encoder.blocks.-1.norm1", lambda output: output, _tokens),
}


def weighted_map(features_SK: Tensor, gradients_SK: Tensor) -> Tensor:
    """Eq. 1 and 2 of one record, (S,), from features and the gradients of a logit by them."""
    alpha_K = gradients_SK.mean(dim=0)
    map_S: Tensor = (features_SK @ alpha_K).relu()
    return map_S


def features_and_gradients(
    model: nn.Module,
    module: nn.Module,
    tensor: Callable[[Any], Tensor],
    place: int,
    x_1LT: Tensor,
    *more: Tensor,
) -> tuple[Tensor, Tensor]:
    """A layer's features of one record, and the gradients of a logit by them.

    Args:
        model: from a record and ``more`` to logits (1, C); in evaluation mode, and may be frozen.
        module: a part of it, whose output holds the features.
        tensor: of that output, what holds them.
        place: of the class, in [0, C).
        x_1LT: the record.
        more: what else the model is given.
    """
    found: list[Tensor] = []
    hook = module.register_forward_hook(lambda _, __, output: found.append(tensor(output)))
    try:
        with torch.enable_grad():
            # Weights are frozen: without this nothing would have a gradient.
            logits_1C = model(x_1LT.detach().clone().requires_grad_(), *more)
            (gradient,) = torch.autograd.grad(logits_1C[0, place], found[-1])
    finally:
        hook.remove()
    return found[-1].detach(), gradient


def grad_cam(
    model: nn.Module,
    backbone: nn.Module,
    family: str,
    size: str,
    place: int,
    x_1LT: Tensor,
    r_peaks_1P: Tensor,
) -> Tensor:
    """The map of one record and class over its samples, (T,), 0 or more, on its device.

    Args:
        model: what is asked: a classifier, or a system of which it is the student.
        backbone: the classifier's.
        family: the backbone's, one of ``READINGS``.
        size: the backbone's.
        place: of the class among the logits.
        x_1LT: the record, all leads as recorded.
        r_peaks_1P: its R peaks, negative behind the last.

    Raises:
        ValueError: a family whose features have no places in time here.
    """
    if family not in READINGS:
        raise ValueError(
            f"Grad-CAM of family {family!r} is not known: say in scaling.explain.grad_cam which "
            f"of its layers still knows the time ({', '.join(READINGS)} are there)"
        )
    reading = READINGS[family]
    module = submodule(backbone, reading.module)
    features, gradient = features_and_gradients(
        model, module, reading.tensor, place, x_1LT, r_peaks_1P
    )
    map_S = weighted_map(reading.places(features), reading.places(gradient))
    samples = x_1LT.shape[-1]
    if isinstance(backbone, EcgTransformer):
        return at_heartbeats(map_S, backbone, x_1LT, r_peaks_1P)
    return at_samples(map_S, shortest(size), samples)


def submodule(model: nn.Module, path: str) -> nn.Module:
    """A part of a model by its path, in which ``-1`` is the last of a list."""
    for name in path.split("."):
        found = model[-1] if isinstance(model, nn.ModuleList) else getattr(model, name)
        assert isinstance(found, nn.Module)
        model = found
    return model


def at_samples(map_S: Tensor, width: int, samples: int) -> Tensor:
    """A map of S places of ``width`` samples each, linear between their middles, (``samples``,)."""
    wide_11T = interpolate(map_S[None, None], size=len(map_S) * width, mode="linear")
    return wide_11T[0, 0, :samples]


def at_heartbeats(
    map_S: Tensor, backbone: EcgTransformer, x_1LT: Tensor, r_peaks_1P: Tensor
) -> Tensor:
    """A map of a record's S first heartbeats on the samples they were cut from, (T,).

    Beats of all leads at a sample add up; where none is, the map is 0.
    """
    samples = x_1LT.shape[-1]
    # The tokens of a record whose samples hold their own numbers, from 1, say where each is from.
    numbers_1LT = torch.arange(1.0, samples + 1, device=x_1LT.device).expand_as(x_1LT)
    beats = backbone.tokenize(numbers_1LT, r_peaks_1P, len(map_S))
    from_SW = beats.beats_BSW[0].long()
    found = map_S.new_zeros(samples + 1)
    found.index_add_(0, from_SW.flatten(), map_S[:, None].expand_as(from_SW).flatten())
    return found[1:]
