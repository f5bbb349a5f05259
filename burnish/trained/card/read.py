"""The facts of a finished run, from the files in its folder; the model itself is not loaded, and no data are."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from burnish.errors import DataError
from burnish.files.tables import read_parquet
from burnish.files.whole import read_json
from burnish.training.record import RUN_FILE, SavedRun, read_run
from burnish.training.trust import refuse_links

#: What holds the figures: of `burnish run`, and of `burnish bench`, which keeps no model unless it is asked to.
_RESULTS = ("result.json", "metrics.json")
_USERS = "per_user.parquet"
CURE = "restore the file, or train the run again"


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    enhancers: options as they were given, by name.  given: RecBole's options that were given.  config: all of them.
    result: figures, as a run's result.json has them.  per_user: one line a test row; None where there is none.
    environment: as `describe_environment` gives it; empty where it is not known.  has_model: whether the folder has a
    model to recommend with.
    """

    folder: Path
    model: str
    dataset: str
    enhancers: dict[str, dict[str, Any]]
    given: dict[str, Any]
    config: dict[str, Any]
    result: dict[str, Any]
    per_user: pd.DataFrame | None
    environment: dict[str, Any] = field(default_factory=dict)
    has_model: bool = False

    def kind(self, option: str) -> str:
        """The name of a member of RecBole's enums: `GENERAL` of `MODEL_TYPE`; empty where it is not known."""
        return str(self.config.get(option, "")).rpartition(".")[2].upper()


def read_facts(folder: Path | str) -> Facts:
    """The facts of a finished run, of `burnish run` or of `burnish bench`.

    Raises `DataError` for a folder that holds none, a run that has not ended, and a file that is damaged.
    """
    folder = Path(folder)
    if folder.is_dir():
        refuse_links(folder)
    if not (folder / RUN_FILE).is_file() and all((folder / name).is_file() for name in ("DONE", _RESULTS[1])):
        return _of_bench(folder)
    saved = read_run(folder)
    if not saved.finished:
        raise DataError(
            f"{folder} holds a run that has not ended; `burnish run --resume {shlex.quote(str(folder))}` goes on "
            f"with it"
        )
    name = next((name for name in _RESULTS if (folder / name).is_file()), _RESULTS[0])
    # A run of `bench` that was kept with its model has RecBole's options as they were told apart there.
    return Facts(
        folder,
        saved.model,
        saved.dataset,
        saved.enhancers,
        saved.options,
        saved.config,
        _mapping(folder / name),
        _users(folder),
        _environment(saved),
        True,
    )


def _of_bench(folder: Path) -> Facts:
    config = _mapping(folder / "config.json")
    try:
        return Facts(
            folder,
            str(config["backbone"]),
            str(config["dataset"]),
            {str(name): dict(options or {}) for name, options in config["enhancers"].items()},
            {**config["options"], "seed": config["seed"]},
            dict(config["recbole"]),
            _mapping(folder / _RESULTS[1]),
            _users(folder),
            _mapping(folder / "environment.json") if (folder / "environment.json").is_file() else {},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{folder / 'config.json'} is damaged ({error!r}); {CURE}") from error


def _environment(saved: SavedRun) -> dict[str, Any]:
    known = _mapping(saved.folder / RUN_FILE).get("environment")
    return dict(known) if isinstance(known, Mapping) else {}


def _users(folder: Path) -> pd.DataFrame | None:
    path = folder / _USERS
    return read_parquet(path, CURE, ("user",)) if path.is_file() else None


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path, CURE)
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (it holds no mapping); {CURE}")
    return content
