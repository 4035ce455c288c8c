"""What every stage must do. A new one inherits this battery and gives two parts of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from scaling.identity import CODEBOOK, ROLES, START, Training
from scaling.objectives.registry import OBJECTIVES
from scaling.records.names import PARADIGMS
from sweeps.errors import ConfigurationError
from sweeps.grid.load import load_grid
from sweeps.grid.schema import Grid
from sweeps.plan.plan import Plan
from sweeps.stages import STAGES, Stage
from sweeps.stages.base import stages_of
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.study import plan_of

HEAD = """\
study: contract
corpus: {source: virtual/basic, records: 64, validation: 16, test: 16, window_s: 5}
stages:
"""


class StageContract:
    """Subclass it and give ``name``, ``least``, and ``before`` where it needs other stages."""

    name: ClassVar[str]
    least: ClassVar[str]  # the least that the stage can say, as the content of a YAML mapping
    before: ClassVar[str] = ""  # the stages it needs, as items of a YAML list

    @pytest.fixture
    def grid(self, write_grid: WriteGrid) -> Path:
        return write_grid(f"{HEAD}{self.before}  - {self.name}: {{{self.least}}}\n")

    @pytest.fixture
    def plan(self, grid: Path) -> Plan:
        return plan_of(grid)

    @pytest.fixture
    def kind(self) -> type[Stage]:
        return STAGES[self.name]

    @pytest.fixture
    def trainings(self, plan: Plan) -> list[Training]:
        return [planned.job.training for planned in plan.stages[-1].trials]

    def test_it_has_a_row_and_says_all_that_is_asked(self, kind: type[Stage]) -> None:
        assert kind.name == self.name
        assert kind.__doc__
        assert {kind.gives, *kind.roles} <= set(ROLES)
        assert set(kind.measured_with) <= set(kind.roles)
        assert kind.families_trained
        defined = Grid.model_json_schema()["$defs"]
        assert self.name in defined["Stage"]["properties"]
        assert self.name in defined["Smoke"]["properties"]

    def test_its_trials_are_of_it_and_can_be_told_apart(
        self, kind: type[Stage], plan: Plan, trainings: list[Training], grid: Path
    ) -> None:
        (*_, (here, stage)) = load_grid(grid).stages
        assert here == ("stages", len(plan.stages) - 1, self.name)
        assert isinstance(stage, kind)
        assert trainings
        assert len({t.id for t in trainings}) == len(trainings)
        for training in trainings:
            assert training.stage == self.name
            assert training.paradigm in PARADIGMS
            assert training.paradigm in stage.paradigms_trained()
            assert training.family in kind.families_trained
            assert self.name in stages_of(OBJECTIVES[training.objective])

    def test_its_trials_start_where_it_says(
        self, kind: type[Stage], grid: Path, plan: Plan, trainings: list[Training]
    ) -> None:
        (*_, (_, stage)) = load_grid(grid).stages
        rules = stage.parent_rules
        assert set(rules) <= set(kind.roles)
        assert all(key in kind.model_fields for key, _ in rules.values())
        assert (rules.get(START) is None) == (stage.parent_rule is None)
        earlier = {
            p.job.training.id: p.job.training for before in plan.stages[:-1] for p in before.trials
        }
        had = set()
        for training in trainings:
            roles = [parent.role for parent in training.parents]
            assert len(set(roles)) == len(roles)
            assert set(roles) <= {*rules, CODEBOOK}
            assert set(roles) <= set(kind.roles)
            assert set(OBJECTIVES[training.objective].roles) <= set(roles)
            had |= set(roles)
            for role, name in training.parents:
                if role in rules:
                    assert earlier[name].stage == rules[role][1].stage_name
                else:
                    assert STAGES[earlier[name].stage].gives == role
        assert set(rules) <= had

    def test_what_is_measured_follows_what_it_says(self, plan: Plan, grid: Path) -> None:
        (*_, (_, stage)) = load_grid(grid).stages
        for planned in plan.stages[-1].trials:
            said = [e.protocol for e in planned.job.evaluations]
            untrained = planned.job.training.paradigm == "random"
            assert said.count("held-out") == (0 if untrained else 1)
            supervised = planned.job.training.paradigm == "sl"
            assert said.count("external") == len(stage.measurement.external) * supervised
            tasks, shares = stage.measurement.tasks, stage.measurement.shares
            assert said.count("linear-probe") == len(tasks) * len(shares)

    def test_every_trial_has_a_place_in_the_grid(self, grid: Path, plan: Plan) -> None:
        (*_, (_, stage)) = load_grid(grid).stages
        for planned in plan.stages[-1].trials:
            key, *rest = stage.place_of(planned.job.training.family, planned.job.training.size)
            assert key in type(stage).model_fields
            assert rest or stage.parent_rule is not None
        for (key, *_), size in stage.data_sizes():
            assert key in type(stage).model_fields
            assert size > 0

    def test_a_key_that_it_does_not_have_is_named(self, write_grid: WriteGrid) -> None:
        path = write_grid(f"{HEAD}{self.before}  - {self.name}: {{{self.least}, dtaa: [1]}}\n")
        with pytest.raises(ConfigurationError, match=f"{self.name}.dtaa: unknown key 'dtaa'"):
            load_grid(path)

    def test_all_of_its_mistakes_come_at_once(self, write_grid: WriteGrid) -> None:
        wrong = "seeds: [-1], recipe: {max_steps: 9, warmup_steps: 9}"
        path = write_grid(f"{HEAD}{self.before}  - {self.name}: {{{self.least}, {wrong}}}\n")
        with pytest.raises(ConfigurationError) as caught:
            load_grid(path)
        places = [line.split(": ")[1] for line in str(caught.value).splitlines()]
        assert [place.split(f"{self.name}.")[1] for place in places] == [
            "seeds.0",
            "recipe.max_steps",  # the default of eval_every does not fit either
            "recipe.warmup_steps",
        ]

    def test_what_can_be_a_parent_can_be_named(self, kind: type[Stage]) -> None:
        names = Grid.model_json_schema()["$defs"]["Parents"]["properties"]["stage"]["anyOf"][0]
        assert (self.name in names["enum"]) == (kind.gives == START)
