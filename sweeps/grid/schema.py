"""What a grid file may say: its corpus, its stages, and its small form; and the JSON Schema of it.

``python -m sweeps.grid.schema`` rewrites ``sweeps/grid/grid.schema.json``.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, create_model

from scaling.records.names import suggest
from sweeps.errors import Mistake
from sweeps.stages import STAGES, Stage
from sweeps.stages.keys import Checked, Context, Corpus, Count, Keys, ScalarToo

SCHEMA_FILE = Path(__file__).with_name("grid.schema.json")
SLUG = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _one_to_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


SmokeStage = Annotated[list[dict[str, Any]], BeforeValidator(_one_to_list), ScalarToo()]


class StageItem(Checked):
    """A stage is a mapping with one key, its name."""

    @property
    def settings(self) -> Stage:
        """The stage."""
        (found,) = (value for value in dict(self).values() if value is not None)
        return found  # type: ignore[no-any-return]

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """One key, no less and no more."""
        context.stages += [(name, context.read.get(name)) for name in STAGES if name in given]
        if len(given) != 1:
            names = ", ".join(STAGES)
            message = (
                f"a stage is a mapping with one key of {names}, each in a list item of its own"
            )
            yield Mistake(loc=(), message=message)


class SmokeForm(Checked):
    """What ``--smoke`` changes: mappings are merged over the grid, other values replace.

    A stage's part is one mapping for all stages of that name, or a list with one for each.
    ``at_most`` is the number of records that are taken of each split of a source of files.
    """

    at_most: Count | None = None
    corpus: dict[str, Any] = Field(default_factory=dict)

    def mistakes(self, given: Mapping[str, Any], context: Context) -> Iterator[Mistake]:
        """Parts that belong to stages there are; what they change is checked in the merged grid."""
        for name in STAGES:
            part = given.get(name)
            stages = [stage for found, stage in context.stages if found == name]
            if part is None:
                continue
            if not stages:
                message = f"the grid has no {name} stage; remove {name!r}"
                yield Mistake(loc=(name,), message=message, at_key=True)
            elif isinstance(part, list) and len(part) != len(stages):
                message = (
                    f"{len(part)} parts for {len(stages)} {name} stage(s); "
                    "give one mapping for each"
                )
                yield Mistake(loc=(name,), message=message)
            elif isinstance(part, dict) and isinstance(families := part.get("families"), dict):
                named = [stage.families_named() for stage in stages if stage is not None]
                there = dict.fromkeys(itertools.chain(*named))
                for family in families.keys() - there.keys() if there else ():
                    about = suggest(str(family), there)
                    message = f"no {name} stage has the family {family!r}; {about}"
                    yield Mistake(loc=(name, "families", family), message=message, at_key=True)


if TYPE_CHECKING:
    OneStage = StageItem
    Smoke = SmokeForm
else:  # a key for each row of the table
    OneStage = create_model(
        "Stage",
        __base__=StageItem,
        __doc__=StageItem.__doc__,
        **{name: (stage | None, None) for name, stage in STAGES.items()},
    )
    Smoke = create_model(
        "Smoke",
        __base__=SmokeForm,
        __doc__=SmokeForm.__doc__,
        **{name: (SmokeStage, Field(default_factory=list)) for name in STAGES},
    )


class Grid(Keys):
    """A grid file: one study."""

    study: Annotated[str, Field(pattern=SLUG)]
    corpus: Corpus
    stages: Annotated[list[OneStage], Field(min_length=1)]
    smoke: Smoke | None = None


def schema_text() -> str:
    """The JSON Schema of a grid file, as it is kept in ``grid.schema.json``."""
    return json.dumps(Grid.model_json_schema(), indent=1) + "\n"


def main() -> None:
    """Rewrite ``grid.schema.json``."""
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
