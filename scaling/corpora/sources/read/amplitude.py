"""Refuse signals that cannot be an ECG in the unit they are said to have.

For files without a checksum this is what shows a wrong unit, a wrong gain or swapped bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import UnusableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Standard deviation of a lead. In millivolts an ECG has 0.05 to 1, standardised about 1; beyond
# these bounds in every lead the unit is wrong.
LEAST, LARGEST = 0.001, 30.0
DAMAGED = "the file is damaged, its bytes are swapped, or it is in another unit"


def check_amplitude(signal_LT: NDArray[Any], where: str, advice: str = DAMAGED) -> None:
    """Check that the leads vary as those of an ECG do; leads that never change say nothing.

    Args:
        signal_LT: (leads, samples), in millivolts or standardised.
        where: file or record, for the message.
        advice: what may be wrong, for the message.

    Raises:
        UnusableError: every lead that changes at all is far from an ECG's amplitude.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):  # swapped bytes give any number at all
        signal_LT = np.asarray(signal_LT, np.float64)
        present = signal_LT[:, np.isfinite(signal_LT).all(axis=0)]
        spread = present.std(axis=1) if present.size else np.zeros(1)
    spread = spread[spread > 0]
    if not len(spread) or (spread.max() >= LEAST and spread.min() <= LARGEST):
        return
    raise UnusableError(
        f"{where}: its leads vary by {spread.min():.3g} to {spread.max():.3g} "
        f"(standard deviation), which no ECG does: {advice}"
    )
