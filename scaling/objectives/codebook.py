"""VQ-HBR: rebuild heartbeats from the codes of a codebook (HeartLang, Jin et al. 2025).

The loss is a squared error, in mV^2 and not in nats: of each record, the mean over its real
heartbeats of the mean over their samples, plus the commitment term (van den Oord et al. 2017,
Eq. 3), the mean squared difference between a vector and its code, weighted by ``commitment``.
HeartLang's mean runs over padding too, which rewards records with few heartbeats.

The codes start when the learning rate has warmed up. Until then encoder and decoder are a plain
autoencoder: started on what an untrained encoder makes of heartbeats, as in HeartLang, codes and
encoder follow each other into a small part of the sphere.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split, evaluated
from scaling.identity import Recipe
from scaling.models.families import problem
from scaling.models.heartbeats import Part, put_back, tokenize
from scaling.models.vq_hbr import KMEANS_PER_CODE, Reconstruction, VqHbr
from scaling.objectives.base import HELD_OUT_BATCH, Context, Objective
from scaling.records.patients import Row, value_row

BEATS_PER_CODE = 200  # training heartbeats plain k-means is given for each centre, at most
ROUNDS = 25
SPREAD_START = 1024  # k-means++ up to so many centres; above, its start takes longer than its rest


class CodebookModel(VqHbr):
    """VQ-HBR in training: the model and what its codes are started and moved by.

    Attributes:
        commitment: weight of the commitment term.
        decay: of the running means that move the codes.
        warmup: steps before the codes start.
        first: records, with their R peaks, on whose heartbeats the codes start; on the CPU.
    """

    def __init__(self, size: str, commitment: float, decay: float, warmup: int) -> None:
        super().__init__(size)
        self.commitment, self.decay, self.warmup = commitment, decay, warmup
        self.first: list[tuple[Tensor, Tensor]] = []

    def start_codes(self, generator: torch.Generator) -> None:
        """Start the codes on what the encoder makes of the first heartbeats, in float32."""
        assert self.first, "start() lays the first records by"
        device = self.codebook.codes.device
        parts = []
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            for x_BLT, r_peaks_BP in self.first:
                beats = tokenize(x_BLT.to(device), r_peaks_BP, self.tokens)
                parts.append(self.embed(beats)[beats.real_BS])
        most = KMEANS_PER_CODE * self.shape.codes
        self.codebook.start(torch.cat(parts)[:most], self.decay, generator)


def warmup_steps(recipe: Recipe) -> int:
    """Steps before the codes start: the recipe's warm-up, at most a quarter of the steps."""
    return min(recipe.warmup_steps, recipe.max_steps // 4)


class CodebookObjective(Objective):
    """Reconstruction and commitment."""

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
        commitment, decay = (float(self.settings[name]) for name in ("commitment", "decay"))
        return CodebookModel(training.size, commitment, decay, warmup_steps(training.recipe))

    def start(self, model: nn.Module, train: Split) -> None:
        """Lay by the first training records, on whose heartbeats the codes start."""
        assert isinstance(model, CodebookModel)
        model.first, held = [], 0
        for batch in train.chunks(HELD_OUT_BATCH):
            model.first.append((batch.x_BLT.cpu(), batch.r_peaks_BP))
            held += int(tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens).real_BS.sum())
            if held >= KMEANS_PER_CODE * model.shape.codes:
                break

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Loss of each record (B,), in float32; the codes are moved on the way."""
        assert isinstance(model, CodebookModel)
        step = int(model.codebook.steps)
        model.codebook.steps += 1
        if step == model.warmup:
            model.start_codes(generator)
        quantised = step >= model.warmup
        parts, found = _reconstructions(model, batch, quantised)
        if quantised:
            # In the order of the batch, since which vectors revive codes is drawn by place.
            z_BSW, index_BS, real_BS = (
                put_back([_all_slots(value, model.tokens) for value in of_parts], parts)
                for of_parts in zip(
                    *((f.z_BSW.detach(), f.index_BS, f.beats.real_BS) for f in found), strict=True
                )
            )
            model.codebook.update(z_BSW[real_BS], index_BS[real_BS], model.decay, generator)
        return put_back([_per_record(f, model.commitment) for f in found], parts)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over records, in mV^2."""
        return outputs.mean()

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record, (n,) in mV^2; the codes are left as they are.

        Before the codes have started it is large, as they are random then.
        """
        assert isinstance(model, CodebookModel)

        def losses(batch: Batch) -> Tensor:
            parts, found = _reconstructions(model, batch, quantised=True)
            return put_back([_per_record(f, model.commitment) for f in found], parts).cpu()

        return evaluated(model, losses, split, HELD_OUT_BATCH)

    def quality(self, model: nn.Module, splits: Mapping[str, Split]) -> list[Row]:
        """Use of the codes and error of the reconstruction, against plain k-means.

        Args:
            model: trained; measured in evaluation mode and left in it.
            splits: ``train``, for k-means, which looks at up to 200 heartbeats for each centre,
                and ``test``, which is measured.

        Returns:
            ``perplexity`` of the use of codes over all real heartbeats, exp of the entropy in nats,
            in [1, K]; ``codes_used``, the share of codes used at least once, in (0, 1]; ``mse``,
            the mean squared error of rebuilt heartbeats per sample, in mV^2; ``mse_kmeans``, that
            of replacing each heartbeat by the nearest of K centres of k-means on raw samples.
        """
        assert isinstance(model, VqHbr)
        model.eval()
        train, test = splits["train"], splits["test"]
        uses_K, error, beats = torch.zeros(model.shape.codes, dtype=torch.float64), 0.0, 0
        with torch.no_grad():
            for batch in test.chunks(HELD_OUT_BATCH):
                found = model.reconstruct(tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens))
                real_BS = found.beats.real_BS
                uses_K += torch.bincount(found.index_BS[real_BS].cpu(), minlength=len(uses_K))
                wrong_NW = (found.output_BSW - found.beats.beats_BSW)[real_BS]
                error += float(wrong_NW.double().square().mean(dim=-1).sum())
                beats += len(wrong_NW)
        most = BEATS_PER_CODE * model.shape.codes
        raw_NW, held_out_MW = (
            heartbeats(split, model.tokens, limit) for split, limit in ((train, most), (test, None))
        )
        values = {
            "perplexity": perplexity(uses_K),
            "codes_used": float((uses_K > 0).double().mean()),
            "mse": error / beats,
            "mse_kmeans": kmeans_mse(raw_NW, held_out_MW, model.shape.codes),
        }
        return [value_row("test", metric, value, len(test)) for metric, value in values.items()]


def _reconstructions(
    model: VqHbr, batch: Batch, quantised: bool
) -> tuple[list[Part], list[Reconstruction]]:
    """The parts of a batch and what one pass gives of each, without most of the padding."""
    parts = model.parts(batch.x_BLT, batch.r_peaks_BP)
    beats = (tokenize(batch.x_BLT[p.rows], batch.r_peaks_BP[p.rows], p.slots) for p in parts)
    return parts, [model.reconstruct(some, quantised) for some in beats]


def _all_slots(value_BS: Tensor, slots: int) -> Tensor:
    """(B, S, ...) with zeros in the slots that were left out."""
    missing = value_BS.new_zeros(len(value_BS), slots - value_BS.shape[1], *value_BS.shape[2:])
    return torch.cat([value_BS, missing], dim=1)


def _per_record(found: Reconstruction, commitment: float) -> Tensor:
    """Squared error and commitment of each record, (B,), over its real heartbeats."""
    real_BS = found.beats.real_BS
    error_BS = (found.output_BSW.float() - found.beats.beats_BSW).square().mean(dim=-1)
    distance_BS = (found.z_BSW - found.codes_BSW).square().mean(dim=-1)
    total_BS = (error_BS + commitment * distance_BS) * real_BS
    return total_BS.sum(dim=1) / real_BS.sum(dim=1)


def perplexity(uses_K: Tensor) -> float:
    """Exponential of the entropy in nats of the use of K codes, from counts (K,); in [1, K]."""
    share = uses_K[uses_K > 0].double() / uses_K.sum()
    return float(torch.exp(-(share * share.log()).sum()))


def heartbeats(split: Split, tokens: int, most: int | None = None) -> Tensor:
    """(N, W) raw heartbeats of records in order, on the CPU, the first ``most`` of them."""
    parts, held = [], 0
    for batch in split.chunks():
        beats = tokenize(batch.x_BLT, batch.r_peaks_BP, tokens)
        parts.append(beats.beats_BSW[beats.real_BS].cpu())
        held += len(parts[-1])
        if most is not None and held >= most:
            break
    return torch.cat(parts)[:most]


def kmeans_mse(train_NW: Tensor, held_out_MW: Tensor, centres: int) -> float:
    """Mean squared error per sample of ``held_out_MW`` against the nearest centre of k-means.

    Lloyd's algorithm on ``train_NW``, from a k-means++ start up to 1,024 centres and from random
    heartbeats above; with fewer heartbeats than centres, each is a centre.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    start = "k-means++" if centres <= SPREAD_START else "random"
    found = KMeans(min(centres, len(train_NW)), init=start, n_init=1, max_iter=ROUNDS,
                   random_state=0)  # fmt: skip
    with warnings.catch_warnings():
        # Some heartbeats are the same, so that there are fewer of them than centres.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found.fit(train_NW.numpy())
    return float(-found.score(held_out_MW.numpy()) / held_out_MW.numel())
