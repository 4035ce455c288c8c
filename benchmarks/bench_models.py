"""Seconds of a training step of each laptop size, and model-FLOPs utilisation on a GPU.

``python -m benchmarks.bench_models`` takes a minute: batch 64, 12 x 500 samples, one thread,
medians, in processor seconds, which other programs on the machine do not stretch. With CUDA it
also prints the utilisation of the largest ResNet and Transformer at 12 x 1000 samples in bf16:
C of a step (6 x MACs x batch) over its seconds and the GPU's peak.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from scaling.cost import count, training_flops
from scaling.models import sizes
from scaling.models.families import build
from scaling.objectives.labels import Classifier

sys.path.insert(0, str(Path(__file__).resolve().parent))  # also as a module

from hearts import hearts

LEADS, LABELS, WARM, STEPS = 12, 6, 3, 9
LAPTOP = [("resnet", size) for size, shape in sizes.RESNET.items() if shape.laptop]
LAPTOP += [("transformer", size) for size, shape in sizes.TRANSFORMER.items() if shape.laptop]
LAPTOP += [("convtx", size) for size, shape in sizes.CONVTX.items() if shape.laptop]
LARGEST = (("resnet", "d7w1024"), ("transformer", "l8d768h8"))
# Dense bf16 FLOP/s as their makers state them; the first name found in the device's counts.
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12}


class Step:
    """One training step of a classifier on random records.

    Args:
        family: architecture.
        size: point on its ladder.
        samples: per lead.
        batch: records.
        device: where.
        bf16: autocast.
    """

    def __init__(
        self, family: str, size: str, samples: int, batch: int, device: torch.device, bf16: bool
    ) -> None:
        torch.manual_seed(0)
        self.model = Classifier(build(family, size, LEADS), LABELS).to(device)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.x_BLT = torch.randn(batch, LEADS, samples, device=device)
        self.peaks_BP = hearts(batch, samples)
        self.labels_BC = (torch.rand(batch, LABELS, device=device) < 0.2).float()
        self.device, self.bf16 = device, bf16

    def run(self) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits_BC = self.model(self.x_BLT, self.peaks_BP)
        loss = binary_cross_entropy_with_logits(logits_BC.float(), self.labels_BC)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def seconds(self) -> float:
        """Median of ``STEPS`` steps after a few to warm up."""
        cuda, times = self.device.type == "cuda", []
        clock = time.perf_counter if cuda else time.process_time
        for _ in range(WARM + STEPS):
            began = clock()
            self.run()
            if cuda:
                torch.cuda.synchronize(self.device)
            times.append(clock() - began)
        return statistics.median(times[WARM:])


def laptop() -> None:
    print(f"training step in ms, batch 64, {LEADS} x 500, one thread")
    print(f"{'size':<14}{'N':>9}{'MMAC':>8}{'float32':>9}{'bf16':>7}{'bf16 GFLOP/s':>14}")
    for family, size in LAPTOP:
        counts = count(family, size, LEADS, 500, LABELS)
        exact, rough = (
            Step(family, size, 500, 64, torch.device("cpu"), bf16).seconds()
            for bf16 in (False, True)
        )
        rate = training_flops(counts.macs, 64, 1) / rough / 1e9
        macs, ms = counts.macs / 1e6, 1e3 * exact
        print(f"{size:<14}{counts.N:>9,}{macs:>8.1f}{ms:>9.1f}{1e3 * rough:>7.1f}{rate:>14.1f}")


def utilisation(device: torch.device, batch: int = 256) -> None:
    name = torch.cuda.get_device_name(device)
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    print(f"{name}: batch {batch}, {LEADS} x 1000, bf16")
    for family, size in LARGEST:
        seconds = Step(family, size, 1000, batch, device, True).seconds()
        rate = training_flops(count(family, size, LEADS, 1000, LABELS).macs, batch, 1) / seconds
        share = f"{rate / peak:.1%} of {peak / 1e12:.0f}" if peak else "peak of this GPU not known"
        print(f"{family} {size}: {1e3 * seconds:.1f} ms, {rate / 1e12:.1f} TFLOP/s ({share})")


def main() -> int:
    torch.set_num_threads(1)
    laptop()
    if not torch.cuda.is_available():
        print("skipped: model-FLOPs utilisation needs CUDA")
        return 0
    utilisation(torch.device("cuda"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
