"""What each table of numbers printed in a paper is: its source, units, columns and losses.

The numbers themselves are the CSV files beside this module, one per table, with the digits as
printed; ``analysis.published.tables`` reads them. Headers lost in our text of a paper are not
guessed: bins are numbered, and what is missing is said in ``notes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

S1 = 'S1, "How Do Electrocardiogram Models Scale?"'
S2 = 'S2, "Approaching Low-Cost Cardiac Intelligence with Semi-Supervised Knowledge Distillation"'
S3 = 'S3, "Resource-Efficient ECG Foundation Networks via Layer-wise Adaptive Compression"'


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
