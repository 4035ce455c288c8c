"""Who may import whom, what may start cheaply, and how large things may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "scaling": {"sweeps", "analysis", "ray"},
    "sweeps": {"analysis"},
    "analysis": {"torch", "ray", "scaling", "sweeps"},
}
SOURCES = sorted(p for top in FORBIDDEN for p in (ROOT / top).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_data_flows_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in SOURCES
        for name in imports(path)
        if name in FORBIDDEN[path.relative_to(ROOT).parts[0]]
    ]
    assert not wrong


def test_only_the_tune_executor_imports_ray() -> None:
    found = {str(p.relative_to(ROOT)) for p in SOURCES if "ray" in imports(p)}
    assert found == {"sweeps/executors/tune.py"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("sweeps.run", {"torch", "ray", "pandas", "scipy", "matplotlib"}),
        ("sweeps.grid", {"torch", "ray", "pandas", "scipy", "matplotlib"}),
        ("scaling.models.families", {"torch", "numpy"}),
        ("scaling.models.slots", {"torch"}),
        ("scaling.corpora.registry", {"torch", "pandas", "numpy"}),
        ("scaling.cost", {"torch", "numpy"}),
        ("analysis", {"torch", "ray", "scipy", "matplotlib", "lmfit"}),
    ],
)
def test_imports_stay_cheap(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & {heavy!r}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == []


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
