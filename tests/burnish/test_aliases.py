"""Documented import paths of before 0.1.0's redesign stay for one release, and say where the names went."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

MOVED = {
    "burnish.enhancers.errors": "burnish.errors",
    "burnish.enhancers.explanation": "burnish.explanation",
    "burnish.enhancers.plain_checkpoint": "burnish.enhancers.saving.plain_checkpoint",
    "burnish.enhancers.weighting": "burnish.enhancers.weights.loss",
}


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_the_former_path_gives_the_same_names(old: str, new: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        alias = importlib.import_module(old)
    module = importlib.import_module(new)
    public = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    assert public
    for name in public:
        assert getattr(alias, name) is getattr(module, name)


def test_burnish_itself_does_not_use_them() -> None:
    code = (
        "import burnish, burnish.cli.main, burnish.enhancers.attach, burnish.benchmarks.harness.report, sys\n"
    )
    code += f"print([name for name in {list(MOVED)} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
