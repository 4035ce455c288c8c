"""Golden numbers: when what a module computes changes, its ``numerics`` version must too.

Each entry recomputes a few numbers and compares them with those stored for the version in
``scaling.numerics``. A change on purpose raises the version there and stores the new numbers
here, so that no record of the old numbers is taken for one of the new.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.corpora.equal_codes import read_equal_codes
from scaling.corpora.format.splits import nested_subset
from scaling.corpora.prepare.convert import convert
from scaling.corpora.quality.overlap import signature_words
from scaling.corpora.signals.presets import preset, quantise
from scaling.corpora.sources.ptbxl import open_source
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.virtual.cohorts import COHORTS
from scaling.corpora.virtual.cohorts.records import records_of
from scaling.data.label_sets import choose
from scaling.evaluation.measure import f1_thresholds, label_metrics
from scaling.evaluation.probe import Features, fit_probe
from scaling.identity import LEADS, CorpusSpec
from scaling.models.families import build
from scaling.models.heartbeats import tokenize
from scaling.models.restorer import Restorer
from scaling.models.unet import UNet
from scaling.models.vq_hbr import Codebook, VqHbr
from scaling.numerics import NUMERICS
from scaling.objectives.base import Context
from scaling.objectives.fir import fit_fir, restoration_rows
from scaling.objectives.labels import Supervised, binary_loss, binary_losses
from scaling.records.multilabel import FThresholds, multilabel_metrics
from scaling.records.names import METHODS
from scaling.records.patients import Resamples, mean_and_se
from scaling.simulated import expected_loss, expected_shifted_loss, noise
from scaling.training.trainer import initial_model
from tests.scaling.areas import macro_auroc, macro_auroc_se
from tests.scaling.corpora.beats import ecg
from tests.scaling.corpora.layout import write
from tests.scaling.corpora.writers import WRITERS, numbers
from tests.scaling.objectives.golden import first_losses, untrained_features
from tests.scaling.objectives.test_fir import split_of
from tests.scaling.test_identity import TRAINING
from tests.scaling.training.test_loop import RECIPE, run, toy_split

Numbers = list[float]


def virtual() -> Numbers:
    numbers: Numbers = []
    for cohort in COHORTS.values():
        made = records_of(cohort, 0, "train", 0, 8, 100, 500)
        x, labels = made.signals, sum(int(y.sum()) for y in made.labels.values())
        numbers += [float(np.abs(x).mean()), float(x[3, 5, 100]), float(labels)]
    return numbers


def converted() -> Numbers:
    recording = Recording(ecg(), 500, LEADS)
    made = convert(recording, preset("s1"), 100, 1000)
    words = [float(word >> np.uint64(40)) for word in signature_words(made.features)]
    return [float(len(made.r_peaks)), float(made.r_peaks.sum()), *words]


def ptbxl(folder: Path) -> Numbers:
    source = open_source(CorpusSpec(source="ptbxl"), write(folder))
    rows, recordings = source.chunks()[0].read()
    steps = [float(np.abs(r.signal).mean()) for r in recordings if not isinstance(r, Exception)]
    return [*steps[:3], float(rows.labels["superclass"].sum()), float(rows.valid["form"].sum())]


def signal() -> Numbers:
    t = np.arange(5000) / 500
    x = np.sin(2 * np.pi * 5 * t)[None].repeat(12, 0) + 0.5 * np.sin(2 * np.pi * 60 * t) + t
    y = preset("s1").apply(x, 500, 100, 1000)
    plain = preset("none").apply(x, 500, 100, 1000)
    steps, _ = quantise(plain)
    return [float(y.std()), float(y[0, 100]), float(plain[1, 7]), float(steps[1, 7])]


def splits() -> Numbers:
    patients = np.arange(100, dtype=np.int64) // 2
    rows = nested_subset(patients, np.arange(100, dtype=np.int64), 10)
    return [float(row) for row in rows]


def label_sets() -> Numbers:
    counts = [(37 * place) % 101 for place in range(20)]
    chosen = [choose(name, counts) for name in ("dominant-0.3", "tail-0.3")]
    return [float(place) for found, core in chosen for place in (*found, *core)]


def resnet() -> Numbers:
    torch.manual_seed(0)
    x = torch.randn(2, 12, 500)
    with torch.no_grad():
        return [float(build("resnet", size).eval()(x).mean()) for size in ("d2w6", "d3w24")]


def transformer() -> Numbers:
    torch.manual_seed(0)
    x = torch.randn(2, 12, 500)
    r_peaks = torch.tensor([[30, 110, 260, 400], [-1, -1, -1, -1]], dtype=torch.int16)
    beats = tokenize(x, r_peaks, 40)
    numbers = [float(beats.beats_BSW.abs().sum()), float(beats.times_BS.sum())]
    for size in ("l1d8h1t128", "l1d24h1"):
        with torch.no_grad():
            numbers += build("transformer", size).eval()(x, r_peaks)[:, 0].tolist()
    return numbers


def vq_hbr() -> Numbers:
    torch.manual_seed(0)
    model = VqHbr("l1d48k256t128").eval()
    r_peaks = torch.tensor([[30, 110, 260, 400], [-1, -1, -1, -1]], dtype=torch.int16)
    beats = tokenize(torch.randn(2, 12, 500), r_peaks, model.tokens)
    with torch.no_grad():
        found = model.reconstruct(beats)
    numbers = [float(found.z_BSW[0, 0, 0]), float(found.output_BSW[beats.real_BS].abs().mean())]
    z, book = found.z_BSW[beats.real_BS], Codebook(8, found.z_BSW.shape[-1])
    book.start(z, 0.5, torch.Generator().manual_seed(0))
    numbers.append(float(book.codes[book.nearest(z)].mul(z).sum()))
    other = z.roll(1, dims=1)
    book.update(other, book.nearest(other), 0.5, torch.Generator().manual_seed(0))
    return [*numbers, float(book.codes[book.nearest(z)].mul(z).sum())]


def conv_transformer() -> Numbers:
    torch.manual_seed(0)
    x = torch.randn(2, 12, 500)
    sizes = ("d16n1h2s2", "d8n1h1")
    with torch.no_grad():
        return [v for size in sizes for v in build("convtx", size).eval()(x)[:, 0].tolist()]


def unet() -> Numbers:
    torch.manual_seed(0)
    x = torch.randn(2, 12, 500)
    numbers: Numbers = []
    for millivolts in (True, False):
        model = Restorer(UNet("c4"), LEADS, ("aVR", "V2"), millivolts=millivolts).eval()
        with torch.no_grad():
            numbers += model(x)[1, [1, 4, 7, 10], 100].tolist()
    return numbers


def objective() -> Numbers:
    logits = torch.tensor([[0.5, -2.0], [3.0, 0.1]])
    return [float(binary_loss(logits, torch.tensor([[1.0, 0.0], [0.0, 1.0]])))]


def training() -> Numbers:
    outcome = run(dataclasses.replace(RECIPE, weight_decay=0.1))
    losses = [row["value"] for row in outcome.curve if row["split"] == "validation"][::2]
    data = toy_split(32, 8)
    context = Context(training=TRAINING, outputs=data.labels.shape[1])
    untrained = initial_model(Supervised({}), context, data)
    with torch.no_grad():
        start = float(untrained(torch.ones(1, 12, 100)).sum())
    return [*losses, start]


def held_out() -> Numbers:
    split = toy_split(64, 5)
    logits = split.signals.float().mean(dim=2)[:, :2] * split.mv
    losses = binary_losses(logits, split.labels).double().numpy()
    return list(mean_and_se(losses, np.arange(64) // 2))


def metrics() -> Numbers:
    split = toy_split(64, 5)
    scores = (split.signals.float().mean(dim=2)[:, 1:3] * split.mv).double().numpy()
    labels = split.labels.numpy() > 0.5
    patients = np.arange(64) // 2
    found = label_metrics(
        scores, labels, f1_thresholds(scores, labels), Resamples.draw(patients)
    ).values()
    area = [macro_auroc(scores, labels), macro_auroc_se(scores, labels, patients)]
    return [*area, *(e.value for e in found), *(e.high for e in list(found)[:5])]


def multilabel() -> Numbers:
    split = toy_split(64, 5)
    means = (split.signals.float().mean(dim=2) * split.mv).double().numpy()
    scores = (means[:, :2] + means[:, 2:4]).round(1)  # with ties
    labels, resamples = split.labels.numpy() > 0.5, Resamples.draw(np.arange(64) // 2)
    thresholds = FThresholds.choose(scores, labels)
    found = multilabel_metrics(scores, labels, thresholds, resamples, classes=("a", "b")).values()
    return [*(v[0] for v in found), *(float(np.nanstd(v)) for v in found)]


def probe() -> Numbers:
    parts = [toy_split(n, seed) for n, seed in ((96, 6), (48, 7))]
    a, b = (Features(x=s.signals.float().mean(dim=2) * s.mv, y=s.labels) for s in parts)
    return [float(w) for w in fit_probe(a, b).weight.detach().flatten()[:3]]


def external() -> Numbers:
    """What is measured on another corpus depends on which classes are equal."""
    rows = sorted((row.codes, sorted(row.names.items())) for row in read_equal_codes())
    return [float(byte) for byte in hashlib.sha256(repr(rows).encode()).digest()[:8]]


def simulated() -> Numbers:
    return [expected_loss(1e4, 1e3), expected_shifted_loss(1e4, 1e3), noise("golden")]


def restoration() -> Numbers:
    made = [torch.randn(20, 3, 80, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    parts = []
    for x in made:
        x[:, 1] = 0.3 * x[:, 0] + 0.2 * x[:, 1]
        steps = (100 * x).round().numpy().astype(np.int16)
        parts.append(split_of(steps, step=0.01))
    fir = fit_fir(parts[0], parts[1], ("I", "II", "V1"), ("I",), (1, 5))
    rows = restoration_rows("test", parts[2], lambda x: 0.5 * x, fir)
    wanted = ("error", "error_fir", "correlation_fir:II", "taps_fir:II")
    return [float(row["value"]) for row in rows if row["metric"] in wanted]


RECIPES: dict[str, Callable[[], Numbers] | Callable[[Path], Numbers]] = {
    "corpora.virtual": virtual,
    "corpora.ptbxl": ptbxl,
    "corpora.signal": signal,
    "corpora.convert": converted,
    "corpora.splits": splits,
    "label_sets": label_sets,
    "models.resnet": resnet,
    "models.transformer": transformer,
    "models.vq_hbr": vq_hbr,
    "models.conv_transformer": conv_transformer,
    "models.unet": unet,
    "objectives.supervised": objective,
    "objectives.untrained": untrained_features,
    "training": training,
    "evaluation.held_out": held_out,
    "evaluation.metrics": metrics,
    "evaluation.multilabel": multilabel,
    "evaluation.linear_probe": probe,
    "evaluation.external": external,
    "evaluation.restoration": restoration,
    "simulated": simulated,
}
OBJECTIVES = ("focal", "categorical", "contrastive", "masked", "codebook", "restoration", *METHODS)
RECIPES |= {f"objectives.{name}": functools.partial(first_losses, name) for name in OBJECTIVES}
RECIPES |= {f"corpora.{name}": functools.partial(numbers, name) for name in WRITERS}
GOLDEN: dict[tuple[str, int], Numbers] = {
    ("corpora.virtual", 4): [
        0.133779,
        -0.4225,
        8,
        0.104194,
        -0.025,
        3,
        0.123273,
        -0.055,
        2,
        0.159705,
        -0.06,
        7,
        0.22234,
        0.025,
        36,
        0.186375,
        0.016,
        94,
        0.159593,
        -0.0575,
        15,
        0.145256,
        0,
        147,
        0.155252,
        -0.07,
        10,
    ],
    ("corpora.convert", 1): [11, 5309, 9.526e06, 1.40588e07, 4.94514e06, 1.06826e07],
    ("corpora.ptbxl", 1): [0.473925, 0.468644, 0.466278, 6, 3],
    ("corpora.cpsc2018", 1): [0.491554, 0.48976, 0.488938, 12, 9, 9, 0, 0],
    ("corpora.csn", 1): [0.449858, 0.462602, 0.474865, 12, 19, 7, 6, 7, 0, 0],
    ("corpora.chapman", 1): [0.15275, 0.15375, 0.15475, 11, 11, 11, 0, 0],
    ("corpora.challenge2021", 1): [0.511589, 0.495082, 0.493985, 9, 7, 8, 0, 1],
    ("corpora.code15", 1): [0.503781, 0.500232, 0.500364, 4, 5, 3, 1, 1],
    ("corpora.code", 1): [1.14915, 1.12614, 1.10719, 3, 3, 1, 2, 0],
    ("corpora.code-test", 1): [0.142263, 0.142417, 0.142409, 3, 3, 0, 0, 3],
    ("corpora.mimic", 1): [1.00474, 0.998276, 0.992756, 2, 4, 4, 4, 3, 4, 4, 1, 2],
    ("corpora.echonext", 1): [2.96352, 2.96352, 2.98684, 2, 3, 5, 4, 3, 1, 1],
    ("corpora.sph", 1): [0.500075, 0.499281, 0.499975, 7, 5, 5, 0, 0],
    ("corpora.ludb", 1): [
        1.03853,
        1.03853,
        1.03853,
        4,
        3,
        3,
        1,
        2,
        1,
        2,
        1,
        1,
        4,
        3,
        4,
        4,
        4,
        4,
        4,
        4,
        4,
        4,
        0,
        0,
    ],
    ("corpora.arrays", 1): [0.1495, 0.1595, 0.1695, 4, 4, 2, 1, 2],
    ("corpora.wfdb", 1): [0.414875, 0.416525, 0.418175, 5, 4, 3, 0, 1],
    ("corpora.signal", 1): [0.707973, -0.000141001, 0.854465, 854],
    ("corpora.splits", 1): [94, 95, 36, 37, 2, 3, 86, 87, 54, 55],
    ("label_sets", 1): [4, 8, 10, 14, 16, 19, 8, 19, 3, 4, 10, 14, 16, 3],
    ("models.resnet", 2): [0.23588, 3.72867],
    ("models.transformer", 2): [5849.59, 230, -1.48434, -2.098, -0.423301, -0.11751],
    ("models.vq_hbr", 1): [-0.295455, 0.212594, 70.2437, 62.0764],
    ("models.unet", 1): [
        0.57557,
        0.8849,
        -1.42971,
        -0.190949,
        0.053998,
        0.461318,
        -1.42971,
        0.475454,
    ],
    ("models.conv_transformer", 1): [1.85069, 1.76254, 0.41271, 0.356127],
    ("objectives.codebook", 1): [0.155546, 0.147367, 0.0997202],
    ("objectives.supervised", 1): [1.0735],
    ("objectives.focal", 1): [0.168244, 0.159387, 0.18411],
    ("objectives.categorical", 1): [1.18125, 1.28465, 1.31284],
    ("objectives.contrastive", 2): [4.72172, 4.72139, 3.38425],
    ("objectives.masked", 1): [1.92241, 2.02046, 1.92104],
    ("objectives.untrained", 1): [0.00440599, 0.944216, 0],
    ("objectives.restoration", 1): [0.12721, 0.119496, 0.323144],
    ("objectives.none", 1): [0.660664, 0.646245, 0.688454],
    ("objectives.kd", 2): [0.660664, 0.646245, 2.8084],
    ("objectives.dkd", 2): [0.660664, 0.646245, 0.728674],
    ("objectives.cc", 2): [0.660664, 0.646245, 1.3537],
    ("objectives.rkd", 2): [0.660664, 0.646245, 2.00176],
    ("objectives.dist", 2): [0.660664, 0.646245, 2.95532],
    ("objectives.pkt", 2): [0.660664, 0.646245, 0.799683],
    ("objectives.psm", 2): [0.660664, 0.646245, 0.712237],
    ("objectives.wkd", 2): [0.660664, 0.646245, 0.817609],
    ("objectives.mvkt", 2): [0.660664, 0.646245, 0.751558],
    ("objectives.liteheart", 2): [0.660664, 0.646245, 2.85017],
    ("training", 2): [0.601926, 0.456205, 0.419515, 0.365132],
    ("evaluation.held_out", 2): [0.393213, 0.0168421],
    ("evaluation.metrics", 2): [
        0.495974,
        0.0479975,
        0.495974,
        0.662326,
        0.515625,
        0.501589,
        0.981481,
        2,
        0.581928,
        0.732824,
        0.601758,
        0.578918,
        1,
    ],
    ("evaluation.multilabel", 1): [
        0.109375,
        1.09375,
        0.816578,
        0.845993,
        0.781933,
        0.886815,
        0.775288,
        0.835836,
        0.856151,
        0.032675,
        0.0958603,
        0.0466621,
        0.0331502,
        0.0432071,
        0.0246946,
        0.0407099,
        0.0553843,
        0.0485131,
    ],
    ("evaluation.linear_probe", 1): [1.75265, -0.0200371, 0.026732],
    ("evaluation.external", 1): [103, 25, 205, 42, 236, 182, 113, 35],
    ("evaluation.restoration", 2): [0.827078, 1.0, 1.01619, 0.670126],
    ("simulated", 1): [0.528339, 0.701285, 1.01107],
}


def test_every_module_with_a_version_has_golden_numbers() -> None:
    assert set(GOLDEN) == set(NUMERICS.items())
    assert set(RECIPES) == set(NUMERICS)


@pytest.mark.parametrize("module", NUMERICS)
def test_numbers_are_those_of_their_version(module: str, tmp_path: Path) -> None:
    recipe: Callable[..., Numbers] = RECIPES[module]
    takes_a_folder = module == "corpora.ptbxl" or module.removeprefix("corpora.") in WRITERS
    found = recipe(tmp_path / "source") if takes_a_folder else recipe()
    # Another processor may round differently; a change of method moves far more than this.
    assert found == pytest.approx(GOLDEN[module, NUMERICS[module]], rel=2e-3, abs=1e-5)
