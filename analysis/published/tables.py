"""Tables printed in the papers, as typed frames, and checks of what the papers derive from them.

The numbers are the CSV files beside this module, one per table, with the digits as printed. What
each table is (source, units, columns, losses) is in ``TABLES``. Headers lost in our text of a
paper are not guessed: bins are numbered, and what is missing is said in ``notes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from scaling.records.tables import typed

S1 = 'S1, "How Do Electrocardiogram Models Scale?"'
S2 = 'S2, "Approaching Low-Cost Cardiac Intelligence with Semi-Supervised Knowledge Distillation"'
S3 = 'S3, "Resource-Efficient ECG Foundation Networks via Layer-wise Adaptive Compression"'
REPEATS = 3  # a printed minimum this frequent is a bound rather than a coincidence
_S2_OWN = "LiteHeart"
_FOLDER = Path(__file__).parent
_NOTES = {
    ("s2_e3", "smallest margin"): "the text says 6.7 % to 10.71 % over the best other method; the "
    "table's smallest margin is on Chapman (51.17 - 46.86, over PSM)",
    ("s2_e3", "largest margin"): "the text says 6.7 % to 10.71 % over the best other method; the "
    "table's largest margin is on SMU (56.79 - 49.43, over PKT), and 10.71 is the margin over no "
    "method on any data set",
    ("s1_s9", "mean of s1_s9_ptbxl"): "S.9's ptbxl is the four-digit mean rounded again",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """One printed table.

    Attributes:
        name: of the table here, and of its CSV file.
        paper: short name and title.
        number: as printed in the paper.
        caption: as printed where our text has it, else what the table shows.
        units: of the values.
        dtypes: pandas dtype by column, in the order of the file.
        meaning: what the columns are that do not speak for themselves.
        notes: what our text lost, and what is odd about the numbers.
        fitted: values of ``quantity`` that are estimates of a fit, and so may lie at its bounds.
    """

    name: str
    paper: str
    number: str
    caption: str
    units: str
    dtypes: Mapping[str, str]
    meaning: Mapping[str, str]
    notes: str
    fitted: tuple[str, ...] = ()


_KIND = {"architecture": "string", "paradigm": "string"}
_KIND_MEANING = {
    "task": "corpus:label, as in the names of our own tasks",
    "architecture": "transformer or resnet", "paradigm": "of pre-training: sl or ssl",
}  # fmt: skip
_LOSS_UNITS = "cross-entropy of a linear probe on the test split, nats; lower is better"
_BINS_LOST = "bins smallest first, edges lost: the header of our text is empty; "


def _s1() -> list[Table]:
    losses = "out-of-distribution loss of the four configurations on eleven tasks by bin of "
    return [
        Table(
            name="s1_s5", paper=S1, number="S.5", caption=losses + "model size",
            units=_LOSS_UNITS,
            dtypes={"size_bin": "Int64", "task": "string", **_KIND, "loss": "float64"},
            meaning={"size_bin": "1 to 5, smallest models first", **_KIND_MEANING},
            notes=_BINS_LOST + "the text says Transformer-SSL's loss is below Transformer-SL's "
            "in every bin, but in 3 of 55 it is not (mimic:mortality in bin 1; mimic:sex and "
            "ptbxl:rhythm in bin 2)",
        ),
        Table(
            name="s1_s6", paper=S1, number="S.6", caption=losses + "pre-training data",
            units=_LOSS_UNITS,
            dtypes={"data_bin": "Int64", "task": "string", **_KIND, "loss": "float64"},
            meaning={"data_bin": "1 to 6, fewest records first", **_KIND_MEANING},
            notes=_BINS_LOST + "on echonext, Transformer-SL and ResNet-SL agree to all four "
            "digits in bins 1, 3, 5 and 6, and ResNet-SL's 0.2245 there is below its lowest in "
            "S.5 (0.2284): one of the two columns looks copied. Transformer-SSL's loss is not "
            "below Transformer-SL's in 9 of 66, eight of them in bin 1",
        ),
        Table(
            name="s1_s7", paper=S1, number="S.7",
            caption="loss-to-loss fits of Eq. 4, K (ID loss - E_ID)^kappa, by task",
            units="K in nats^(1 - kappa); kappa and r2 without unit",
            dtypes={"category": "string", "task": "string", **_KIND, "quantity": "string",
                    "value": "float64"},
            meaning={
                "category": "A adult ECG interpretation, B cardiac structure and function, "
                "C acute care, D patient characteristics",
                **_KIND_MEANING, "quantity": "K, kappa (transfer exponent) or r2 (of the fit)",
            },
            notes="the header of the quantities is lost; their order is that of Eq. 4. The Mean "
            "and Std rows are in ``aggregates``. kappa 0.050 looks like a bound of the fits. The "
            "text calls mimic:sex the largest advantage of ResNet-SSL's kappa over ResNet-SL's, "
            "but here mimic:icu's is larger (0.401 against 0.050)",
            fitted=("K", "kappa"),
        ),
        Table(
            name="s1_s9", paper=S1, number="S.9",
            caption="benchmark of models trained from scratch and of fine-tuned foundation models",
            units="macro AUROC, 0 to 1",
            dtypes={"family": "string", "method": "string", "parameters": "Int64",
                    "records": "Int64", "paradigm": "string", "task": "string",
                    "auroc": "float64"},
            meaning={
                "family": "cnn or transformer", "parameters": "printed to 1 to 3 digits (1.9M)",
                "records": "of pre-training; none (printed as /) when trained from scratch",
                "task": "ptbxl is the mean over the five label sets of s1_s9_ptbxl",
            },
            notes="the printed Mean over the six columns is in ``aggregates``; the numbers of "
            "the few-shot setting (Appendix B.8) are all lost",
        ),
        Table(
            name="s1_s9_ptbxl", paper=S1, number="the table after S.9 (its own number is lost)",
            caption="the benchmark on the five label sets of PTB-XL",
            units="0 to 1",
            dtypes={"family": "string", "method": "string", "label_set": "string",
                    "metric": "string", "value": "float64"},
            meaning={"family": "cnn or transformer", "metric": "auroc or f1, macro"},
            notes="the printed macro-AUC (avg) is in ``aggregates``; has one method more than "
            "S.9 (Transformer)",
        ),
    ]  # fmt: skip


def _s2(number: int, labelled: str, external: bool) -> Table:
    what = "Cross-device external validation of" if external else "Comparison results between"
    return Table(
        name=f"s2_e{number}", paper=S2, number=f"Extended Data Table {number}",
        caption=f"{what} LiteHeart and the SOTA methods with {labelled}% labeled samples. The "
        "mean performance and standard deviations on 5 databases are shown across 4 seeds.",
        units="per cent (map and macro_*), fraction (ranking_loss), labels (coverage); the last "
        "two are better when smaller",
        dtypes={"table": "Int64", "labelled": "float64", "dataset": "string", "method": "string",
                "metric": "string", "mean": "float64", "sd": "float64"},
        meaning={
            "labelled": "share of the training records that have labels, 0 to 1",
            "dataset": "tested on" + (", after training on the other four" if external else ""),
            "mean": "over 4 seeds", "sd": "over 4 seeds; the paper does not say which convention",
        },
        notes="margins that the text quotes from the table are in ``aggregates``"
        + ("; the caption says 5 databases, the table has one, SMU" if external else ""),
    )  # fmt: skip


def _s3() -> list[Table]:
    metrics = "accuracy, precision, recall, f1, or compression (times smaller)"
    return [
        Table(
            name="s3_t1", paper=S3, number="1",
            caption="Comparison of performance and compression ratio (CR) of the Proposed "
            "ResNet1D Model and HuBERT ECG Model under different quantization and pruning "
            "settings.",
            units="0 to 1 (scores), ratio (compression)",
            dtypes={"model": "string", "scheme": "string", "level": "Int64", "metric": "string",
                    "value": "float64"},
            meaning={
                "scheme": "full, quantized, pruned, laq or lap",
                "level": "bits (quantized) or per cent of weights removed (pruned); else none",
                "metric": metrics,
            },
            notes="on Chapman, by the accuracies it shares with Table 2",
        ),
        Table(
            name="s3_t2", paper=S3, number="2",
            caption="Classification performance comparisons on Chapman and CPSC 2018 datasets.",
            units="per cent (scores), ratio (compression)",
            dtypes={"dataset": "string", "author": "string", "classes": "Int64",
                    "leads": "Int64", "method": "string", "metric": "string",
                    "value": "float64"},
            meaning={"author": "or the paper's own model", "metric": metrics},
            notes="cells printed as a dash have no row; Venkatesh et al.'s recall (98.49) fits "
            "neither its precision (93.96) nor its F1 (93.95)",
        ),
    ]  # fmt: skip


def _aggregates() -> Table:
    return Table(
        name="aggregates", paper="S1 and S2", number="S.7, S.9 and the one after; S2's text",
        caption="means, deviations and margins that the papers print beside their tables",
        units="those of the table",
        dtypes={"table": "string", "row": "string", "quantity": "string", "statistic": "string",
                "value": "float64"},
        meaning={
            "table": "the aggregate is of this table", "row": "a configuration or a method",
            "statistic": "mean or sd over tasks, margin over the best other method, or the "
            "smallest or largest margin over data sets",
        },
        notes="recomputed by ``tables.printed_aggregates``; S3 prints none",
    )  # fmt: skip


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            *_s1(),
            _s2(2, "10", False), _s2(3, "5", False),
            _s2(4, "10", True), _s2(5, "5", True), _s2(6, "2.5", True),
            *_s3(),
            _aggregates(),
        )
    }
)  # fmt: skip


def names() -> list[str]:
    """Names of all tables, for ``table``."""
    return list(TABLES)


def table(name: str) -> pd.DataFrame:
    """A printed table in tidy long form.

    Args:
        name: one of ``names()``.

    Returns:
        One row per printed number, in the order printed; columns and dtypes are those of
        ``TABLES[name]``, and ``attrs`` holds ``paper``, ``number`` and ``units``.

    Raises:
        ValueError: unknown name; the message lists the names.
    """
    about = _about(name)
    frame = typed(_path(name), _as_printed(name), about.dtypes)
    frame.attrs.update(paper=about.paper, number=about.number, units=about.units)
    return frame


def printed_aggregates() -> pd.DataFrame:
    """Every mean, deviation and margin a paper prints, beside the same from the table's rows.

    Returns:
        ``table``, ``row`` (configuration or method), ``quantity``, ``aggregate``, ``printed``,
        ``recomputed``, ``unit_last_digit`` (of ``printed``), ``reproduced_by`` (for a deviation
        ``ddof=0`` is the population's, ``ddof=1`` the sample's, and ``ddof=0 or 1`` when the
        digits do not tell; empty if nothing does), ``agrees`` and ``note``. ``agrees`` is true
        when the two differ by at most half a unit in the last printed digit plus what rounding
        the table's own digits can add.
    """
    aggregates = []
    for row in [*_stated(), *_ptbxl_restated()]:
        by_convention = _recompute(row)
        fits = [
            t for t in by_convention if abs(t.value - row.printed) <= row.unit / 2 + t.slack + 1e-9
        ]
        how = " or ".join(t.how for t in fits).replace("or ddof=", "or ")
        aggregates.append({
            "table": row.table, "row": row.row, "quantity": row.quantity,
            "aggregate": row.statistic, "printed": row.printed,
            "recomputed": (fits or by_convention)[0].value, "unit_last_digit": row.unit,
            "reproduced_by": how, "agrees": bool(fits),
            "note": _NOTES.get((row.table, row.statistic), ""),
        })  # fmt: skip
    return pd.DataFrame(aggregates)


def suspected_bounds() -> pd.DataFrame:
    """Printed estimates that look like a bound of their fits rather than an estimate.

    The rule: among all values of one fitted quantity of a table (over tasks and configurations,
    which share the bounds of the fit), the smallest one is printed at least ``REPEATS`` times.

    Returns:
        One row per such value: ``table``, ``row`` (the task), ``configuration`` (such as
        ``resnet-sl``), ``quantity``, ``value`` and ``times`` (how often it is printed).
    """
    bounds = []
    for about in TABLES.values():
        if not about.fitted:
            continue
        frame = table(about.name)
        for quantity in about.fitted:
            values = frame[frame["quantity"] == quantity]
            lowest = values[values["value"] == values["value"].min()]
            if len(lowest) >= REPEATS:
                bounds.append(
                    pd.DataFrame({
                        "table": about.name, "row": lowest["task"],
                        "configuration": lowest["architecture"] + "-" + lowest["paradigm"],
                        "quantity": quantity, "value": lowest["value"], "times": len(lowest),
                    })
                )  # fmt: skip
    return pd.concat(bounds, ignore_index=True)


@dataclass(frozen=True)
class _PrintedAggregate:
    """An aggregate as printed; ``unit`` is one in its last digit."""

    table: str
    row: str
    quantity: str
    statistic: str
    printed: float
    unit: float


@dataclass(frozen=True)
class _Recomputed:
    """What one convention makes of the rows; rounding of these moves it by ``slack`` at most."""

    how: str
    value: float
    slack: float


def _path(name: str) -> Path:
    return _FOLDER / f"{name}.csv"


def _about(name: str) -> Table:
    if name not in TABLES:
        raise ValueError(f"no published table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


@cache
def _as_printed(name: str) -> pd.DataFrame:
    """The file's text: only it has the printed digits, 0.320 rather than 0.32."""
    return pd.read_csv(_path(name), dtype="string", keep_default_na=False, na_values=[""])


def _unit(digits: str) -> float:
    return 10.0 ** -len(digits.partition(".")[2])


def _stated() -> Iterator[_PrintedAggregate]:
    for row in _as_printed("aggregates").to_dict("records"):
        digits = str(row["value"])
        yield _PrintedAggregate(
            str(row["table"]), str(row["row"]), str(row["quantity"]), str(row["statistic"]),
            float(digits), _unit(digits),
        )  # fmt: skip


def _ptbxl_restated() -> Iterator[_PrintedAggregate]:
    """S.9's PTB-XL column, which is itself a mean of the table after it."""
    frame = _as_printed("s1_s9")
    for row in frame[frame["task"] == "ptbxl"].to_dict("records"):
        digits = str(row["auroc"])
        yield _PrintedAggregate(
            "s1_s9", str(row["method"]), "auroc", "mean of s1_s9_ptbxl", float(digits),
            _unit(digits),
        )  # fmt: skip


def _recompute(row: _PrintedAggregate) -> list[_Recomputed]:
    """The aggregate by each convention that could have made it, the usual one first."""
    if row.statistic.endswith("margin"):
        return [_margin(row)]
    digits = _rows(row)
    values = digits.astype("float64").to_numpy()
    # Rows are off by half a unit at most; a deviation is a seminorm, so moves by no more than
    # that of an error of half a unit in every row.
    half = max(map(_unit, digits)) / 2
    if row.statistic != "sd":
        return [_Recomputed("mean", float(values.mean()), half)]
    n = len(values)
    return [
        _Recomputed(
            f"ddof={ddof}", float(np.std(values, ddof=ddof)), half * (n / (n - ddof)) ** 0.5
        )
        for ddof in (0, 1)
    ]


def _rows(row: _PrintedAggregate) -> pd.Series[str]:
    """Digits of the rows that an aggregate is over."""
    if row.table == "s1_s7":
        frame = _as_printed("s1_s7")
        kind = frame["architecture"] + "-" + frame["paradigm"]
        return frame.loc[(kind == row.row) & (frame["quantity"] == row.quantity), "value"]
    if row.table == "s1_s9" and row.statistic == "mean":
        frame = _as_printed("s1_s9")
        return frame.loc[frame["method"] == row.row, "auroc"]
    frame = _as_printed("s1_s9_ptbxl")
    return frame.loc[(frame["method"] == row.row) & (frame["metric"] == row.quantity), "value"]


def _margin(row: _PrintedAggregate) -> _Recomputed:
    """S2's own method less the best other one, by data set."""
    frame = table(row.table)
    wide = frame[frame["metric"] == row.quantity].pivot_table(
        index="dataset", columns="method", values="mean"
    )
    margins = wide[_S2_OWN] - wide.drop(columns=_S2_OWN).max(axis=1)
    value = margins.max() if row.statistic == "largest margin" else margins.min()
    half = max(map(_unit, _as_printed(row.table)["mean"])) / 2
    return _Recomputed(f"{_S2_OWN} less the best other method", float(value), 2 * half)
