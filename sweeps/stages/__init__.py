"""Stages of a study: a class each, which says all there is to a stage; ``STAGES`` lists them."""

from __future__ import annotations

from sweeps.stages.base import STAGES, Stage
from sweeps.stages.codebook import CodebookStage
from sweeps.stages.distill import Distill
from sweeps.stages.finetune import Finetune
from sweeps.stages.pretrain import Pretrain
from sweeps.stages.restore import Restore

__all__ = ["STAGES", "Stage"]

STAGES |= {stage.name: stage for stage in (CodebookStage, Pretrain, Restore, Finetune, Distill)}
