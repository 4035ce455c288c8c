"""Every objective of the registry passes its battery."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scaling.objectives.registry import OBJECTIVES
from scaling.objectives.testing import BuildContract, Case, ObjectiveContract
from tests.scaling.objectives.data import tiny_case


class TestSupervised(ObjectiveContract):
    name = "supervised"

    @pytest.fixture(params=["resnet", "transformer", "convtx"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return tiny_case(self.name, request.param)


class TestFocal(ObjectiveContract):
    name = "focal"

    @pytest.fixture(params=["resnet", "transformer"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return tiny_case(self.name, request.param)


class TestCategorical(ObjectiveContract):
    name = "categorical"

    @pytest.fixture(params=["resnet", "transformer"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return tiny_case(self.name, request.param)


class TestContrastive(ObjectiveContract):
    name = "contrastive"

    @pytest.fixture(params=["resnet", "convtx"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return tiny_case(self.name, request.param)


class TestMasked(ObjectiveContract):
    name = "masked"
    stochastic = True

    @pytest.fixture
    def case(self) -> Case:
        return tiny_case(self.name)


class TestCodebook(ObjectiveContract):
    name = "codebook"

    @pytest.fixture
    def case(self) -> Case:
        return tiny_case(self.name)


class TestRestoration(ObjectiveContract):
    name = "restoration"

    @pytest.fixture
    def case(self) -> Case:
        return tiny_case(self.name)


class Distillation(ObjectiveContract):
    """What all methods share: their teacher is there in training alone."""

    @pytest.fixture
    def case(self) -> Case:
        return tiny_case(self.name, "resnet")


class OfTwoFamilies(Distillation):
    """Also of a family that gives its own head: what differs is the same for all methods."""

    @pytest.fixture(params=["resnet", "convtx"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return tiny_case(self.name, request.param)


class TestNone(Distillation):
    name = "none"


class TestKd(Distillation):
    name = "kd"


class TestDkd(OfTwoFamilies):  # the surest to learn in so few steps, on any processor
    name = "dkd"


class TestCc(Distillation):
    name = "cc"


class TestRkd(Distillation):
    name = "rkd"


class TestDist(Distillation):
    name = "dist"


class TestPkt(Distillation):
    name = "pkt"


class TestPsm(Distillation):
    name = "psm"


class TestWkd(Distillation):
    name = "wkd"


class TestMvkt(OfTwoFamilies):
    name = "mvkt"


class TestLiteHeart(Distillation):
    name = "liteheart"
    stochastic = True


class TestUntrained(BuildContract):
    name = "untrained"

    @pytest.fixture(params=["resnet", "transformer"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return tiny_case(self.name, request.param)


def test_every_objective_has_a_battery() -> None:
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r"^    name = \"([^\"]+)\"", here, re.M)) == set(OBJECTIVES)
