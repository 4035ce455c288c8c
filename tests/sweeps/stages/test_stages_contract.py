"""Every stage passes the battery, and none is left out of it."""

from __future__ import annotations

import re
from pathlib import Path

from scaling.identity import Training
from sweeps.stages import STAGES
from tests.sweeps.stages.contract import StageContract

PRETRAINED = "  - pretrain: {families: {resnet: [d2w6]}, data: [32]}\n"


class TestCodebook(StageContract):
    name = "codebook"
    least = "families: {vq-hbr: [l1d48k256t128]}, data: [32]"


class TestPretrain(StageContract):
    name = "pretrain"
    least = "families: {resnet: [d2w6, d2w12], transformer: l1d8h1t128}, data: [32]"


class TestPretrainOfCodes(StageContract):
    name = "pretrain"
    before = "  - codebook: {families: {vq-hbr: [l1d48k256t128]}, data: [32]}\n"
    least = "cells: [{family: transformer, size: l1d8h1t128, data: 32, paradigm: ssl}]"

    def test_a_codebook_is_a_parent(self, trainings: list[Training]) -> None:
        assert all(len(training.parents) == 1 for training in trainings)


class TestContinued(StageContract):
    name = "pretrain"
    before = PRETRAINED
    least = "parents: {}, data: [16]"


class TestFinetune(StageContract):
    name = "finetune"
    before = PRETRAINED
    least = (
        "parents: {}, scratch: true, data: [16], tasks: [virtual/shifted], few_shot: [0.5, 1], "
        "external: [{source: virtual/wearable, records: 8, validation: 8, test: 16}]"
    )


RESTORED = PRETRAINED + "  - restore: {families: {unet: [c4]}, input_leads: I, data: [32]}\n"


class TestRestore(StageContract):
    name = "restore"
    least = "families: {unet: [c4, c8]}, input_leads: [I, II+V2], data: [32]"


class TestRestoreOn(StageContract):
    name = "restore"
    before = RESTORED
    least = "parents: {}, data: [16]"


class TestDistill(StageContract):
    name = "distill"
    before = RESTORED
    least = (
        "families: {resnet: [d2w6, d2w12]}, input_leads: I, methods: [none, kd], data: [32], "
        "teacher: {stage: pretrain}, restoration: {}, tasks: [virtual/shifted]"
    )


def test_every_stage_has_a_battery() -> None:
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r"^    name = \"([^\"]+)\"", here, re.M)) == set(STAGES)
