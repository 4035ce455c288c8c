"""The Transformer: published sizes, MACs counted three ways, and what may see what."""

from __future__ import annotations

import pytest
import torch

from scaling.cost import count, count_macs, count_macs_fvcore
from scaling.models.classifier import Classifier
from scaling.models.families import build
from scaling.models.heartbeats import WIDTH, Heartbeats
from scaling.models.transformer import Attention, EcgTransformer, HeartbeatEncoder, attend
from scaling.models.transformer_sizes import LADDER, Shape
from tests.models.weights import without_weights

# S1 Table S.4: backbone, with a six-class head, with a head of 8192 codes.
PUBLISHED = {
    "l1d24h1": (24_936, 25_086, 229_736), "l1d48h2": (71_376, 71_670, 472_784),
    "l1d96h2": (179_616, 180_198, 974_240), "l2d128h4": (601_216, 601_990, 1_657_984),
    "l3d192h4": (1_591_872, 1_593_030, 3_172_928), "l3d256h4": (2_515_712, 2_517_254, 4_621_056),
    "l4d348h4": (5_516_844, 5_518_938, 8_375_852),
    "l5d420h8": (11_621_820, 11_624_346, 15_070_652),
    "l6d512h8": (19_202_560, 19_205_638, 23_405_056),
    "l8d768h8": (50_839_296, 50_843_910, 57_138_944),
}  # fmt: skip
SIZE = "l2d96h2t128"


def closed_form(shape: Shape, num_labels: int) -> int:
    """MACs of the convolution, the blocks and the head, independently of the model."""
    d, inner, s = shape.width, 64 * shape.heads, shape.tokens + 1
    out = 0 if (shape.heads, d) == (1, 64) else inner * d
    block = s * (3 * d * inner + out + 2 * d * shape.hidden) + 2 * s * s * inner
    return shape.tokens * 3 * 96 * d + shape.layers * block + d * num_labels


def transformer() -> EcgTransformer:
    torch.manual_seed(0)
    model = build("transformer", SIZE)
    assert isinstance(model, EcgTransformer)
    return model.eval()


def beats(records: int = 3, tokens: int = 128, real: int = 40) -> Heartbeats:
    """Random tokens, of which the first ``real`` are no padding."""
    generator = torch.Generator().manual_seed(1)
    slot_BS = torch.arange(tokens).expand(records, tokens)
    real_BS = slot_BS < real
    values = torch.randn(records, tokens, WIDTH, generator=generator) * real_BS[..., None]
    return Heartbeats(
        beats_BSW=values,
        leads_BS=(1 + slot_BS // 10).clamp_max(12) * real_BS,
        times_BS=(1 + slot_BS % 10) * real_BS,
        real_BS=real_BS,
    )


@pytest.mark.parametrize("size", PUBLISHED)
def test_the_ten_sizes_of_s1(size: str) -> None:
    backbone, classes, codes = PUBLISHED[size]
    counts = count("transformer", size, 12, 1000, 6)
    assert (counts.N, counts.total) == (backbone, classes)
    assert count("transformer", size, 12, 1000, 8192).total == codes
    assert not LADDER[size].laptop


@pytest.mark.parametrize("size", LADDER)
def test_sizes_are_what_their_names_say(size: str) -> None:
    shape = LADDER[size]
    tokens = f"t{shape.tokens}" if shape.tokens != 256 else ""
    assert size == f"l{shape.layers}d{shape.width}h{shape.heads}{tokens}"
    assert shape.hidden == 4 * shape.width
    assert shape.laptop == (size not in PUBLISHED)


@pytest.mark.parametrize(
    ("input_width", "layers", "params"), [(96, 4, 14_628_608), (128, 2, 7_611_136)]
)
def test_both_halves_of_the_codebook_model(input_width: int, layers: int, params: int) -> None:
    with torch.device("meta"):
        encoder = HeartbeatEncoder(input_width, 768, layers, 2, 2048, 256)
    assert sum(value.numel() for value in encoder.parameters()) == params


@pytest.mark.parametrize("samples", [500, 1000])
@pytest.mark.parametrize("size", LADDER)
def test_macs_on_the_meta_device_equal_the_closed_form(size: str, samples: int) -> None:
    assert count("transformer", size, 12, samples, 6).macs == closed_form(LADDER[size], 6)


@pytest.mark.parametrize("samples", [500, 1000])
@pytest.mark.parametrize("size", LADDER)
def test_fvcore_agrees_once_it_counts_attention(size: str, samples: int) -> None:
    model = without_weights("transformer", size)
    ours = count("transformer", size, 12, samples, 6).macs
    assert count_macs_fvcore(model, (1, 12, samples)) == pytest.approx(ours, rel=5e-3)


def test_attention_is_counted_on_a_cpu_too() -> None:
    model = Classifier("transformer", SIZE, 12, 6)
    assert count_macs(model, (1, 12, 500)) == closed_form(LADDER[SIZE], 6)


def test_padding_is_not_attended_to() -> None:
    model = transformer()
    h_BSD, real_B11S = torch.randn(2, 9, 96), torch.ones(2, 1, 1, 9, dtype=torch.bool)
    real_B11S[..., 6:] = False
    attention = model.encoder.blocks[0].attention
    assert isinstance(attention, Attention)
    before = attention(h_BSD, real_B11S)
    changed = h_BSD.clone()
    changed[:, 6:] += 1.0
    assert torch.allclose(attention(changed, real_B11S)[:, :6], before[:, :6], atol=1e-6)
    assert not torch.allclose(attention(changed, real_B11S | True)[:, :6], before[:, :6], atol=1e-3)


def test_more_padding_slots_change_nothing_but_the_wrapped_neighbour() -> None:
    """The convolution is circular: the first token sees the last slot, which is padding."""
    few = beats(tokens=60)
    many = beats(tokens=90)
    torch.manual_seed(0)
    small, large = (HeartbeatEncoder(WIDTH, 32, 2, 2, 64, tokens).eval() for tokens in (60, 90))
    state = large.state_dict()
    state["position"] = state["position"][:, :61]
    small.load_state_dict(state)
    values = many.beats_BSW.clone()
    values[:, :60] = few.beats_BSW
    with torch.no_grad():
        a = small(few.beats_BSW, few)[:, :41]
        b = large(values, many)[:, :41]
    assert torch.allclose(a, b, atol=1e-5)


def test_attention_by_matrix_products_is_the_fused_one() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 17, 64).bfloat16() for _ in range(3))
    real_B11S = torch.rand(2, 1, 1, 17) < 0.7
    real_B11S[..., 0] = True
    exact = attend(q.float(), k.float(), v.float(), real_B11S, 0.0)
    assert torch.allclose(attend(q, k, v, real_B11S, 0.0).float(), exact, atol=2e-2)
    scores = (q.float() @ k.float().mT / 8).masked_fill(~real_B11S, -torch.inf)
    assert torch.allclose(scores.softmax(-1) @ v.float(), exact, atol=1e-5)


def test_dropout_on_attention_keeps_the_mean() -> None:
    torch.manual_seed(0)
    q = k = torch.zeros(1, 1, 400, 64, dtype=torch.bfloat16)
    v, real_B11S = torch.ones_like(q), torch.ones(1, 1, 1, 400, dtype=torch.bool)
    dropped = attend(q, k, v, real_B11S, 0.5).float()
    assert dropped.mean() == pytest.approx(1.0, abs=0.02)
    assert dropped.std(dim=2).max() > 0.02
    assert attend(q, k, v, real_B11S, 0.0).float().mean() == pytest.approx(1.0, abs=1e-2)


def test_a_masked_token_is_seen_through_its_neighbours_only() -> None:
    """The mask acts after the convolution of three tokens, as in HeartLang."""
    encoder = HeartbeatEncoder(WIDTH, 16, 0, 1, 32, 128)
    tokens, masked_BS = beats(), torch.zeros(3, 128, dtype=torch.bool)
    masked_BS[:, 20] = True
    values = tokens.beats_BSW.clone()
    values[:, 20] += 1.0
    before, after = (encoder(x, tokens, masked_BS) for x in (tokens.beats_BSW, values))
    moved = (before != after).any(dim=-1).any(dim=0).nonzero().flatten().tolist()
    assert moved == [20, 22], "slots 19 and 21, after the class token; not 20 itself"
    assert not torch.equal(encoder(values, tokens), after)


def test_encode_gives_the_class_token_first() -> None:
    model = transformer()
    x_BLT, peaks_BP = torch.randn(2, 12, 500), torch.tensor([[40, 140, 260], [-1, -1, -1]])
    states = model.encode(model.tokenize(x_BLT, peaks_BP))
    assert states.shape == (2, 1 + model.tokens, model.features)
    assert torch.equal(states[:, 0], model(x_BLT, peaks_BP))


def test_without_r_peaks_records_are_cut_on_a_grid() -> None:
    model, x_BLT = transformer(), torch.randn(2, 12, 500)
    none = torch.full((2, 4), -1, dtype=torch.int16)
    assert torch.equal(model(x_BLT), model(x_BLT, none))


def test_leads_and_seconds_matter() -> None:
    model, tokens = transformer(), beats()
    other = Heartbeats(
        beats_BSW=tokens.beats_BSW,
        leads_BS=tokens.leads_BS,
        times_BS=tokens.times_BS.flip(1),
        real_BS=tokens.real_BS,
    )
    assert not torch.allclose(model.encode(tokens), model.encode(other), atol=1e-3)


def test_a_head_as_wide_as_the_model_needs_no_projection() -> None:
    named = [name for name, _ in build("transformer", "l1d64h1t128").named_parameters()]
    assert not [name for name in named if "attention.out" in name]
    assert any("attention.out.bias" in name for name, _ in transformer().named_parameters())
