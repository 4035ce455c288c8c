"""Label sets: which classes of a long-tailed task are trained on (S1, section 4.2, label scaling).

S1 asks what more labels do to the classes one cares about: a core of classes is fixed, the most
frequent or the least frequent ones, and other classes are added at random until the set holds a
given share of all. A name says which: ``dominant-0.1`` is the core of the most frequent classes
alone, ``dominant-1.0`` all classes; ``tail-0.02`` is the core of the rarest classes alone.

* **dominant-<share>**: the classes are all classes of the task. Core: the 10 % with the most
  positive records.
* **tail-<share>**: classes with fewer than 10 positive records are left out first, and shares
  are of what remains. Core: the 2 % with the fewest positive records.

Shares become numbers of classes by rounding halves up, and are at least one class. Where
classes are equally frequent, the one that comes first in the task counts as more frequent. The
others join in one fixed random order (of the SHA-256 of seed and place in the task), so that
the sets of one kind are nested. Frequencies are those of the whole training split of the
corpus, whatever D is: every data size trains the same classes. Standard library only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

CORES = {"dominant": 0.10, "tail": 0.02}
TAIL_POSITIVES = 10  # a class of the tail has at least so many
SEED = 0


def parse(label_set: str) -> tuple[str, float]:
    """Kind of a name such as ``tail-0.3``, and share of the classes, from its core's to 1.

    Raises:
        ValueError: another kind, no number, or a share below the core's or above 1.
    """
    kind, _, number = label_set.partition("-")
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if kind not in CORES or math.isnan(share):
        raise ValueError(
            f"label set {label_set!r} is not of the form dominant-SHARE or tail-SHARE, "
            "such as dominant-0.3"
        )
    if not CORES[kind] <= share <= 1.0:
        raise ValueError(
            f"label set {label_set!r}: the share of a {kind} set is from {CORES[kind]:g}, "
            f"its fixed core, to 1"
        )
    return kind, share


def choose(label_set: str, counts: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places of the classes of a label set and of its core, in the order of ``counts``.

    These are the positive records of each class in the training split. The rule is above.

    Raises:
        ValueError: a name that cannot be read, or no class with enough positive records.
    """
    kind, share = parse(label_set)
    rarest_first = sorted(range(len(counts)), key=lambda place: (counts[place], -place))
    if kind == "tail":
        rarest_first = [place for place in rarest_first if counts[place] >= TAIL_POSITIVES]
    if not rarest_first:
        few = f" with at least {TAIL_POSITIVES} positive records" * (kind == "tail")
        raise ValueError(f"label set {label_set!r}: the training split has no class{few}")
    fixed = _share_of(CORES[kind], len(rarest_first))
    core = rarest_first[:fixed] if kind == "tail" else rarest_first[-fixed:]
    others = sorted(set(rarest_first) - set(core), key=_shuffled)
    chosen = [*core, *others[: _share_of(share, len(rarest_first)) - fixed]]
    return tuple(sorted(chosen)), tuple(sorted(core))


def columns(have: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Places of the classes ``wanted`` among those a task has.

    Raises:
        ValueError: a class the task does not have.
    """
    places = {name: place for place, name in enumerate(have)}
    if unknown := [name for name in wanted if name not in places]:
        raise ValueError(f"the task has no class {unknown[0]!r}; it has {', '.join(have)}")
    return [places[name] for name in wanted]


def _share_of(share: float, classes: int) -> int:
    # The small term keeps 0.3 x 15 = 4.499... at the half that it is.
    return max(1, math.floor(share * classes + 0.5 + 1e-9))


def _shuffled(place: int) -> bytes:
    return hashlib.sha256(f"{SEED}/{place}".encode()).digest()
