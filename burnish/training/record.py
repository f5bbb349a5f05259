"""The folder of a run: what is in it beside the results, so that the trained model can be used and trained on.

`run.json` says how the model was made (names, options, a fingerprint of the data); `model.safetensors` holds the
weights of the best epoch.  Reading them executes nothing.  `load_run` builds the same model by the code that
trained it, and puts the weights into it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError, DataError, warn
from burnish.files.data_names import data_set_in
from burnish.files.jsons import parse_json
from burnish.files.near import did_you_mean
from burnish.files.whole import write_json
from burnish.own.classes import file_of, is_place, place_of

from .classes import class_name, find_class, find_own_enhancer, is_of
from .own_code import changed_code, code_of, read_code

RUN_FILE = "run.json"
MODEL_FILE = "model.safetensors"
#: Folders in the folder of a run: states to resume from, the backbone that the run began from, and the teachers that
#: were trained first.
STATES, BASE, TEACHERS = "resume", "base", "teachers"
#: What the command line writes there besides (`run_folder.write_results`).
RESULTS = ("result.json", "config.json", "per_user.parquet")
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
    results: the files of results that were there when it was marked as finished; None where that is not known.
    model_file: where the model's class was, if it is one of a person's own.
    own_enhancers: of enhancers that are a person's own, by name, the `class` (`module:Class`) and its `file`.
    code: digests of the files of a person's own that it was trained by, as `code_of` gives them; empty where they are
    not known, as in runs of an older burnish.
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
    results: list[str] | None = None
    model_file: str | None = None
    own_enhancers: dict[str, dict[str, str]] = field(default_factory=dict)
    code: dict[str, dict[str, str]] = field(default_factory=dict)

    def is_of(self, cls: type) -> bool:
        """Whether a plain class is the one that the run was made with, whatever its file is called by now."""
        return is_of(self.model, cls, file=self.model_file, files=self.code.get("", {}))

    def find_class(self, *, trust: bool = False, known: type | None = None) -> type:
        """The plain class of its model; raises as `classes.find_class` does.  known: the class, where it is given."""
        return find_class(
            self.model, trust=trust, known=known, file=self.model_file, files=self.code.get("", {})
        )

    def tell_changed_code(self, cls: type) -> None:
        """Warn where a class of a person's own is not what the run was trained by.

        cls: the class of its model, with the enhancers where they are not known by their names.
        """
        changed = self._changed_code(cls)
        if changed:
            warn(
                f"{' and '.join(changed)} changed since the run in {self.folder} was trained: its weights are used "
                f"with the code as it is now, which may give other results than the trained model's. Put the code "
                f"back as it was, or train anew"
            )

    def refuse_changed_code(self, cls: type) -> None:
        """Raise `ConfigurationError` where `tell_changed_code` warns: a run does not go on with other code."""
        changed = self._changed_code(cls)
        if changed:
            raise ConfigurationError(
                f"{' and '.join(changed)} changed since the run in {self.folder} began, and a run goes on with the "
                f"code that it began with. Put the code back as it was, or begin a new run"
            )

    def _changed_code(self, cls: type) -> list[str]:
        from burnish.enhancers.attach import split_enhanced
        from burnish.enhancers.registry import find_enhancer, list_enhancers

        plain, recipe = split_enhanced(cls)
        known = list_enhancers()
        named = {name: find_enhancer(name) for name in self.enhancers if name in self.code and name in known}
        return changed_code(self.code, plain, {**named, **{one.name: one for one, _ in recipe}})

    def know_enhancers(self, *, trust: bool = False) -> None:
        """Let the run's enhancers be known by their names; those of a person's own are imported with trust only.

        Raises `ConfigurationError` for one that is neither loaded nor trusted.
        """
        from burnish.enhancers.registry import list_enhancers

        known = list_enhancers()
        for name, place in self.own_enhancers.items():
            if name in self.enhancers and name not in known:
                find_own_enhancer(name, place["class"], trust=trust, file=place.get("file"))

    def placed_enhancers(self) -> dict[str, Any]:
        """The enhancers' options, with files that lie where the run was made named in full."""
        from burnish.enhancers.registry import find_enhancer

        if not self.made_in:
            return dict(self.enhancers)
        folder = Path(self.made_in)
        return {
            name: find_enhancer(name).Config.placed(options, folder)
            for name, options in self.enhancers.items()
        }


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
    from burnish.enhancers.attach import enhancer_options, enhancers_of, split_enhanced
    from burnish.enhancers.registry import is_own

    from .environment import describe_environment

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
    if is_place(content["model"]) and file_of(base) is not None:
        content["model_file"] = file_of(base)
    own = [type(enhancer) for enhancer in enhancers_of(config.model_class) if is_own(type(enhancer))]
    if own:
        content["own_enhancers"] = {cls.name: _placed_class(cls) for cls in own}
    code = code_of(base, own)
    if code:
        content["code"] = code
    try:
        json.dumps(content["options"])
    except TypeError as error:
        raise ConfigurationError(
            f"an option cannot be kept in {folder / RUN_FILE}: {error}; give numbers, text, lists and mappings only"
        ) from error
    write_json(folder / RUN_FILE, content)


def _placed_class(cls: type) -> dict[str, str]:
    file = file_of(cls)
    return {"class": place_of(cls), **({} if file is None else {"file": file})}


def forget_run(folder: Path) -> None:
    """Remove what an earlier run left in a folder that a new one is about to use."""
    for name in (RUN_FILE, MODEL_FILE, *RESULTS):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / STATES, ignore_errors=True)


def mark_finished(folder: Path, results: list[str] | None = None) -> None:
    """Note in `run.json` that training and testing are over, and everything else is written.

    results: the names of the files with the results.
    """
    content = parse_json((folder / RUN_FILE).read_text(encoding="utf-8"))
    known = {} if results is None else {"results": results}
    write_json(folder / RUN_FILE, {**content, "finished": True, **known})


def read_run(folder: Path | str) -> SavedRun:
    """The `run.json` of a folder.  Raises `DataError` when there is none or it is damaged."""
    folder = Path(folder)
    path = folder / RUN_FILE
    if not path.is_file():
        cure = _how_to_make_one(folder)
        for place, what in ((BASE, "its base was"), (TEACHERS, "its teachers were")):
            if (folder / place).is_dir():
                cure = f"It was interrupted while {what} trained; give the same command again without resume."
        if not folder.exists():
            cure += did_you_mean(folder, lambda one: (one / RUN_FILE).is_file())
        raise DataError(f"{folder} is not the folder of a run: there is no {RUN_FILE}. {cure}")
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content["format"] != 1:
            raise DataError(f"{path} has format {content['format']!r}, of a later burnish; this one reads 1")
        for part in ("users", "items", "interactions", "ids", "rows"):
            content["data"][part]
        dict(content["data"]["ids"])
        dict(content["data"].get("columns") or {})
        if content["model"] == "RepeatNet":
            # An older burnish left this as RecBole has it; the run goes on as it began.
            before = content["config"].get("train_neg_sample_args")
            content["options"].setdefault("train_neg_sample_args", before)
        for name in content["enhancers"]:
            if is_place(name):
                raise DataError(f"{path} is damaged: {name!r} is no name of an enhancer")
        return SavedRun(
            folder,
            str(content["model"]),
            str(content["dataset"]),
            {str(name): dict(options) for name, options in content["enhancers"].items()},
            dict(content["options"]),
            dict(content["config"]),
            dict(content["data"]),
            bool(content["finished"]),
            content.get("made_in"),
            _names(content.get("results")),
            None if content.get("model_file") is None else str(content["model_file"]),
            {
                str(name): {"class": str(place["class"]), "file": str(place["file"])}
                if "file" in place
                else {"class": str(place["class"])}
                for name, place in (content.get("own_enhancers") or {}).items()
            },
            read_code(content.get("code")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged: {error!r}; train again, or restore the file") from error


def _how_to_make_one(folder: Path) -> str:
    """What to do about a folder that is no run's, by what it holds."""
    file = data_set_in(folder)
    if file is not None:
        name = folder.resolve().name
        return (
            f"It holds a data set ({file}): `burnish run --dataset {name} --output {name}-run` trains a model on it, "
            f"and {name}-run is the folder to give."
        )
    if (
        any(folder.glob("*/*/comparison-*.json"))
        or any(folder.glob("*/comparison-*.json"))
        or _of_bench(folder)
    ):
        return (
            "`burnish bench` keeps figures there, and no models unless the plan says keep_checkpoints: true; "
            "`burnish run --output NAME` trains one that is kept."
        )
    there = folder.is_dir() and any(folder.iterdir())
    return f"`burnish run --output {'NAME' if there or folder.is_file() else folder}` makes one."


def _of_bench(folder: Path) -> bool:
    """Whether a folder is that of a run of `burnish bench`, or holds such runs."""
    places = (folder, *(one for one in folder.glob("*") if one.is_dir()))
    return any((place / "metrics.json").is_file() and (place / "config.json").is_file() for place in places)


def tell_changed_beside(checkpoint: Path, cls: type) -> None:
    """Warn as `SavedRun.tell_changed_code` does where a checkpoint of RecBole's lies in the folder of its run."""
    from burnish.enhancers.attach import split_enhanced

    try:
        saved = read_run(checkpoint.parent)
    except DataError:
        return
    if saved.is_of(split_enhanced(cls)[0]):
        saved.tell_changed_code(cls)


def _names(value: Any) -> list[str] | None:
    """The results that a `run.json` lists; only names that burnish gives, as what is listed is read."""
    return [name for name in RESULTS if name in value] if isinstance(value, list) else None


def check_same_options(saved: SavedRun, config: Any) -> None:
    """Raise `ConfigurationError` for the first option that is not as it was in the run.

    An option that the run did not know, because its burnish was older, stands at its default: what was done before.
    """
    from burnish.enhancers.attach import enhancer_options
    from burnish.enhancers.registry import make_enhancers

    from .result import plain

    now = plain(config.final_config_dict)
    # As today's options say it: some of before are gone, since they had no effect.
    attached = {
        one.name: one.config.model_dump(exclude_defaults=True) for one in make_enhancers(saved.enhancers)
    }
    before = {**saved.config, "enhancers": plain(attached)}
    now["enhancers"] = plain(enhancer_options(config.model_class))
    for name in [*before, *(name for name in now if name not in before)]:
        newer = name not in before and name not in config.external_config_dict
        if name in FREE or newer or before.get(name) == now.get(name):
            continue
        raise ConfigurationError(
            f"{name} = {now.get(name)!r} now, and {before.get(name)!r} in {saved.folder / RUN_FILE}: a run goes on "
            f"with the options that it began with (only epochs may be raised). Leave {name} out, or begin a new run."
        )
