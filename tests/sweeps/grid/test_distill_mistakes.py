"""Mistakes in stages of students and restoration nets: each is named with its place."""

from __future__ import annotations

import pytest

from sweeps.errors import ConfigurationError
from sweeps.grid.load import load_grid
from tests.sweeps.conftest import WriteGrid

GRID = """\
study: students
corpus: {source: virtual/basic, records: 64, window_s: 5}
stages:
  - pretrain:
      families: {resnet: [d2w12]}
      data: [32]
  - restore:
      families: {unet: [c4]}
      input_leads: [I, II+V2]
      data: [32]
  - finetune:
      parents: {}
      labels: 0.5
      data: [32]
  - distill:
      families: {resnet: [d2w6]}
      input_leads: I
      methods: [none, {name: liteheart, beta: 0.1}]
      settings: {unlabelled: [0, 1.0], boxes: record}
      labels: 0.5
      draws: [0, 1]
      teacher: {best: macro_auroc}
      restoration: {}
      data: [32]
"""
RESTORE = GRID[GRID.index("  - restore") : GRID.index("  - finetune")]
FINETUNE = GRID[GRID.index("  - finetune") : GRID.index("  - distill")]
STUDENTS = "families: {resnet: [d2w6]}"
LEADS = "      input_leads: [I, II+V2]\n"

# what to replace, by what, the last place of some words with a bar before the place, and words
MISTAKES = {
    "no students": (STUDENTS + "\n      ", "", "|input_leads: I\n", "'families' is missing: which"),
    "two kinds": (STUDENTS, STUDENTS + "\n      parents: {}", "|families: {resnet: [d2w6]}",
                  "a student with a parent has its family and size; remove 'families'"),
    "an objective": ("settings:", "objective: kd\n      settings:", "|objective", "as 'methods'"),
    "no method": ("methods: [none", "methods: [nome", "[|nome", "no objective 'nome'; did"),
    "a method of none": ("methods: [none", "methods: [contrastive", "[|contrastive",
                         "objective 'contrastive' belongs to a pretrain or finetune"),
    "a method elsewhere": ("{resnet: [d2w12]}", "{resnet: [d2w12]}\n      objective: kd",
                           "objective: |kd", "objective 'kd' belongs to a distill stage"),
    "a method's setting": ("beta: 0.1", "bta: 0.1", "|bta", "has no setting 'bta'; did you mean"),
    "a method's value": ("beta: 0.1", "beta: [0.1, -1]", "[0.1, |-1]", "from 0 to 1e+06, not -1"),
    "a setting": ("boxes:", "boxs:", "|boxs", "no method of this stage has a setting 'boxs'; did"),
    "a setting's value": ("boxes: record", "boxes: [record, all]", "[record, |all]",
                          "must be none or record or batch, not 'all'"),
    "a setting's number": ("[0, 1.0]", "[0, 20]", "[0, |20]", "must be from 0 to 16, not 20"),
    "no teacher": ("      teacher: {best: macro_auroc}\n", "", "|{name: liteheart",
                   "method 'liteheart' learns from a teacher: say which trials teach, such as"),
    "no stage of teachers": (FINETUNE, "", "|teacher:",
                             "there is no finetune stage before this one for it to learn from"),
    "no stage of nets": (RESTORE, "", "|restoration:", "there is no restore stage before this one "
                         "for it to be given restored signals of"),
    "what restores": ("restoration: {}", "restoration: {stage: pretrain}", "stage: |pretrain",
                      "must be 'restore'"),
    "an oracle": ("best: macro_auroc", "oracle: 3", "oracle: |3", "must be true or false"),
    "all labels": ("      labels: 0.5\n      draws", "      draws", "|{name: liteheart",
                   "uses unlabelled records, and with all labels there are none; give 'labels'"),
    "all labels too": ("labels: 0.5\n      draws", "labels: [0.5, 1]\n      draws", "[0.5, |1]",
                       "uses unlabelled records, and with all labels there are none"),
    "draws and seeds": ("draws: [0, 1]", "draws: [0, 1]\n      seeds: 0", "|seeds", "also a seed"),
    "a lead": ("input_leads: I\n", "input_leads: [I, V7]\n", "[I, |V7]", "no lead 'V7'; known"),
    "a lead twice": ("input_leads: I\n", "input_leads: I+I\n", "|I+I", "lead I is named twice"),
    "nothing to restore": ("input_leads: I\n", "input_leads: [I, all]\n", "[I, |all]",
                           "are given, so there is none to restore; remove 'restoration'"),
    "twelve leads": ("input_leads: I\n", "input_leads: I+II+III+aVR+aVL+aVF+V1+V2+V3+V4+V5+V6\n",
                     "|I+II+III", "all leads are given, so there is none to restore"),
    "no leads": ("      input_leads: I\n", "", "|families: {resnet: [d2w6]}",
                 "the key 'input_leads' is missing"),
    "no leads of a net": (LEADS, "", "|families: {unet",
                          "say which leads the net is given, such as I"),
    "all leads of a net": ("[I, II+V2]", "[all, I]", "[|all", "is none to restore; name some of"),
    "a net with a parent": ("families: {unet: [c4]}", "families: {unet: [c4]}\n      parents: {}",
                            "|families: {unet", "has its family and size; remove 'families'"),
    "leads of a parent": ("families: {unet: [c4]}", "parents: {}",
                          "|input_leads: [I, II", "a trial with a parent has its leads; remove"),
    "a net of another family": ("{unet: [c4]}", "{resnet: [d2w6]}",
                                "|resnet: [d2w6]}\n      input_leads: [",
                                "a restore stage trains the family 'unet', not 'resnet'"),
    "a student that restores": ("{resnet: [d2w6]}", "{unet: [c4]}",
                                "|unet: [c4]}\n      input_leads: I\n",
                                "a restore stage trains the family 'unet', a distill stage"),
    "leads of nets": ("restoration: {}", "restoration: {input_leads: [I, V0]}", "[I, |V0]", "no "),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place(name: str, write_grid: WriteGrid) -> None:
    old, new, at, words = MISTAKES[name]
    assert old in GRID
    text = GRID.replace(old, new, 1)
    path = write_grid(text)
    with pytest.raises(ConfigurationError) as caught:
        load_grid(path)
    lines = [line for line in str(caught.value).splitlines() if words in line]
    assert lines, str(caught.value)
    before, after = at.split("|")
    until = text[: text.rindex(before + after) + len(before)].splitlines()
    assert lines[0].startswith(f"{path}:{len(until)}:{len(until[-1]) + 1}: "), lines[0]


def test_the_grid_they_are_made_in_has_none(write_grid: WriteGrid) -> None:
    stages = [stage for _, stage in load_grid(write_grid(GRID)).stages]
    assert [stage.name for stage in stages] == ["pretrain", "restore", "finetune", "distill"]
