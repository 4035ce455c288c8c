"""Who may import whom, what may start cheaply, and how large things may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import analysis

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "scaling": {"sweeps", "analysis", "ray"},
    "sweeps": {"analysis"},
    "analysis": {"torch", "ray", "scaling", "sweeps"},  # but for the ground, scaling.records
}
SOURCES = sorted(p for top in FORBIDDEN for p in (ROOT / top).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_data_flows_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in SOURCES
        for name in imports(path)
        if name.split(".")[0] in FORBIDDEN[path.relative_to(ROOT).parts[0]]
        and not name.startswith("scaling.records.")
    ]
    assert not wrong


def test_the_ground_imports_nothing_of_ours() -> None:
    ours = [
        f"{path.name} imports {name}"
        for path in sorted((ROOT / "scaling/records").glob("*.py"))
        for name in imports(path)
        if name.split(".")[0] in FORBIDDEN and not name.startswith("scaling.records.")
    ]
    assert not ours


def test_only_the_tune_executor_imports_ray() -> None:
    found = {
        str(p.relative_to(ROOT))
        for p in SOURCES
        if any(n.split(".")[0] == "ray" for n in imports(p))
    }
    assert found == {"sweeps/drive/executors/tune.py"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("scaling.records.tables", {"torch", "ray", "numpy", "pandas", "scipy"}),
        ("scaling.records.patients", {"torch", "ray", "pandas", "scipy"}),
        ("analysis.studies.load", {"torch", "ray"}),
        ("sweeps.run", {"torch", "ray", "pandas", "scipy", "matplotlib"}),
        ("sweeps.grid.load", {"torch", "ray", "pandas", "scipy", "matplotlib"}),
        ("scaling.models.families", {"torch", "numpy"}),
        ("scaling.models.slots", {"torch"}),
        ("scaling.corpora.registry", {"torch", "pandas", "numpy"}),
        (
            "scaling.corpora.__main__",
            {"torch", "pandas", "numpy", "matplotlib", "jinja2", "requests"},
        ),
        ("scaling.cost", {"torch", "numpy"}),
        ("analysis", {"torch", "ray", "numpy", "pandas", "scipy", "matplotlib", "lmfit"}),
    ],
)
def test_imports_stay_cheap(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & {heavy!r}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == []


def test_the_public_names_of_analysis() -> None:
    """Frozen: notebooks and scripts of users hold them."""
    assert sorted(analysis.__all__) == [
        "allocate", "ask", "choose_law", "compare_models", "extrapolate", "fit_law",
        "fit_together", "law_rows", "load", "plain_law", "register", "study",
    ]  # fmt: skip
    for name in analysis.__all__:
        found = getattr(analysis, name)
        assert callable(found) and found.__name__ == name and name in dir(analysis)
    with pytest.raises(AttributeError, match="module 'analysis' has no attribute 'fit_lav'"):
        _ = analysis.fit_lav


def test_no_public_name_of_analysis_is_that_of_a_module() -> None:
    """Importing such a module would put itself in the function's place."""
    modules = {p.stem for p in (ROOT / "analysis").iterdir()}
    assert not modules & set(analysis.__all__)


def test_commands_of_analysis_have_no_function_of_their_name() -> None:
    """``python -m analysis.compare`` is a command; the function is ``compare_models``."""
    commands = {path.parent.name for path in (ROOT / "analysis").glob("*/__main__.py")}
    assert commands >= {"compare", "findings", "fit", "report"}
    assert not commands & set(analysis.__all__)


def test_files_and_functions_stay_small() -> None:
    large = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > 500:
            large.append(str(path))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno
                large += [f"{path}:{node.name}"] if lines > 80 else []
    assert not large
