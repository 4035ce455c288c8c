"""Where a trial runs, and whether bf16 is fast there."""

from __future__ import annotations

import torch

from scaling.bf16 import emulated

BF16 = ("avx512_bf16", "amx_bf16", "bf16")  # as PyTorch names what x86 and ARM have


def pick_device() -> torch.device:
    """CUDA when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What the record says: the GPU's name, or the CPU with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu x{torch.get_num_threads()}"


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 numbers itself (AVX512-BF16, AMX or their like)."""
    found = torch.cpu.get_capabilities()
    return _onednn_takes_bf16() and any(found.get(name) for name in BF16)


def _onednn_takes_bf16() -> bool:
    """Whether oneDNN computes in bf16: also with AVX512 alone, where it emulates it."""
    # Builds without oneDNN, such as those for Apple's processors, do not have the operator at all.
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def bf16_note(device: torch.device) -> str:
    """What to tell the user of a bf16 recipe on ``device``; empty where its hardware has bf16."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return ""
        advice = "precision: float32 in the recipe is likely faster"
    elif cpu_has_bf16():
        return ""
    else:
        advice = emulated(avx512=_onednn_takes_bf16())
    return f"{device_name(device)} has no bf16 arithmetic: {advice}"
