"""What a recorder does to an ECG, as plain numbers. Needs only the standard library."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The recorder and what it picks up; amplitudes in millivolts rms at an electrode.

    Amplitudes are medians over records; a spread is the standard deviation of their
    logarithm. Noise is that of electrodes, so every lead identity holds in the noisy record.

    Attributes:
        white_mv: white electronic and contact noise in the band of the recording.
        muscle_mv: muscle noise, coloured, with bursts.
        limbs: muscle noise of the limb electrodes as a multiple of that of the chest's.
        tremor_mv: muscle noise between the two arms, which the terminal of V1 to V6 cancels.
        wander_mv: baseline wander: drift of the electrodes, 1/f-like, below about 1 Hz.
        respiration_mv: baseline wander at the respiratory rate.
        mains_mv: power-line residue and its third harmonic.
        mains_hz: power-line frequency, 50 or 60.
        spread: of the log amplitudes between records, but for muscle noise and tremor.
        muscle_spread: of these two.
        pops_per_min: steps of a contact that decay within a second.
        loss: share of records in which one electrode loses contact for part of the time.
        motion_mv: motion artefact of a wearable, 0.5 to 8 Hz, in episodes.
        gain_error: standard deviation of the gain of leads I, II, V1 to V6 around one.
        low_pass_hz: -3 dB frequency of the recorder's Gaussian low-pass; 0 for none.
        high_pass_hz: corner of its first-order high-pass; 0 for none.
        step_mv: resolution of the converter; 0 for none.
        range_mv: leads are clipped at plus and minus this; 0 for no limit.

    Raises:
        ValueError: a number that is negative or not finite, a share above one, mains hum without
            a frequency, or a band or a range that leaves nothing.
    """

    white_mv: float = 0.005
    muscle_mv: float = 0.008
    limbs: float = 1.0
    tremor_mv: float = 0.0
    wander_mv: float = 0.05
    respiration_mv: float = 0.03
    mains_mv: float = 0.004
    mains_hz: float = 60.0
    spread: float = 0.6
    muscle_spread: float = 0.6
    pops_per_min: float = 0.2
    loss: float = 0.0
    motion_mv: float = 0.0
    gain_error: float = 0.02
    low_pass_hz: float = 150.0
    high_pass_hz: float = 0.05
    step_mv: float = 0.005
    range_mv: float = 10.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value):
                raise ValueError(f"{field.name} {value} is not finite; 0 stands for none")
            if value < 0.0:
                raise ValueError(f"{field.name} {value:g} is negative")
        if self.loss > 1.0:
            raise ValueError(f"loss {self.loss:g} is a share of the records, at most 1")
        if self.mains_mv > 0.0 and not self.mains_hz > 0.0:
            raise ValueError(f"mains_mv {self.mains_mv:g} needs the frequency mains_hz")
        if 0.0 < self.low_pass_hz <= self.high_pass_hz:
            raise ValueError(
                f"low_pass_hz {self.low_pass_hz:g} leaves nothing of what high_pass_hz "
                f"{self.high_pass_hz:g} lets through"
            )
        if 0.0 < self.range_mv <= self.step_mv:
            raise ValueError(
                f"step_mv {self.step_mv:g} is as large as range_mv {self.range_mv:g}: nothing "
                "but zero and the limits could be told"
            )
