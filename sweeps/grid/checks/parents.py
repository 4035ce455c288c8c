"""What a stage starts from: parents of earlier stages, and the codebook of masked trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scaling.objectives.registry import OBJECTIVES
from scaling.records.names import PARADIGMS, suggest
from sweeps.grid.raw import as_axis, as_dict
from sweeps.grid.source import Loc, Problem

Earlier = Sequence[tuple[str, dict[str, Any]]]


def check_parents(
    loc: Loc, name: str, stage: dict[str, Any], earlier: Earlier
) -> Iterator[Problem]:
    """Problems of the key ``parents`` of a stage."""
    if "parents" not in stage:
        return
    parents, here = as_dict(stage["parents"]), (*loc, "parents")
    for key in ("families", "cells"):
        if name == "pretrain" and key in stage:
            message = f"a trial with a parent has its family and size; remove {key!r}"
            yield Problem(loc=(*loc, key), message=message, at_key=True)
    wanted = parents.get("stage", "pretrain")
    if isinstance(wanted, str) and wanted not in [name for name, _ in earlier]:
        place = (*here, "stage") if "stage" in parents else (*loc, "parents")
        message = f"there is no {wanted} stage before this one for it to start from"
        yield Problem(loc=place, message=message, at_key=True)
    yield from _words(here, parents)
    paradigms = as_axis(parents.get("paradigms"))
    if name == "pretrain" and "random" in paradigms and "paradigms" not in stage:
        message = "parents that are not trained give no paradigm; give the stage 'paradigms'"
        yield Problem(loc=(*here, "paradigms"), message=message)
    if parents.get("best") == "macro_auroc" and {"ssl", "random"} & set(map(str, paradigms)):
        message = "only trials of the paradigm 'sl' have a macro_auroc of their own; use loss"
        yield Problem(loc=(*here, "best"), message=message)
    if parents.get("best") is not None and "random" in paradigms:
        message = "untrained parents have no validation loss to choose by; remove 'best'"
        yield Problem(loc=(*here, "best"), message=message, at_key=True)


def _words(loc: Loc, parents: dict[str, Any]) -> Iterator[Problem]:
    from scaling.models.families import FAMILIES

    known = {
        "families": [name for name in FAMILIES if name != "vq-hbr"],
        "paradigms": PARADIGMS,
    }
    for key, words in known.items():
        for i, word in enumerate(as_axis(parents.get(key))):
            if isinstance(word, str) and word not in words:
                message = f"no {key[:-1].replace('ie', 'y')} {word!r}; {suggest(word, words)}"
                yield Problem(loc=(*loc, key, i), message=message)
    for i, size in enumerate(as_axis(parents.get("sizes"))):
        if isinstance(size, str) and not any(info.has(size) for info in FAMILIES.values()):
            every = [known for info in FAMILIES.values() for known in info.sizes]
            message = f"no family has a size {size!r}; {suggest(size, every)}"
            yield Problem(loc=(*loc, "sizes", i), message=message)


def check_codebook(
    loc: Loc, stage: dict[str, Any], objectives: set[str], earlier: Earlier
) -> Iterator[Problem]:
    """Masked trials need a codebook, and nothing else does."""
    chosen = stage.get("codebook")
    masked = sorted(name for name in objectives if OBJECTIVES[name].codebook)
    before = [content for name, content in earlier if name == "codebook"]
    mapping = as_dict(chosen)
    if not masked:
        if "codebook" in stage:
            message = "no trial of this stage predicts codes; remove 'codebook'"
            yield Problem(loc=(*loc, "codebook"), message=message, at_key=True)
    elif chosen is None:
        if not before:
            message = (
                f"objective {masked[0]!r} predicts the codes of a codebook: put a codebook stage "
                "before this one, or give the file of a converted one as 'codebook'"
            )
            yield Problem(loc=loc, message=message, at_key=True)
    elif mapping and len(mapping) != 1:
        message = "give the codebook either as its 'size' or as the 'path' of a file"
        yield Problem(loc=(*loc, "codebook"), message=message)
    elif isinstance(size := mapping.get("size"), str):
        sizes = as_axis(as_dict(before[-1].get("families")).get("vq-hbr")) if before else []
        if size not in sizes:
            about = (
                suggest(size, map(str, sizes)) if sizes else "there is no codebook stage before it"
            )
            message = f"no codebook of size {size!r} is trained before this stage; {about}"
            yield Problem(loc=(*loc, "codebook", "size"), message=message)
