"""VQ-HBR: rebuild heartbeats from the codes of a codebook (HeartLang, Jin et al. 2025).

The loss is a squared error, in mV^2 and not in nats: of each record, the mean over its real
heartbeats of the mean over their samples, plus the commitment term (van den Oord et al. 2017,
Eq. 3), the mean squared difference between a vector and its code, weighted by ``commitment``.
HeartLang's mean runs over padding too, which rewards records with few heartbeats.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.models.codebook import KMEANS_PER_CODE
from scaling.models.families import problem
from scaling.models.heartbeats import tokenize
from scaling.models.vq_hbr import Reconstruction, VqHbr
from scaling.objectives.base import Context
from scaling.objectives.registry import OBJECTIVES
from scaling.training.data import Batch, Split

HELD_OUT_BATCH = 64  # records at once: cosines to 8,192 codes are many


class CodebookObjective:
    """Reconstruction and commitment; see ``scaling.objectives.base.Objective``."""

    def build(self, context: Context) -> nn.Module:
        """Encoder, codebook and decoder of the training's size.

        Raises:
            ValueError: records that heartbeats cannot be cut from; says why.
        """
        training = context.training
        corpus, leads = training.corpus, len(training.leads)
        reason = problem(training.family, training.size, corpus.fs_hz, corpus.samples, leads)
        if reason:
            raise ValueError(reason)
        settings = OBJECTIVES["codebook"].settings(training.options)
        model = VqHbr(training.size)
        model.commitment = float(settings["commitment"])
        model.decay = float(settings["decay"])
        return model

    def start(self, model: nn.Module, train: Split) -> None:
        """The codes start by k-means on what the untrained encoder makes of the first records."""
        assert isinstance(model, VqHbr)
        device = model.codebook.codes.device
        most = KMEANS_PER_CODE * model.shape.codes
        parts, held = [], 0
        with torch.no_grad():
            for batch in train.chunks(HELD_OUT_BATCH):
                x_BLT, r_peaks_BP = batch.x_BLT.to(device), batch.r_peaks_BP.to(device)
                beats = tokenize(x_BLT, r_peaks_BP, model.tokens)
                parts.append(model.embed(beats)[beats.real_BS])
                held += len(parts[-1])
                if held >= most:
                    break
        model.codebook.start(torch.cat(parts)[:most], model.decay)

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """The heartbeats are all it needs."""

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Loss of each record (B,), in float32; the codes are moved on the way."""
        assert isinstance(model, VqHbr)
        found = model.reconstruct(tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens))
        real_BS = found.beats.real_BS
        z_NW, index_N = found.z_BSW.detach()[real_BS], found.index_BS[real_BS]
        model.codebook.update(z_NW, index_N, model.decay, generator)
        return _per_record(found, model.commitment)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over records, in mV^2."""
        return outputs.mean()

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record, (n,) in mV^2; the codes are left as they are."""
        assert isinstance(model, VqHbr)
        was_training = model.training
        model.eval()
        parts = []
        with torch.no_grad():
            for batch in split.chunks(HELD_OUT_BATCH):
                beats = tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens)
                parts.append(_per_record(model.reconstruct(beats), model.commitment).cpu())
        model.train(was_training)
        return torch.cat(parts)


def _per_record(found: Reconstruction, commitment: float) -> Tensor:
    """Squared error and commitment of each record, (B,), over its real heartbeats."""
    real_BS = found.beats.real_BS
    error_BS = (found.output_BSW.float() - found.beats.beats_BSW).square().mean(dim=-1)
    distance_BS = (found.z_BSW - found.codes_BSW).square().mean(dim=-1)
    total_BS = (error_BS + commitment * distance_BS) * real_BS
    return total_BS.sum(dim=1) / real_BS.sum(dim=1)


OBJECTIVE = CodebookObjective()
