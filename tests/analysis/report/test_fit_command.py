"""``python -m analysis.fit``: what it prints, writes and refuses, and the page that shows it."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.report.fit_answers import answers_of, text_of
from analysis.report.fit_command import main
from analysis.runs.read import read_runs
from tests.analysis.anyones import SIZES, TOKENS, TRUTH, ladder, law, runs, write

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/your-runs.md"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
QUICK = ["--n-boot", "20"]


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def asked(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(said([*arguments, "--json"], capsys))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.S)


def near(line: str, other: str) -> bool:
    """Whether two lines are the same but for numbers, and those within 5 %."""
    if NUMBER.sub("#", line) != NUMBER.sub("#", other):
        return False
    values = ([float(v.replace(",", "")) for v in NUMBER.findall(t)] for t in (line, other))
    return all(math.isclose(a, b, rel_tol=0.05) for a, b in zip(*values, strict=True))


def test_the_page_shows_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    head = ladder(tmp_path).read_text().splitlines()[:2]
    shown = [b.rstrip().splitlines() for b in blocks("text")]
    assert shown[0] == head
    for command, lines in zip(blocks("sh"), shown[1:], strict=True):
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "analysis.fit"]
        printed = said(words[3:], capsys).splitlines()
        for line in lines:
            assert any(near(line, other) for other in printed), (line, printed)
    written = {p.name for p in (tmp_path / "ladder").iterdir()}
    assert written == {"report.html", "parameters.tex", "fit.png", "allocation.png"}
    for code in blocks("python"):
        exec(code, {})


def test_intervals_on_the_page_hold_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--at", "N=3B,D=333B", "--at", "N=7B,D=143B"]
    found = asked([str(ladder(tmp_path)), *at], capsys)["sets"][0]
    for row in found["predictions"]:
        truth = law(row["N"], row["D"])
        assert row["new_low"] < truth < row["new_high"]
        assert NUMBER.findall(f"{truth:.3f}")[0] in PAGE.read_text()
    for name, value in TRUTH.items():
        low, high = found["fit"]["intervals"][name]
        assert low - 0.1 * value < value < high + 0.1 * value


def test_numbers_are_those_of_fit_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, runs().to_csv(index=False).splitlines())
    found = asked([str(path), "--seed", "3", *QUICK], capsys)
    fit = fit_law(runs(), n_boot=20, seed=3)
    assert found["sets"][0]["fit"]["params"] == pytest.approx(fit.params, rel=1e-6)
    assert found["columns"]["loss"] == {"column": "loss", "factor": 1.0}
    assert found["sets"][0]["optimum"] is None


def test_each_data_set_has_its_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [runs(shift=s).assign(corpus=c) for s, c in ((0.0, "a"), (0.4, "b_x"))]
    path = write(tmp_path, pd.concat(parts).to_csv(index=False).splitlines())
    out = tmp_path / "out"
    found = asked([str(path), "--out", str(out), "--at", "N=1e10,D=1e11", *QUICK], capsys)
    assert [s["name"] for s in found["sets"]] == ["a", "b_x"]
    for part, own in zip(parts, found["sets"], strict=True):
        alone = fit_law(part[["N", "D", "loss"]], n_boot=0)
        assert own["fit"]["params"] == pytest.approx(alone.params, rel=1e-6)
    tex = (out / "parameters.tex").read_text()
    assert tex.count(r"\\") == 3 and r"b\_x & 25 &" in tex and r"$\alpha$" in tex
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 2 and not re.search(r"(src|href)=.http", page)
    assert "One point a run" in page and "2 data sets by column corpus" in page
    assert {p.name for p in out.glob("*.png")} == {"fit-a.png", "fit-b-x.png"}
    text = said([str(path), *QUICK], capsys)
    assert "b_x: 25 rows, converged" in text and "refits: 20 of each data set" in text


def test_fits_side_by_side_are_those_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [runs(shift=s).assign(corpus=c) for s, c in ((0.0, "a"), (0.4, "b"), (0.8, "c"))]
    found = read_runs(pd.concat(parts, ignore_index=True))
    many = answers_of(found, "chinchilla", refits=5)
    monkeypatch.setattr("analysis.report.fit_answers._workers", lambda jobs: 1)
    one = answers_of(found, "chinchilla", refits=5)
    for a, b in zip(many, one, strict=True):
        assert a.fit.intervals == b.fit.intervals


def test_the_optimum_is_that_of_the_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = runs(noise=1e-6)
    path = write(tmp_path, frame.to_csv(index=False).splitlines())
    found = asked([str(path), "--compute", "1e22", "--compute", "1e23", *QUICK], capsys)
    optimum = found["sets"][0]["optimum"]["table"]
    for row in optimum:
        sizes = np.geomspace(1e8, 1e12, 4001)
        losses = [law(n, row["C"] / (6 * n)) for n in sizes]
        assert row["N"] == pytest.approx(sizes[int(np.argmin(losses))], rel=0.01)
        assert row["loss"] == pytest.approx(min(losses), rel=1e-3)
    assert found["sets"][0]["cost"] == "C = 6 N D, as of a transformer on D tokens"
    counted = frame.assign(flops=20 * frame["N"] ** 0.9 * frame["D"])
    path = write(tmp_path, counted.to_csv(index=False).splitlines())
    found = asked([str(path), "--compute", "1e22", *QUICK], capsys)["sets"][0]
    assert found["cost"] == "C ~ N^0.900 D^1.00, fitted to column flops"
    row = found["optimum"]["table"][0]
    assert 20 * row["N"] ** 0.9 * row["D"] == pytest.approx(1e22, rel=1e-4)


def test_a_law_without_an_optimum_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, runs().to_csv(index=False).splitlines())
    text = said([str(path), "--law", "kaplan", "--compute", "1e22", *QUICK], capsys)
    assert "no optimum: the law kaplan has no A, B" in text
    one = said([str(path), "--law", "n_law", "--at", "N=5B", *QUICK], capsys)
    assert "n_law: runs at D = 100,000,000,000 only" in one or "at N = 5G" in one


def test_no_optimum_in_an_unknown_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = runs().assign(N=lambda f: f["N"] / 1e9)
    path = write(tmp_path, frame.to_csv(index=False).splitlines())
    text = said([str(path), "--compute", "1e22", *QUICK], capsys)
    assert "warning: N is 0.02 to 2 in column N" in text
    assert "no optimum: C = 6 N D needs N in units of one: --map 'N=N*1e6'" in text
    text = said([str(path), "--compute", "1e22", "--map", "N=N*1e9", *QUICK], capsys)
    assert "times 1e+09 as asked for" in text and "N* ~ C^" in text


def test_sizes_in_millions_are_noticed_when_the_largest_is_a_billion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = runs().assign(N=lambda f: (f["N"] / 1e6).astype(int))
    path = str(write(tmp_path, frame.to_csv(index=False).splitlines()))
    text = said([path, "--compute", "1e22", *QUICK], capsys)
    assert "warning: N is 20 to 2000 in column N, which is no count of parameters" in text
    assert "--map 'N=N*1e6' (or 1e9) says the unit, *1 that it is a count" in text
    assert "no optimum: C = 6 N D needs N in units of one: --map 'N=N*1e6'" in text
    count = said([path, "--compute", "1e15", "--map", "N=N*1", *QUICK], capsys)
    assert "no count" not in count and "N* ~ C^" in count
    tokens = runs().assign(tokens=lambda f: f["D"] / 4e8).drop(columns="D")
    assert read_runs(tokens).unscaled == ("D",)  # 1 to 250


def test_one_seed_and_several_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seeds in (1, 3):
        path = write(tmp_path, runs(seeds=seeds).to_csv(index=False).splitlines())
        assert asked([str(path), *QUICK], capsys)["sets"][0]["fit"]["points"] == 25 * seeds


REFUSED: list[tuple[list[str], str]] = [
    (["--at", "N=1e9"], "--at N=1e9: give N=.., D=.."),
    (["--at", "N=1e9,D=much"], "--at D: 'much' is not a positive number"),
    (["--at", "N=7,5B,D=1B"], "--at N=7,5B,D=1B: 7,5B has a decimal comma; write 7.5B"),
    (["--at", "D=1B,N=7,5"], "7,5 has a decimal comma; write 7.5"),
    (["--at", "1e9"], "--at: '1e9' is not NAME=VALUE"),
    (["--at", "N=7B,N=8B,D=1B"], "--at N=7B,N=8B,D=1B: N is given 2 times"),
    (["--map", "N=D", "--map", "N=N"], "--map: N is given 2 times"),
    (["--where", "seed=0", "--where", "seed=1"], "--where: seed is given 2 times"),
    (["--compute", "-1"], "--compute: '-1' is not a positive number"),
    (["--law", "chinchila"], "did you mean 'chinchilla'"),
    (["--by", "corpus"], "no column 'corpus'; there are: N, D, seed, loss"),
    (["--where", "seed=7"], "no row has seed = 7; there are: 0"),
    (["--map", "loss=Loss"], "no column 'Loss' for loss"),
    (["--law", "frontier"], "no column for C (training FLOPs) of frontier"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_bad_arguments_exit_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, runs().to_csv(index=False).splitlines())
    assert main([str(path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["N,D,loss", "1e6,1e9,3.2"], "1 value of N: chinchilla needs at least 3"),
        ([], "the file is empty"),
        (["N,D,loss", "1e6,1e9,3.2", "2e6,1e9,x", "1,2,3"], "line 3, column loss: 'x'"),
    ],
)
def test_files_that_no_law_fits_exit_2(
    lines: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, lines)
    assert main([str(path)]) == 2
    assert message in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "python -m analysis.report" in capsys.readouterr().err
    assert main([str(tmp_path / "none.csv")]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err


def test_json_of_a_file_that_no_law_fits_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, ["N,D,loss", "1e6,1e9,3.2"])
    assert main([str(path), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "1 rows" in printed.err and "no law can be fitted" in printed.err


def test_no_refits_are_said_to_give_no_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path, runs().to_csv(index=False).splitlines()))
    at = ["--at", "N=7B,D=1B"]
    plain = said([path, *at, "--n-boot", "0"], capsys)
    assert "--n-boot 0 makes no refits: predictions and optima have no intervals" in plain
    (line,) = [t for t in plain.splitlines() if t.startswith("  at N = 7G")]
    assert "95 %" not in line
    assert "no intervals" not in said([path, *at, *QUICK], capsys)


def test_output_that_cannot_be_written_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, runs().to_csv(index=False).splitlines())
    assert main([str(path), "--out", str(path), "--n-boot", "0"]) == 2
    assert "error: " in capsys.readouterr().err


def test_a_report_of_another_command_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write(tmp_path, runs().to_csv(index=False).splitlines()), tmp_path / "study"
    arguments = [str(path), "--out", str(out), "--n-boot", "0"]
    page = write(tmp_path, ["<html>a study</html>"], "report.html")
    out.mkdir()
    page.rename(out / "report.html")
    assert main(arguments) == 2
    assert "report.html was not written by python -m analysis.fit" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["report.html"]
    assert (out / "report.html").read_text().startswith("<html>a study")
    (out / "report.html").unlink()
    assert main(arguments) == 0
    (out / "fit.png").unlink()
    assert main(arguments) == 0  # its own
    assert (out / "fit.png").exists()


def test_a_negative_seed_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, runs().to_csv(index=False).splitlines())
    with pytest.raises(SystemExit) as ended:
        main([str(path), "--seed", "-1"])
    assert ended.value.code == 2
    assert "--seed must not be negative" in capsys.readouterr().err


def test_messages_about_rows_name_lines_of_the_file(tmp_path: Path) -> None:
    lines = runs().to_csv(index=False).splitlines()
    lines.insert(3, "")
    found = read_runs(write(tmp_path, lines))
    text = found.in_file("row 4: loss is nan", found.only())
    assert text.endswith("runs.csv: line 7: loss is nan")


def test_help_comes_without_scipy() -> None:
    code = (
        "import sys\nfrom analysis.report.fit_command import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*(set(sys.modules) & {'scipy', 'numpy', 'pandas', 'matplotlib'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--compute" in out.stdout and out.stdout.splitlines()[-1] == ""
    shown = subprocess.run(
        [sys.executable, "-m", "analysis.fit", "--help"], capture_output=True, text=True,
        check=True, cwd=ROOT,
    )  # fmt: skip
    assert "python -m analysis.fit" in shown.stdout


FILES = {  # of ../shared/laws with N, D and a loss: data sets, and rows fitted
    "epoch_chinchilla": (1, 240), "farseer": (1, 404), "gadre": (3, 104), "isoflop": (8, 947),
    "nd_extrapolation": (9, 627), "porian_isoflops": (11, 1264), "sld_data_constrained": (1, 161),
    "synthetic_clean": (3, 225), "xlstm_llama_ctx8192": (1, 110),
}  # fmt: skip


def test_every_public_file_with_n_d_and_loss_is_known(shared: Path) -> None:
    found = set()
    for path in (shared / "laws").glob("*.csv"):
        header = [c.lower() for c in path.read_text().splitlines()[0].split(",")]
        d = any(c in ("d", "t") or c.startswith("d_") for c in header)
        if "n" in header and d and any(c.startswith("loss") for c in header):
            found.add(path.stem)
    assert found == set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_public_files_need_no_mapping(file: str, shared: Path) -> None:
    found = read_runs(shared / "laws" / f"{file}.csv")
    answers = answers_of(found, "chinchilla", refits=0)
    assert (len(answers), sum(len(a.fit.rows) for a in answers)) == FILES[file]
    assert all(a.fit.ok for a in answers)
    assert text_of(found, answers, 0).count("L(N, D)") == (len(answers) == 1)
    if file == "gadre":
        assert "loss from column loss_openlm" in str(found) and "loss_c4_val" in str(found)
    if file == "synthetic_clean":  # as they were made
        assert answers[1].fit.params == pytest.approx(
            {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}, rel=1e-6
        )


def test_a_public_file_through_the_command(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = asked([str(shared / "laws/farseer.csv"), *QUICK], capsys)
    assert found["sets"][0]["held_out"]["rows"] == 7
    assert found["sets"][0]["fit"]["points"] == 404


def test_the_grid_of_the_page_is_as_described() -> None:
    assert (len(SIZES), len(TOKENS)) == (5, 5)
