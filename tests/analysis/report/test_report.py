"""The report's page, numbers and command."""

from __future__ import annotations

import html
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from analysis import load
from analysis.commands import print_text
from analysis.questions.answers import OF_ONE, OF_TASKS
from analysis.report import duration
from analysis.report.__main__ import main
from analysis.report.content import Content, study_content
from analysis.report.page import write_figures, write_report
from analysis.report.tasks import chosen_models, mean_interval
from analysis.text import number
from tests.analysis.synthetic import Plan, publish, write_study

ROOT = Path(__file__).resolve().parents[3]


class Page(HTMLParser):
    """Collects links, ids and headings, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href") and v]
        if tag not in ("meta", "br", "img", "link", "path", "use", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href") and v]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("path", "use", "rect"):
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


@pytest.fixture(scope="module")
def content(mixed: Path) -> Content:
    return study_content(mixed, n_boot=50)


@pytest.fixture(scope="module")
def page(content: Content, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "deep" / "report.html"
    write_report(content, path)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    return path.read_text()


def test_the_page_needs_no_other_file(page: str) -> None:
    parsed = Page(page)
    assert not parsed.open
    assert all(link.startswith("#") for link in parsed.links)
    assert "<script" not in page and "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert used <= set(ids)
    defined = [i for i in ids if i in used]
    assert len(defined) == len(set(defined))


def test_warnings_come_first(page: str) -> None:
    assert page.index("1 trial failed and left out") < page.index("<svg")
    order = ["Warnings", "resnet-SL on virtual/code", "Linear probes", "Questions of S1"]
    order += ["Plan", "Provenance"]
    places = [page.index(f"<h2>{name}") for name in order]
    assert places == sorted(places)


def test_the_page_shows_what_the_issue_asks(page: str, content: Content) -> None:
    fit = content.groups[0].joint
    assert fit is not None
    shown = ["Bayes loss", "largest cell", "Residuals", "Certificate", "0123456789ab"]
    shown += ["RuntimeError: no luck", "virtual/shifted", "macro-AUROC", "torch 2.13"]
    for text in shown:
        assert text in page
    assert f"{fit.params['E']:.4f}"[:5] in page


def test_figures_are_as_large_as_drawn(page: str) -> None:
    """One of a single panel was blown up to the width of the page."""
    widths = [float(w) for w in re.findall(r'<svg [^>]*?width="([0-9.]+)pt"', page)]
    assert len(widths) == page.count("<svg") and min(widths) < 0.6 * max(widths)
    rules = re.findall(r"figure svg *\{([^}]*)\}", page)
    assert rules and not any(re.search(r"(^|[ ;])(min-)?width *:", rule) for rule in rules)


def test_dark_pages_change_every_colour(page: str) -> None:
    style = page[page.index("<style>") : page.index("</style>")]
    light, dark = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    names = re.findall(r"--([a-z]+):", light)
    assert "prefers-color-scheme:dark" in style and names == re.findall(r"--([a-z]+):", dark)
    rest = style.replace(light, "").replace(dark, "")
    assert re.findall(r"#[0-9a-f]{3,6}", rest) == ["#e9edf0", "#fff"]  # under figures, in print
    assert set(re.findall(r"var\(--([a-z]+)\)", page)) <= set(names)


def test_no_reason_stands_in_a_narrow_cell_or_twice(tmp_path: Path) -> None:
    """Refusals of 19 lines stood in a cell of a table, and again below it."""
    content = study_content(write_study(tmp_path / "s", Plan()), n_boot=20)
    compute = content.groups[0].compute
    assert compute is not None
    write_report(content, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    section = text[text.index("<h3>Compute</h3>") : text.index("Models chosen on validation")]
    cells = re.findall(r"<td.*?</td>", section)
    refused = [c.refused for c in compute.approaches.exponents if c.refused]
    assert len(refused) == 3
    for reason in refused:
        shown = str(escape(reason[1:]))
        assert section.count(shown) == 1 and not any(shown in cell for cell in cells)


def test_the_command_to_copy_quotes_its_path(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "my studies" / "s", Plan())
    write_report(study_content(folder, n_boot=0), tmp_path / "report.html")
    text = html.unescape((tmp_path / "report.html").read_text())
    assert f"python -m analysis.findings '{folder}'" in text


def test_a_law_at_a_bound_is_said_beside_its_r2(page: str, content: Content) -> None:
    fit = content.groups[0].joint
    assert fit is not None
    cards = re.findall(r'<div class="card ?(\w*)"><b>([^<]*)</b>', page)
    assert [c[1] for c in cards[:3]] == [
        number(fit.r2, 4), number(fit.r2_log_excess, 4), str(fit.status),
    ]  # fmt: skip
    assert cards[2][0] == ("good" if fit.status == "converged" else "bad")


def test_numbers_are_plain_json(content: Content) -> None:
    numbers = json.loads(content.to_json())
    group = numbers["groups"][0]
    assert set(group["laws"]) == {"chinchilla", "n_law", "d_law"}
    assert group["bayes"]["covered"] is True
    assert group["holdout"]["cell"] == {"N": 95_000.0, "D": 4096.0}
    assert numbers["plan"]["counts"]["failed"] == 1
    assert len(numbers["trials"]) == 20 and len(numbers["groups"][0]["runs"]) == 18
    assert {p["metric"] for p in numbers["probes"]} == {"loss", "macro_auroc"}
    assert numbers["provenance"]["versions"]["torch"] == "2.13"


def test_every_question_is_on_the_page_and_in_the_numbers(content: Content, page: str) -> None:
    numbers = json.loads(content.to_json())["questions"]
    asked = {a["question"] for a in numbers["answers"]}
    assert asked == {*OF_ONE, *OF_TASKS}  # of one configuration
    section = html.unescape(
        page[page.index("<h2>Questions of S1") :].split("</section>", maxsplit=1)[0]
    )
    shown = {re.sub(r", task trained on$", "", h) for h in re.findall("<h3>(.*?)</h3>", section)}
    assert {a["asked"] for a in numbers["answers"]} <= {h.split(", virtual/")[0] for h in shown}
    assert all(why in section for why in numbers["skipped"])
    assert "one configuration only that may be compared" in section


def test_the_page_and_its_questions_rest_on_one_fit(content: Content) -> None:
    (configuration,) = content.questions.configurations
    assert configuration.fit is content.groups[0].joint


def test_figures_are_small_png_files(content: Content, tmp_path: Path) -> None:
    paths = write_figures(content, tmp_path / "figures")
    assert {p.stem for p in paths} >= {"loss", "residuals", "uncertainty"}
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 300_000


def test_too_few_sizes_still_give_a_page(tmp_path: Path) -> None:
    plan = Plan(sizes={"d1w8": 1_800, "d2w16": 21_000}, bayes=None)
    folder = write_study(tmp_path / "few", plan)
    content = study_content(folder, n_boot=20)
    assert content.warnings[0].startswith("the joint law cannot be fitted")
    assert any("2 values of N" in w for w in content.warnings)
    write_report(content, folder / "report.html")
    text = (folder / "report.html").read_text()
    assert "Not fitted: " in text and "<svg" in text
    assert json.loads(content.to_json())["groups"][0]["holdout"] is None


def test_a_study_with_nothing_finished_still_gives_a_page(tmp_path: Path) -> None:
    statuses = {(s, d): "failed" for s in ("d1w8", "d2w16") for d in (256, 512)}
    plan = Plan(sizes={"d1w8": 1_800, "d2w16": 21_000}, data=(256, 512), statuses=statuses)
    content = study_content(write_study(tmp_path / "none", plan), n_boot=20)
    write_report(content, tmp_path / "report.html")
    assert any("no finished trial" in w for w in content.warnings)


def test_a_wrong_bayes_loss_is_called_out(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "wrong", Plan(bayes=0.34, noise=0.003))
    content = study_content(folder, n_boot=50)
    assert (
        "E's interval does not cover the Bayes loss, its standard error counted" in content.warnings
    )
    write_report(content, folder / "report.html")
    assert "not covered" in (folder / "report.html").read_text()


def test_seeds_are_all_shown_and_resampled(tmp_path: Path) -> None:
    content = study_content(write_study(tmp_path / "s", Plan(seeds=(0, 1, 2))), n_boot=20)
    group = content.groups[0]
    assert group.joint is not None and group.joint.problem.dof == 60 - 5
    assert group.holdout is not None and len(group.holdout.losses) == 3
    assert content.models[0]["seeds"] == 3 and content.models[0]["size"] == "d3w24"


def test_validation_chooses_and_test_is_reported(made: Path) -> None:
    frame = load(made)
    auroc = (frame["metric"] == "macro_auroc") & (frame["protocol"] == "held-out")
    poor = (frame["size"] == "d1w8") & (frame["D"] == 512)
    frame.loc[auroc & poor & (frame["split"] == "validation"), "value"] = 0.99
    frame.loc[auroc & poor & (frame["split"] == "test"), "value"] = 0.61
    chosen = next(m for m in chosen_models(frame) if m["protocol"] == "held-out")
    assert (chosen["size"], chosen["D"], chosen["test"]) == ("d1w8", 512, 0.61)
    assert chosen["low"] < 0.61 < chosen["high"]


def test_seeds_do_not_shrink_the_error_of_shared_patients() -> None:
    runs = pd.DataFrame({"value": [0.8, 0.82, 0.84], "value_se": [0.02] * 3})
    mean, low, high = mean_interval(runs)
    expected = 1.959964 * np.sqrt(0.02**2 + 0.02**2 / 3)
    assert mean == pytest.approx(0.82)
    assert (high - low) / 2 == pytest.approx(expected)
    unknown = mean_interval(runs.assign(value_se=np.nan))
    assert np.isnan(unknown[1])


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.5, "4.5 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (None, "–")]
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_command_writes_the_page_beside_the_tables(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(copy)
    assert main([str(copy), "--bootstrap", "10", "--figures"]) == 0
    assert (copy / "report.html").stat().st_size > 50_000
    assert (copy / "figures/loss.png").exists()
    assert "report.html: written" in capsys.readouterr().out
    assert main([str(copy), "--bootstrap", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == "made-up"


def test_a_bad_folder_is_one_line_and_code_2(
    tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'nowhere'}: no such results folder\n"
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main([str(made), "--bootstrap", "0", "--out", str(blocked / "page.html")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_failed_write_leaves_the_old_page(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "report.html"
    page.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scaling.records.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(content, page)
    assert page.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def loaded(code: str) -> set[str]:
    """Top-level modules that ``code`` imports in a fresh interpreter."""
    script = f"import sys\n{code}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    run = [sys.executable, "-c", script]
    return set(subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
               .stdout.splitlines()[-1].split())  # fmt: skip


def test_imports_are_lazy_and_know_no_trainer() -> None:
    light = loaded("from analysis import load")
    assert not light & {"scipy", "matplotlib", "lmfit", "jinja2"}
    helped = loaded("from analysis.report.__main__ import parser; parser().format_help()")
    assert not helped & {"pandas", "numpy", "scipy", "matplotlib"}
    heavy = loaded(
        "import analysis.report.page, analysis.report.content, analysis.testing\n"
        "from analysis import fit_law, law_rows"
    )
    assert not heavy & {"torch", "ray", "sweeps"}  # the ground of scaling is light


def test_a_page_that_cannot_be_written_is_named(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = "/proc/report.html"  # where nobody makes files
    assert main([str(made), "--bootstrap", "0", "--out", page]) == 2
    assert capsys.readouterr().err == f"error: {page}: No such file or directory\n"


def test_a_path_that_the_encoding_lacks_is_shown_with_escapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    print_text("r\u00e9/report.html: written")
    assert written.getvalue() == b"r\\xe9/report.html: written\n"
