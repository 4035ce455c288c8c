"""MACs and parameters of what each objective trains: our counter, fvcore and closed forms."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from scaling.cost import count, count_macs, count_training, training_flops
from scaling.identity import CorpusSpec, Training
from scaling.models.sizes import RESNET, TRANSFORMER, VQ_HBR, TransformerShape
from scaling.objectives.base import Context, objective_of
from scaling.objectives.registry import OBJECTIVES
from tests.scaling.models import test_resnet, test_transformer
from tests.scaling.models.fvcore_macs import count_macs_fvcore
from tests.scaling.models.weights import zeros
from tests.scaling.test_identity import TRAINING

LABELS = 6
SMALL = {"resnet": "d2w12", "transformer": "l2d64h1t128", "vq-hbr": "l1d48k256t128"}


def training(objective: str, family: str, size: str, samples: int) -> Training:
    """A training of that objective on records of ``samples`` samples."""
    return dataclasses.replace(
        TRAINING,
        corpus=CorpusSpec(source="virtual/basic", window_s=samples / 100),
        family=family,
        size=size,
        paradigm=OBJECTIVES[objective].paradigm,
        objective=objective,
        options=(("codes", 512),) if objective == "masked" else (),
    )


def resnet(size: str, samples: int) -> int:
    """MACs of the backbone alone."""
    return test_resnet.closed_form(RESNET[size], 12, samples, 0)


def transformer(size: str, *, full: bool) -> int:
    """MACs of the backbone alone; ``full`` computes all tokens in the last block."""
    return test_transformer.closed_form(TRANSFORMER[size], 0, full=full)


def codebook(size: str) -> int:
    """MACs of encoder, search for the nearest code, decoder and both heads."""
    s = VQ_HBR[size]
    d, slots = s.width, s.tokens
    parts = [
        TransformerShape(layers, d, s.heads, s.hidden, slots) for layers in (s.encoder, s.decoder)
    ]
    blocks = sum(
        test_transformer.closed_form(part, 0, full=True) - slots * 3 * 96 * d for part in parts
    )
    convolutions = slots * 3 * (96 + s.code_width) * d
    heads = slots * (2 * d * d + d * s.code_width + d * 96)
    return blocks + convolutions + heads + slots * s.code_width * s.codes


def head(objective: str, family: str, size: str) -> int:
    """MACs of an objective's head, on one record."""
    width = RESNET[size].channels[-1] if family == "resnet" else TRANSFORMER[size].width
    if objective == "contrastive":
        return 2 * (width * width + width * 128)
    if objective == "masked":
        return TRANSFORMER[size].tokens // 2 * width * 512
    return 0 if objective == "untrained" else width * LABELS


def closed_form(objective: str, family: str, size: str, samples: int, *, full: bool = False) -> int:
    if objective == "codebook":
        return codebook(size)
    if objective == "contrastive":
        backbone = 2 * resnet(size, samples // 2)
    elif family == "resnet":
        backbone = resnet(size, samples)
    else:
        backbone = transformer(size, full=full or objective == "masked")
    return backbone + head(objective, family, size)


CASES = [  # those that have a closed form above
    (name, family)
    for name in (
        "supervised",
        "focal",
        "categorical",
        "contrastive",
        "masked",
        "codebook",
        "untrained",
    )
    for family in OBJECTIVES[name].families
    if family in SMALL
]


@pytest.mark.parametrize("samples", [500, 1000])
@pytest.mark.parametrize(("objective", "family"), CASES)
def test_three_counts_agree(objective: str, family: str, samples: int) -> None:
    wanted = training(objective, family, SMALL[family], samples)
    counts = count_training(wanted, LABELS)
    context = Context(training=wanted, outputs=LABELS)
    model = objective_of(wanted).build(context)
    assert counts.macs == closed_form(objective, family, SMALL[family], samples)
    full = closed_form(objective, family, SMALL[family], samples, full=True)
    assert counts.macs_full == full
    assert counts.macs == count_macs(model, (1, 12, samples))
    assert count_macs_fvcore(model, (1, 12, samples)) == pytest.approx(counts.macs, rel=5e-3)
    learned = sum(value.numel() for value in model.parameters()) + counts.params["codebook"]
    assert counts.total == learned
    assert counts.bytes == 4 * learned


@pytest.mark.parametrize("samples", [500, 1000])
@pytest.mark.parametrize(
    ("objective", "family"), [("contrastive", "resnet"), ("masked", "transformer")]
)
def test_every_size_under_self_supervision(objective: str, family: str, samples: int) -> None:
    ladder = RESNET if family == "resnet" else TRANSFORMER
    for size in ladder:
        counts = count_training(training(objective, family, size, samples), LABELS)
        assert counts.macs == closed_form(objective, family, size, samples)
        assert counts.N == count(family, size, 12, samples, LABELS).N


EVERY = [
    (objective, family, size)
    for objective, family, ladder in (
        ("contrastive", "resnet", RESNET),
        ("masked", "transformer", TRANSFORMER),
        ("codebook", "vq-hbr", VQ_HBR),
    )
    for size in ladder
]


@pytest.mark.parametrize(("objective", "family", "size"), EVERY)
def test_fvcore_agrees_at_every_size(objective: str, family: str, size: str) -> None:
    """It traces a real pass: on the meta device PyTorch refuses to be traced."""
    wanted = training(objective, family, size, 1000)
    with torch.device("meta"):
        model = objective_of(wanted).build(Context(training=wanted, outputs=LABELS))
    found = count_macs_fvcore(zeros(model), (1, 12, 1000))
    assert found == pytest.approx(closed_form(objective, family, size, 1000), rel=5e-3)


@pytest.mark.parametrize("size", VQ_HBR)
def test_codebook_models(size: str) -> None:
    counts = count_training(training("codebook", "vq-hbr", size, 1000), LABELS)
    shape = VQ_HBR[size]
    assert counts.params["codebook"] == shape.codes * shape.code_width
    assert counts.macs == codebook(size)


def test_heartlangs_codebook_model() -> None:
    counts = count_training(training("codebook", "vq-hbr", "l4d768k8192", 1000), LABELS)
    assert (counts.N, counts.params["codebook"]) == (23_593_184, 1_048_576)


def test_counting_leaves_the_mode_of_a_model_alone() -> None:
    model = nn.Sequential(nn.Linear(500, 3), nn.Dropout(0.5))

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = model

        def forward(self, x_BLT: torch.Tensor, r_peaks_BP: torch.Tensor) -> torch.Tensor:
            assert not self.training
            out: torch.Tensor = self.backbone(x_BLT)
            return out

    counted = Backbone().train()
    assert count_macs(counted, (1, 12, 500)) == 12 * 500 * 3
    assert counted.training


def test_c_is_that_of_s1_for_a_self_supervised_run() -> None:
    wanted = training("contrastive", "resnet", "d3w24", 1000)
    macs = count_training(wanted, LABELS).macs
    assert training_flops(macs, 128, 10) == 6 * 10 * 128 * macs
