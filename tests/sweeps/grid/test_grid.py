"""Grid files: what is accepted, and one clear message for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scaling.identity import Recipe
from sweeps.errors import ConfigurationError
from sweeps.grid.load import load_grid
from sweeps.grid.schema import SCHEMA_FILE, schema_text
from sweeps.stages.keys import RecipeAxes
from tests.sweeps.conftest import GRID, SMALLEST, WriteGrid
from tests.sweeps.study import run

RECIPE = "recipe: {max_steps: 40, batch: 64, warmup_steps: 4}"
DATA = "data: [256, 512, 1024]"
SIZES = "{simulated: [n1000, n4000, n16000]}"
NETWORK = f"{{resnet: [{SMALLEST}]}}"
CELLS = DATA + "\n      cells: [{family: simulated, size: n1, data: 8}]"

# (what to replace, by what, line:column, words of the message)
MISTAKES = {
    "unknown key": ("tasks:", "taks:", "8:7", "unknown key 'taks'; did you mean 'tasks'?"),
    "unknown top key": ("corpus: {", "extra: 1\ncorpus: {", "2:1", "unknown key 'extra'"),
    "unknown recipe key": ("batch: 64", "bacth: 64", "7:31", "did you mean 'batch'?"),
    "unknown corpus key": ("records: 4096", "record: 4096", "2:40", "did you mean 'records'?"),
    "duplicate key": (DATA, f"{DATA}\n      data: [1]", "7:7", "'data' is given twice"),
    "wrong type": (DATA, "data: [256, many]", "6:19", "must be a whole number, not 'many'"),
    "text for a number": ("batch: 64", "batch: '64'", "7:38", "must be a whole number"),
    "fraction": ("batch: 64", "batch: 6.4", "7:38", "must be a whole number"),
    "bool": ("batch: 64", "batch: true", "7:38", "must be a whole number, not true"),
    "negative": ("batch: 64", "batch: -1", "7:38", "must be greater than or equal to 1"),
    "precision": ("batch: 64", "precision: fp8", "7:42", "'float32' or 'bf16'"),
    "empty axis": (DATA, "data: []", "6:13", "empty axis"),
    "empty sizes": (SIZES, "{simulated: []}", "5:29", "empty axis"),
    "no value": (DATA, "data:", "6:7", "has no value"),
    "missing key": ("study: small\n", "", "1:1", "the key 'study' is missing"),
    "missing axis": (f"      {DATA}\n", "", "5:7", "the key 'data' is missing"),
    "unsafe name": ("study: small", "study: ../up", "1:8", "cannot name a folder"),
    "no such size": ("n4000", "d4w4", "5:37", "family 'simulated' has no size 'd4w4'"),
    "no such family": ("{simulated:", "{simulatd:", "5:18", "did you mean 'simulated'?"),
    "no such source": ("chinchilla", "chinchila", "2:18", "did you mean 'simulated/chinchilla'?"),
    "no such task": ("simulated/shifted", "simulated/shift", "8:15", "no source"),
    "task of a source": ("simulated/shifted", "ptbxl:super", "8:15", "mean 'superclass'?"),
    "preset": ("records: 4096", "preprocessing: nnone", "2:55", "did you mean 'none'?"),
    "root not needed": ("records: 4096", "root: /data", "2:40", "needs no files"),
    "paradigm": (DATA, f"{DATA}\n      paradigms: [slx]", "7:19", "did you mean 'sl'?"),
    "paradigm of a family": (DATA, f"{DATA}\n      paradigms: ssl", "7:18", "is not trained as"),
    "network on no ECG": (SIZES, NETWORK, "5:18", "the family 'simulated' goes with"),
    "later stage": ("stages:", "stages:\n  - compress: {}", "4:5", "not available yet in this"),
    "not a list": ("stages:\n  - ", "stages:\n    ", "4:5", "must be a list"),
    "cells and axes": (DATA, CELLS, "7:7", "not both"),
    "warm-up too long": ("warmup_steps: 4", "warmup_steps: 40", "7:56", "does not fit in"),
    "default warm-up": (", warmup_steps: 4", "", "7:27", "warmup_steps 40 (the default)"),
    "size of by_size": ("batch: 64", "by_size: {d9: {lr: 1.0}}", "7:41", "has a size 'd9'"),
    "syntax": (DATA, "data: [256, 512", "7:13", "not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place(name: str, write_grid: WriteGrid) -> None:
    old, new, place, words = MISTAKES[name]
    assert old in GRID
    path = write_grid(GRID.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_grid(path)
    lines = [line for line in str(caught.value).splitlines() if words in line]
    assert lines, str(caught.value)
    assert lines[0].startswith(f"{path}:{place}: "), lines[0]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(write_grid: WriteGrid) -> None:
    text = GRID.replace("records", "record").replace("n4000", "x").replace("tasks", "task")
    with pytest.raises(ConfigurationError) as caught:
        load_grid(write_grid(text))
    numbers = [int(line.split(":")[1]) for line in str(caught.value).splitlines()]
    assert numbers == [2, 5, 8]


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is a mapping"), (b"- 1", "is a mapping"), (b"\xff\xfe", "UTF-8")]
)
def test_files_that_are_no_grids(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        load_grid(path)


def test_a_missing_grid_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such grid file"):
        load_grid(tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError, match="directory"):
        load_grid(tmp_path)


def test_numbers_are_read_as_yaml_1_2(write_grid: WriteGrid) -> None:
    study = load_grid(write_grid(GRID.replace("batch: 64", "batch: 64, lr: [1e-3, 3e-3]")))
    assert study.grid.stages[0].settings.recipe.lr == [1e-3, 3e-3]


def test_smoke_merges_and_renames(write_grid: WriteGrid) -> None:
    text = GRID.replace("batch: 64", "batch: 64, by_size: {n4000: {max_steps: 80, lr: 1.0}}")
    text += "smoke: {corpus: {records: 64}, pretrain: {data: [16], recipe: {max_steps: 10, "
    text += "eval_every: 5, warmup_steps: 1}}}\n"
    path = write_grid(text)
    assert load_grid(path).grid.corpus.records == 4096
    tiny = load_grid(path, smoke=True)
    stage = tiny.grid.stages[0].settings
    assert (tiny.name, tiny.grid.corpus.records, stage.data) == ("small-smoke", 64, [16])
    assert stage.recipe.by_size["n4000"].max_steps is None
    assert stage.recipe.by_size["n4000"].lr == [1.0]


def test_a_mistake_in_smoke_is_found_where_it_stands(write_grid: WriteGrid) -> None:
    path = write_grid(GRID + "smoke:\n  pretrain:\n    dta: [16]\n")
    with pytest.raises(ConfigurationError, match=rf"{path}:11:5: .*unknown key 'dta'"):
        load_grid(path)


def test_smoke_needs_its_section(grid: Path) -> None:
    with pytest.raises(ConfigurationError, match="smoke: section"):
        load_grid(grid, smoke=True)


def test_the_resolved_grid_is_json_without_folders(write_grid: WriteGrid) -> None:
    text = GRID.replace("simulated/chinchilla, records: 4096", "ptbxl, root: /data")
    text = text.replace(SIZES, f"{{resnet: [{SMALLEST}]}}").replace(
        "[simulated/shifted]", "[ptbxl:form]"
    )
    resolved = load_grid(write_grid(text)).resolved()
    assert "/data" not in json.dumps(resolved)
    assert resolved["stages"][0]["pretrain"]["tasks"] == [{"source": "ptbxl", "task": "form"}]


@pytest.mark.parametrize("words", ["1 --dry-run", "1 --dry-run --smoke", "2 --dry-run"])
def test_the_examples_of_the_docs_can_be_planned(words: str, tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "grids.md"
    which, *more = words.split()
    grid = tmp_path / "grid.yaml"
    grid.write_text(page.read_text().split("```yaml\n")[int(which)].split("```")[0])
    assert run(grid, *more) == 0


def test_the_schema_file_is_current() -> None:
    assert SCHEMA_FILE.read_text() == schema_text(), "run python -m sweeps.grid.schema"


def test_a_grid_can_say_every_field_of_a_recipe() -> None:
    assert set(RecipeAxes.model_fields) == set(Recipe.__dataclass_fields__)
