"""The examples do what they say."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in ("check_own", "own_enhancer"):
        sys.modules.pop(name, None)


def test_a_backbone_and_an_enhancer_of_ones_own_keep_the_promises(example, tmp_path) -> None:
    from burnish.enhancers.conformance import check_backbone, check_enhancer, definitions

    own = example("check_own")
    together = [name for name in definitions() if name != "two processes"]  # that one takes ten seconds
    checks = [
        *check_backbone(own.TwoTowers, category="general", only=together),
        *check_enhancer(example("own_enhancer").Gain(), backbones=["BPR"], only=together),
    ]
    outcomes = [check.outcome() for check in checks]
    assert len(outcomes) == 2 * len(together)
    assert {outcome.status for outcome in outcomes} == {"passed"}, [
        o for o in outcomes if o.status != "passed"
    ]
    assert not list(tmp_path.iterdir()), "checking left files behind"
