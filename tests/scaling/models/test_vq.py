"""The codebook and the model around it: counts, quantisation, updates, padding."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from scaling.cost import count_macs, count_params
from scaling.models import vq_hbr
from scaling.models.checkpointing import recompute_blocks
from scaling.models.heartbeats import WIDTH, Heartbeats, tokenize
from scaling.models.sizes import VQ_HBR
from scaling.models.vq_hbr import DEAD_SHARE, Codebook, VqHbr

SMALL = "l1d48k256t128"


def unit(n: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, width, generator=generator), dim=1)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def move(book: Codebook, z: Tensor, decay: float, generator: torch.Generator) -> None:
    book.update(z, book.nearest(z), decay, generator)


def heartbeats(records: int = 3, seed: int = 0) -> Heartbeats:
    """12 leads of 3 s; one record has no R peak, another has two."""
    generator = torch.Generator().manual_seed(seed)
    x_BLT = torch.randn(records, 12, 300, generator=generator)
    r_peaks = torch.tensor([[40, 130, 220], [-1, -1, -1], [100, 210, -1]], dtype=torch.int16)
    return tokenize(x_BLT, r_peaks[:records], VQ_HBR[SMALL].tokens)


@pytest.fixture
def model() -> VqHbr:
    torch.manual_seed(0)
    return VqHbr(SMALL).eval()


def test_heartlangs_size_has_its_published_counts() -> None:
    with torch.device("meta"):
        full = VqHbr("l4d768k8192")
    groups = count_params(full)
    assert groups == {"backbone": 23_593_184, "head": 0, "embedding": 0, "codebook": 1_048_576}
    parts = {
        name: sum(p.numel() for p in module.parameters())
        for name, module in full.backbone.named_children()
    }
    assert (parts["encoder"], parts["decoder"]) == (14_628_608, 7_611_136)
    assert (parts["encode_head"], parts["decode_head"]) == (689_024, 664_416)
    assert sum(p.numel() for p in full.parameters()) == 23_593_184


@pytest.mark.parametrize("size", VQ_HBR)
def test_every_size_is_counted_without_allocating_it(size: str) -> None:
    with torch.device("meta"):
        found = VqHbr(size)
    shape = VQ_HBR[size]
    assert count_params(found)["codebook"] == shape.codes * shape.code_width
    assert count_macs(found, (1, 12, 500)) > shape.tokens * shape.codes * shape.code_width


def test_a_code_is_the_nearest_by_cosine() -> None:
    book = Codebook(32, 8)
    z = unit(50, 8)
    expected = [max(range(32), key=lambda k: float(z[n] @ book.codes[k])) for n in range(50)]
    assert book.nearest(z).tolist() == expected


def test_cosines_are_taken_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    book, z = Codebook(32, 8), unit(50, 8)
    whole = book.nearest(z)
    monkeypatch.setattr(vq_hbr, "CHUNK", 32 * 7)
    assert torch.equal(book.nearest(z), whole)


def test_codes_are_told_apart_under_autocast_as_without() -> None:
    book, z = Codebook(512, 8), unit(2000, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = book.nearest(z)
        rounded = (z @ book.codes.T).argmax(dim=1)
    assert torch.equal(found, book.nearest(z))
    assert not torch.equal(rounded, found)


def test_the_start_finds_clusters() -> None:
    centres = unit(6, 8, seed=1)
    near = (centres[:, None] + 0.05 * unit(6 * 40, 8, seed=2).view(6, 40, 8)).flatten(0, 1)
    z = normalize(near, dim=1)
    book = Codebook(24, 8)
    book.start(z, 0.9, draws())
    assert (z * book.codes[book.nearest(z)]).sum(dim=1).min() > 0.99
    assert book.codes.norm(dim=1) == pytest.approx(torch.ones(24))
    assert float(book.uses.sum()) == pytest.approx(0.1 * len(z), rel=0.01)


def test_the_start_takes_fewer_vectors_than_codes_but_not_none() -> None:
    book, z = Codebook(16, 4), unit(5, 4)
    book.start(z, 0.9, draws())
    assert book.codes.isfinite().all()
    assert set(book.nearest(z).tolist()) <= set(range(16))
    with pytest.raises(ValueError, match="no heartbeat"):
        book.start(z[:0], 0.9, draws())


def test_an_update_is_the_running_mean_of_what_is_assigned() -> None:
    book, z = Codebook(4, 3), unit(200, 3)
    book.start(z, 0.9, draws())
    fresh = unit(100, 3, seed=5)
    index = book.nearest(fresh)
    uses, sums = book.uses.clone(), book.sums.clone()
    book.update(fresh, index, 0.9, draws())
    for code in range(4):
        mine = fresh[index == code]
        assert float(book.uses[code]) == pytest.approx(0.9 * float(uses[code]) + 0.1 * len(mine))
        expected = 0.9 * sums[code] + 0.1 * mine.sum(dim=0)
        assert book.sums[code].tolist() == pytest.approx(expected.tolist(), rel=1e-4)
        assert book.codes[code].tolist() == pytest.approx(
            normalize(expected, dim=0).tolist(), rel=1e-4
        )


def test_a_code_hardly_used_is_revived_by_a_vector_of_the_batch() -> None:
    book, z = Codebook(8, 3), unit(400, 3)
    book.start(z, 0.9, draws())
    with torch.no_grad():
        book.uses[2] = 0.5 * DEAD_SHARE * book.uses.mean()
    kept = book.codes[[0, 1, 3, 4, 5, 6, 7]]
    batch = z[:64]
    move(book, batch, 0.999999, draws())
    assert (batch @ book.codes[2]).max() == pytest.approx(1.0, abs=1e-4)
    assert float(book.uses[2]) == pytest.approx(float(book.uses.mean()), rel=0.2)
    assert (kept * book.codes[[0, 1, 3, 4, 5, 6, 7]]).sum(dim=1).min() > 0.999


def test_revival_keeps_most_of_the_codes_in_use() -> None:
    """All vectors lie in a corner far from the codes: without revival one code takes them all."""
    book = Codebook(64, 8)
    corner = normalize(unit(4000, 8, seed=3) * 0.1 + torch.eye(8)[0], dim=1)
    generator = draws()
    for step in range(60):
        move(book, corner[(64 * step) % 3900 :][:100], 0.9, generator)
    assert len(set(book.nearest(corner).tolist())) > 48


def test_updates_repeat_with_the_generator_and_not_otherwise() -> None:
    def after(seed: int) -> Tensor:
        torch.manual_seed(0)
        book = Codebook(64, 4)
        generator = draws(seed)
        for step in range(5):
            move(book, unit(20, 4, seed=step), 0.5, generator)
        return book.codes

    assert torch.equal(after(1), after(1))
    assert not torch.equal(after(1), after(2))


def test_an_interrupted_codebook_goes_on_as_it_was() -> None:
    whole, first = Codebook(64, 4), Codebook(64, 4)
    first.load_state_dict(whole.state_dict())
    one, two = draws(), draws()
    for step in range(4):
        move(whole, unit(50, 4, seed=step), 0.9, one)
        move(first, unit(50, 4, seed=step), 0.9, two)
    second, three = Codebook(64, 4), draws()
    second.load_state_dict(first.state_dict())
    three.set_state(two.get_state())
    for step in range(4, 8):
        move(whole, unit(50, 4, seed=step), 0.9, one)
        move(second, unit(50, 4, seed=step), 0.9, three)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_codes_of_tokens(model: VqHbr) -> None:
    beats = heartbeats()
    codes = model.codes(beats)
    assert codes.shape == (3, 128)
    assert codes.dtype == torch.int64
    assert 0 <= int(codes.min()) <= int(codes.max()) < 256
    assert len(set(codes[beats.real_BS].tolist())) > 3
    assert torch.equal(codes, model.reconstruct(beats).index_BS)


def test_vectors_are_of_unit_length_and_float32_under_autocast(model: VqHbr) -> None:
    beats = heartbeats()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model.reconstruct(beats)
    assert found.z_BSW.dtype == torch.float32
    lengths = found.z_BSW[beats.real_BS].norm(dim=1)
    assert torch.allclose(lengths, torch.ones(len(lengths)), atol=1e-5)
    assert found.output_BSW.shape == (3, 128, WIDTH)


def test_gradients_pass_straight_through_to_the_encoder(model: VqHbr) -> None:
    beats = heartbeats()
    found = model.reconstruct(beats)
    found.output_BSW[beats.real_BS].square().mean().backward()  # type: ignore[no-untyped-call]
    for part in (model.backbone.encoder.embed, model.backbone.encode_head[2]):
        grad = part.weight.grad
        assert isinstance(grad, Tensor)
        assert grad.isfinite().all()
        assert grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_what_stands_at_padding_changes_nothing(model: VqHbr) -> None:
    """Codes and rebuilt beats depend on the real tokens alone."""
    beats = heartbeats()
    clean = model.reconstruct(beats)
    with torch.no_grad():
        model.backbone.encoder.position[:, 120:].add_(3.0)
        model.backbone.decoder.position[:, 120:].add_(3.0)
    moved = model.reconstruct(beats)
    real = beats.real_BS
    assert torch.equal(clean.index_BS[real], moved.index_BS[real])
    assert torch.allclose(clean.output_BSW[real], moved.output_BSW[real], atol=1e-5)


def test_without_quantisation_the_vectors_themselves_are_decoded(model: VqHbr) -> None:
    beats = heartbeats()
    plain, quantised = model.reconstruct(beats, quantised=False), model.reconstruct(beats)
    assert torch.equal(plain.z_BSW, quantised.z_BSW)
    assert torch.equal(plain.codes_BSW, plain.z_BSW)
    with torch.no_grad():  # codes that are the vectors make both alike
        model.codebook.codes[:128] = plain.z_BSW[0]
    again = model.reconstruct(beats)
    real = beats.real_BS[0]
    assert torch.allclose(again.output_BSW[0][real], plain.output_BSW[0][real], atol=1e-4)
    assert not torch.allclose(quantised.output_BSW[0][real], plain.output_BSW[0][real], atol=1e-2)


def test_a_released_codebook_attends_to_padding(model: VqHbr) -> None:
    beats = heartbeats()
    before = model.embed(beats)[beats.real_BS]
    model.attends_padding.fill_(True)
    after = model.embed(beats)[beats.real_BS]
    assert not torch.allclose(before, after, atol=1e-4)
    everywhere = dataclasses.replace(beats, real_BS=torch.ones_like(beats.real_BS))
    model.attends_padding.fill_(False)
    assert torch.allclose(model.embed(everywhere)[beats.real_BS], after, atol=1e-5)


def test_a_records_codes_do_not_depend_on_the_others(model: VqHbr) -> None:
    beats = heartbeats()
    alone = Heartbeats(**{f.name: getattr(beats, f.name)[1:2] for f in dataclasses.fields(beats)})
    assert torch.allclose(model.embed(alone)[0], model.embed(beats)[1], atol=1e-5)


def test_recomputed_activations_give_the_same_gradients() -> None:
    def gradient(again: bool) -> Tensor:
        torch.manual_seed(0)
        model = VqHbr(SMALL).train()
        recompute_blocks(model.backbone, again)
        blocks = (*model.backbone.encoder.blocks, *model.backbone.decoder.blocks)
        assert all(block.recomputed is again for block in blocks)
        model.reconstruct(heartbeats()).output_BSW.square().mean().backward()  # type: ignore[no-untyped-call]
        grad = model.backbone.encoder.embed.weight.grad
        assert isinstance(grad, Tensor)
        return grad

    assert torch.equal(gradient(False), gradient(True))
