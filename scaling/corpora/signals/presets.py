"""The named preprocessing presets, and the quantisation of what is stored.

A ``Preprocessing`` is a value stored with every corpus. Importing this module needs only
the standard library, so that a grid can be checked without numpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.signals.filters import Step, resample, run_step
from scaling.corpora.signals.leads import lead_order
from scaling.identity import LEADS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PRESETS", "Preprocessing", "Step", "lead_order", "preset", "quantise", "resample"]

MV_PER_LSB = 0.001
CLIP_LSB = 32_700  # 32.7 mV; leaves -32768 free, which format 16 uses for a missing sample


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What is done to a recording before it is stored.

    Attributes:
        name: name of the preset.
        version: raised when the numbers change.
        steps: what is done, in order. After them the first ``samples`` are kept.
        leads: lead names stored, in order.
        fs_hz: rate it is meant for, in hertz; None leaves it to the user.
        samples: window it is meant for; None leaves it to the user.
        padding: ``refuse`` a recording shorter than the window, or put ``zeros`` at its end.
        missing: ``refuse`` a recording with missing samples (NaN), or fill each with the mean
            of its ``neighbours``, the samples at most 6 away.
        missing_share: largest share of a lead that is filled.
        lead_errors: what is done where limb leads contradict each other: ``report`` it,
            ``refuse`` the recording, or ``repair`` it from the leads that agree.
        units: of what is stored, for a recording in millivolts.
        lsb: one step of the stored integers, in ``units``.
    """

    name: str
    version: int = 1
    steps: tuple[Step, ...] = (Step(kind="resample"),)
    leads: tuple[str, ...] = LEADS
    fs_hz: int | None = None
    samples: int | None = None
    padding: Literal["refuse", "zeros"] = "refuse"
    missing: Literal["refuse", "neighbours"] = "refuse"
    missing_share: float = 0.0
    lead_errors: Literal["report", "refuse", "repair"] = "report"
    units: Literal["mV", "1"] = "mV"
    lsb: float = MV_PER_LSB

    def to_dict(self) -> dict[str, Any]:
        """JSON form, stored in corpora, checkpoints and records; ``from_dict`` inverts it."""
        steps = [dataclasses.asdict(step) | {"hz": list(step.hz)} for step in self.steps]
        return dataclasses.asdict(self) | {"leads": list(self.leads), "steps": steps}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Build from ``to_dict`` output."""
        steps = tuple(Step(**{**step, "hz": tuple(step["hz"])}) for step in value["steps"])
        return cls(**{**value, "leads": tuple(value["leads"]), "steps": steps})

    def apply(
        self, signal_LT: NDArray[Any], fs_hz: int, target_hz: int, samples: int
    ) -> NDArray[np.float64]:
        """Run the steps over one recording whose leads are already in order.

        Args:
            signal_LT: (leads, samples at ``fs_hz``), without NaN.
            fs_hz: its sampling rate in hertz.
            target_hz: sampling rate wanted.
            samples: samples per lead wanted; the first ones are kept.

        Returns:
            (leads, ``samples``) in ``units``.

        Raises:
            UnusableError: the recording is shorter than what is wanted, and not to be padded.
        """
        import numpy as np

        available = -(-signal_LT.shape[-1] * target_hz // fs_hz)
        if available < samples and self.padding == "refuse":
            raise UnusableError(
                f"{signal_LT.shape[-1] / fs_hz:g} s long, but the corpus asks for "
                f"{samples / target_hz:g} s: choose a shorter window_s"
            )
        signal_LT, rate_hz = np.asarray(signal_LT, np.float64), fs_hz
        for step in self.steps:
            signal_LT, rate_hz = run_step(step, signal_LT, rate_hz, target_hz)
        if signal_LT.shape[-1] >= samples:
            return signal_LT[..., :samples]
        return np.pad(signal_LT, ((0, 0), (0, samples - signal_LT.shape[-1])))


def quantise(signal: NDArray[Any], lsb: float = MV_PER_LSB) -> tuple[NDArray[np.int16], int]:
    """Round to steps of ``lsb``, clipped at +-32,700 steps; also the number of clipped samples.

    Raises:
        CorpusError: a sample is not finite.
    """
    import numpy as np

    steps = np.asarray(signal, np.float64) / lsb
    np.rint(steps, out=steps)
    # NaN is the least and the largest of whatever holds it, so it is not inside.
    if steps.size and steps.min() >= -CLIP_LSB and steps.max() <= CLIP_LSB:
        return steps.astype(np.int16), 0
    if not np.isfinite(steps).all():
        raise CorpusError(f"{int((~np.isfinite(steps)).sum())} samples are NaN or infinite")
    clipped = int((np.abs(steps) > CLIP_LSB).sum())
    return np.clip(steps, -CLIP_LSB, CLIP_LSB).astype(np.int16), clipped


_RESAMPLE = Step(kind="resample")

PRESETS: dict[str, Preprocessing] = {
    preset.name: preset
    for preset in (
        Preprocessing(name="none"),
        Preprocessing(
            name="s1",
            steps=(
                Step(kind="highpass", hz=(0.5,), order=2),
                Step(kind="notch", hz=(60.0,)),
                _RESAMPLE,
            ),
            fs_hz=100,
            samples=1000,
            missing="neighbours",  # MIMIC-IV-ECG has gaps of a sample or two
            missing_share=0.1,
        ),
        Preprocessing(
            name="liteheart",
            steps=(
                Step(kind="bandpass", hz=(1.0, 47.0), order=3),
                _RESAMPLE,
                Step(kind="zscore"),
            ),
            fs_hz=500,
            samples=6144,
            padding="zeros",
            lead_errors="repair",
            units="1",
        ),
        Preprocessing(
            name="heartlang",
            steps=(
                Step(kind="resample_fft"),
                Step(kind="bandpass", hz=(0.67, 40.0), order=5),
            ),
            fs_hz=100,
            samples=1000,
            padding="zeros",
            missing="neighbours",
            missing_share=0.1,
            lead_errors="repair",
        ),
        Preprocessing(
            name="laq",
            leads=("I",),
            fs_hz=500,
            samples=5120,
            padding="zeros",
            lead_errors="refuse",
        ),
    )
}


def preset(name: str) -> Preprocessing:
    """The preset of that name.

    Raises:
        CorpusError: no such preset; the message lists those there are.
    """
    if name not in PRESETS:
        raise CorpusError(f"unknown preprocessing {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]
