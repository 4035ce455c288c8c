"""HeartLang's VQ-HBR checkpoint, made up in its public layout, becomes a codebook of ours."""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize, scaled_dot_product_attention

from scaling.convert import heartlang
from scaling.convert.__main__ import main
from scaling.convert.heartlang import ConversionError, codebook_state, convert_codebook, read_state
from scaling.identity import CODEBOOK, Parent
from scaling.models import sizes
from scaling.models.heartbeats import tokenize
from scaling.models.sizes import VqShape
from scaling.models.vq_hbr import VqHbr
from scaling.weights import ParentError, frozen_models, load_weights, parents_of
from scaling.workspace import Workspace
from tests.scaling.objectives.data import tiny_training

State = dict[str, Tensor]
SMALL = VqShape(2, 1, 24, 2, 32, 16, 8, tokens=64)


def their_state(shape: VqShape, seed: int = 0) -> State:
    """A state of HeartLang's names and shapes; heads are 64 wide."""
    generator = torch.Generator().manual_seed(seed)

    def random(*size: int) -> Tensor:
        return 0.3 * torch.randn(*size, generator=generator)

    width, inner, hidden = shape.width, 64 * shape.heads, shape.hidden
    state: State = {}
    for part, layers, inputs in (
        ("encoder", shape.encoder, 96),
        ("decoder", shape.decoder, shape.code_width),
    ):
        sizes: dict[str, tuple[int, ...]] = {
            "token_embed.tokenConv.weight": (width, inputs, 3),
            "mask_token": (1, 1, width),
            "cls_token": (width,),
            "pos_embed": (1, shape.tokens + 1, width),
            "spa_embed.embed.weight": (16, width),
            "tem_embed.embed.weight": (16, width),
            "norm_layer.weight": (width,),
            "norm_layer.bias": (width,),
        }
        for layer in range(layers):
            block = f"transformer.layers.{layer}"
            sizes |= {
                f"{block}.0.norm.weight": (width,),
                f"{block}.0.norm.bias": (width,),
                f"{block}.0.to_qkv.weight": (3 * inner, width),
                f"{block}.0.to_out.0.weight": (width, inner),
                f"{block}.0.to_out.0.bias": (width,),
                f"{block}.1.net.0.weight": (width,),
                f"{block}.1.net.0.bias": (width,),
                f"{block}.1.net.1.weight": (hidden, width),
                f"{block}.1.net.1.bias": (hidden,),
                f"{block}.1.net.4.weight": (width, hidden),
                f"{block}.1.net.4.bias": (width,),
            }
        state |= {f"{part}.{name}": random(*size) for name, size in sizes.items()}
    for part, outputs in (("encode", shape.code_width), ("decode", 96)):
        state[f"{part}_task_layer.0.weight"] = random(width, width)
        state[f"{part}_task_layer.0.bias"] = random(width)
        state[f"{part}_task_layer.2.weight"] = random(outputs, width)
        state[f"{part}_task_layer.2.bias"] = random(outputs)
    state["quantize.embedding.weight"] = normalize(random(shape.codes, shape.code_width), dim=1)
    state["quantize.embedding.initted"] = torch.ones(1)
    state["quantize.embedding.cluster_size"] = torch.zeros(shape.codes)
    state["quantize.embedding.embed_avg"] = torch.zeros(shape.codes, shape.code_width)
    state["quantize.cluster_size"] = torch.zeros(shape.codes)
    return state


def their_vectors(state: State, heads: int, beats: Tensor, leads: Tensor, times: Tensor) -> Tensor:
    """Unit vectors as the released code computes them, written from its formulas."""

    def at(name: str) -> Tensor:
        return state[f"encoder.{name}"]

    def norm(h: Tensor, name: str) -> Tensor:
        return nn.functional.layer_norm(h, h.shape[-1:], at(f"{name}.weight"), at(f"{name}.bias"))

    around = torch.cat([beats[:, -1:], beats, beats[:, :1]], dim=1).transpose(1, 2)
    h = nn.functional.conv1d(around, at("token_embed.tokenConv.weight")).transpose(1, 2)
    h = h + at("spa_embed.embed.weight")[leads] + at("tem_embed.embed.weight")[times]
    h = torch.cat([at("cls_token").expand(len(h), 1, -1), h], dim=1) + at("pos_embed")
    layers = len({name.split(".")[3] for name in state if name.startswith("encoder.transformer")})
    for layer in range(layers):
        block = f"transformer.layers.{layer}"
        qkv = norm(h, f"{block}.0.norm") @ at(f"{block}.0.to_qkv.weight").T
        q, k, v = (
            part.view(*part.shape[:2], heads, 64).transpose(1, 2) for part in qkv.chunk(3, dim=-1)
        )
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = h + mixed @ at(f"{block}.0.to_out.0.weight").T + at(f"{block}.0.to_out.0.bias")
        inside = norm(h, f"{block}.1.net.0") @ at(f"{block}.1.net.1.weight").T
        inside = gelu(inside + at(f"{block}.1.net.1.bias"))
        h = h + inside @ at(f"{block}.1.net.4.weight").T + at(f"{block}.1.net.4.bias")
    h = norm(h, "norm_layer")[:, 1:]
    head = [state[f"encode_task_layer.{n}"] for n in ("0.weight", "0.bias", "2.weight", "2.bias")]
    return normalize(torch.tanh(h @ head[0].T + head[1]) @ head[2].T + head[3], dim=-1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> State:
    """A small model in the place of HeartLang's size, so that tests are fast; its state."""
    monkeypatch.setitem(sizes.VQ_HBR, heartlang.SIZE, SMALL)
    return their_state(SMALL)


@pytest.fixture
def checkpoint(small: State, tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint-100.pth"
    settings = argparse.Namespace(model="vqhbr", lr=5e-5)
    torch.save({"model": small, "args": settings, "epoch": 99}, path)
    return path


def saved(tmp_path: Path, value: Any) -> Path:
    path = tmp_path / "other.pth"
    torch.save(value, path)
    return path


def test_vectors_and_codes_are_those_of_the_released_code(small: State) -> None:
    model = VqHbr(heartlang.SIZE).eval()
    model.load_state_dict(codebook_state(small, "there"))
    generator = torch.Generator().manual_seed(3)
    x_BLT = torch.randn(2, 12, 400, generator=generator)
    peaks = torch.tensor([[50, 140, 230, 330], [90, 250, -1, -1]])
    beats = tokenize(x_BLT, peaks, SMALL.tokens)
    assert not beats.real_BS.all()  # so that padding is there to be attended to
    theirs = their_vectors(small, SMALL.heads, beats.beats_BSW, beats.leads_BS, beats.times_BS)
    real = beats.real_BS
    assert torch.allclose(model.embed(beats)[real], theirs[real], atol=1e-4)
    codes = (theirs @ small["quantize.embedding.weight"].T).argmax(dim=-1)
    assert torch.equal(model.codes(beats)[real], codes[real])


def test_the_published_size_converts() -> None:
    size = sizes.VQ_HBR[heartlang.SIZE]
    with torch.device("meta"):
        model = VqHbr(heartlang.SIZE)
    state = codebook_state(their_state(size), "there")
    assert {k: v.shape for k, v in state.items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


def test_a_checkpoint_becomes_weights_that_say_where_they_are_from(
    checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "released" / "codebook.safetensors"
    found = convert_codebook(checkpoint, out)
    state, about = load_weights(out)
    assert found == about["id"] == "x" + hashlib.sha256(out.read_bytes()).hexdigest()[:16]
    assert found[0] == "x" and len(found) == 17
    assert bool(state["attends_padding"])
    assert about["converted_from"]["file"] == "checkpoint-100.pth"
    assert len(about["converted_from"]["sha256"]) == 64
    assert about["preprocessing"]["name"] == "heartlang"
    training = about["training"]
    assert (training["stage"], training["family"], training["size"]) == (
        "codebook",
        "vq-hbr",
        "l4d768k8192",
    )
    assert convert_codebook(checkpoint, tmp_path / "again.safetensors") == found


def test_a_masked_training_takes_it_as_its_codebook(checkpoint: Path, tmp_path: Path) -> None:
    workspace = Workspace(store=tmp_path / "store", cache=tmp_path)
    name = convert_codebook(checkpoint, tmp_path / "codebook.safetensors")
    for suffix in (".safetensors", ".json"):
        target = workspace.weights_of(name).with_suffix(suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "codebook").with_suffix(suffix).rename(target)
    training = tiny_training("masked", parents=(Parent(CODEBOOK, name),))
    with pytest.raises(ParentError, match="preprocessing heartlang instead of none"):
        parents_of(training, workspace)
    corpus = {**training.corpus.to_dict(), "preprocessing": "heartlang"}
    spec = type(training.corpus)(**corpus)
    training = tiny_training("masked", parents=training.parents, corpus=spec)
    model = frozen_models(parents_of(training, workspace), torch.device("cpu"))[CODEBOOK]
    assert isinstance(model, VqHbr)
    assert bool(model.attends_padding)
    assert not model.training


def wrong_states() -> Iterator[tuple[str, Any, str]]:
    name = "encoder.transformer.layers.0.0.to_qkv.weight"
    yield "missing", lambda s: s.pop(name), f"1 missing: {name}"
    yield "unexpected", lambda s: s.update({"lm_head.weight": torch.ones(2)}), "1 unexpected: lm_h"
    yield (
        "another width",
        lambda s: s.update({"encoder.cls_token": torch.zeros(20)}),
        "encoder.cls_token is 20, l4d768k8192 has 1 x 1 x 24",
    )
    yield (
        "another number of codes",
        lambda s: s.update({"quantize.embedding.weight": torch.eye(8)}),
        "quantize.embedding.weight is 8 x 8, l4d768k8192 has 16 x 8",
    )
    yield (
        "never started",
        lambda s: s.update({"quantize.embedding.initted": torch.zeros(1)}),
        "never started",
    )
    yield "not finite", lambda s: s[name].fill_(torch.nan), f"{name} holds values that are not"
    yield (
        "not unit vectors",
        lambda s: s["quantize.embedding.weight"][3].mul_(2),
        "1 codes of quantize.embedding.weight are not of unit length",
    )


@pytest.mark.parametrize(
    ("change", "message"), [pytest.param(*w[1:], id=w[0]) for w in wrong_states()]
)
def test_another_model_is_refused_by_name(small: State, change: Any, message: str) -> None:
    change(small)
    with pytest.raises(ConversionError, match=message) as error:
        codebook_state(small, "there.pth")
    assert "there.pth" in str(error.value)


def test_many_differences_are_counted_not_listed(small: State) -> None:
    pretraining = {name.removeprefix("encoder."): value for name, value in small.items()}
    with pytest.raises(ConversionError, match=r"missing: .* and \d+ more\. \d+ unexpected"):
        codebook_state(pretraining, "checkpoint-200.pth")


def test_objects_of_other_kinds_need_trust(small: State, tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": small, "folder": pathlib.PurePosixPath("/data")})
    out = tmp_path / "codebook.safetensors"
    with pytest.raises(ConversionError, match=r"can run any code.*--trust-pickle"):
        convert_codebook(path, out)
    assert not out.exists()
    assert convert_codebook(path, out, trust_pickle=True).startswith("x")


def test_an_untrusted_pickle_runs_nothing(small: State, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return trace.touch, ()

    path = saved(tmp_path, {"model": small, "extra": Touch()})
    with pytest.raises(ConversionError, match="can run any code"):
        read_state(path, "model")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(2), "holds a Tensor, not a dictionary"),
        ({"state_dict": {}}, "no 'model' in it.*it has state_dict"),
        ({"model": [1]}, "'model' is a list"),
        ({"model": {"step": 3}}, "'model' holds step, which is no tensor"),
    ],
)
def test_another_layout_is_named(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=message):
        read_state(saved(tmp_path, value), "model")


def test_what_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"gone\.pth: no such file"):
        read_state(tmp_path / "gone.pth", "model")
    text = tmp_path / "text.pth"
    text.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ConversionError, match=r"text\.pth"):
        read_state(text, "model")
    torch.save({"model": {}}, text)
    text.write_bytes(text.read_bytes()[:-40])
    with pytest.raises(ConversionError, match=r"text\.pth"):
        read_state(text, "model")


def test_the_command_converts_or_says_why_not(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "codebook.safetensors"
    assert main(["codebook", str(checkpoint), str(out)]) == 0
    assert json.loads(out.with_suffix(".json").read_text())["id"] in capsys.readouterr().out
    assert main(["codebook", str(checkpoint), str(tmp_path / "codebook.pth")]) == 2
    assert "written as .safetensors" in capsys.readouterr().err
