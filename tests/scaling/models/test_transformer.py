"""The Transformer: published sizes, MACs counted three ways, and what may see what."""

from __future__ import annotations

import pytest
import torch

from scaling.cost import count, count_macs, in_full
from scaling.models.checkpointing import recompute_blocks
from scaling.models.families import build
from scaling.models.heartbeats import WIDTH, Heartbeats
from scaling.models.sizes import TRANSFORMER, TransformerShape
from scaling.models.transformer import Attention, EcgTransformer, HeartbeatEncoder, attend
from scaling.objectives.labels import Classifier
from tests.scaling.models.fvcore_macs import count_macs_fvcore
from tests.scaling.models.weights import without_weights

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


def closed_form(shape: TransformerShape, num_labels: int, *, full: bool = False) -> int:
    """MACs of the convolution, the blocks and the head, independently of the model.

    With ``full`` the last block computes all tokens, else the class token alone.
    """
    d, inner, s = shape.width, 64 * shape.heads, shape.tokens + 1
    out = 0 if (shape.heads, d) == (1, 64) else inner * d
    row = out + 2 * d * shape.hidden
    block = s * (3 * d * inner + row) + 2 * s * s * inner
    last = block if full else d * inner + s * 2 * d * inner + 2 * s * inner + row
    before = shape.tokens * 3 * 96 * d + (shape.layers - 1) * block
    return before + last + d * num_labels


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
    assert not TRANSFORMER[size].laptop


@pytest.mark.parametrize("size", TRANSFORMER)
def test_sizes_are_what_their_names_say(size: str) -> None:
    shape = TRANSFORMER[size]
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
@pytest.mark.parametrize("size", TRANSFORMER)
def test_macs_on_the_meta_device_equal_the_closed_form(size: str, samples: int) -> None:
    counts = count("transformer", size, 12, samples, 6)
    assert counts.macs == closed_form(TRANSFORMER[size], 6)
    assert counts.macs_full == closed_form(TRANSFORMER[size], 6, full=True)


def test_the_macs_of_one_size_by_hand() -> None:
    """``l1d8h1t128``, a model 8 wide with one head of 64 and 32 within the feed-forward part.

    Convolution 128 x 3 x 96 x 8 = 294,912; keys and values of 129 tokens 129 x 2 x 8 x 64 =
    132,096; one query 8 x 64 = 512; its products with keys and values 2 x 129 x 64 = 16,512; the
    way out 64 x 8 = 512; one row of the feed-forward part 2 x 8 x 32 = 512; head 6 x 8 = 48.
    """
    by_hand = 294_912 + 132_096 + 512 + 16_512 + 512 + 512 + 48
    assert count("transformer", "l1d8h1t128", 12, 500, 6).macs == by_hand == 445_104


@pytest.mark.parametrize("samples", [500, 1000])
@pytest.mark.parametrize("size", TRANSFORMER)
def test_fvcore_agrees_once_it_counts_attention(size: str, samples: int) -> None:
    model = without_weights("transformer", size)
    ours = count("transformer", size, 12, samples, 6)
    assert count_macs_fvcore(model, (1, 12, samples)) == pytest.approx(ours.macs, rel=5e-3)
    with in_full(model):
        found = count_macs_fvcore(model, (1, 12, samples))
    assert found == pytest.approx(ours.macs_full, rel=5e-3)


def test_attention_is_counted_on_a_cpu_too() -> None:
    model = Classifier(build("transformer", SIZE), 6)
    assert count_macs(model, (1, 12, 500)) == closed_form(TRANSFORMER[SIZE], 6)


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
    model.in_full = True
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


def hearts(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Records of 5 s, (B, 12, 500), and R peaks (B, 16) of hearts that differ, or do not."""
    beats = {
        "mixed": [6, 0, 3, 15, 7, 9, 5, 0, 10, 4, 13],  # 0: none was found
        "none found": [0, 0, 0],
        "equal": [6, 6, 6, 6],
        "full": [11, 14, 12],  # no slot of 128 is padding
        "one": [4],
        "one without": [0],
    }[kind]
    peaks_BP = torch.full((len(beats), 16), -1, dtype=torch.int16)
    for row, n in enumerate(beats):
        peaks_BP[row, :n] = 12 + row + torch.arange(n) * (470 // max(n, 1))
    generator = torch.Generator().manual_seed(2)
    return torch.randn(len(beats), 12, 500, generator=generator), peaks_BP


def features_and_gradients(
    size: str, kind: str, *, full: bool, dtype: torch.dtype
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = build("transformer", size).to(dtype)
    model.in_full = full  # type: ignore[assignment]
    x_BLT, peaks_BP = hearts(kind)
    features = model(x_BLT.to(dtype), peaks_BP)
    (features**3).sum().backward()
    found = model.named_parameters()
    return features.detach(), {k: v.grad for k, v in found if v.grad is not None}


KINDS = ("mixed", "none found", "equal", "full", "one", "one without")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["l1d64h1t128", "l2d96h2t128", "l2d128h4"])
def test_features_are_those_of_the_full_form(size: str, kind: str) -> None:
    """Of all slots in every block, which is what was published and what S1 counts."""
    ours, full = (
        features_and_gradients(size, kind, full=full, dtype=torch.float32)[0]
        for full in (False, True)
    )
    torch.testing.assert_close(ours, full, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["l1d64h1t128", "l2d128h4"])
def test_gradients_are_those_of_the_full_form(size: str, kind: str) -> None:
    (ours, left), (full, right) = (
        features_and_gradients(size, kind, full=full, dtype=torch.float64) for full in (False, True)
    )
    torch.testing.assert_close(ours, full, rtol=1e-12, atol=1e-12)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert (value - right[name]).norm() <= 1e-10 * right[name].norm(), name


def test_without_the_slot_of_padding_both_ends_are_neighbours() -> None:
    """The convolution is circular: a last beat beside the first one would be seen through it."""
    model = transformer()
    x_BLT, peaks_BP = hearts("equal")
    right, wrong = (
        model.encode(model.tokenize(x_BLT, peaks_BP, slots))[:, 0] for slots in (73, 72)
    )
    model.in_full = True
    full = model(x_BLT, peaks_BP)
    torch.testing.assert_close(right, full, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(wrong, full, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_full_form_is_near_in_bf16_too(kind: str) -> None:
    model, (x_BLT, peaks_BP) = transformer(), hearts(kind)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        ours = model(x_BLT, peaks_BP)
        model.in_full = True
        full = model(x_BLT, peaks_BP)
    assert (ours - full).abs().mean() < 0.02 * full.abs().mean()


def test_checkpointed_blocks_of_two_halves_give_the_same_gradients() -> None:
    x_BLT, peaks_BP = hearts("mixed")
    found = []
    for again in (False, True):
        model = transformer().train()
        recompute_blocks(model, again)
        model(x_BLT, peaks_BP).square().sum().backward()
        found.append([v.grad for v in model.parameters() if v.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_no_records_give_no_features() -> None:
    features = transformer()(torch.randn(0, 12, 500), torch.full((0, 4), -1, dtype=torch.int16))
    assert features.shape == (0, transformer().features)


def test_a_device_is_not_asked_how_many_heartbeats_there_are() -> None:
    """The meta device cannot say what a number is; R peaks on the CPU are enough."""
    x_BLT, peaks_BP = hearts("mixed")
    with torch.device("meta"):
        model = build("transformer", SIZE)
    features = model(x_BLT.to("meta"), peaks_BP)
    assert (features.device.type, features.shape) == ("meta", (len(x_BLT), model.features))
