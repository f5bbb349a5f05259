"""What needs a process of its own: the order of imports, and what others see afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from burnish.compat import all_mends

HERE = Path(__file__).parent


def run(code: str, folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_activating_is_light_and_recbole_is_mended_when_it_comes(tmp_path: Path) -> None:
    run(
        """
import sys
import burnish.compat
assert not {"recbole", "torch", "pandas", "scipy"} & set(sys.modules), "import burnish is heavy"
before = sum(type(finder).__module__ == "burnish.compat.hook" for finder in sys.meta_path)
burnish.compat.activate()
burnish.compat.activate()
assert before == 1 == sum(type(finder).__module__ == "burnish.compat.hook" for finder in sys.meta_path)

import importlib.util
import recbole.config  # no Config made: one that comes out of a checkpoint is never constructed
import numpy
assert numpy.float in (float, numpy.float64)

import recbole.quick_start, recbole.quick_start.quick_start as quick_start
assert quick_start.tune.report
for name in ("ray", "dgl"):
    module = sys.modules.get(name)
    assert module is None or module.__spec__ is not None, f"a stand-in for {name} was left behind"
import torch, pandas
assert type(sys.modules["torch"]) is type(sys)
assert quick_start.load_data_and_model is recbole.quick_start.load_data_and_model
assert pandas.Series([[1], [1, 2]]).map(len).tolist() == [1, 2]
""",
        tmp_path,
    )


def test_recbole_that_came_first_is_mended_in_place(tmp_path: Path) -> None:
    run(
        """
import sys, types
ray = types.ModuleType("ray"); ray.tune = types.ModuleType("ray.tune")
sys.modules.update({"ray": ray, "ray.tune": ray.tune})  # else quick_start does not import at all
import recbole.quick_start
import burnish
from burnish.compat import all_mends, State
assert sys.modules["ray"] is ray  # not ours to remove
waiting = {mend.name for mend in all_mends() if mend.state is State.WAITING}
loaded = {mend.name for mend in all_mends() if set(mend.modules) & set(sys.modules)}
assert waiting & loaded <= {"ray-absent"}, waiting  # quick_start is there: nothing left to stand in for
assert recbole.quick_start.load_data_and_model._burnish_warns
from recbole.config import Config
assert Config(model="BPR", dataset="ml-100k")["model"] == "BPR"
""",
        tmp_path,
    )


@pytest.mark.slow
@pytest.mark.parametrize("mend", [mend.name for mend in all_mends() if mend.applies()])
def test_the_tests_of_a_mend_fail_without_it(mend: str, tmp_path: Path) -> None:
    """Run a mend's own tests with and without it; a mend that this stack does not need is not tried."""
    tests = [str(HERE / "test_compat_mends.py"), "-k", "test_" + mend.replace("-", "_"), "-W", "ignore"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--basetemp={tmp_path / 'runs'}",
        *tests,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with_it = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert with_it.returncode == 0, with_it.stdout
    environment["BURNISH_TEST_WITHOUT_MEND"] = mend
    without = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert without.returncode == 1, without.stdout
