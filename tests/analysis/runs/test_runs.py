"""Runs of anyone: which columns are taken, and what is said of a file that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law, law_rows, load
from analysis.laws import get
from analysis.runs.columns import header_of
from analysis.runs.read import RunsError, law_columns, read_runs
from analysis.runs.tables import number_of
from analysis.studies.groups import groups
from tests.analysis.anyones import runs, write

PLAIN = runs()
RESULTS = Path(__file__).resolve().parents[3] / "results"


@pytest.mark.parametrize(
    ("header", "name", "factor"),
    [
        ("params (M)", "params", 1e6),
        ("Params [millions]", "params", 1e6),
        ("tokens_B", "tokens", 1e9),
        ("N in millions", "n", 1e6),
        ("N in millions of parameters", "n", 1e6),
        ("D / 1e9", "d", 1e9),
        ("tokens (10^9)", "tokens", 1e9),
        ("Params, M", "params", 1e6),
        ("nParams", "n_params", None),
        ("train_tokens", "train_tokens", None),
        ("loss [nats]", "loss", 1.0),
        ("compute (PF-days)", "compute", 8.64e19),
        ("GFLOPs", "flops", 1e9),
        ("params (furlongs)", "params", None),
        ("N (×10⁶)", "n", 1e6),
        ("tokens (10⁹)", "tokens", 1e9),
        ("compute (10¹⁸ FLOPs)", "compute", 1e18),
        ("D / 10⁹", "d", 1e9),
        ("N (x10^6)", "n", 1e6),
        ("N (x)", "n", None),
        ("N (×)", "n", None),
        ("tokens (x 1000)", "tokens", 1e3),
        ("N (in 1,000,000)", "n", None),
        ("params (16 x)", "params", None),
        ("tokens (Mrd)", "tokens", 1e9),
        ("tokens (Mrd.)", "tokens", 1e9),
        ("paramètres (Md)", "param_tres", 1e9),
        ("params (Mio)", "params", 1e6),
    ],
)
def test_a_header_gives_its_name_and_unit(header: str, name: str, factor: float | None) -> None:
    found = header_of(header)
    assert (found.name, found.factor) == (name, factor)


@pytest.mark.parametrize(
    ("cell", "comma", "value"),
    [
        ("1e9", False, 1e9), ("1,000,000", False, 1e6), ("1 000 000", False, 1e6),
        ("125M", False, 1.25e8), ("1.3 B", False, 1.3e9), ("2,5", True, 2.5),
        ("1.000.000", True, 1e6), ("1.234,5", True, 1234.5), ("2,5e3", True, 2500.0),
        (7, False, 7.0), ("0.5", True, 0.5),
    ],
)  # fmt: skip
def test_a_cell_is_a_number(cell: object, comma: bool, value: float) -> None:
    assert number_of(cell, comma=comma) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("cell", ["", "NaN", " n/a ", None, float("nan"), "-"])
def test_a_missing_cell_is_nan(cell: object) -> None:
    assert np.isnan(number_of(cell))


def test_other_text_is_no_number() -> None:
    for cell in ("OOM", "1.2.3", "about 3", True):
        with pytest.raises(ValueError, match=r"could not convert|True"):
            number_of(cell)


DIALECTS: dict[str, Callable[[Path], object]] = {
    "semicolons and decimal commas": lambda p: PLAIN.to_csv(p, sep=";", decimal=",", index=False),
    "tabs": lambda p: PLAIN.to_csv(p, sep="\t", index=False),
    "utf-16": lambda p: PLAIN.to_csv(p, index=False, encoding="utf-16"),
    "utf-16 without a mark": lambda p: PLAIN.to_csv(p, index=False, encoding="utf-16-le"),
    "a byte-order mark": lambda p: PLAIN.to_csv(p, index=False, encoding="utf-8-sig"),
    "Excel's first line": lambda p: p.write_text("sep=;\n" + PLAIN.to_csv(sep=";", index=False)),
    "comments and blank lines": lambda p: p.write_text(
        "# of 2026\n\n" + PLAIN.to_csv(index=False) + "\n\n"
    ),
    "spaces": lambda p: p.write_text(PLAIN.to_string(index=False, float_format="%.17g")),
    "Windows line ends": lambda p: PLAIN.to_csv(p, index=False, lineterminator="\r\n"),
    "quoted numbers": lambda p: PLAIN.to_csv(p, index=False, quoting=1),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same_runs(dialect: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    DIALECTS[dialect](path)
    found = read_runs(path).only()
    pd.testing.assert_frame_equal(
        found[["N", "D", "loss"]], PLAIN[["N", "D", "loss"]], check_exact=False, rtol=1e-12
    )


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "])
def test_three_decimals_after_a_comma_are_no_thousands(delimiter: str, tmp_path: Path) -> None:
    rows = [["N", "D", "loss"], *([f"{n}", "1000000", f"{n},430"] for n in range(2, 8))]
    found = read_runs(write(tmp_path, [delimiter.join(row) for row in rows]))
    np.testing.assert_allclose(found.only()["loss"], np.arange(2, 8) + 0.43, rtol=1e-15)
    assert "decimal commas" in found.took


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_thousands_stay_so_beside_decimal_points(delimiter: str, tmp_path: Path) -> None:
    rows = [["N", "D", "loss"], *([f"{n},000", "1000000", f"{n}.430"] for n in range(2, 8))]
    found = read_runs(write(tmp_path, [delimiter.join(row) for row in rows])).only()
    np.testing.assert_allclose(found["N"], 1000.0 * np.arange(2, 8), rtol=1e-15)
    np.testing.assert_allclose(found["loss"], np.arange(2, 8) + 0.43, rtol=1e-15)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".xlsx"])
def test_other_formats_by_extension(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"runs{suffix}"
    if suffix in (".json", ".jsonl"):
        PLAIN.to_json(path, orient="records", lines=suffix == ".jsonl", double_precision=15)
    elif suffix == ".parquet":
        PLAIN.to_parquet(path)
    else:
        PLAIN.to_excel(path, index=False)
    found = read_runs(path).only()
    np.testing.assert_allclose(found["loss"], PLAIN["loss"], rtol=1e-12)


NAMED = {
    "N": ("params", "Parameters", "n_params", "num_params", "model_size", "non_embedding_params",
          "N", "model params (1e0)"),
    "D": ("tokens", "records", "samples", "dataset_size", "train_tokens", "D", "D_total",
          "num_examples"),
    "loss": ("loss", "val_loss", "validation_loss", "test loss", "eval_loss", "final_loss",
             "Loss [nats]", "cross_entropy"),
    "C": ("C", "flops", "compute", "train_flops", "total FLOPs"),
}  # fmt: skip


@pytest.mark.parametrize(("role", "column"), [(r, c) for r, v in NAMED.items() for c in v])
def test_columns_are_found_by_name(role: str, column: str) -> None:
    frame = PLAIN.assign(C=6 * PLAIN["N"] * PLAIN["D"]).rename(columns={role: column})
    found = read_runs(frame)
    assert found.chosen[role].column == column
    np.testing.assert_allclose(found.only()[role], frame[column], rtol=1e-15)


def test_units_in_headers_are_applied_and_said() -> None:
    frame = pd.DataFrame(
        {"params (M)": PLAIN["N"] / 1e6, "tokens_B": PLAIN["D"] / 1e9, "loss": PLAIN["loss"]}
    )
    found = read_runs(frame)
    np.testing.assert_allclose(found.only()[["N", "D"]], PLAIN[["N", "D"]], rtol=1e-12)
    assert any("N from column params (M), times 1e+06 from its header" in t for t in found.took)
    assert found.labels == {"N": "N, params", "D": "D, tokens", "loss": "loss"}


def test_a_suffix_of_a_cell_wins_over_the_unit_of_its_header() -> None:
    cells = [f"{v / 1e6:.17g}M" for v in PLAIN["N"]]
    table = {"params (M)": cells, "tokens": PLAIN["D"], "loss": PLAIN["loss"]}
    found = read_runs(pd.DataFrame(table))
    np.testing.assert_allclose(found.only()["N"], PLAIN["N"], rtol=1e-12)
    assert found.chosen["N"].factor == 1
    assert not any("header" in t for t in found.took)
    cells[0] = cells[0].rstrip("M")  # one cell in the header's unit
    mixed = read_runs(pd.DataFrame({**table, "params (M)": cells}))
    np.testing.assert_allclose(mixed.only()["N"], PLAIN["N"], rtol=1e-12)
    assert any("save in cells with a suffix" in t for t in mixed.took)


def test_parameters_of_the_embedding_are_never_n() -> None:
    sizes = {"params_embedding": PLAIN["N"] / 10, "params_non_embedding": PLAIN["N"]}
    rest = PLAIN.drop(columns="N")
    for names in (list(sizes), list(sizes)[::-1]):
        found = read_runs(rest.assign(**{k: sizes[k] for k in names}))
        np.testing.assert_allclose(found.only()["N"], PLAIN["N"], rtol=1e-15)
        assert found.chosen["N"].others == ()
    both = read_runs(rest.assign(params=PLAIN["N"] * 1.1, **sizes)).chosen["N"]
    assert (both.column, both.others) == ("params_non_embedding", ("params",))
    for column in ("embedding_params", "embed_params", "n_params_emb"):
        with pytest.raises(RunsError, match="no column for N"):
            read_runs(rest.assign(**{column: PLAIN["N"]}))
    for column in ("params_excluding_embeddings", "nonembedding_params", "params_with_embedding"):
        assert read_runs(rest.assign(**{column: PLAIN["N"]})).chosen["N"].column == column


def test_the_first_loss_is_taken_and_the_others_named() -> None:
    frame = PLAIN.drop(columns="loss").assign(
        train_loss=1.5, loss_std=0.1, loss_c4=PLAIN["loss"], loss_wiki=2.0, in_loss_fit=1.0
    )
    found = read_runs(frame)
    assert found.chosen["loss"].column == "loss_c4"
    assert found.chosen["loss"].others == ("loss_wiki", "train_loss")
    assert "loss_wiki, train_loss (--map loss=COLUMN)" in str(found)


@pytest.mark.parametrize(
    "name", ["loss", "val_loss", "eval/loss", "validation loss", "Loss [nats]"]
)
def test_a_plain_loss_beats_those_of_other_things(name: str) -> None:
    rest = PLAIN.drop(columns="loss")
    before = rest.assign(aux_loss=0.1, z_loss=0.2, router_loss=0.3, best_loss_step=4, loss_code=5.0)
    for frame in (before.assign(**{name: PLAIN["loss"]}), rest.assign(**{name: PLAIN["loss"]})):
        found = read_runs(frame)
        np.testing.assert_allclose(found.only()["loss"], PLAIN["loss"], rtol=1e-15)
        assert set(found.chosen["loss"].others) <= {"loss_code"}
    with pytest.raises(RunsError, match="no column for loss"):
        read_runs(rest.assign(aux_loss=0.1, best_loss_step=4))
    two = read_runs(rest.assign(test_loss=PLAIN["loss"], val_loss=9.0))
    assert two.chosen["loss"].column == "test_loss"  # the first


def test_a_map_overrules_names_and_multiplies() -> None:
    found = read_runs(PLAIN.assign(size=PLAIN["N"] / 1e6), columns={"N": "size*1e6"})
    np.testing.assert_allclose(found.only()["N"], PLAIN["N"], rtol=1e-12)
    for columns, message in (
        ({"N": "sizes"}, "no column 'sizes' for N; there are: N, D, seed, loss"),
        ({"Q": "N"}, "'Q' is nothing that chinchilla takes"),
        ({"N": "N*many"}, "'many' is not a number to multiply by"),
        ({"N": "N*-1"}, "multiply by a positive number"),
    ):
        with pytest.raises(RunsError, match=message.replace("*", r"\*")):
            read_runs(PLAIN, columns=columns)


def test_data_sets_are_never_pooled() -> None:
    other = runs(shift=0.7).assign(corpus="code", hidden="b")
    frame = pd.concat([PLAIN.assign(corpus="web", hidden="a"), other], ignore_index=True)
    found = read_runs(frame)
    assert list(found.sets) == ["web", "code"]  # ``hidden`` says the same
    assert len(found.sets["web"]) == len(found.sets["code"]) == 25
    with pytest.raises(RunsError, match="holds 2 data sets"):
        found.only()
    with pytest.raises(RunsError, match="2 data sets"):
        fit_law(frame.rename(columns={"N": "params"}), n_boot=0)
    assert len(read_runs(frame, by=()).only()) == 50
    assert list(read_runs(frame, by=["corpus", "seed"]).sets) == ["web, 0", "code, 0"]
    unnamed = read_runs(frame.drop(columns="corpus"))
    assert list(unnamed.sets) == ["a", "b"]


def test_names_of_sizes_and_budgets_are_no_data_sets() -> None:
    frame = PLAIN.assign(
        model=[f"m{n:.0e}" for n in PLAIN["N"]], budget=[f"d{d:.0e}" for d in PLAIN["D"]], lr=0.1
    )
    frame["note"] = ["a", "b", "c", "d", "e"] * 5
    found = read_runs(frame)
    assert list(found.sets) == [""]
    frame.loc[::2, "lr"] = 0.2
    assert "not told apart: lr (2 values)" in str(read_runs(frame))


def test_rows_are_kept_by_value() -> None:
    frame = PLAIN.assign(corpus=["web"] * 12 + ["code"] * 13)
    assert len(read_runs(frame, where={"corpus": "code"}).only()) == 13
    with pytest.raises(RunsError, match="no row has corpus = maths; there are: web, code"):
        read_runs(frame, where={"corpus": "maths"})
    with pytest.raises(RunsError, match="no column 'set'"):
        read_runs(frame, where={"set": "x"})


def test_split_and_status_are_followed_and_said() -> None:
    frame = PLAIN.assign(split=["fit"] * 20 + ["held-out"] * 3 + ["dropped"] * 2, status="done")
    frame.loc[4, "status"] = "crashed"
    frame.loc[4, "loss"] = np.nan
    found = read_runs(frame)
    assert len(found.only()) == 19
    assert len(found.held[""]) == 3
    assert "1 left out (crashed)" in str(found)
    assert "3 held out and predicted (held-out), 2 left out (dropped)" in str(found)
    assert not found.warnings


def test_rows_that_are_all_held_out_are_fitted_and_it_is_said() -> None:
    found = read_runs(PLAIN.assign(split="test"))
    assert len(found.only()) == 25 and not found.held
    assert any("25 fitted, since no row is marked to be fitted (test)" in t for t in found.took)
    assert "held out and predicted" not in str(found)
    failed = PLAIN.assign(split=["fit"] * 3 + ["test"] * 22, status=["failed"] * 3 + ["done"] * 22)
    left = read_runs(failed)
    assert len(left.only()) == 22 and not left.held
    assert any("0 fitted (fit), 22 fitted, since no row" in t for t in left.took)


def told(frame: pd.DataFrame) -> list[str]:
    """Warnings of a fit that a plain frame does not have."""
    fit = fit_law(frame, n_boot=0)
    assert len(fit.rows) == len(frame)
    return [w for w in fit.warnings if w not in fit_law(PLAIN, n_boot=0).warnings]


def test_columns_that_a_frame_is_fitted_in_spite_of_are_named() -> None:
    split = ["Fit"] * 20 + ["holdout"] * 3 + ["dropped"] * 2
    assert told(PLAIN.assign(split=split)) == [
        "column split holds fit, holdout, dropped: all 25 rows are fitted; fit_law(path) or "
        "frame[frame['split'] == 'Fit'] takes the Fit rows"
    ]
    (status,) = told(PLAIN.assign(status=["done"] * 23 + ["failed"] * 2))
    assert status.startswith("column status holds done, failed: all 25 rows are fitted")
    tasks = pd.concat([PLAIN.assign(task=t) for t in ("a", "b", "c")], ignore_index=True)
    tasks["loss"] *= np.repeat([1.0, 1.01, 1.02], 25)
    (pooled,) = told(tasks)
    assert pooled.startswith("pools 3 data sets of column task: fit each, such as frame[frame['t")


def test_columns_of_one_value_and_of_runs_are_not_named() -> None:
    one = {"split": "holdout", "status": "failed", "task": "a", "dataset": "b"}
    used = ["done", "budget_limited", "done", "done", "done"] * 5
    assert told(PLAIN.assign(**one)) == []
    own = PLAIN.assign(trial=[f"t{i}" for i in range(25)], size=PLAIN["N"].astype(str), seed=1)
    assert told(own.assign(commit=["abc"] * 12 + ["def"] * 13)) == []
    assert told(PLAIN.assign(status=used)) == []


@pytest.mark.parametrize("study", sorted(p.parent for p in RESULTS.glob("*/trials.csv")))
def test_frames_of_studies_are_not_doubted(study: Path) -> None:
    frame = load(study)
    for kind, part in groups(frame):
        rows = law_rows(part).rename(columns={"value": "loss"})
        doubts = law_columns(rows, get("chinchilla"))[1]
        assert doubts == [] == law_columns(part, get("chinchilla"))[1], kind


def test_checkpoints_of_one_run_give_their_last() -> None:
    early = PLAIN.assign(run=[f"r{i}" for i in range(25)], step=100)
    late = early.assign(step=200, loss=early["loss"] - 0.1)
    found = read_runs(pd.concat([late, early], ignore_index=True))
    np.testing.assert_allclose(found.only()["loss"], late["loss"], rtol=1e-15)
    assert "checkpoints: 25 runs used at their last step, 25 rows" in str(found)


def test_rows_of_a_run_whose_data_grow_are_resampled_together() -> None:
    frame = runs(seeds=2)
    names = [f"n{n:.0f} s{s}" for n, s in zip(frame["N"], frame["seed"], strict=True)]
    found = read_runs(frame.assign(run=names, step=frame["D"] / 1e6))
    assert found.only()["trial"].nunique() == 10
    assert "10 runs have 50 rows" in str(found)
    repeats = read_runs(runs(seeds=2).assign(run=[0, 1] * 25)).only()
    assert "trial" not in repeats  # the number of a repeat names no run


def test_rows_without_a_number_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = PLAIN.to_csv(index=False).splitlines()
    lines[3] = lines[3].rsplit(",", 1)[0] + ","
    lines[7] = lines[7].rsplit(",", 1)[0] + ",NaN"
    found = read_runs(write(tmp_path, lines))
    assert len(found.only()) == 23
    assert found.warnings == (
        "2 rows left out: line 4 (loss missing), line 8 (loss missing)",
    )  # fmt: skip


def test_sizes_in_an_unsaid_unit_ask_for_it() -> None:
    frame = pd.DataFrame({"params": PLAIN["N"] / 1e9, "D": PLAIN["D"], "loss": PLAIN["loss"]})
    found = read_runs(frame)
    assert found.unscaled == ("N",)
    assert "N is 0.02 to 2 in column params" in found.warnings[0]
    assert "--map 'N=params*1e6'" in found.warnings[0]
    own = read_runs(PLAIN.assign(D=PLAIN["D"] / 1e9))
    assert own.unscaled == ("D",)
    assert not read_runs(PLAIN).unscaled
    odd = read_runs(frame.rename(columns={"params": "params (furlongs)"}))
    assert any("the unit 'furlongs' of column" in w for w in odd.warnings)


BAD: dict[str, tuple[list[str], str]] = {
    "an empty file": ([""], "the file is empty"),
    "a header alone": (["N,D,loss"], "a header and no rows"),
    "no header": (["1e6,1e9,3.2", "2e6,1e9,3.1"], "line 1: holds numbers, not names of columns"),
    "text in a number column": (
        ["N,D,loss", "1e6,1e9,3.2", "2e6,1e9,OOM", "4e6,1e9,3.0"],
        "line 3, column loss: 'OOM' is not a number: correct it, or leave the cell empty",
    ),
    "a negative size": (
        ["N,D,loss", "1e6,1e9,3.2", "-2e6,1e9,3.1", "4e6,1e9,3.0"],
        "line 3, column N: -2e6 is not positive",
    ),
    "negative losses": (
        ["N,D,loss", "1e6,1e9,-3.2", "2e6,1e9,-3.1"],
        r"line 2, column loss: -3.2 is not positive \(2 such rows\).*linear residuals",
    ),
    "decimal commas between commas": (
        ["N,D,loss", "1e6,1e9,3,2", "2e6,1e9,3,1"],
        "line 2: 4 cells under 3 headers; are decimal commas",
    ),
    "losses with a decimal comma or thousands": (
        ["N,D,loss", '1e6,1e9,"4,430"', '2e6,1e9,"3,210"'],
        "column loss: '4,430' and all other cells may have a decimal comma .* write 4.430 or 4430",
    ),
    "a column twice": (["N,D,loss,loss", "1,2,3,4"], "two columns are called 'loss'"),
    "no loss": (["N,D,acc", "1e6,1e9,0.5"], r"no column for loss \(loss\) of chinchilla"),
    "no data size": (
        ["params,loss", "1e6,3.2"],
        r"no column for D \(training data\).*--map D=COLUMN says which; --law n_law needs N",
    ),
    "compute and no data size": (
        ["params,GFLOPs,loss", "1e6,6e6,3.2", "2e6,6e6,3.1"],
        r"where GFLOPs is 6 N D, add a column D = GFLOPs / \(6 N\)",
    ),
    "rows of several metrics": (
        ["N,D,metric,value", "1e6,1e9,loss,3.2"],
        "--where metric=loss --map loss=value",
    ),
    "a loss that is empty": (
        ["N,D,loss", "1e6,1e9,NaN", "2e6,1e9,", "4e6,1e9,NaN"],
        "column loss is empty in all 3 rows",
    ),
    "a loss in per cent": (
        ["N,D,loss", "1e6,1e9,2.25%", "2e6,1e9,2.20%"],
        r"column loss: line 2 holds '2.25%', which is no number \(2 such rows\)",
    ),
    "a loss of flags": (["N,D,loss", "1e6,1e9,1", "2e6,1e9,0"], "column loss holds only 0 and 1"),
    "no complete row": (["N,D,loss", "1e6,,3.2", ",1e9,3.1", "1e6,1e9,"], "no row has all of N, D"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_say_where_and_what_to_change(case: str, tmp_path: Path) -> None:
    lines, message = BAD[case]
    path = write(tmp_path, lines)
    with pytest.raises(RunsError, match=message) as caught:
        read_runs(path)
    assert str(caught.value).startswith(str(path))


def test_files_that_are_no_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    (tmp_path / "c.jsonl").write_text('{"N": 1}\n{"N": \n')
    (tmp_path / "d.jsonl").write_text("[1, 2]\n")
    for name, message in {
        "a.csv": "is not text", "b.parquet": "cannot be read", "c.jsonl": "line 2: not JSON",
        "d.jsonl": "record 1: not an object", "e.csv": "no such file",
    }.items():  # fmt: skip
        with pytest.raises(RunsError, match=message):
            read_runs(tmp_path / name)
    with pytest.raises(RunsError, match="a folder; give a file"):
        read_runs(tmp_path)


def test_fit_law_reads_a_file_and_other_names(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN.to_csv(index=False).splitlines())
    own = fit_law(PLAIN, n_boot=0)
    renamed = PLAIN.rename(columns={"N": "params", "D": "tokens", "loss": "val_loss"})
    for data in (str(path), path, renamed, dict(renamed)):
        fit = fit_law(data, n_boot=0)
        assert fit.params == pytest.approx(own.params, rel=1e-6)
        assert any("loss from column" in note for note in fit.notes)
    assert fit.labels["D"] == "D, tokens"
    assert fit.plot().axes[1].get_xlabel() == "D, tokens"
    assert own.plot().axes[1].get_xlabel() == "D, training data"


def test_weights_go_with_columns_of_other_names() -> None:
    frame = PLAIN.rename(columns={"N": "params"}).assign(w=np.linspace(1, 2, 25))
    frame.loc[3, "loss"] = np.nan
    fit = fit_law(frame, weights="w", n_boot=0)
    assert len(fit.rows) == 24
    assert fit.remarks[0] == "1 row left out: row 3 (loss missing)"


def test_a_frame_with_a_column_metric_is_no_study() -> None:
    fit = fit_law(PLAIN.assign(metric="loss", value=PLAIN["loss"]), n_boot=0)
    assert fit.ok
    with pytest.raises(ValueError, match=r"chinchilla needs columns loss: .*--where metric=loss"):
        fit_law(PLAIN.drop(columns="loss").assign(metric="loss", value=1.0))


def test_laws_of_repeated_data_take_unique_data_and_samples_seen() -> None:
    frame = PLAIN.rename(columns={"D": "D_total"}).assign(U_unique=1e9)
    found = read_runs(frame, "data_constrained")
    assert (found.chosen["D"].column, found.chosen["S"].column) == ("U_unique", "D_total")
    plain = read_runs(frame)
    assert plain.chosen["D"].column == "D_total"
    assert "--law data_constrained takes unique data as D" in str(plain)


def test_json_keeps_the_places_of_rows(tmp_path: Path) -> None:
    rows = [json.dumps({"N": 1e6, "D": 1e9, "loss": v}) for v in (3.0, "OOM", 2.0)]
    with pytest.raises(RunsError, match="line 2, column loss: 'OOM'"):
        read_runs(write(tmp_path, rows, "runs.jsonl"))


def test_axes_of_other_laws_are_found_by_their_own_name() -> None:
    frame = pd.DataFrame({"Loss": [1.0, 2.0], "Metric": [0.5, 0.4]})
    found = read_runs(frame, get("sigmoid"))
    assert {r: c.column for r, c in found.chosen.items()} == {"loss": "Loss", "metric": "Metric"}
