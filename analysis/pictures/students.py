"""Pictures of a study's students, and the page that says what they show.

Restored leads, Grad-CAM and t-SNE need the models. ``python -m scaling.explain``, a process of its
own, opens them and leaves their arrays in the live store, where that was not done before for these
students and as many records. AUROC of each class, and accuracy against cost, need tables alone.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from analysis.compare.students import (
    TEACHER,
    Student,
    accuracy_and_cost,
    choose,
    class_areas,
    names_of,
    setting_words,
    students_of,
)
from analysis.figures import students as figures
from analysis.figures.base import Picture, png
from analysis.studies.load import Study
from analysis.studies.load import study as load_study
from scaling.records.explained import Explained
from scaling.records.files import write_whole
from scaling.records.layout import live_store
from scaling.records.schema import EXPLAINED_POINTS, EXPLAINED_RECORDS
from scaling.records.tables import ResultsError


def write_pictures(
    folder: Path,
    out: Path,
    *,
    students: Sequence[str] = (),
    records: int = EXPLAINED_RECORDS,
    points: int = EXPLAINED_POINTS,
    again: bool = False,
) -> tuple[list[str], list[Path]]:
    """Draw all that can be drawn of a study's students, with a page of captions.

    Args:
        folder: a results folder.
        out: where pictures and page go.
        students: training ids of those to show; empty for those that ``choose`` takes.
        records: test records with signals.
        points: test records in t-SNE.
        again: whether models are opened even where their arrays are there.

    Returns:
        What was left out and why, and what was written.

    Raises:
        ResultsError: the folder cannot be read or has no students, or the models cannot be opened.
        OSError: a file could not be written.
    """
    study = load_study(folder)
    all_students = students_of(study.frame)
    shown = choose(all_students, students)
    explained, notes = explained_of(folder, [s.trial for s in shown], (records, points), again)
    names = names_of(all_students, shown)
    paths, captions = [], {}
    for name, picture in _pictures(study, all_students, shown[-1], explained, names, notes):
        paths.append(out / f"{name}.png")
        write_whole(paths[-1], png(picture))
        captions[paths[-1].name] = figures.CAPTIONS[name]
    paths.append(out / "pictures.md")
    write_whole(paths[-1], page_of(study.name, names, explained, captions, notes).encode())
    return notes, paths


def explained_of(
    folder: Path, students: Sequence[str], asked: tuple[int, int], again: bool = False
) -> tuple[Explained | None, list[str]]:
    """The arrays of these students, made where they are not there; None where there are no models.

    Args:
        folder: a results folder.
        students: their training ids.
        asked: how many test records have signals, and how many features.
        again: whether they are made in any case.

    Returns:
        The arrays, and what to say where there are none.

    Raises:
        ResultsError: the models cannot be opened; says why.
    """
    store = live_store(folder)
    if not store.weights.is_dir():
        note = f"left out: restored leads, Grad-CAM and t-SNE: no models in {store.store}"
        return None, [note]
    if not again and store.explained.exists():
        try:
            found = Explained.read(store.explained)
        except ResultsError:
            pass  # damaged or of another version: it is made anew
        else:
            if found.students == tuple(students) and tuple(found.asked.tolist()) == asked:
                return found, []
    _open_models(folder, students, asked)
    return Explained.read(store.explained), []


def _open_models(folder: Path, students: Sequence[str], asked: tuple[int, int]) -> None:
    """Let a process of its own do it: it needs torch, which analysis does not import."""
    words = ["-m", "scaling.explain", str(folder), "--records", str(asked[0])]
    words += ["--points", str(asked[1]), "--students", *students]
    done = subprocess.run(
        [sys.executable, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        encoding="utf-8", errors="backslashreplace", check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        # A refusal begins with its reason, a traceback ends with it.
        refused = next((line for line in lines if line.startswith("error: ")), lines[-1])
        reason = refused.removeprefix("error: ")
        raise ResultsError(f"python {shlex.join(words)} failed: {reason}")


def _pictures(
    study: Study,
    students: Sequence[Student],
    like: Student,
    explained: Explained | None,
    names: Mapping[str, str],
    notes: list[str],
) -> Iterator[tuple[str, Picture]]:
    """Name and picture of all that can be drawn; ``notes`` gets what cannot."""
    if explained is not None:
        restored = figures.restored_picture(explained)
        if restored is None:
            notes.append("left out: restored leads: none of these students is given any")
        else:
            yield "restored", restored
        yield "grad-cam", figures.cam_picture(explained, names)
        yield "t-sne", figures.tsne_picture(explained, names)
    words = setting_words(like)
    areas = class_areas(study.frame, students, like)
    if areas.empty:
        notes.append(
            "left out: AUROC of each class, which was not measured: set metrics: multilabel in "
            "the stages of the grid, and run it again"
        )
    else:
        sized = f"{words}, {like.settings['family']} {like.settings['size']}"
        classes = study.corpora.get(str(like.row["corpus"]), {}).get("classes", ())
        yield "auroc-by-class", figures.class_picture(areas, sized, classes)
    points = accuracy_and_cost(study.frame, students, like)
    yield "accuracy-cost", figures.cost_picture(points, words)


def page_of(
    study: str,
    names: Mapping[str, str],
    explained: Explained | None,
    captions: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """The pictures with what they show and of which trainings, in Markdown.

    Args:
        study: its name.
        names: of the students, by training id.
        explained: what was drawn of models; None where nothing was.
        captions: by file name.
        notes: what was left out.
    """
    lines = [f"# Pictures of {study}", ""]
    if explained is not None:
        for name, taught in zip(explained.models.tolist(), explained.teacher.tolist(), strict=True):
            lines.append(f"- {TEACHER if taught else names[name]}: `{name}`")
        if restoration := str(explained.restoration):
            lines.append(f"- restoration net: `{restoration}`")
        lines += ["", f"Test records: {', '.join(explained.record.tolist())}"]
    for file, caption in captions.items():
        lines += ["", f"![{file.removesuffix('.png')}]({file})", "", caption]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"
