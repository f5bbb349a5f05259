"""All that is wrong with the names of a study's plan is told at once."""

from __future__ import annotations

from typing import Any

import pytest

from burnish.benchmarks.reviews.study_plan import make_plan
from burnish.errors import ConfigurationError


def test_faults_are_told_together() -> None:
    content: dict[str, Any] = {"dataset": "rated", "models": ["BPR"], "seeds": 2}
    with pytest.raises(ConfigurationError, match="2 things are wrong") as error:
        make_plan({**content, "modells": [], "seeds": 0})
    for what in ("'modells' is not known. Did you mean 'models'", "seeds = 0"):
        assert what in str(error.value)
    models = ["BPRR", {"name": "BPR", "enhancers": {"softmax": {"temp": 1}, "rvrecc": None}}]
    with pytest.raises(ConfigurationError, match="4 things are wrong") as error:
        make_plan({**content, "models": models, "reference": "gone"})
    for what in ("'BPRR' is not known", "option 'temp'", "'rvrecc' is not known", "reference 'gone'"):
        assert what in str(error.value)
