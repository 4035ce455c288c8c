"""Versions of the numbers each module produces.

A training id hashes the version of every module that can change its weights, and an
evaluation id those that can change its values. ``tests/test_golden.py`` holds golden
numbers for each entry: when outputs change on purpose, the test fails until the version
here is raised, so an old record is never taken for a new one. A module joins when it has golden
numbers; until then it is at version 1.
"""

from __future__ import annotations

NUMERICS: dict[str, int] = {
    "corpora.virtual": 4,
    "corpora.ptbxl": 1,
    "corpora.cpsc2018": 1,
    "corpora.csn": 1,
    "corpora.chapman": 1,
    "corpora.challenge2021": 1,
    "corpora.code15": 1,
    "corpora.code": 1,
    "corpora.code-test": 1,
    "corpora.mimic": 1,
    "corpora.echonext": 1,
    "corpora.sph": 1,
    "corpora.ludb": 1,
    "corpora.arrays": 1,
    "corpora.wfdb": 1,
    "corpora.signal": 1,
    "corpora.convert": 1,
    "corpora.splits": 1,
    "label_sets": 1,
    "models.resnet": 2,
    "models.transformer": 2,
    "models.vq_hbr": 1,
    "models.conv_transformer": 1,
    "models.unet": 1,
    "objectives.supervised": 1,
    "objectives.focal": 1,
    "objectives.categorical": 1,
    "objectives.contrastive": 2,
    "objectives.masked": 1,
    "objectives.codebook": 1,
    "objectives.untrained": 1,
    "objectives.restoration": 1,
    "objectives.none": 1,
    # Of methods, 2: with the weights that were tuned as their defaults.
    "objectives.kd": 2,
    "objectives.dkd": 2,
    "objectives.cc": 2,
    "objectives.rkd": 2,
    "objectives.dist": 2,
    "objectives.pkt": 2,
    "objectives.psm": 2,
    "objectives.wkd": 2,
    "objectives.mvkt": 2,
    "objectives.liteheart": 2,
    "training": 2,
    "evaluation.held_out": 2,
    "evaluation.metrics": 2,
    "evaluation.multilabel": 1,
    "evaluation.linear_probe": 1,
    "evaluation.external": 1,
    "evaluation.restoration": 2,
    "simulated": 1,
}


def versions(*modules: str) -> tuple[tuple[str, int], ...]:
    """Return ``((module, version), ...)`` sorted by name; one without a row is at version 1."""
    return tuple(sorted((name, NUMERICS.get(name, 1)) for name in modules))
