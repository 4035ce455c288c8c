"""What the shape of a grid cannot say: names that exist, and combinations that can run.

These checks read the plain data of the file, whatever else is wrong with it, so that all
mistakes are reported together. They need the light registries only.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from scaling.identity import PARADIGMS, Recipe
from sweeps.yaml_source import Loc, Problem

OBJECTIVES = {"sl": "supervised"}


def check(data: dict[str, Any]) -> list[Problem]:
    """Return every problem of names and combinations in a grid's plain ``data``."""
    problems = [*_corpus(("corpus",), data.get("corpus"), None)]
    for loc, pretrain in pretrain_stages(data):
        problems += _families(loc, pretrain)
        problems += _paradigms(loc, pretrain)
        problems += _cells(loc, pretrain)
        problems += _recipe(loc, pretrain)
        for i, task in enumerate(_list(pretrain.get("tasks"))):
            problems += _task((*loc, "tasks", i), task)
        problems += _simulated(loc, pretrain, _is_simulated(data.get("corpus")))
    return problems


def pretrain_stages(data: dict[str, Any]) -> Iterator[tuple[Loc, dict[str, Any]]]:
    """Each pretrain stage and where it stands."""
    for i, stage in enumerate(_list(data.get("stages"))):
        pretrain = _dict(stage).get("pretrain")
        if isinstance(pretrain, dict):
            yield ("stages", i, "pretrain"), pretrain


def near(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a known word is near, else the list of known words."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.55)
    return f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(words)}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _axis(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _corpus(loc: Loc, value: Any, task_loc: Loc | None) -> Iterator[Problem]:
    from scaling.corpora.catalogue import SOURCES
    from scaling.corpora.signal import PRESETS

    corpus = _dict(value)
    name, preset = corpus.get("source"), corpus.get("preprocessing")
    if isinstance(preset, str) and preset not in PRESETS:
        yield Problem(
            loc=(*loc, "preprocessing"),
            message=f"no preprocessing {preset!r}; {near(preset, PRESETS)}",
        )
    if not isinstance(name, str):
        return
    if name not in SOURCES:
        message = f"no source {name!r}; {near(name, SOURCES)}"
        yield Problem(loc=task_loc or (*loc, "source"), message=message)
        return
    info = SOURCES[name]
    task = corpus.get("task")
    if isinstance(task, str) and task not in info.tasks:
        tasks = [known for known in info.tasks if known]
        known = near(task, tasks) if tasks else "leave the task out"
        message = f"source {name!r} has no task {task!r}; {known}"
        yield Problem(loc=task_loc or (*loc, "task"), message=message)
    for key in ("records", "validation", "test"):
        if info.kind == "files" and corpus.get(key) is not None:
            message = f"source {name!r} is read from files, all of them; remove {key!r}"
            yield Problem(loc=(*loc, key), message=message, at_key=True)
    if info.kind != "files" and corpus.get("root") is not None:
        message = f"source {name!r} needs no files; remove 'root'"
        yield Problem(loc=(*loc, "root"), message=message, at_key=True)


def _task(loc: Loc, value: Any) -> Iterator[Problem]:
    if isinstance(value, str):
        source, colon, task = value.partition(":")
        parsed = {"source": source, "task": task} if colon else {"source": source}
        yield from _corpus(loc, parsed, loc)
    else:
        yield from _corpus(loc, value, None)


def _is_simulated(corpus: Any) -> bool:
    source = corpus if isinstance(corpus, str) else _dict(corpus).get("source")
    return isinstance(source, str) and source.startswith("simulated/")


def _simulated(loc: Loc, pretrain: dict[str, Any], simulated: bool) -> Iterator[Problem]:
    """The simulated family goes with simulated corpora and tasks, and with nothing else."""
    rule = "the family 'simulated' goes with sources 'simulated/...', networks with all others"
    for family in _dict(pretrain.get("families")):
        if (family == "simulated") != simulated:
            yield Problem(loc=(*loc, "families", family), message=rule, at_key=True)
    for i, cell in enumerate(_list(pretrain.get("cells"))):
        if (_dict(cell).get("family") == "simulated") != simulated:
            yield Problem(loc=(*loc, "cells", i, "family"), message=rule)
    for i, task in enumerate(_list(pretrain.get("tasks"))):
        if _is_simulated(task) != simulated:
            message = "simulated tasks go with simulated corpora, and with nothing else"
            yield Problem(loc=(*loc, "tasks", i), message=message)


def _no_size(family: str, size: str) -> str | None:
    from scaling.models.families import FAMILIES

    info = FAMILIES[family]
    if info.has(size):
        return None
    known = near(size, info.sizes) if info.sizes else f"sizes look like {info.pattern}"
    return f"family {family!r} has no size {size!r}; {known}"


def _families(loc: Loc, pretrain: dict[str, Any]) -> Iterator[Problem]:
    from scaling.models.families import FAMILIES

    crossed = [key for key in ("families", "data") if pretrain.get(key) is not None]
    if "cells" in pretrain and crossed:
        message = "give either families and data, or cells, not both"
        yield Problem(loc=(*loc, "cells"), message=message, at_key=True)
    elif "cells" not in pretrain:
        for key in {"families", "data"} - pretrain.keys():
            yield Problem(loc=loc, message=f"the key {key!r} is missing (or list 'cells')")
    for family, sizes in _dict(pretrain.get("families")).items():
        if family not in FAMILIES:
            message = f"no family {family!r}; {near(str(family), FAMILIES)}"
            yield Problem(loc=(*loc, "families", family), message=message, at_key=True)
            continue
        for i, size in enumerate(_axis(sizes)):
            if isinstance(size, str) and (bad := _no_size(family, size)):
                yield Problem(loc=(*loc, "families", family, i), message=bad)


def _no_paradigm(paradigm: str, families: Iterable[str]) -> str | None:
    from scaling.models.families import FAMILIES

    if paradigm not in PARADIGMS:
        return f"no paradigm {paradigm!r}; {near(paradigm, PARADIGMS)}"
    if paradigm not in OBJECTIVES:
        return f"paradigm {paradigm!r} is not available yet in this version; 'sl' is"
    for family in families:
        if family in FAMILIES and paradigm not in FAMILIES[family].paradigms:
            return f"family {family!r} is not trained as {paradigm!r}"
    return None


def _paradigms(loc: Loc, pretrain: dict[str, Any]) -> Iterator[Problem]:
    families = list(_dict(pretrain.get("families")))
    for i, paradigm in enumerate(_axis(pretrain.get("paradigms", "sl"))):
        if isinstance(paradigm, str) and (message := _no_paradigm(paradigm, families)):
            yield Problem(loc=(*loc, "paradigms", i), message=message)


def _cells(loc: Loc, pretrain: dict[str, Any]) -> Iterator[Problem]:
    from scaling.models.families import FAMILIES

    for i, item in enumerate(_list(pretrain.get("cells"))):
        here, cell = (*loc, "cells", i), _dict(item)
        family, size, paradigm = (cell.get(key) for key in ("family", "size", "paradigm"))
        if isinstance(family, str) and family not in FAMILIES:
            message = f"no family {family!r}; {near(family, FAMILIES)}"
            yield Problem(loc=(*here, "family"), message=message)
        elif isinstance(family, str) and isinstance(size, str) and (bad := _no_size(family, size)):
            yield Problem(loc=(*here, "size"), message=bad)
        if isinstance(paradigm, str) and (bad := _no_paradigm(paradigm, [str(family)])):
            yield Problem(loc=(*here, "paradigm"), message=bad)


def _recipe(loc: Loc, pretrain: dict[str, Any]) -> Iterator[Problem]:
    base = _dict(pretrain.get("recipe"))
    by_size = _dict(base.get("by_size"))
    yield from _steps((*loc, "recipe"), base)
    for size, over in by_size.items():
        if not _size_in_stage(str(size), pretrain):
            message = f"no family of this stage has a size {size!r}"
            yield Problem(loc=(*loc, "recipe", "by_size", size), message=message, at_key=True)
        yield from _steps((*loc, "recipe", "by_size", size), base | _dict(over))
    for i, cell in enumerate(_list(pretrain.get("cells"))):
        if over := _dict(_dict(cell).get("recipe")):
            yield from _steps((*loc, "cells", i, "recipe"), base | over)


def _size_in_stage(size: str, pretrain: dict[str, Any]) -> bool:
    from scaling.models.families import FAMILIES

    names: list[Any] = [*_dict(pretrain.get("families"))]
    names += [_dict(cell).get("family") for cell in _list(pretrain.get("cells"))]
    return any(FAMILIES[name].has(size) for name in names if name in FAMILIES)


def _steps(loc: Loc, recipe: dict[str, Any]) -> Iterator[Problem]:
    """Warm-up and the first evaluation must come before the cap on steps."""
    defaults = dataclasses.asdict(Recipe())
    caps = _axis(recipe.get("max_steps", defaults["max_steps"]))
    if not all(isinstance(cap, int) for cap in caps) or not caps:
        return
    for key in ("warmup_steps", "eval_every"):
        given = key in recipe
        values = _axis(recipe.get(key, defaults[key]))
        worst = max((v for v in values if isinstance(v, int)), default=0)
        if worst > min(caps) or (key == "warmup_steps" and worst == min(caps)):
            origin = "" if given else " (the default)"
            message = f"{key} {worst}{origin} does not fit in max_steps {min(caps)}; set {key}"
            yield Problem(loc=(*loc, key) if given else (*loc, "max_steps"), message=message)
