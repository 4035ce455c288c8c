"""HeartLang's VQ-HBR checkpoint (``checkpoint-100.pth``) as a codebook of ours.

The architecture is the same, so a conversion renames: of HeartLang's state, ``encoder.`` and
``decoder.`` are Transformers, ``encode_task_layer.`` and ``decode_task_layer.`` their heads, and
``quantize.embedding.weight`` the codes. What the codebook's own training kept (counts, averages,
whether k-means has run) is not needed any more. Names after the public code of
PKUDigitalHealth/HeartLang; no file of theirs was at hand, so what is tested is this layout.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from scaling.corpora.signals.presets import preset
from scaling.identity import LEADS, CorpusSpec
from scaling.models.sizes import VQ_HBR
from scaling.models.vq_hbr import VqHbr
from scaling.weights import save_weights

SIZE = "l4d768k8192"
PRESET = "heartlang"  # what its training records went through
CODES = "quantize.embedding.weight"
STARTED = "quantize.embedding.initted"
OF_ITS_TRAINING = (
    STARTED,
    "quantize.embedding.cluster_size",
    "quantize.embedding.embed_avg",
    "quantize.cluster_size",
)
OF_A_BLOCK = {
    "0.norm.weight": "norm1.weight",
    "0.norm.bias": "norm1.bias",
    "0.to_qkv.weight": "attention.qkv.weight",
    "0.to_out.0.weight": "attention.out.weight",
    "0.to_out.0.bias": "attention.out.bias",
    "1.net.0.weight": "norm2.weight",
    "1.net.0.bias": "norm2.bias",
    "1.net.1.weight": "feed_forward.0.weight",
    "1.net.1.bias": "feed_forward.0.bias",
    "1.net.4.weight": "feed_forward.3.weight",
    "1.net.4.bias": "feed_forward.3.bias",
}
OF_A_TRANSFORMER = {
    "token_embed.tokenConv.weight": "embed.weight",
    "mask_token": "mask_token",
    "cls_token": "cls_token",
    "pos_embed": "position",
    "spa_embed.embed.weight": "lead.weight",
    "tem_embed.embed.weight": "second.weight",
    "norm_layer.weight": "norm.weight",
    "norm_layer.bias": "norm.bias",
}
UNIT = 1e-2  # how far a code's length may be from 1
SHOWN = 5  # names listed in a message


class ConversionError(ValueError):
    """A checkpoint that cannot be converted; the message names the file and what is wrong."""


def convert_codebook(checkpoint: Path, out: Path, trust_pickle: bool = False) -> str:
    """Convert a VQ-HBR checkpoint to ``out`` and its sidecar; returns its id.

    The id is ``x`` and 16 hexadecimal digits of the SHA-256 of the converted weights. The
    sidecar's ``training`` makes it the codebook of masked trainings; what of the original
    training is not known (records, recipe, seed) is left out of it.

    Raises:
        ConversionError: a file that cannot be read, or another model's: names each difference.
    """
    if out.suffix != ".safetensors":
        raise ConversionError(f"{out}: converted weights are written as .safetensors")
    state = codebook_state(read_state(checkpoint, "model", trust_pickle), str(checkpoint))
    found = "x" + hashlib.sha256(save(state)).hexdigest()[:16]
    save_weights(out, state, _about(found, checkpoint))
    return found


def codebook_state(theirs: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """HeartLang's state under our names, checked against size ``l4d768k8192``.

    Raises:
        ConversionError: names what is missing, unexpected, or of another shape.
    """
    with torch.device("meta"):
        expected = VqHbr(SIZE).state_dict()
    names = dict(_names())
    _same_names(set(names), set(theirs) - set(OF_ITS_TRAINING), where)
    if STARTED in theirs and not bool(theirs[STARTED].all()):
        raise ConversionError(f"{where}: its codebook was never started (k-means has not run)")
    wrong = [
        f"{name} is {_shape(theirs[name])}, {SIZE} has {_shape(expected[ours])}"
        for name, ours in names.items()
        if theirs[name].numel() != expected[ours].numel()
        or theirs[name].squeeze().shape != expected[ours].squeeze().shape
    ]
    if wrong:
        raise ConversionError(f"{where}: another architecture: {_some(wrong)}")
    state = {
        ours: theirs[name].detach().float().reshape(expected[ours].shape)
        for name, ours in names.items()
    }
    _usable(state, names, where)
    codes = state["codebook.codes"]
    return state | {
        "codebook.uses": torch.ones(len(codes)),
        "codebook.sums": codes.clone(),
        "codebook.steps": torch.zeros((), dtype=torch.int64),
        "attends_padding": torch.ones((), dtype=torch.bool),
    }


def _names() -> Iterator[tuple[str, str]]:
    """Pairs of their name and ours."""
    shape = VQ_HBR[SIZE]
    for part, layers in (("encoder", shape.encoder), ("decoder", shape.decoder)):
        for theirs, ours in OF_A_TRANSFORMER.items():
            yield f"{part}.{theirs}", f"backbone.{part}.{ours}"
        for layer in range(layers):
            for theirs, ours in OF_A_BLOCK.items():
                before = f"{part}.transformer.layers.{layer}"
                yield f"{before}.{theirs}", f"backbone.{part}.blocks.{layer}.{ours}"
    for part in ("encode", "decode"):
        for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
            yield f"{part}_task_layer.{name}", f"backbone.{part}_head.{name}"
    yield CODES, "codebook.codes"


def _same_names(expected: set[str], found: set[str], where: str) -> None:
    missing, unexpected = sorted(expected - found), sorted(found - expected)
    differences = []
    if missing:
        differences.append(f"{len(missing)} missing: {_some(missing)}")
    if unexpected:
        differences.append(f"{len(unexpected)} unexpected: {_some(unexpected)}")
    if differences:
        raise ConversionError(f"{where}: not HeartLang's VQ-HBR; {'. '.join(differences)}")


def _usable(state: dict[str, Tensor], names: dict[str, str], where: str) -> None:
    for name, ours in names.items():
        if not bool(state[ours].isfinite().all()):
            raise ConversionError(f"{where}: {name} holds values that are not finite")
    lengths = state["codebook.codes"].norm(dim=1)
    if off := int(((lengths - 1).abs() > UNIT).sum()):
        raise ConversionError(f"{where}: {off:,} codes of {CODES} are not of unit length")


def _about(name: str, checkpoint: Path) -> dict[str, Any]:
    """The sidecar."""
    corpus = CorpusSpec(source="mimic", preprocessing=PRESET)
    return {
        "id": name,
        "training": {
            "stage": "codebook",
            "corpus": corpus.to_dict(),
            "task": "",
            "family": "vq-hbr",
            "size": SIZE,
            "paradigm": "ssl",
            "objective": "codebook",
            "leads": list(LEADS),
            "parents": [],
        },
        "classes": [],
        "core": [],
        "preprocessing": preset(PRESET).to_dict(),
        "converted_from": {
            "model": "HeartLang VQ-HBR (Jin et al. 2025)",
            "file": checkpoint.name,
            "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        },
    }


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one value"


def _some(texts: list[str]) -> str:
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def read_state(path: Path, key: str, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The tensors under ``key`` of a PyTorch checkpoint, on the CPU.

    A ``.pth`` file is a pickle, and reading one can run any code. PyTorch's restricted reader takes
    tensors, plain containers and the settings of a command line (``argparse.Namespace``, which many
    training scripts store and which does nothing when read); what needs more is refused unless the
    user says that its source is trusted.

    Raises:
        ConversionError: no such file, not a checkpoint, or one that needs ``trust_pickle``.
    """
    checkpoint = _read(path, trust_pickle)
    if not isinstance(checkpoint, dict):
        raise ConversionError(f"{path}: holds a {type(checkpoint).__name__}, not a dictionary")
    if key not in checkpoint:
        held = ", ".join(map(str, list(checkpoint)[:8])) or "nothing"
        raise ConversionError(
            f"{path}: no {key!r} in it, where the weights should be; it has {held}"
        )
    state = checkpoint[key]
    if not isinstance(state, dict):
        raise ConversionError(f"{path}: {key!r} is a {type(state).__name__}, not weights by name")
    if strange := [str(name) for name, value in state.items() if not isinstance(value, Tensor)]:
        raise ConversionError(f"{path}: {key!r} holds {strange[0]}, which is no tensor")
    return state


def _read(path: Path, trust_pickle: bool) -> Any:
    if not path.is_file():
        raise ConversionError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise ConversionError(
                f"{path}: holds objects other than tensors ({_first_line(error)}), and reading "
                "them can run any code. If you trust where the file comes from, add --trust-pickle"
            ) from None
        raise ConversionError(f"{path}: not a PyTorch checkpoint ({_first_line(error)})") from None
    except (RuntimeError, EOFError, OSError, ImportError, AttributeError) as error:
        raise ConversionError(f"{path}: cannot be read ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()[:200]
