"""Pages: each is in the site that ``make docs`` builds, and points to what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_every_page_and_notebook_is_in_the_site() -> None:
    listed = set(re.findall(r"^[\w/-]+$", (ROOT / "docs/index.md").read_text(), re.M))
    there = {p.stem for p in (ROOT / "docs").glob("*.md")} - {"index"}
    there |= {f"notebooks/{p.stem}" for p in (ROOT / "docs/notebooks").glob("*.py")}
    assert there <= listed and {n for n in listed if "/" in n} <= there


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_point_to_what_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    lost = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not lost


def test_the_map_can_be_held() -> None:
    assert (ROOT / "docs/design.md").read_text().count("\n") <= 150
    assert (ROOT / "README.md").read_text().count("\n") <= 150


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or stands in the longest module it begins with."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:k])
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.exists():
                return (
                    k == len(parts) or re.search(rf"\b{parts[k]}\b", file.read_text()) is not None
                )
    return False


TEXTS = [p for p in PAGES if p.name not in ("extending.md", "log.md", "CHANGELOG.md")]
TEXTS += [p for top in ("analysis", "scaling", "sweeps") for p in (ROOT / top).rglob("*.py")]


def test_files_and_modules_that_are_named_are_there() -> None:
    """A room that moves takes what is written about it along."""
    lost = []
    for path in TEXTS:
        text = path.read_text()
        files = re.findall(r"\b(?:analysis|scaling|sweeps|tests)(?:/[\w-]+)+\.(?:py|json|j2)", text)
        names = re.findall(r"`((?:analysis|scaling|sweeps)(?:\.\w+)+)", text)
        lost += [f"{path}: {f}" for f in files if not (ROOT / f).exists()]
        lost += [f"{path}: {n}" for n in names if not exists(n)]
    assert not lost
