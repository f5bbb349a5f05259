"""Runs of a class of one's own: what `run.json` calls it, and how it is found again, or why it cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from recbole.model.general_recommender import BPR

import burnish
from burnish.errors import ConfigurationError, UnknownNameError

SCRIPT = """
import json, sys, burnish
from recbole.model.general_recommender import BPR
class Mine(BPR):
    pass
burnish.run(Mine, "tiny", config=json.loads(sys.argv[1]), folder="out", show_progress=False)
print(len(burnish.recommend("out", k=2)) > 0)
"""
MODULE = "from recbole.model.general_recommender import BPR\nclass Mine(BPR):\n    pass\n"


@pytest.fixture
def script_run(small: dict[str, Any], tmp_path: Path) -> tuple[Path, str]:
    """The folder of a run whose class is a script's, and what the script said."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py", json.dumps(small)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().endswith("True"), done.stderr  # the script itself finds its class
    return tmp_path / "out", done.stderr


class Mine(BPR):  # type: ignore[misc]
    """What the script's class became."""


def rename(folder: Path, name: str) -> None:
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**content, "model": name}), encoding="utf-8")


def test_a_class_of_a_script(
    script_run: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = script_run
    assert (
        "UserWarning: the model of this run is __main__:Mine: the class Mine is defined in a script" in said
    )
    for trust in (False, True):
        with pytest.raises(ConfigurationError, match=r"in a script .*can be imported.* run\.json") as error:
            burnish.load_run(folder, trust=trust)
        assert "--trust" not in str(error.value)

    class Other(BPR):  # type: ignore[misc]
        pass

    assert type(burnish.load_run(folder, model=Mine).model) is Mine
    with pytest.raises(ConfigurationError, match=r"the run was made with __main__:Mine, not with .*Other"):
        burnish.load_run(folder, model=Other)
    # The cure of the message.
    (tmp_path / "my_models.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    rename(folder, "my_models:Mine")
    with pytest.raises(ConfigurationError, match=r"import my_models first.*trust=True"):
        burnish.load_run(folder)
    assert type(burnish.load_run(folder, trust=True).model).__module__ == "my_models"


def test_a_class_that_checkpoints_cannot_name_is_refused_before_training(
    small: dict[str, Any], tmp_path: Path
) -> None:
    class Local(BPR):  # type: ignore[misc]
        pass

    renamed = type("Plain", (BPR,), {"__module__": __name__})
    for cls in (Local, renamed, burnish.enhance(Local, "rvrec")):
        with pytest.raises(
            ConfigurationError, match=r"(Local|Plain): RecBole's checkpoints .* top level of a module"
        ):
            burnish.run(cls, "tiny", config=small, show_progress=False)


def test_a_module_that_is_not_what_it_was(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        burnish.run("BPR", "tiny", config=small, folder=folder, show_progress=False)
    monkeypatch.syspath_prepend(tmp_path)
    rename(folder, "gone_models:Mine")
    with pytest.raises(
        UnknownNameError, match=r"gone_models:Mine cannot be imported: ModuleNotFoundError.*PYTHONPATH"
    ):
        burnish.load_run(folder, trust=True)
    (tmp_path / "broken_models.py").write_text("1 / 0\n", encoding="utf-8")
    rename(folder, "broken_models:Mine")
    with pytest.raises(UnknownNameError, match="broken_models:Mine cannot be imported: ZeroDivisionError"):
        burnish.load_run(folder, trust=True)
    (tmp_path / "renamed_models.py").write_text(MODULE, encoding="utf-8")
    rename(folder, "renamed_models:Yours")
    with pytest.raises(
        ConfigurationError, match=r"module renamed_models has no model class Yours.*renamed"
    ) as error:
        burnish.load_run(folder, trust=True)
    assert "trust" not in str(error.value)
