"""Where everything of a results folder lies; ``docs/records.md`` says what each file holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

RUNS = ".runs"  # the live store, in the results folder of a study
STUDY, LADDER, CORPORA = "study.json", "ladder.json", "corpora.json"
COMPACTED, PROVENANCE, COMPARISON = "compacted.json", "provenance.json", "comparison.json"
METHODS_COMPARED = "methods.json"
AGAIN = "run python -m sweeps.run on the study's grid, which writes it anew"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LiveStore:
    """Paths of a live store; nothing of it need exist."""

    store: Path  # ``results/<study>/.runs``

    @property
    def study(self) -> Path:
        """The plan as last run."""
        return self.store / STUDY

    @property
    def records(self) -> Path:
        """Finished records, one JSON file each; only the driver writes here."""
        return self.store / "records"

    @property
    def spool(self) -> Path:
        """Records written by workers and not yet ingested by the driver."""
        return self.store / "spool"

    @property
    def weights(self) -> Path:
        """Backbone weights by training id (safetensors + JSON sidecar)."""
        return self.store / "weights"

    @property
    def checkpoints(self) -> Path:
        """What unfinished trainings go on from."""
        return self.store / "checkpoints"

    @property
    def predictions(self) -> Path:
        """Predictions by evaluation id."""
        return self.store / "predictions"

    @property
    def explained(self) -> Path:
        """What pictures of students are drawn from; see ``scaling.records.explained``."""
        return self.store / "explained.npz"

    @property
    def compacted(self) -> Path:
        """Which records the tables hold; written after them."""
        return self.store / COMPACTED

    def table(self, name: str) -> Path:
        """The compacted table ``trials`` or ``evaluations``."""
        return self.store / f"{name}.parquet"

    def record(self, record_id: str) -> Path:
        """Where the finished record of that id is kept."""
        return self.records / f"{record_id}.json"

    def spooled(self, record_id: str) -> Path:
        """Where a worker leaves the record of that id."""
        return self.spool / f"{record_id}.json"

    def weights_of(self, training: str) -> Path:
        """Where the weights of the training with that id are kept."""
        return self.weights / f"{training}.safetensors"

    def weights_at(self, training: str, step: int) -> Path:
        """Where the weights of one evaluated step are kept, if they are."""
        return self.weights / f"{training}-step{step}.safetensors"

    def trajectory(self, training: str) -> dict[int, Path]:
        """Weights of the evaluated steps that were kept, by step in ascending order."""
        paths = {
            int(path.stem.rpartition("-step")[2]): path
            for path in self.weights.glob(f"{training}-step*.safetensors")
        }
        return dict(sorted(paths.items()))

    def checkpoint_of(self, training: str) -> Path:
        """What a training that was killed goes on from; gone once its record is written."""
        return self.checkpoints / f"{training}.safetensors"

    def predictions_of(self, evaluation: str) -> Path:
        """Where the predictions of the evaluation with that id are kept."""
        return self.predictions / f"{evaluation}.npz"


def live_store(folder: Path) -> LiveStore:
    """The live store of a results folder, ``results/<study>``."""
    return LiveStore(store=folder / RUNS)
