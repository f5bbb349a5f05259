"""The folder of a run: what is in it beside the results, so that the trained model can be used and trained on.

`run.json` says how the model was made (names, options, a fingerprint of the data); `model.safetensors` holds the
weights of the best epoch.  Reading them executes nothing.  `load_run` builds the same model by the code that
trained it, and puts the weights into it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from burnish.enhancers.errors import ConfigurationError, DataError, UnknownNameError

from .portable import NotPortableError, Packer, read_file, unpack, write_file

RUN_FILE = "run.json"
MODEL_FILE = "model.safetensors"
#: Options that may differ between two runs of one model: they say where and how to show, not what to compute.
FREE = frozenset(
    {
        *(
            "epochs",
            "show_progress",
            "checkpoint_dir",
            "data_path",
            "gpu_id",
            "device",
            "tensorboard",
            "threads",
        ),
        *("log_wandb", "wandb_project", "state", "save_dataset", "save_dataloaders"),
        *("dataset_save_path", "dataloaders_save_path"),
    }
)


@dataclass
class SavedRun:
    """The content of a `run.json`.

    options: RecBole's, as they were given.  config: all of them, the defaults too, as JSON holds them.
    data: the `fingerprint` of the data set.
    made_in: the working directory that relative names of files are meant from; None in runs of an older burnish.
    """

    folder: Path
    model: str
    dataset: str
    enhancers: dict[str, Any]
    options: dict[str, Any]
    config: dict[str, Any]
    data: dict[str, Any]
    finished: bool
    made_in: str | None = None

    def placed_enhancers(self) -> dict[str, Any]:
        """The enhancers' options, with files that lie where the run was made named in full."""
        from burnish.enhancers.registry import find_enhancer

        found = {}
        for name, options in self.enhancers.items():
            placed = dict(options)
            for option in find_enhancer(name).Config.files:
                value = placed.get(option)
                if isinstance(value, str) and self.made_in and (Path(self.made_in) / value).is_file():
                    placed[option] = str(Path(self.made_in) / value)  # an absolute one stays what it is
            found[name] = placed
        return found


def class_name(cls: type) -> str:
    """How a plain backbone class is written in `run.json`: a known backbone's name, or `module:Class`."""
    from burnish.enhancers.zoo import find_backbone, list_backbones

    if cls.__name__ in list_backbones() and find_backbone(cls.__name__) is cls:
        return cls.__name__
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(name: str, *, trust: bool = False, known: type | None = None) -> type:
    """The class behind a name of `class_name`.

    A class that is neither RecBole's nor announced by a package is taken from modules that are loaded already;
    another module is imported only with `trust`.  known: the plain class, where the caller has it.
    """
    from burnish.enhancers.zoo import find_backbone

    if known is not None:
        if class_name(known) != name:
            raise ConfigurationError(f"the run was made with {name}, not with {class_name(known)}")
        return known
    if ":" not in name:
        return find_backbone(name)
    module_name, _, path = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and trust:
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise UnknownNameError(f"the run's model {name} cannot be imported: {error}") from error
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise ConfigurationError(
            f"the run's model is the class {name}, which is not loaded; import {module_name} first, give the class "
            f"itself (model=...), or say trust=True (--trust) to let burnish import it"
        )
    return found


def fingerprint(dataset: Any) -> dict[str, Any]:
    """Counts and digests of a data set just read: the ids of every field, and who interacted with what.

    Two data sets with the same fingerprint give the same meaning to every row of every embedding table.
    """
    users, items = dataset.uid_field, dataset.iid_field
    fields = {name: _tokens(tokens) for name, tokens in sorted(dataset.field2id_token.items())}
    rows = hashlib.blake2b(digest_size=16)
    for name in (users, items):
        if name is not None and name in dataset.inter_feat:
            column = dataset.inter_feat[name]
            rows.update((column.to_numpy() if hasattr(column, "to_numpy") else column.numpy()).tobytes())
    return {
        "users": int(dataset.num(users)) - 1 if users else 0,
        "items": int(dataset.num(items)) - 1 if items else 0,
        "interactions": len(dataset.inter_feat),
        "ids": fields,
        "rows": rows.hexdigest(),
    }


def split_rows(dataset: Any) -> str:
    """A digest of who interacted with what in one part of a split, whatever the order of its rows."""
    names = (dataset.uid_field, dataset.iid_field)
    columns = [np.asarray(dataset.inter_feat[name]) for name in names if name in dataset.inter_feat]
    order = np.lexsort(columns) if columns else slice(0)
    rows = hashlib.blake2b(digest_size=16)
    for column in columns:
        rows.update(column[order].astype(np.int64).tobytes())
    return rows.hexdigest()


def _tokens(tokens: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for token in tokens:
        text = str(token).encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return digest.hexdigest()


def check_data(saved: Mapping[str, Any], now: Mapping[str, Any], name: str) -> None:
    """Raise `DataError` when a data set is not the one of the run, with what differs."""
    for part in ("users", "items", "interactions"):
        if saved[part] != now[part]:
            raise DataError(
                f"data set {name!r} is not the one this run was made with: it had {saved[part]} {part} and has "
                f"{now[part]} now. Put the former files back (or give their folder as data_path), or train anew."
            )
    other = [field for field, digest in saved["ids"].items() if now["ids"].get(field) != digest]
    if other or saved["rows"] != now["rows"]:
        what = f"the ids of {', '.join(other[:3])}" if other else "the interactions"
        raise DataError(
            f"data set {name!r} is not the one this run was made with: {what} differ although the counts agree. "
            f"Put the former files back (or give their folder as data_path), or train anew."
        )


def write_run(
    folder: Path,
    config: Any,
    given: Mapping[str, Any],
    effective: Mapping[str, Any],
    data: Mapping[str, Any],
) -> None:
    """Write `run.json`.

    given: the options of RecBole's that were given, typed.  effective: all of them, before anything was built.
    """
    from burnish._version import __version__
    from burnish.enhancers.attach import enhancer_options, split_enhanced

    from .environment import describe_environment
    from .runs import write_json

    options = {key: value for key, value in given.items() if key not in ("enhancers", "model", "dataset")}
    if config["dataset"] != "ml-100k":  # RecBole brings that one, wherever it is installed
        options["data_path"] = str(Path(config["data_path"]).resolve().parent)
    base, _ = split_enhanced(config.model_class)
    content = {
        "format": 1,
        "burnish": __version__,
        "model": class_name(base),
        "dataset": config["dataset"],
        "enhancers": enhancer_options(config.model_class),
        "options": {key: value for key, value in options.items() if key != "checkpoint_dir"},
        "config": dict(effective),
        "data": dict(data),
        "environment": describe_environment(config["threads"]),
        "made_in": str(Path.cwd()),
        "finished": False,
    }
    try:
        json.dumps(content["options"])
    except TypeError as error:
        raise ConfigurationError(
            f"an option cannot be kept in {folder / RUN_FILE}: {error}; give numbers, text, lists and mappings only"
        ) from error
    write_json(folder / RUN_FILE, content)


def forget_run(folder: Path) -> None:
    """Remove what an earlier run left in a folder that a new one is about to use."""
    from .resume import FOLDER

    for name in (RUN_FILE, MODEL_FILE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def mark_finished(folder: Path) -> None:
    """Note in `run.json` that training and testing are over."""
    from .runs import write_json

    content = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    write_json(folder / RUN_FILE, {**content, "finished": True})


def read_run(folder: Path | str) -> SavedRun:
    """The `run.json` of a folder.  Raises `DataError` when there is none or it is damaged."""
    folder = Path(folder)
    path = folder / RUN_FILE
    if not path.is_file():
        from .bases import FOLDER

        cure = f"`burnish run --output {folder}` makes one."
        if (folder / FOLDER).is_dir():
            cure = (
                "It was interrupted while its base was trained; give the same command again without resume."
            )
        raise DataError(f"{folder} is not the folder of a run: there is no {RUN_FILE}. {cure}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != 1:
            raise DataError(f"{path} has format {content['format']!r}, of a later burnish; this one reads 1")
        return SavedRun(
            folder,
            str(content["model"]),
            str(content["dataset"]),
            dict(content["enhancers"]),
            dict(content["options"]),
            dict(content["config"]),
            dict(content["data"]),
            bool(content["finished"]),
            content.get("made_in"),
        )
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged: {error!r}; train again, or restore the file") from error


def check_same_options(saved: SavedRun, config: Any) -> None:
    """Raise `ConfigurationError` for the first option that is not as it was in the run.

    An option that the run did not know, because its burnish was older, stands at its default: what was done before.
    """
    from burnish.enhancers.attach import enhancer_options

    from .result import plain

    now = plain(config.final_config_dict)
    before = {**saved.config, "enhancers": saved.enhancers}
    now["enhancers"] = plain(enhancer_options(config.model_class))
    for name in [*before, *(name for name in now if name not in before)]:
        newer = name not in before and name not in config.external_config_dict
        if name in FREE or newer or before.get(name) == now.get(name):
            continue
        raise ConfigurationError(
            f"{name} = {now.get(name)!r} now, and {before.get(name)!r} in {saved.folder / RUN_FILE}: a run goes on "
            f"with the options that it began with (only epochs may be raised). Leave {name} out, or begin a new run."
        )


# ---------------------------------------------------------------------- the trained model


@dataclass
class LoadedRun:
    """A trained model in its surroundings, as `load_run` builds them."""

    config: Any
    dataset: Any
    train: Any
    valid: Any
    test: Any
    model: Any


def load_run(
    folder: Path | str,
    *,
    model: type | None = None,
    options: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> LoadedRun:
    """The trained model of a run's folder with its data, built as for training.  Executes nothing from the files.

    model: the plain class, where it is neither RecBole's nor announced by a package.
    options: RecBole options that may differ from the run's (`FREE`, and the device): such as `data_path`.
    trust: import the module that `run.json` names for the model's class.
    Raises `DataError` for a folder that is no run's, damaged files, or data that are not those of the run, and
    `ConfigurationError` for an option that would change the model.
    """
    from .stages import Run
    from .training import make_config

    saved = read_run(folder)
    weights = saved.folder / MODEL_FILE
    if not weights.is_file():
        raise DataError(
            f"{saved.folder} holds no trained weights yet ({MODEL_FILE}): the run stopped before its first "
            f"epoch was kept, or its model has none that can be saved (trees)"
        )
    base = find_class(saved.model, trust=trust, known=model)
    saved.enhancers = saved.placed_enhancers()
    config = make_config(base, saved.dataset, saved.enhancers, {**saved.options, **(options or {})})
    check_same_options(saved, config)
    run = Run(config, None)
    run.prepare(saved.data, trainer=False)
    load_model(weights, run.model)
    run.model.eval()
    return LoadedRun(config, run.dataset, run.train_data, run.valid_data, run.test_data, run.model)


# ---------------------------------------------------------------------- weights


def write_model(path: Path, model: Any, facts: Mapping[str, Any] | None = None) -> None:
    """Write a model's state dict, under its plain keys, and what RecBole calls its other parameters.

    facts: a few numbers to keep with it, such as the epoch.
    """
    packer = Packer("other.")
    state: dict[str, Any] = {}
    for name, value in model.state_dict().items():
        # Sparse buffers and the extra state of enhancers are packed as they come.
        state[name] = packer.add(name, value) if _is_plain(value) else packer.pack(value)
    others = {}
    for name, value in model.other_parameter().items() if hasattr(model, "other_parameter") else ():
        if isinstance(value, nn.Module):
            continue  # DIN lists a sub-module here, whose parameters are in the state dict
        try:
            others[name] = packer.pack(value)
        except NotPortableError:
            continue  # built again by the model's constructor
    write_file(
        path, {"format": 1, "state": state, "others": others, "facts": dict(facts or {})}, packer.tensors
    )


def _is_plain(value: Any) -> bool:
    import torch

    return isinstance(value, Tensor) and value.layout == torch.strided


def load_model(path: Path, model: Any) -> dict[str, Any]:
    """Put the weights of `write_model` into a model, and give the facts kept with them.

    Raises `DataError` for a damaged file, or one whose names or shapes are not those of the model.
    """
    tree, tensors = read_file(path, "the weights of a trained model")
    try:
        model.load_state_dict({name: unpack(value, tensors) for name, value in tree["state"].items()})
        others = {name: unpack(value, tensors) for name, value in tree["others"].items()}
    except (KeyError, RuntimeError, TypeError) as error:
        raise DataError(f"{path} does not fit {type(model).__name__}: {error}") from error
    if others:
        device = next((p.device for p in model.parameters()), None)
        moved = {k: v.to(device) if isinstance(v, Tensor) and device else v for k, v in others.items()}
        model.load_other_parameter(moved)
    return dict(tree["facts"])
