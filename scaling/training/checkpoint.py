"""Checkpoints: what a training that was killed goes on from, with the same numbers.

Bit for bit they are the same with the same number of threads: sums are cut by it.

One safetensors file (JSON in its metadata, never a pickle) holds everything a run's next step
depends on, and a hash of it all. It is replaced atomically, so that a kill at any moment leaves
the one before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from scaling.records.files import write_whole

FORMAT = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a run stands."""

    tensors: dict[str, Tensor]  # weights, optimiser moments, states of random generators, by name
    values: dict[str, Any]  # the rest, JSON values; floats come back as they were


class Checkpoint:
    """The checkpoint file of one training.

    Args:
        path: where it is kept.
        every_s: least seconds between two of them.
        made_for: what must be the same for its numbers to be: training id, library, device.
        made_with: what may differ, though the last digits of numbers then may as well: threads.
        lacks: says what keeps a run from going on from a state; empty where nothing does.
        clock: seconds, monotonic.

    Attributes:
        spent_s: seconds that earlier attempts trained before the state that ``load`` returned.
        note: what ``load`` has to say to the user; empty where there was nothing.
    """

    def __init__(
        self,
        path: Path,
        every_s: float,
        made_for: dict[str, str],
        clock: Callable[[], float] = time.monotonic,
        *,
        made_with: dict[str, str] | None = None,
        lacks: Callable[[State], str] = lambda state: "",
    ) -> None:
        self.path, self.every_s = path, every_s
        self.made_for = {"format": str(FORMAT)} | made_for
        self.made_with = dict(made_with or {})
        self.lacks = lacks
        self.clock = clock
        self.began = self.last = clock()
        self.spent_s = 0.0
        self.note = ""

    def load(self) -> State | None:
        """The state to go on from, or None; ``note`` says what was found."""
        try:
            with safe_open(self.path, framework="pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            made_for, values = json.loads(about["made_for"]), json.loads(about["values"])
            intact = about["sha256"] == _digest(tensors, about["made_for"] + about["values"])
            made_with = json.loads(about.get("made_with", "{}"))
            spent_s = float(about["spent_s"])
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            self.note = self._unusable(f"cannot be read ({error})")
            return None
        if not intact:
            self.note = self._unusable("is damaged (its hash differs)")
            return None
        state = State(tensors=tensors, values=values)
        why = self._differences(made_for)
        if why := f"is another run's: {why}" if why else self.lacks(state):
            self.note = self._unusable(why)
            return None
        self.spent_s = spent_s
        self.note = f"went on at step {values['steps']} from the checkpoint of an earlier attempt"
        self.note += self._mixed(made_with)
        return state

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Write ``state()`` when ``every_s`` have gone by since the last.

        Raises:
            OSError: no space; the checkpoint before is left as it was.
        """
        if self.clock() - self.last >= self.every_s:
            self.save(state)

    def save(self, state: Callable[[], State]) -> None:
        """Write ``state()``.

        Raises:
            OSError: no space; the checkpoint before is left as it was.
        """
        found = state()
        tensors = {name: _alone(value) for name, value in found.tensors.items()}
        made_for, values = json.dumps(self.made_for), json.dumps(found.values)
        about = {
            "made_for": made_for,
            "made_with": json.dumps(self.made_with),
            "values": values,
            "spent_s": repr(self.seconds()),
            "sha256": _digest(tensors, made_for + values),
        }
        write_whole(self.path, save(tensors, about))
        self.last = self.clock()

    def seconds(self) -> float:
        """Seconds trained up to now, over all attempts."""
        return self.spent_s + self.clock() - self.began

    def _differences(self, found: dict[str, str]) -> str:
        """What differs from a checkpoint ``found``, in words."""
        names = sorted(set(found) | set(self.made_for))
        return ", ".join(
            f"{name} {found.get(name)} instead of {self.made_for.get(name)}"
            for name in names
            if found.get(name) != self.made_for.get(name)
        )

    def _mixed(self, found: dict[str, str]) -> str:
        """What earlier attempts were made with, where it differs; later checkpoints keep it."""
        differ = []
        for name, ours in self.made_with.items():
            theirs = found.get(name, ours)
            if theirs != ours:
                differ.append(f"with {name} {theirs} instead of {ours}")
                known = theirs.split(", ")
                self.made_with[name] = ", ".join(known if ours in known else [*known, ours])
        return f", made {' and '.join(differ)}: last digits may differ" if differ else ""

    def _unusable(self, why: str) -> str:
        return f"the checkpoint {self.path} {why}; the training started over"


def _alone(value: Tensor) -> Tensor:
    """A copy on the CPU that shares memory with no other tensor."""
    return value.detach().to("cpu", copy=True).contiguous()


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
