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
TOPS = ("analysis", "sweeps", "scaling")
SOURCES = sorted(p for top in TOPS for p in (ROOT / top).rglob("*.py"))
GROUND = "scaling.records"

# Each room may import itself, its row and rows above; a module belongs to the longest
# name that fits. Commands (``__main__``) and contract batteries (``testing``) stand above all.
ORDERS = {
    "analysis": [
        [GROUND],
        ["analysis.commands", "analysis.laws", "analysis.published", "analysis.text"],
        ["analysis.studies", "analysis.runs"],
        ["analysis.fit"],
        ["analysis.checks", "analysis.compute", "analysis.transfer", "analysis.compare"],
        ["analysis.figures"],
        ["analysis.questions"],
        ["analysis.decisions"],
        ["analysis.report", "analysis.findings", "analysis.pictures"],
    ],
    "sweeps": [
        [GROUND],
        ["scaling"],
        ["sweeps.errors", "sweeps.interrupts"],
        ["sweeps.stages"],
        ["sweeps.grid"],
        ["sweeps.plan", "sweeps.store"],
        ["sweeps.drive"],
        ["sweeps.run", "sweeps.publish"],
    ],
    "scaling": [
        [GROUND],
        ["scaling.corpora.errors", "scaling.corpora.catalogue", "scaling.numerics"],
        ["scaling.identity", "scaling.workspace", "scaling.provenance"],
        ["scaling.corpora.signals", "scaling.corpora.processes"],
        ["scaling.corpora.format", "scaling.corpora.virtual"],
        ["scaling.corpora.sources"],
        [
            "scaling.corpora.quality",
            "scaling.corpora.download",
            "scaling.corpora.registry",
            "scaling.corpora.equal_codes",
        ],
        ["scaling.corpora.prepare"],
        ["scaling.corpora.commands"],
        ["scaling.data"],
        ["scaling.models"],
        ["scaling.objectives"],
        ["scaling.cost", "scaling.compatible"],
        ["scaling.weights"],
        ["scaling.training", "scaling.evaluation", "scaling.convert"],
        ["scaling.deploy", "scaling.explain"],
        ["scaling.simulated", "scaling.trial"],
    ],
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, lazily and for types as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def test_data_flows_one_way() -> None:
    forbidden = {
        "scaling": {"sweeps", "analysis", "ray"},
        "sweeps": {"analysis"},
        "analysis": {"torch", "ray", "scaling", "sweeps"},  # but for the ground
    }
    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        for name in imports(path)
        if name.split(".")[0] in forbidden[module.split(".")[0]]
        and not name.startswith(f"{GROUND}.")
    ]
    assert not wrong


def test_the_ground_imports_nothing_of_ours() -> None:
    ours = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if module.startswith(GROUND)
        for name in imports(path)
        if name.split(".")[0] in TOPS and not name.startswith(GROUND)
    ]
    assert not ours


def place(module: str, order: list[list[str]]) -> tuple[int, str] | None:
    """Row of a module in an order, and its room; None where the order does not name it."""
    fits = [
        (len(room), row, room)
        for row, rooms in enumerate(order)
        for room in rooms
        if module == room or module.startswith(f"{room}.")
    ]
    return max(fits)[1:] if fits else None


def commands_or_batteries(module: str) -> bool:
    return MODULES[module].stem == "__main__" or module.endswith(".testing")


@pytest.mark.parametrize("top", TOPS)
def test_every_module_has_a_row(top: str) -> None:
    packages = {m.rpartition(".")[0] for m in MODULES}  # their circles are found below
    homeless = [
        module
        for module in MODULES
        if module.startswith(f"{top}.") and not commands_or_batteries(module)
        if module not in packages and not place(module, ORDERS[top])
    ]
    assert not homeless


@pytest.mark.parametrize("top", TOPS)
def test_rooms_import_what_stands_before_them(top: str) -> None:
    order, wrong = ORDERS[top], []
    for module, path in MODULES.items():
        own = place(module, order) if module.startswith(f"{top}.") else None
        if commands_or_batteries(module):
            continue
        for name in imports(path) if own else ():
            other = place(name, order)
            if own and other and other[0] > own[0]:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen, todo = set[str](), [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        reach[start] = seen
    groups = {
        tuple(sorted(b for b in graph if b in reach[a] and a in reach[b]))
        for a in graph
        if a in reach[a]
    }
    return [list(group) for group in sorted(groups)]


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == [["b", "c"]]


def test_no_modules_import_each_other() -> None:
    graph = {
        module: {n for n in imports(path) if n in MODULES and n != module}
        for module, path in MODULES.items()
    }
    assert circles(graph) == []


def test_only_the_tune_executor_imports_ray() -> None:
    found = {m for m, p in MODULES.items() if any(n.split(".")[0] == "ray" for n in imports(p))}
    assert found == {"sweeps.drive.executors.tune"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("scaling.records.tables", {"torch", "ray", "numpy", "pandas", "scipy"}),
        ("scaling.records.patients", {"torch", "ray", "pandas", "scipy"}),
        ("analysis.studies.load", {"torch", "ray"}),
        ("sweeps.run", {"torch", "ray", "pandas", "scipy", "matplotlib"}),
        ("sweeps.grid.load", {"torch", "ray", "pandas", "scipy", "matplotlib"}),
        ("scaling.models.families", {"torch", "numpy"}),
        ("scaling.compatible", {"torch"}),
        ("scaling.corpora.registry", {"torch", "pandas", "numpy"}),
        ("scaling.corpora.equal_codes", {"torch", "pandas", "numpy"}),
        (
            "scaling.corpora.__main__",
            {"torch", "pandas", "numpy", "matplotlib", "jinja2", "requests"},
        ),
        ("scaling.cost", {"torch", "numpy"}),
        ("scaling.deploy.latency", {"torch", "numpy"}),
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


def test_commands_of_analysis_keep_their_paths() -> None:
    commands = {path.parent.name for path in (ROOT / "analysis").glob("*/__main__.py")}
    modules = (ROOT / "analysis").glob("*.py")
    commands |= {path.stem for path in modules if '__name__ == "__main__"' in path.read_text()}
    assert commands >= {"compare", "findings", "fit", "questions", "report"}


def modules_of_rows() -> set[str]:
    """Those that a row of a registry names: each stands alone, of whatever size and names."""
    from analysis.laws import LAWS
    from scaling.corpora.catalogue import SOURCES
    from scaling.models.families import FAMILIES
    from scaling.objectives.registry import OBJECTIVES
    from sweeps.drive.executors import EXECUTORS
    from sweeps.stages import STAGES

    named = [
        *(info.reader for info in SOURCES.values()),
        *(family.builder for family in FAMILIES.values()),
        *(info.implementation for info in OBJECTIVES.values()),
        *EXECUTORS.values(),
    ]
    classes = [*STAGES.values(), *(type(law) for law in LAWS.values())]
    return {name.partition(":")[0] for name in named} | {kind.__module__ for kind in classes}


ROWS = modules_of_rows()


def test_packages_hold_at_most_fifteen_modules() -> None:
    """Rows of a registry are not counted."""
    count: dict[str, int] = {}
    for module, path in MODULES.items():
        if path.stem not in ("__init__", "__main__") and module not in ROWS:
            room = module.rpartition(".")[0]
            count[room] = count.get(room, 0) + 1
    assert {room: n for room, n in count.items() if n > 15} == {}


TABLES = {"scaling.numerics"}  # modules that hold a table alone


def test_no_file_is_a_splinter_and_none_too_large() -> None:
    wrong = []
    for module, path in MODULES.items():
        lines = path.read_text().count("\n")
        whole = path.stem in ("__init__", "__main__") or module in TABLES | ROWS
        if lines > 500:
            wrong.append(f"{module}: more than 500 lines; move a concept out")
        if lines < 40 and not whole:
            wrong.append(f"{module}: fewer than 40 lines; put it beside what it belongs to")
    assert not wrong


def test_functions_stay_small() -> None:
    large = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno
                large += [f"{module}.{node.name}"] if lines > 80 else []
    assert not large


@pytest.mark.parametrize("top", TOPS)
def test_public_names_of_a_room_differ(top: str) -> None:
    """Two classes or functions of one name in a room would each need the other explained.

    Rows of a registry are told apart by their names there.
    """
    homes: dict[tuple[str, str], list[str]] = {}
    for module, path in MODULES.items():
        room = module.rpartition(".")[0]
        if not module.startswith(f"{top}.") or module in ROWS or path.stem == "__main__":
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                homes.setdefault((room, node.name), []).append(module)
    twice = {f"{room}.{n}": m for (room, n), m in homes.items() if len(m) > 1 and n != "main"}
    assert not twice
