"""Every registered law passes the contract."""

from __future__ import annotations

import pytest

from analysis.laws import LAWS, get, register
from analysis.testing import LawContract


class TestChinchilla(LawContract):
    law = LAWS["chinchilla"]
    truth = (0.2, 5.0, 0.5, 4.0, 0.4)


class TestNLaw(LawContract):
    law = LAWS["n_law"]
    truth = (0.3, 6.0, 0.45)


class TestDLaw(LawContract):
    law = LAWS["d_law"]
    truth = (0.25, 4.0, 0.35)


def test_every_law_has_its_contract() -> None:
    covered = {c.law.name for c in LawContract.__subclasses__()}
    assert covered == set(LAWS)


def test_an_unknown_law_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="no law called 'chinchila', did you mean 'chinchilla'"):
        get("chinchila")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register(LAWS["n_law"])
