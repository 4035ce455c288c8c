"""Every objective of the registry passes its battery."""

from __future__ import annotations

import pytest

from scaling.objectives.registry import OBJECTIVES
from scaling.objectives.testing import BuildContract, Case, ObjectiveContract
from tests.scaling.objectives.data import tiny_case


class TestSupervised(ObjectiveContract):
    name = "supervised"

    @pytest.fixture(params=["resnet", "transformer"])
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

    @pytest.fixture
    def case(self) -> Case:
        return tiny_case(self.name)


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


class TestUntrained(BuildContract):
    name = "untrained"

    @pytest.fixture(params=["resnet", "transformer"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return tiny_case(self.name, request.param)


def test_every_objective_is_here() -> None:
    found = {
        value.name
        for value in globals().values()
        if isinstance(value, type) and issubclass(value, BuildContract) and "name" in vars(value)
    }
    assert found == set(OBJECTIVES)
