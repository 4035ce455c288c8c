"""Without a teacher there is nothing to imitate."""

from __future__ import annotations

import pytest

from scaling.objectives.distill.none import NoTeacher
from tests.scaling.objectives.distill.answers import imitation, some_pair


def test_to_ask_for_an_imitation_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no teacher"):
        imitation(NoTeacher({}), some_pair())
