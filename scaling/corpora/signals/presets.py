"""Preprocessing: the named presets, their filters and resampling, and what is stored of it.

A ``Preprocessing`` is a value stored with every corpus. Importing this module needs only
the standard library, so that a grid can be checked without numpy.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Self

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.identity import LEADS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MV_PER_LSB = 0.001
CLIP_LSB = 32_700  # 32.7 mV; leaves -32768 free, which format 16 uses for a missing sample
NOTCH_QUALITY = 30.0
FLAT = 1e-6  # a standard deviation below this is rounding, not a signal

Kind = Literal["highpass", "lowpass", "bandpass", "notch", "resample", "resample_fft", "zscore"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a preprocessing. Filters run both ways, so they have zero phase.

    Attributes:
        kind: ``highpass``, ``lowpass`` and ``bandpass`` are Butterworth filters; ``notch`` has
            quality 30; ``resample`` is polyphase, ``resample_fft`` cuts the spectrum; both do
            nothing where the rate is that wanted; ``zscore`` gives every lead mean 0 and
            standard deviation 1 over the whole recording, and a flat lead zeros.
        hz: cut-offs in hertz, one, or two for a band-pass.
        order: of a Butterworth filter, one way.
    """

    kind: Kind
    hz: tuple[float, ...] = ()
    order: int = 0


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

        From (leads, samples at ``fs_hz``) without NaN to the first ``samples`` of each lead at
        ``target_hz``, (leads, ``samples``) in ``units``.

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
            steps=(Step(kind="bandpass", hz=(1.0, 47.0), order=3), _RESAMPLE, Step(kind="zscore")),
            fs_hz=500,
            samples=6144,
            padding="zeros",
            lead_errors="repair",
            units="1",
        ),
        Preprocessing(
            name="heartlang",
            steps=(Step(kind="resample_fft"), Step(kind="bandpass", hz=(0.67, 40.0), order=5)),
            fs_hz=100,
            samples=1000,
            padding="zeros",
            missing="neighbours",
            missing_share=0.1,
            lead_errors="repair",
        ),
        Preprocessing(
            name="laq", leads=("I",), fs_hz=500, samples=5120, padding="zeros", lead_errors="refuse"
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


def run_step(
    step: Step, signal_LT: NDArray[np.float64], fs_hz: int, target_hz: int
) -> tuple[NDArray[np.float64], int]:
    """Run one step on (leads, samples) without NaN; the signal and its rate.

    A filter that cannot exist at this rate (a notch at or above the Nyquist frequency) is left
    out: there is nothing there to remove. A band-pass then becomes its high-pass. A resampling
    step goes to ``target_hz``.
    """
    if step.kind == "resample":
        return resample(signal_LT, fs_hz, target_hz), target_hz
    if step.kind == "resample_fft":
        return _resample_fft(signal_LT, fs_hz, target_hz), target_hz
    if step.kind == "zscore":
        return _zscore(signal_LT), fs_hz
    return _filter(step, signal_LT, fs_hz), fs_hz


def _filter(step: Step, signal_LT: NDArray[np.float64], fs_hz: int) -> NDArray[np.float64]:
    kind, cut_offs = step.kind, tuple(hz for hz in step.hz if hz < fs_hz / 2)
    if len(cut_offs) < len(step.hz):
        if kind != "bandpass" or not cut_offs:
            return signal_LT
        kind = "highpass"
    # As long as the filter rings, or the transient of the edges reaches the signal.
    periods = NOTCH_QUALITY if kind == "notch" else 1.0
    pad = min(signal_LT.shape[-1] - 1, max(round(periods * fs_hz / cut_offs[0]), 15))
    return both_ways(Step(kind=kind, hz=cut_offs, order=step.order), signal_LT, fs_hz, pad)


def both_ways(
    step: Step, signal_LT: NDArray[np.float64], fs_hz: int, pad: int
) -> NDArray[np.float64]:
    """``scipy.signal.sosfiltfilt``, which solves for the steady state anew in every call.

    The filter must exist at the rate of the signal (leads, samples). Each end is continued
    point-symmetrically by ``pad`` samples, less than there are.
    """
    import numpy as np

    sections, steady = _sections(step.kind, step.hz, step.order, fs_hz)
    leads, samples = signal_LT.shape
    both = np.empty((leads, samples + 2 * pad))
    both[:, pad : pad + samples] = signal_LT
    np.subtract(2 * signal_LT[:, :1], signal_LT[:, pad:0:-1], out=both[:, :pad])
    np.subtract(
        2 * signal_LT[:, -1:], signal_LT[:, -2 : -pad - 2 : -1], out=both[:, pad + samples :]
    )
    for _ in range(2):
        both = _one_way(sections, steady * both[:, :1], both)[:, ::-1]
    return both[:, pad : pad + samples]


def _one_way(
    sections: NDArray[np.float64], start: NDArray[np.float64], signal_LT: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Run the sections from the states ``start`` (sections, leads, 2)."""
    from scipy.signal import lfilter, sosfilt

    if len(sections) > 2:
        return _floats(sosfilt(sections, signal_LT, zi=start)[0])
    # The same sums; a section at a time is quicker while there are few.
    for section, state in zip(sections, start, strict=True):
        signal_LT = _floats(lfilter(section[:3], section[3:], signal_LT, zi=state)[0])
    return signal_LT


@functools.cache
def _sections(
    kind: Kind, hz: tuple[float, ...], order: int, fs_hz: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Second-order sections of one filter, and their steady state (sections, 1, 2) for input 1."""
    from scipy.signal import butter, iirnotch, sosfilt_zi, tf2sos

    passed: Any = kind
    cut_offs = hz if kind == "bandpass" else hz[0]
    if kind == "notch":
        sections = _floats(tf2sos(*iirnotch(hz[0], NOTCH_QUALITY, fs=fs_hz)))
    else:
        sections = _floats(butter(order, cut_offs, passed, output="sos", fs=fs_hz))
    return sections, _floats(sosfilt_zi(sections))[:, None, :]


def _floats(value: Any) -> NDArray[np.float64]:
    """Give SciPy's loosely typed result the type it has."""
    import numpy as np

    return np.asarray(value, np.float64)


def _zscore(signal_LT: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    centred = signal_LT - signal_LT.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    scaled = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > FLAT)
    return _floats(scaled)


def resample(signal_LT: NDArray[np.float64], fs_hz: int, target_hz: int) -> NDArray[np.float64]:
    """Polyphase resampling with SciPy's anti-aliasing filter.

    From (leads, samples) to (leads, ceil(samples x target_hz / fs_hz)).
    """
    if fs_hz == target_hz:
        return signal_LT
    from scipy.signal import resample_poly

    ratio = Fraction(target_hz, fs_hz)
    # The ends are continued by the mean so that an offset does not ring there.
    resampled = resample_poly(
        signal_LT, ratio.numerator, ratio.denominator, axis=-1, padtype="mean"
    )
    return _floats(resampled)


def _resample_fft(
    signal_LT: NDArray[np.float64], fs_hz: int, target_hz: int
) -> NDArray[np.float64]:
    """Resampling by cutting or zero-padding the spectrum; the signal counts as periodic."""
    if fs_hz == target_hz:
        return signal_LT
    from scipy.signal import resample as resample_spectrum

    samples = -(-signal_LT.shape[-1] * target_hz // fs_hz)
    return _floats(resample_spectrum(signal_LT, samples, axis=-1))
