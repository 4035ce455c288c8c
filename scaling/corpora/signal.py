"""Filters, resampling, lead order and quantisation; the named preprocessing presets.

A ``Preprocessing`` is a value stored with every corpus. Importing this module needs only
the standard library, so that a grid can be checked without numpy.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from scaling.corpora.errors import CorpusError
from scaling.identity import LEADS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MV_PER_LSB = 0.001
CLIP_LSB = 32_700  # 32.7 mV; leaves -32768 free, which format 16 uses for a missing sample
NOTCH_QUALITY = 30.0

_BY_NAME = {name.upper(): name for name in LEADS}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What is done to a recording before it is stored. Filters have zero phase.

    Filters run at the source's own rate, in the order of the attributes, then the signal is
    resampled. One that cannot exist at that rate (a notch at or above the Nyquist frequency)
    is left out: there is nothing there to remove.

    Attributes:
        name: name of the preset.
        version: raised when the numbers change.
        highpass_hz: cut-off of a second-order Butterworth that removes the baseline, run
            forwards and backwards; None for none.
        notch_hz: power-line frequency, removed with quality 30; None for none.
        lowpass_hz: cut-off of a fourth-order Butterworth, run both ways; None for none.
        scaling: ``mv`` keeps millivolts; nothing is normalised per record.
        leads: lead names stored, in order.
    """

    name: str
    version: int = 1
    highpass_hz: float | None = None
    notch_hz: float | None = None
    lowpass_hz: float | None = None
    scaling: Literal["mv"] = "mv"
    leads: tuple[str, ...] = LEADS

    def to_dict(self) -> dict[str, Any]:
        """JSON form, stored in corpora, checkpoints and records."""
        return dataclasses.asdict(self) | {"leads": list(self.leads)}

    def apply(
        self, signal_LT: NDArray[Any], fs_hz: int, target_hz: int, samples: int
    ) -> NDArray[np.float64]:
        """Filter, resample and crop one recording whose leads are already in order.

        Args:
            signal_LT: (leads, samples at ``fs_hz``) in millivolts.
            fs_hz: its sampling rate in hertz.
            target_hz: sampling rate wanted.
            samples: samples per lead wanted; the first ones are kept.

        Returns:
            (leads, ``samples``) in millivolts.

        Raises:
            CorpusError: the recording is shorter than what is wanted.
        """
        import numpy as np

        available = -(-signal_LT.shape[-1] * target_hz // fs_hz)
        if available < samples:
            raise CorpusError(
                f"{signal_LT.shape[-1] / fs_hz:g} s long, but the corpus asks for "
                f"{samples / target_hz:g} s: choose a shorter window_s"
            )
        filtered = self._filter(np.asarray(signal_LT, np.float64), fs_hz)
        return resample(filtered, fs_hz, target_hz)[..., :samples]

    def _filter(self, signal_LT: NDArray[np.float64], fs_hz: int) -> NDArray[np.float64]:
        from scipy.signal import sosfiltfilt

        for kind, cutoff_hz in (
            ("highpass", self.highpass_hz),
            ("notch", self.notch_hz),
            ("lowpass", self.lowpass_hz),
        ):
            if cutoff_hz is None or cutoff_hz >= fs_hz / 2:
                continue
            # As long as the filter rings, or the transient of the edges reaches the signal.
            periods = NOTCH_QUALITY if kind == "notch" else 1.0
            pad = min(signal_LT.shape[-1] - 1, max(round(periods * fs_hz / cutoff_hz), 15))
            sections = _sections(kind, cutoff_hz, fs_hz)
            signal_LT = _floats(sosfiltfilt(sections, signal_LT, axis=-1, padlen=pad))
        return signal_LT


@functools.cache
def _sections(kind: str, cutoff_hz: float, fs_hz: int) -> NDArray[np.float64]:
    """Second-order sections of one filter."""
    from scipy.signal import butter, iirnotch, tf2sos

    if kind == "notch":
        b, a = iirnotch(cutoff_hz, NOTCH_QUALITY, fs=fs_hz)
        return _floats(tf2sos(b, a))
    if kind == "highpass":
        return _floats(butter(2, cutoff_hz, "highpass", output="sos", fs=fs_hz))
    return _floats(butter(4, cutoff_hz, "lowpass", output="sos", fs=fs_hz))


def _floats(value: Any) -> NDArray[np.float64]:
    """Give SciPy's loosely typed result the type it has."""
    import numpy as np

    return np.asarray(value, np.float64)


def resample(signal_LT: NDArray[np.float64], fs_hz: int, target_hz: int) -> NDArray[np.float64]:
    """Polyphase resampling with SciPy's anti-aliasing filter.

    Args:
        signal_LT: (leads, samples).
        fs_hz: its rate in hertz.
        target_hz: the rate wanted in hertz.

    Returns:
        (leads, ceil(samples x target_hz / fs_hz)).
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


def lead_order(names: Sequence[str], wanted: Sequence[str] = LEADS) -> list[int]:
    """Positions of the wanted leads among ``names``; upper case (AVR) is accepted.

    Raises:
        CorpusError: an unknown, repeated or missing lead, by name.
    """
    known: dict[str, int] = {}
    for position, name in enumerate(names):
        lead = _BY_NAME.get(name.strip().upper())
        if lead is None:
            raise CorpusError(f"unknown lead {name!r}; the leads are {', '.join(LEADS)}")
        if lead in known:
            raise CorpusError(f"lead {lead} appears twice")
        known[lead] = position
    if absent := [lead for lead in wanted if lead not in known]:
        raise CorpusError(f"lead {', '.join(absent)} is missing")
    return [known[lead] for lead in wanted]


def quantise(signal_mv: NDArray[Any]) -> tuple[NDArray[np.int16], int]:
    """Round millivolts to 1 uV steps, clipped at +-32.7 mV; also the number of clipped samples.

    Raises:
        CorpusError: a sample is not finite.
    """
    import numpy as np

    steps = np.rint(np.asarray(signal_mv, np.float64) / MV_PER_LSB)
    if not np.isfinite(steps).all():
        raise CorpusError(f"{int((~np.isfinite(steps)).sum())} samples are NaN or infinite")
    clipped = int((np.abs(steps) > CLIP_LSB).sum())
    return np.clip(steps, -CLIP_LSB, CLIP_LSB).astype(np.int16), clipped


PRESETS: dict[str, Preprocessing] = {
    preset.name: preset
    for preset in (
        Preprocessing(name="none"),
        Preprocessing(name="s1", highpass_hz=0.5, notch_hz=60.0),
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
