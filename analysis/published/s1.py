"""What "How Do Electrocardiogram Models Scale?" (S1) prints, where its digits can still be read."""

from __future__ import annotations

Kind = tuple[str, str]
_KINDS: tuple[Kind, ...] = (
    ("transformer", "sl"), ("resnet", "sl"), ("transformer", "ssl"), ("resnet", "ssl"),
)  # fmt: skip

# Table S.7: transfer exponent (Eq. 4) by task; 0.050, printed eight times, looks like the lower
# bound of its fits. Columns in the order of ``_KINDS``.
_TABLE_S7: dict[str, tuple[float, float, float, float]] = {
    "cpsc2018": (0.174, 0.200, 0.433, 0.224),
    "csn": (0.088, 0.141, 0.443, 0.376),
    "ptbxl:diagnostic": (0.075, 0.164, 0.495, 0.050),
    "ptbxl:subclass": (0.094, 0.118, 0.558, 0.050),
    "ptbxl:superclass": (0.105, 0.199, 0.535, 0.301),
    "ptbxl:form": (0.480, 0.138, 1.628, 0.060),
    "ptbxl:rhythm": (0.162, 0.174, 0.209, 0.341),
    "echonext": (0.050, 0.051, 0.339, 0.347),
    "mimic:icu": (0.050, 0.050, 0.050, 0.401),
    "mimic:mortality": (0.057, 0.175, 0.050, 0.438),
    "mimic:sex": (0.075, 0.050, 0.384, 0.383),
}
KAPPA_BOUND = 0.050
# Table S.7: mean over the eleven tasks, as printed.
KAPPA: dict[Kind, float] = dict(zip(_KINDS, (0.128, 0.133, 0.466, 0.270), strict=True))
# Section 5: share of marginal compute that goes to data, alpha / (alpha + beta), for the one task
# of Figure 5 (our text does not name it); "these trends hold across the remaining OOD datasets".
DATA_SHARE: dict[Kind, float] = {
    ("transformer", "sl"): 0.90, ("resnet", "sl"): 0.79, ("transformer", "ssl"): 0.27,
}  # fmt: skip
# Tables S.5 and S.6: on how many of the eleven tasks a ResNet's loss is the lowest of the four, by
# bin of size (five) and of data (six), smallest first. Counted from the printed losses.
LOWEST_BY_SIZE = (9, 11, 9, 7, 7)
LOWEST_BY_DATA = (10, 10, 9, 9, 9, 9)
TASKS = 11
# Table S.5: mean over tasks of log(Transformer-SSL's loss / ResNet-SSL's) by bin of size.
GAP_BY_SIZE = (0.022, 0.138, 0.086, 0.067, 0.077)
# Tasks unlike those trained on (categories B to D of Table S.7).
UNSEEN = ("echonext", "mimic")


def kappa(task: str) -> dict[Kind, float]:
    """Transfer exponents of Table S.7 for a task such as ``virtual/mimic:sex``; {} if unknown."""
    corpus, _, label = task.rsplit("/", 1)[-1].partition(":")
    for name in (f"{corpus}:{label}", corpus):
        if name in _TABLE_S7:
            return dict(zip(_KINDS, _TABLE_S7[name], strict=True))
    return {}


def unseen(task: str) -> bool:
    """Whether a task is of a kind unlike the diagnoses trained on, by its corpus' name."""
    return task.rsplit("/", 1)[-1].partition(":")[0].startswith(UNSEEN)
