"""What stands between the data of a run and RecBole's ways to execute code from data.

RecBole unpickles data sets and loaders that it happens to find, unpickles the models that some options name, and
passes one option to `eval`.  docs/security.md lists every such place.  Here each is closed for one run: saved data
are never looked for, named models are refused without `trust`, and what `eval` would get must be a class's name.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from burnish.compat.view import ModuleView
from burnish.errors import ConfigurationError, DataError, unknown_name, warn

from .record import BASE, MODEL_FILE, RUN_FILE, STATES, TEACHERS

#: What a run writes into its folder.
WRITTEN = (
    RUN_FILE,
    MODEL_FILE,
    "checkpoint.pth",
    "log.txt",
    "result.json",
    "config.json",
    "per_user.parquet",
)
#: Those of them that RecBole and the log write in place, not beside it first.
IN_PLACE = ("log.txt", "checkpoint.pth")
#: Folders that are all its own.
OWN_FOLDERS = (STATES, BASE, TEACHERS, "tensorboard")
#: RecBole's options that keep data as a pickle, or read them from one.
SAVED_DATA = ("save_dataset", "save_dataloaders", "dataset_save_path", "dataloaders_save_path")


def refuse_saved_data(config: Any) -> None:
    """Raise `ConfigurationError` for options that write or read pickles of data sets and loaders."""
    for option in SAVED_DATA:
        check_saved_data(option, config[option])


def check_saved_data(option: str, value: Any) -> None:
    """Raise `ConfigurationError` for a value of one of `SAVED_DATA` that is not empty."""
    if value:
        raise ConfigurationError(
            f"{option} = {value!r}: RecBole's saved data are pickles, which can run any code, and they "
            f"hand on the split of the options that they were saved with. burnish reads the data from their files "
            f"every time; leave {option} out"
        )


@contextmanager
def no_saved_data(config: Any) -> Iterator[None]:
    """RecBole finds no saved data sets and loaders meanwhile, wherever such files lie.

    It looks for them in `checkpoint_dir`, under names made of the data set's and the model's.
    """
    refuse_saved_data(config)
    options = config.final_config_dict
    before = options["checkpoint_dir"]
    # Nothing can lie below a file, so no name below this one exists.
    options["checkpoint_dir"] = str(Path(__file__) / "no-saved-data")
    try:
        yield
    finally:
        options["checkpoint_dir"] = before


@contextmanager
def built_without_code(config: Any, trust: bool) -> Iterator[None]:
    """The model's constructor reads no pickle meanwhile, and evaluates no text.

    Raises
    ------
    ConfigurationError
        Where an option names a pretrained model, and `trust` is not given.
    DataError
        Where an array that the model reads holds Python objects.
    """
    modules = _recbole_modules(config.model_class)
    _check_evaluated(config, modules)
    with ExitStack() as stack:
        for module in modules:
            for name, view in (("torch", _Torch), ("np", _Numpy)):
                seen = vars(module).get(name)
                if isinstance(seen, ModuleType):
                    vars(module)[name] = view(seen, config, trust)
                    stack.callback(vars(module).__setitem__, name, seen)
        yield


def refuse_links(folder: Path) -> None:
    """Raise `DataError` where a file that a run writes is a link: RecBole and the log would write through it.

    folder: of the run; it may be a link itself.
    """
    inside = [
        path
        for name in OWN_FOLDERS
        if not (folder / name).is_symlink()
        for path in (folder / name).rglob("*")
    ]
    for path in [*(folder / name for name in (*WRITTEN, *OWN_FOLDERS)), *inside]:
        if path.is_symlink():
            raise DataError(
                f"{path} is a link to {os.readlink(path)}, and a run would write through it; remove it, or give "
                f"another folder"
            )
        if path.name not in IN_PLACE or not path.exists():
            continue
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path} is no file, and a run would write into it; remove it")
        if found.st_nlink > 1:
            raise DataError(
                f"{path} is another name of a file that lies elsewhere (a hard link), and a run would write into both; "
                f"put a copy in its place, or give another folder"
            )


def _recbole_modules(model: type) -> list[ModuleType]:
    names = dict.fromkeys(cls.__module__ for cls in model.__mro__)
    return [sys.modules[name] for name in names if name.startswith("recbole.") and name in sys.modules]


def _check_evaluated(config: Any, modules: list[ModuleType]) -> None:
    """KD_DAGFM passes the option `teacher` to `eval` (kd_dagfm.py:44)."""
    for module in modules:
        if module.__name__.endswith(".kd_dagfm"):
            classes = [
                name
                for name, kind in vars(module).items()
                if isinstance(kind, type) and kind.__module__ == module.__name__ and name != "KD_DAGFM"
            ]
            if config["teacher"] not in classes:
                raise unknown_name("teacher", str(config["teacher"]), classes)


class _Torch(ModuleView):
    """torch as a model's module sees it, whose `load` asks for trust."""

    def __init__(self, viewed: ModuleType, config: Any, trust: bool) -> None:
        super().__init__(viewed)
        self.config, self.trust = config, trust

    def load(self, file: Any, *args: Any, **options: Any) -> Any:
        named = [name for name, value in self.config.final_config_dict.items() if value == file]
        option = f"{named[0]} = {file!r}" if named else f"the model reads {str(file)!r}"
        if not self.trust:
            raise ConfigurationError(
                f"{option}: a pretrained model of RecBole's is a pickle, which can run any code when it is read. Where "
                f"you trust who made it, say trust=True (--trust); else leave the option out"
            )
        warn(f"{option} is a pickle: whatever code it holds is executed now, as trust (--trust) allows")
        return self.viewed.load(file, *args, **options)


class _Numpy(ModuleView):
    """numpy as a model's module sees it, whose `load` reads numbers only, trusted or not."""

    def __init__(self, viewed: ModuleType, config: Any, trust: bool) -> None:
        super().__init__(viewed)

    def load(self, file: Any, *args: Any, **options: Any) -> Any:
        try:
            return self.viewed.load(file, *args, **{**options, "allow_pickle": False})
        except ValueError as error:
            raise DataError(
                f"{file} holds Python objects, which can run any code when they are read, or is not an array; write it "
                f"with numpy.save from an array of numbers"
            ) from error
