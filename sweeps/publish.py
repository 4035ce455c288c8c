"""``python -m sweeps.publish results/<study>``: the tables, figures and README that are kept.

Beside the live store, which git ignores: ``trials.csv``, ``evaluations.csv``, ``study.json``,
``ladder.json``, ``corpora.json``, ``provenance.json``, ``figures/`` and ``README.md``; where laws
were fitted to several configurations, ``findings.md`` and ``findings.json``; where predictions
were kept, ``comparison.json``, or ``methods.json`` where students were. No weights.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from scaling.corpora.catalogue import SOURCES
from scaling.numerics import NUMERICS
from scaling.records.files import write_json, write_whole
from scaling.records.layout import (
    AGAIN,
    COMPARISON,
    CORPORA,
    LADDER,
    METHODS_COMPARED,
    STUDY,
    live_store,
)
from sweeps import interrupts
from sweeps.errors import ConfigurationError, StorageError, say, tell

if TYPE_CHECKING:
    import pandas as pd

    from sweeps.store import Store

CURVES_BELOW = 1_000_000  # bytes of evaluations.csv up to which training curves are kept
SOMETIMES = ("findings.md", "findings.json", COMPARISON, METHODS_COMPARED)
COPIED = {STUDY: dict, LADDER: list, CORPORA: dict}  # and what each holds
MAKING = ".publishing"  # in the study's folder, while the command runs
FIGURES = (  # of the README, in this order; then the linear probes
    "methods", "loss", "residuals", "uncertainty", "allocation", "envelope", "approaches",
    "transfer",
)  # fmt: skip
Numbers = Mapping[str, Any]


def publish(folder: Path) -> Path:
    """Write the published form of a study beside its live store; returns the README.

    All of it is made in a folder beside what is published, which it replaces at the end.

    Args:
        folder: ``results/<study>``.

    Raises:
        ConfigurationError: no live store, one that is broken, nothing finished, or another
            driver is running. Here and below, what was published is left as it was.
        StorageError: a file could not be written.
    """
    from sweeps.store import Store

    study = _study(live_store(folder).study)
    store = Store(folder, study["study"], choosable=False)
    making = folder / MAKING
    with store.locked() as messages:
        for message in messages:
            tell(f"warning: {message}")
        store.compact()
        try:
            shutil.rmtree(making, ignore_errors=True)  # of a command that was killed
            _make(making, store, study)
            with interrupts.shielded():
                _put_in_place(making, folder)
                interrupts.take_no_more()
        except OSError as error:
            raise StorageError(error.errno, _why(error, making, folder)) from None
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder / "README.md"


def _why(error: OSError, making: Path, folder: Path) -> str:
    """What could not be written, by the name that it would have had."""
    named = str(error.filename2 or error.filename or folder).replace(str(making), str(folder))
    return f"{named}: {error.strerror or error}; mend that and run the same command again"


def _study(path: Path) -> dict[str, Any]:
    """``study.json`` of the live store, checked."""
    try:
        study = json.loads(path.read_bytes())
        ids = [i for stage in study["stages"] for i in stage["trials"] + stage["evaluations"]]
        corpus = study["grid"]["corpus"]
        sound = {"fs_hz", "window_s"} <= set(corpus) and all(
            isinstance(word, str) for word in (study["study"], *ids)
        )
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(f"{path.parent.parent} holds no study: run it first") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise ConfigurationError(
            f"{path}: broken; delete it and run python -m sweeps.run on the study's grid, which "
            "writes it anew"
        )
    return dict(study)


def _make(making: Path, store: Store, study: dict[str, Any]) -> None:
    """Fill a folder with all that is published."""
    copied = {name: _copied(store.runs / name) for name in COPIED}
    tables = _tables(store, study)
    if tables["trials"].empty:
        raise ConfigurationError(f"{store.folder}: no trial of this study is finished yet")
    for name, table in tables.items():
        write_whole(making / f"{name}.csv", table.to_csv(index=False).encode())
    for name, data in copied.items():
        write_whole(making / name, data)
    provenance = _provenance(store, study)
    write_json(making / "provenance.json", provenance)
    shown = making / "figures"
    report = _analysis("report", store.folder, "--json", unseen=("--figures", str(shown)))
    numbers = json.loads(report)
    methods, comparison = _compared(store.folder, making, tables["trials"])
    figures = [path.name for path in shown.glob("*.png")]  # those of findings are on their page
    findings = _configurations(tables["trials"]) > 1 and any(
        law["params"] for group in numbers["groups"] for law in group["laws"].values()
    )
    if findings:
        _analysis("findings", store.folder, unseen=("--out", str(making / "findings.md")))
    aged = made_by_older(provenance, json.loads(copied["corpora.json"]))
    page = readme(
        study, numbers, figures, findings=findings, methods=methods, comparison=comparison,
        aged=aged,
    )  # fmt: skip
    write_whole(making / "README.md", page.encode())


def _copied(path: Path) -> bytes:
    """One of the live store's JSON files as it is, checked for its form."""
    try:
        data = path.read_bytes()
        found = json.loads(data)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; {AGAIN}") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: not JSON ({error}); {AGAIN}") from None
    if not isinstance(found, COPIED[path.name]):
        raise ConfigurationError(f"{path}: broken; {AGAIN}")
    return data


def _put_in_place(making: Path, folder: Path) -> None:
    """Move what was made to where it is published, and delete what was not made anew."""
    made = {path.relative_to(making) for path in making.rglob("*") if path.is_file()}
    for name in sorted(made):
        (folder / name).parent.mkdir(exist_ok=True)
        (making / name).replace(folder / name)
    for old in [*(folder / "figures").glob("*.png"), *(folder / name for name in SOMETIMES)]:
        if old.relative_to(folder) not in made:
            old.unlink(missing_ok=True)


def _tables(store: Store, study: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Both tables without what is no longer planned; curves only while they are small."""
    planned = {i for stage in study["stages"] for i in stage["trials"] + stage["evaluations"]}
    trials, evaluations = (
        _table(store.runs / f"{name}.parquet") for name in ("trials", "evaluations")
    )
    trials = trials[trials["trial"].isin(planned)].sort_values(
        ["family", "N", "D", "seed", "trial"]
    )
    evaluations = evaluations[evaluations["evaluation"].isin(planned)]
    if len(evaluations.to_csv(index=False)) > CURVES_BELOW:
        evaluations = evaluations[evaluations["protocol"] != "curve"]
    order = ["trial", "protocol", "task", "split", "metric", "step"]
    return {"trials": trials, "evaluations": evaluations.sort_values(order)}


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path, dtype_backend="numpy_nullable")
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read ({error}); delete it and {AGAIN}"
        raise ConfigurationError(message) from None


def _provenance(store: Store, study: dict[str, Any]) -> list[dict[str, Any]]:
    """What the planned trials ran on, the commonest first; how many share each combination."""
    planned = {i for stage in study["stages"] for i in stage["trials"]}
    found: dict[str, dict[str, Any]] = {}
    for record in store.trainings():
        if record["id"] in planned:
            row = {key: record["trial"][key] for key in ("commit", "dirty", "device")}
            origin = row | record["provenance"]
            entry = found.setdefault(json.dumps(origin, sort_keys=True), origin | {"trials": 0})
            entry["trials"] += 1
    return sorted(found.values(), key=lambda entry: -entry["trials"])


def _configurations(trials: pd.DataFrame) -> int:
    """How many (family, paradigm) were trained, codebooks and untrained models apart."""
    from sweeps.stages import STAGES

    for_laws = [name for name, stage in STAGES.items() if stage.for_laws]
    trained = trials[trials["stage"].isin(for_laws) & (trials["paradigm"] != "random")]
    return len(trained[["family", "paradigm"]].drop_duplicates())


def _compared(folder: Path, making: Path, trials: pd.DataFrame) -> tuple[str, str]:
    """Methods as Markdown, or models as text, on the same patients; neither without predictions.

    Models of a study of students are not set against each other: the best of a family would be
    the teacher as a rule. What cannot be compared says why.
    """
    from sweeps.stages import STAGES

    if not any(live_store(folder).predictions.glob("*.npz")):
        return "", ""
    students = trials["stage"].isin([name for name, stage in STAGES.items() if stage.for_methods])
    try:
        if not students.any():
            return "", _analysis("compare", folder, unseen=("--out", str(making / COMPARISON)))
        figure = making / "figures" / "methods.png"
        made = ("--out", str(making / METHODS_COMPARED), "--figure", str(figure))
        return _analysis("compare", folder, "--methods", "--markdown", unseen=made), ""
    except ConfigurationError as error:
        return "", str(error)


def _analysis(command: str, folder: Path, *flags: str, unseen: Sequence[str] = ()) -> str:
    """Let the analysis write its figures and pages; what it prints. It runs on its own.

    A message leaves out the flags that are ``unseen``: they name what is gone by then.
    """
    words = ["-m", f"analysis.{command}", str(folder), *flags]
    done = subprocess.run(
        [sys.executable, *words, *unseen],
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(f"python {shlex.join(words)} failed:\n{done.stderr.strip()}")
    return done.stdout


def readme(
    study: Numbers,
    numbers: Numbers,
    figures: Iterable[str],
    *,
    findings: bool = False,
    methods: str = "",
    comparison: str = "",
    aged: str = "",
) -> str:
    """The text of a published study's README.

    Args:
        study: content of ``study.json``.
        numbers: what ``python -m analysis.report <folder> --json`` prints.
        figures: file names in ``figures/`` that are shown.
        findings: whether ``findings.md`` was written.
        methods: what ``python -m analysis.compare <folder> --methods --markdown`` prints, if it
            was run.
        comparison: what ``python -m analysis.compare <folder>`` prints, if it was run.
        aged: what ``made_by_older`` says.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sweeps", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters |= {"number": number, "interval": interval}
    titles = [group["title"] for group in numbers["groups"]]
    return environment.get_template("readme.md.j2").render(
        study=study,
        numbers=numbers,
        titles=titles,
        kinds=dict.fromkeys(title.partition(" (")[0] for title in titles),
        fitted=[group for group in numbers["groups"] if _fitted(group)],
        aged=aged,
        findings=findings,
        command=_command(study["study"]),
        warnings=_warnings(numbers),
        methods=methods,
        comparison=comparison,
        figures=sorted(figures, key=_place),
    )


def made_by_older(provenance: Sequence[Numbers], corpora: Iterable[str]) -> str:
    """A line that names what has other numbers by now than in these trials; empty for nothing.

    Args:
        provenance: content of ``provenance.json``.
        corpora: names in ``corpora.json``; sources that are not among them do not matter.
    """
    used, known = (
        {f"corpora.{re.split('[/:@]', n)[0]}" for n in names} for names in (corpora, SOURCES)
    )
    others = known - used
    before: dict[str, int] = {}
    for entry in provenance:
        for module, version in entry["numerics"].items():
            before[module] = min(version, before.get(module, version))
    changed = [
        f"{module} {version} (now {NUMERICS[module]})"
        for module, version in sorted(before.items())
        if version != NUMERICS.get(module, version) and module not in others
    ]
    if not changed:
        return ""
    return (
        f"**Made by older versions** of {', '.join(changed)}: run again, it trains all anew and "
        "gives other numbers."
    )


def _fitted(group: Numbers) -> bool:
    law = group["laws"].get("chinchilla")
    return bool(law and law["params"])


def _command(study: str) -> str:
    """How to run it, when its grid is one of this project's."""
    for path in (Path("grid.yaml"), *sorted(Path("sweeps/grids").glob("*.yaml"))):
        wanted = re.compile(rf"^study:\s*{re.escape(study)}\s*(#.*)?$", re.MULTILINE)
        if path.exists() and wanted.search(path.read_text(encoding="utf-8")):
            return f"python -m sweeps.run {shlex.quote(str(path))}"
    return ""


def _warnings(numbers: Numbers) -> list[str]:
    groups = numbers["groups"]
    found: dict[str, list[str]] = {}
    for group in groups:
        own = group["warnings"]  # without a law they are its reasons, in one line
        for text in own if _fitted(group) or not own else ["; ".join(own)]:
            found.setdefault(text, []).append(group["title"])
    warnings = list(numbers["warnings"])
    for text, titles in found.items():
        who = " and ".join(titles) if len(titles) < 3 else f"{len(titles)} of {len(groups)} groups"
        warnings.append(f"{who}: {text}" if len(groups) > 1 else text)
    return warnings


def _place(figure: str) -> tuple[int, str]:
    places = [i for i, known in enumerate(FIGURES) if known in figure]
    return (places[0] if places and "probe" not in figure else len(FIGURES), figure)


def number(value: float | None) -> str:
    """Four significant digits, whole from 1e4 to 1e6, with an exponent beyond; a dash for None."""
    if value is None:
        return "–"
    if 1e4 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def interval(pair: Sequence[float | None] | None) -> str:
    """``low to high``; a dash when unknown."""
    if pair is None or None in pair:
        return "–"
    return " to ".join(number(value) for value in pair)


def main(words: Sequence[str] | None = None, *, last: bool = False) -> int:
    """Run the command; ``last`` is that of ``interrupts.run_command``. Returns the exit code."""
    parse = argparse.ArgumentParser(prog="python -m sweeps.publish", description=publish.__doc__)
    parse.add_argument("folder", type=Path, help="results folder, such as results/first-laws")
    options = parse.parse_args(words)

    def body() -> int:
        say(f"{publish(options.folder)}: written")
        return 0

    said = "interrupted; what was published before is left as it was"
    return interrupts.run_command(body, said, last=last)


if __name__ == "__main__":
    sys.exit(main(last=True))
