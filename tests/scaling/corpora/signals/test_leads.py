from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.signals.leads import (
    LIMB,
    check_limb_leads,
    complete,
    derive,
    lead_name,
    lead_order,
    repair_limb_leads,
)
from scaling.identity import LEADS
from tests.scaling.corpora.beats import ecg
from tests.scaling.corpora.real import challenge, ptbxl

Leads = dict[str, NDArray[np.float64]]
MIMIC = ("I", "II", "III", "aVR", "aVF", "aVL")
CODE_TEST = ("I", "II", "III", "aVL", "aVF", "aVR")


def limb(seed: int = 0) -> Leads:
    return dict(zip(LIMB, ecg(seed)[:6].astype(np.float64), strict=True))


def read_as(names: tuple[str, ...]) -> Leads:
    """What a reader gets that takes leads stored in the order ``names`` for the usual one."""
    true = limb()
    return dict(zip(LIMB, (true[name] for name in names), strict=True))


def test_leads_are_found_by_name() -> None:
    names = ["V1", "AVR", "II", "I", "III", "aVF", "AVL", "V2", "V3", "V4", "V5", "V6"]
    assert [names[i].upper() for i in lead_order(names)] == [lead.upper() for lead in LEADS]
    assert lead_order(names, ["II", "aVR"]) == [2, 1]


def test_leads_as_code_and_ludb_write_them() -> None:
    assert [lead_name(name) for name in ("DI", "DII", "DIII")] == ["I", "II", "III"]
    assert [lead_name(name) for name in ("i", "avr", " v6 ")] == ["I", "aVR", "V6"]


@pytest.mark.parametrize("stored", [MIMIC, CODE_TEST])
def test_a_datasets_own_order_is_undone_by_its_names(stored: tuple[str, ...]) -> None:
    true = limb()
    rows = [true[name] for name in stored]
    ordered = [rows[i] for i in lead_order(stored, LIMB)]
    assert all(row is true[name] for row, name in zip(ordered, LIMB, strict=True))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([*LEADS[:-1], "V9"], "unknown lead 'V9'"),
        ([*LEADS[:-1], "aVR"], "lead aVR appears twice"),
        ([*LEADS[:-1], "DII"], "lead II appears twice"),
        (list(LEADS[:-2]), "lead V5, V6 is missing"),
    ],
)
def test_bad_leads_are_named(names: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        lead_order(names)


@given(st.permutations(LIMB), st.floats(-5, 5), st.floats(-5, 5))
def test_any_two_limb_leads_give_the_others(order: list[str], one: float, two: float) -> None:
    true = {
        "I": one, "II": two, "III": two - one,
        "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2,
    }  # fmt: skip
    signals = {lead: np.array([true[lead]]) for lead in order[:2]}
    full = complete(signals, LIMB)
    for lead in LIMB:
        assert full[lead][0] == pytest.approx(true[lead], abs=1e-9)
        pair = (order[0], order[1])
        assert derive(signals, pair, lead)[0] == pytest.approx(true[lead], abs=1e-9)


def test_completing_adds_only_what_is_wanted_and_possible() -> None:
    true = limb()
    two = {"II": true["II"], "aVF": true["aVF"]}
    assert set(complete(two, ("I", "V1"))) == {"I", "II", "aVF"}
    assert set(complete({"I": true["I"]}, LIMB)) == {"I"}


def test_a_sound_recording_passes() -> None:
    rounded = {lead: np.round(signal, 3) for lead, signal in limb().items()}
    check = check_limb_leads(rounded)
    assert check.fault == ""
    assert 0 < check.error_mv < 0.003
    assert check.wrong == ()


def test_fewer_than_three_limb_leads_cannot_be_checked() -> None:
    check = check_limb_leads({lead: limb()[lead] for lead in ("I", "II")})
    assert np.isnan(check.error_mv)
    assert check.fault == ""


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (MIMIC, "aVL and aVF are swapped"),
        (CODE_TEST, "the leads called aVR, aVL, aVF are aVL, aVF, aVR"),
        (("I", "II", "III", "aVF", "aVR", "aVL"), "called aVR, aVL, aVF are aVF, aVR, aVL"),
        (("II", "I", "III", "aVR", "aVL", "aVF"), "I and II are swapped"),
        (("I", "III", "II", "aVR", "aVL", "aVF"), "II and III are swapped"),
    ],
)
def test_a_wrong_order_is_named_and_repaired(names: tuple[str, ...], fault: str) -> None:
    signals, true = read_as(names), limb()
    check = check_limb_leads(signals)
    assert fault in check.fault
    assert check.error_mv > 0.1
    repaired = repair_limb_leads(signals, check)
    for lead in LIMB:
        np.testing.assert_allclose(repaired[lead], true[lead], atol=1e-5)


@pytest.mark.parametrize("lead", LIMB)
@pytest.mark.parametrize("fault", ["has the wrong sign", "is flat", "contradicts"])
def test_one_wrong_lead_is_named_and_repaired(lead: str, fault: str) -> None:
    true = limb()
    wrong = {"has the wrong sign": -true[lead], "is flat": 0 * true[lead]}
    signals = true | {lead: wrong.get(fault, np.roll(true[lead], 200))}
    check = check_limb_leads(signals)
    assert check.wrong == (lead,)
    assert check.fault.startswith(f"{lead} {fault}")
    np.testing.assert_allclose(repair_limb_leads(signals, check)[lead], true[lead], atol=1e-5)


def test_flat_leads_support_nothing() -> None:
    # Three leads that are absent and stored as zeros agree with each other.
    true = limb()
    zeros = {lead: 0 * true[lead] for lead in ("aVR", "aVL", "aVF")}
    check = check_limb_leads(true | zeros)
    assert check.wrong == ("aVR", "aVL", "aVF")
    repaired = repair_limb_leads(true | zeros, check)
    np.testing.assert_allclose(repaired["aVF"], true["aVF"], atol=1e-5)


def test_leads_without_a_majority_are_not_repaired() -> None:
    true = limb()
    signals = true | {"I": np.roll(true["I"], 100), "II": np.roll(true["II"], 300)}
    signals |= {"aVR": np.roll(true["aVR"], 700)}
    check = check_limb_leads(signals)
    assert "contradict each other by up to" in check.fault
    with pytest.raises(UnusableError, match="no majority"):
        repair_limb_leads(signals, check)


def test_a_few_samples_do_not_make_a_fault() -> None:
    signals = limb()
    signals["III"][100:150] += 2.0  # 1 % of the samples: a pacing spike, a saturated converter
    check = check_limb_leads(signals)
    assert check.fault == ""
    assert check.error_mv == pytest.approx(2.0, abs=0.01)
    signals["III"][100:250] += 2.0
    assert check_limb_leads(signals).fault


@pytest.fixture(scope="module")
def real_limbs(shared: Path) -> list[Leads]:
    limbs = []
    for recording in (*ptbxl(shared, 100).values(), *challenge(shared).values()):
        signals = recording.signal[lead_order(recording.leads, LIMB)].astype(np.float64)
        limbs.append(dict(zip(LIMB, signals, strict=True)))
    return limbs


def test_real_recordings_keep_the_identities(real_limbs: list[Leads]) -> None:
    checks = [check_limb_leads(signals) for signals in real_limbs]
    assert len(checks) == 1987 + 123
    assert max(check.error_mv for check in checks) < 0.01
    assert not any(check.fault for check in checks)


def test_faults_of_real_recordings_are_found(real_limbs: list[Leads]) -> None:
    some = real_limbs[::10]
    named = {"aVL and aVF are swapped": 0, "aVR has the wrong sign": 0}
    for signals in some:
        swapped = signals | {"aVL": signals["aVF"], "aVF": signals["aVL"]}
        for wrong in (swapped, signals | {"aVR": -signals["aVR"]}):
            fault = check_limb_leads(wrong).fault
            named[fault] = named.get(fault, 0) + 1
    assert min(named["aVL and aVF are swapped"], named["aVR has the wrong sign"]) >= len(some) - 1
