"""What ``precision: bf16`` costs where it is emulated. No torch needed: plans say it as well."""

from __future__ import annotations


def emulated(avx512: bool) -> str:
    """What to expect and what to do, for the end of a sentence on a processor without bf16.

    Args:
        avx512: whether it has AVX512, with which oneDNN emulates bf16; without it PyTorch
            converts every number itself.
    """
    times, measured = ("1 to 3", "AVX512 alone") if avx512 else ("3 to 11", "AVX2 alone")
    return (
        f"bf16 is emulated, and with {measured} a training step took {times} times as long as in "
        "float32 (docs/training.md); set precision: float32 in the recipe"
    )
