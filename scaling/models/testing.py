"""The battery every family of networks passes. A family's test class inherits it.

It looks at a backbone from outside: records in, features out.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from scaling.cost import count, count_macs, count_params
from scaling.models.checkpointing import recompute_blocks
from scaling.models.families import FAMILIES, build, problem
from scaling.objectives.labels import Classifier

RECORDS, LEADS = 6, 12


def records(samples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Signals (6, 12, ``samples``) and R peaks of hearts of different rates; one has none."""
    generator = torch.Generator().manual_seed(seed)
    x_BLT = torch.randn(RECORDS, LEADS, samples, generator=generator)
    peaks_BP = torch.full((RECORDS, samples // 60), -1, dtype=torch.int16)
    for record in range(1, RECORDS):
        found = torch.arange(20 + record, samples, 60 + 15 * record, dtype=torch.int16)
        peaks_BP[record, : len(found)] = found
    return x_BLT, peaks_BP


class FamilyContract:
    """Subclass with ``family`` and ``size``, a small one; see the module."""

    family: str
    size: str
    # Parameters that only other objectives reach.
    unused: frozenset[str] = frozenset()

    def backbone(self, seed: int = 0, dropout: float = 0.0) -> nn.Module:
        """The backbone with weights of ``seed``."""
        torch.manual_seed(seed)
        return build(self.family, self.size, LEADS, dropout)

    @pytest.mark.parametrize("samples", [500, 1000])
    def test_features_of_five_and_ten_seconds(self, samples: int) -> None:
        backbone = self.backbone().eval()
        features = backbone(*records(samples))
        assert features.shape == (RECORDS, backbone.features)
        assert features.dtype == torch.float32
        assert torch.isfinite(features).all()
        assert torch.pdist(features).min() > 0, "records are told apart"

    def test_every_size_reads_ten_and_five_seconds(self) -> None:
        """Also halves of five seconds where the family is trained on halves."""
        for size in FAMILIES[self.family].sizes:
            for samples in (1000, 500, 250):
                assert problem(self.family, size, 100, samples, LEADS) is None

    def test_records_do_not_see_each_other(self) -> None:
        """In evaluation mode, whatever else is in the batch and in whatever order."""
        backbone = self.backbone().eval()
        x_BLT, peaks_BP = records(500)
        together = backbone(x_BLT, peaks_BP)
        alone = torch.cat([backbone(x_BLT[i : i + 1], peaks_BP[i : i + 1]) for i in range(RECORDS)])
        assert torch.allclose(together, alone, atol=1e-5)
        assert torch.allclose(
            together.flip(0), backbone(x_BLT.flip(0), peaks_BP.flip(0)), atol=1e-5
        )

    def test_fewer_leads(self) -> None:
        x_BLT, peaks_BP = records(500)
        backbone = build(self.family, self.size, 2)
        assert torch.isfinite(backbone(x_BLT[:, :2], peaks_BP)).all()

    def test_a_seed_gives_the_same_weights(self) -> None:
        first, again, other = (self.backbone(seed).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)

    def test_gradients_reach_every_parameter(self) -> None:
        backbone = self.backbone()
        backbone(*records(500)).square().sum().backward()
        missed = {
            name
            for name, value in backbone.named_parameters()
            if value.grad is None or not value.grad.any()
        }
        assert missed == self.unused

    def test_dropout_acts_in_training_only(self) -> None:
        backbone = self.backbone(dropout=0.5)
        once, twice = (backbone(*records(500)) for _ in range(2))
        assert not torch.equal(once, twice)
        backbone.eval()
        once, twice = (backbone(*records(500)) for _ in range(2))
        assert torch.equal(once, twice)

    def test_bf16_is_near_float32(self) -> None:
        backbone = self.backbone().eval()
        exact = backbone(*records(500))
        with torch.autocast("cpu", torch.bfloat16):
            rough = backbone(*records(500))
        assert not torch.equal(rough.float(), exact)
        assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()
        rough.float().square().sum().backward()
        assert all(
            torch.isfinite(value.grad).all()
            for value in backbone.parameters()
            if value.grad is not None
        )

    @pytest.mark.parametrize("samples", [500, 1000])
    def test_counted_without_allocating_as_with(self, samples: int) -> None:
        meta = count(self.family, self.size, LEADS, samples, 3)
        model = Classifier(build(self.family, self.size, LEADS), 3)
        assert meta.params == count_params(model)
        assert sum(value.numel() for value in model.backbone.parameters()) == meta.N
        assert meta.macs == count_macs(model, (1, LEADS, samples)) > 0

    def test_weights_restore_the_features(self) -> None:
        """A state goes into a model of another seed, and is all there is to it."""
        first, other = self.backbone(0), self.backbone(1)
        first(*records(500, seed=1))  # running statistics, where there are any, move
        other.load_state_dict(first.state_dict())
        first.eval()
        assert torch.equal(first(*records(500)), other.eval()(*records(500)))

    def test_checkpointed_blocks_give_the_same_numbers(self) -> None:
        """Features, gradients and running statistics bit for bit, keeping less."""
        kept: list[int] = []
        results = []
        for again in (False, True):
            backbone = self.backbone(dropout=0.3)
            recompute_blocks(backbone, again)
            kept.append(0)

            def keep(value: Tensor) -> Tensor:
                kept[-1] += value.numel()
                return value

            torch.manual_seed(5)
            with saved_tensors_hooks(keep, lambda value: value):
                features = backbone(*records(500))
            features.square().sum().backward()
            gradients = [v.grad for v in backbone.parameters() if v.grad is not None]
            results.append([features, *gradients, *backbone.buffers()])
        assert kept[1] < 0.7 * kept[0], "blocks go through scaling.models.checkpointing.run_block"
        assert len(results[0]) == len(results[1])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
