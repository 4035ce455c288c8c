"""How well a codebook codes heartbeats it was not trained on."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from scaling.data.batches import Split
from scaling.models.heartbeats import tokenize
from scaling.models.vq_hbr import VqHbr
from scaling.objectives.codebook import HELD_OUT_BATCH

BEATS_PER_CODE = 200  # training heartbeats plain k-means is given for each centre, at most
ROUNDS = 25
SPREAD_START = 1024  # k-means++ up to so many centres; above, its start takes longer than its rest


def codebook_quality(model: VqHbr, train: Split, held_out: Split) -> dict[str, float]:
    """Use of the codes and error of the reconstruction, against plain k-means.

    Args:
        model: trained; measured in evaluation mode and left in it.
        train: training records, for k-means; it looks at up to 200 heartbeats for each centre.
        held_out: records that are measured.

    Returns:
        ``perplexity`` of the use of codes over all real heartbeats, exp of the entropy in nats,
        in [1, K]; ``codes_used``, the share of codes used at least once, in (0, 1]; ``mse``, the
        mean squared error of rebuilt heartbeats per sample, in mV^2; ``mse_kmeans``, that of
        replacing each heartbeat by the nearest of K centres of k-means on raw samples.
    """
    model.eval()
    uses_K, error, beats = torch.zeros(model.shape.codes, dtype=torch.float64), 0.0, 0
    with torch.no_grad():
        for batch in held_out.chunks(HELD_OUT_BATCH):
            found = model.reconstruct(tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens))
            real_BS = found.beats.real_BS
            uses_K += torch.bincount(found.index_BS[real_BS].cpu(), minlength=len(uses_K))
            wrong_NW = (found.output_BSW - found.beats.beats_BSW)[real_BS]
            error += float(wrong_NW.double().square().mean(dim=-1).sum())
            beats += len(wrong_NW)
    most = BEATS_PER_CODE * model.shape.codes
    raw_NW, held_out_MW = (
        heartbeats(split, model.tokens, limit) for split, limit in ((train, most), (held_out, None))
    )
    return {
        "perplexity": perplexity(uses_K),
        "codes_used": float((uses_K > 0).double().mean()),
        "mse": error / beats,
        "mse_kmeans": kmeans_mse(raw_NW, held_out_MW, model.shape.codes),
    }


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
