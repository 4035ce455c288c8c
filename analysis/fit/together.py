"""Several laws fitted at once, with parameters in common.

S1 fits its marginal laws (Eq. 2) with the E of the joint one (Eq. 1): that is ``joint``,
``model`` and ``data`` with ``shared=("E",)``. A loss-to-loss law whose floors are those of two
joint laws is another: each floor is then told by its own curve and by the pairs, and its
interval holds both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.laws import Law, get
from analysis.laws.composite import PART, Composite
from analysis.runs.read import law_columns
from analysis.studies.checked_rows import Data, at_largest, checked_rows
from analysis.studies.clusters import run_column
from analysis.text.numbers import Interval

RESPONSE = "loss"
_CLOSEST = 1e-3  # scatter below which a part is not weighted up further


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Laws fitted together.

    Attributes:
        fit: of the composite law; its parameters are the shared ones and ``part.name``.
        laws: by part.
        shared: for each shared parameter, its name in each part.
    """

    fit: Fit
    laws: dict[str, Law]
    shared: dict[str, dict[str, str]]

    def _key(self, part: str, name: str) -> str:
        for key, parts in self.shared.items():
            if parts.get(part) == name:
                return key
        return f"{part}.{name}"

    def params(self, part: str) -> dict[str, float]:
        """Natural parameters of a part, by the names of its law."""
        return {n: self.fit.params[self._key(part, n)] for n in self.laws[part].names}

    def intervals(self, part: str) -> dict[str, Interval]:
        """95 % intervals of the parameters of a part."""
        return {n: self.fit.intervals[self._key(part, n)] for n in self.laws[part].names}

    def predict(self, part: str, **scales: float | Sequence[float]) -> pd.DataFrame:
        """Predict a part's response, as ``Fit.predict`` does.

        Raises:
            ValueError: a scale is missing or not positive, or no such part.
        """
        if part not in self.laws:
            raise ValueError(f"no part {part!r}: there is {', '.join(self.laws)}")
        law = self.laws[part]
        for axis in [*law.axes, *scales]:
            if (axis in scales) != (axis in law.axes):
                verb = "needs" if axis in law.axes else "does not take"
                raise ValueError(f"{law.name} {verb} {axis}: {law.formula}")
        number = float(list(self.laws).index(part) + 1)
        others = {a: 1.0 for a in self.fit.law.axes if a not in (*scales, PART)}
        found = self.fit.predict(**scales, **others, **{PART: number})
        return found.drop(columns=[*others, PART]).rename(columns={RESPONSE: law.response})

    def table(self) -> pd.DataFrame:
        """Every parameter of every part: value, low, high, whether shared."""
        rows: list[dict[str, Any]] = []
        for part in self.laws:
            ends = self.intervals(part)
            for name, value in self.params(part).items():
                rows.append({
                    "part": part, "parameter": name, "value": value, "low": ends[name].low,
                    "high": ends[name].high, "shared": self._key(part, name) in self.shared,
                })  # fmt: skip
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        return self.table().to_string(index=False)

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False)


def fit_together(
    parts: Mapping[str, tuple[Data | str | Path, str | Law]],
    shared: Sequence[str] | Mapping[str, Mapping[str, str]],
    **options: Any,
) -> Together:
    """Fit the laws of several parts at once.

    Parts are weighted by the inverse variance of their scatter when fitted alone, so that none
    is drowned by a noisier one. Rows of one trial in several parts are one run: resamples take
    or leave them together.

    Args:
        parts: data (a frame, columns, a file or a results folder) and law by part.
        shared: names of parameters that are the same in every part that has them, or for each
            shared parameter its name in each part.
        **options: of ``fit_law``: ``loss``, ``delta``, ``fixed``, ``limits``, ``n_boot``, ``seed``.

    Raises:
        ValueError: no parts, data that no law can be fitted to, or parameters that cannot be
            shared.
    """
    if not parts:
        raise ValueError("no parts to fit")
    laws = {part: get(law) if isinstance(law, str) else law for part, (_, law) in parts.items()}
    if "weights" in options:
        raise ValueError("parts are weighted by their scatter: weights cannot be given")
    frames, said, kept = [], list[str](), set(options) & {"loss", "delta", "residual"}
    alone = {k: options[k] for k in kept}
    for number, (part, (data, _)) in enumerate(parts.items(), start=1):
        law = laws[part]
        columns, doubts, _, _ = law_columns(data, law)
        linear = options.get("residual", law.residual) == "linear"
        frame, warnings, notes = checked_rows(columns, law, None, "held-out", linear=linear)
        said += [f"{part}: {text}" for text in (*doubts, *warnings)]
        if run_column(pd.DataFrame(dict(columns)), law) is None:
            frame["trial"] = f"{part} " + frame["trial"]  # rows of two parts are two runs
        frame, _ = at_largest(frame, law, notes)
        single = fit_law(frame, law, n_boot=0, **alone)
        if not single.ok:
            raise ValueError(f"{part}: {'; '.join(single.remarks)}")
        own = frame[["trial", *law.axes]].assign(**{RESPONSE: frame[law.response]})
        weight = 1.0 / max(single.scatter, _CLOSEST) ** 2
        frames.append(own.assign(**{PART: float(number), "weight": weight}))
    rows = pd.concat(frames, ignore_index=True).fillna(1.0)
    names = _shared(laws, shared)
    law = Composite(laws, names)
    fit = fit_law(rows, law, weights="weight", **options)
    fit = dataclasses.replace(fit, remarks=(*said, *fit.remarks))
    return Together(fit=fit, laws=laws, shared=names)


def _shared(
    laws: Mapping[str, Law], shared: Sequence[str] | Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    if isinstance(shared, Mapping):
        return {name: dict(parts) for name, parts in shared.items()}
    found = {name: {p: name for p, law in laws.items() if name in law.names} for name in shared}
    for name, having in found.items():
        if len(having) < 2:
            raise ValueError(f"{name} is a parameter of {len(having)} part, nothing to share")
    return found
