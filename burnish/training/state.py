"""The state of a training run at the end of an epoch, and going on from it, bit for bit.

A state is one file, `resume/epoch-00003.safetensors` in the run's folder: everything that later epochs depend on.
The two latest are kept, so that one is there whatever happens to the other.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from burnish.checks import whole_number
from burnish.errors import ConfigurationError, DataError
from burnish.files.portable import NotPortableError, Packer, read_file, unpack, write_file
from burnish.randomness import random_state, set_random_state

from .changes import Baseline, apply
from .fitting import check_fits, check_name, kind_of
from .record import STATES, read_run
from .stages import Run

KEPT = 2
_NAME = re.compile(r"^epoch-(\d+)\.safetensors$")
_WHAT = "the state of a training run (burnish run --output)"

#: What the trainer gets from the options, or must not keep from an earlier process.
_NOT_KEPT = frozenset(
    {"epochs", "eval_step", "saved_model_file", "checkpoint_dir", "start_epoch", "item_tensor"}
)
#: Which epoch an enhanced model was told of last; states of an earlier burnish have it.
_TOLD = "_burnish_epoch"
#: What a state is made of, and of which kind each part is.
_PARTS = {
    **{"epoch": int, "stopped": bool, "model": list, "left_out": list},
    **{"trainer": dict, "helpers": list, "loaders": list, "random": dict, "run": dict},
}


class FinishedError(ConfigurationError):
    """A run that is to be resumed has nothing left to do."""


class StateKeeper:
    """Saves the state of one run at the ends of its epochs.

    folder: of the run.  every: save after each so many epochs (and always after the last).
    """

    def __init__(self, folder: Path, every: int = 1) -> None:
        self.check(every)
        self.folder = folder / STATES
        self.every = every
        self._baseline: Baseline | None = None
        self._trainer_before: dict[str, Any] = {}

    @staticmethod
    def check(every: int) -> None:
        """Raise `ConfigurationError` for what is not a number of epochs."""
        whole_number("save_every", every, what="a whole number of epochs", more=" (0 to save no states)")

    def begin(self, run: Run) -> None:
        """Look at the run just before its first epoch (also before `restore`)."""
        self._baseline = Baseline(run.model)
        self._trainer_before = _plain_attributes(run.trainer, Packer("b"))
        for _, path in list(saved_states(self.folder.parent))[KEPT:]:  # a kill came before one was removed
            path.unlink(missing_ok=True)

    def epoch_done(self, run: Run, epoch: int) -> None:
        """Save after epoch `epoch` (from 0), if it is this one's turn."""
        last = epoch + 1 >= run.last_epoch() or run.stopped_early()
        if (epoch + 1) % self.every and not last:
            return
        tree, tensors = self._capture(run, epoch)
        write_file(self.folder / f"epoch-{epoch + 1:05d}.safetensors", tree, tensors)
        for number, path in list(saved_states(self.folder.parent))[KEPT:]:
            if number <= epoch + 1:
                path.unlink(missing_ok=True)

    def _capture(self, run: Run, epoch: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
        assert self._baseline is not None
        packer = Packer()
        entries, left_out = self._baseline.changes(run.model, packer)
        trainer = {
            name: tree
            for name, tree in _plain_attributes(run.trainer, packer).items()
            if tree != self._trainer_before.get(name) and not isinstance(tree, str) and name != _TOLD
        }
        tree = {
            "format": 1,
            "epoch": epoch,
            "stopped": run.stopped_early(),
            "model": entries,
            "left_out": left_out,
            "trainer": trainer,
            "helpers": _helpers(run.trainer, packer),
            "loaders": [packer.pack(generator) for generator in _generators(run)],
            "random": packer.pack(random_state()),
            "run": packer.pack(run.progress()),
        }
        return tree, packer.tensors

    def restore(self, run: Run, state: tuple[dict[str, Any], dict[str, Tensor]]) -> None:
        """Put a state onto a run that has been prepared from the same options; the next epoch is the one after it.

        Raises `DataError` when the state does not fit.
        """
        tree, tensors = state
        assert self._baseline is not None
        try:
            apply(run.model, self._baseline, tree["model"], tensors)
            self._restore_trainer(run.trainer, tree["trainer"], tensors)
            _restore_helpers(run.trainer, tree["helpers"], tensors)
            generators = list(_generators(run))
            if len(generators) != len(tree["loaders"]):
                raise DataError("the saved state has other data loaders than this run")
            for generator, saved in zip(generators, tree["loaders"], strict=True):
                generator.set_state(unpack(saved, tensors).get_state())
            run.trainer.start_epoch = int(tree["epoch"]) + 1
            run.set_progress(unpack(tree["run"], tensors))
            set_random_state(unpack(tree["random"], tensors))
        except DataError:
            raise
        except Exception as error:  # a damaged description may have anything in the place of anything
            raise DataError(f"the saved state does not fit this run: {error!r}") from error

    def _restore_trainer(self, trainer: Any, saved: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Only what a trainer has as numbers before training; of classes that are not RecBole's, new numbers too."""
        foreign = type(trainer).__module__.split(".")[0] not in ("recbole", "burnish")
        for name, tree in saved.items():
            if name == _TOLD:
                continue
            what = f"the saved state's value {name!r} of the trainer"
            check_name(what, trainer, name)
            known = name in self._trainer_before or (foreign and name not in vars(trainer))
            if not known or name in _NOT_KEPT:
                raise DataError(f"{what} is not something that training changes")
            value, before = unpack(tree, tensors), getattr(trainer, name, None)
            check_fits(what, before, value, empty=False)
            if name == "best_valid_result" and kind_of(value) != "mapping":
                raise DataError(f"{what} is a {kind_of(value)}, and should be the metrics of the best epoch")
            setattr(trainer, name, value)


def saved_states(folder: Path) -> Iterator[tuple[int, Path]]:
    """(epochs done, file) of every state in a run's folder, the latest first."""
    place = folder / STATES
    states = []
    for path in place.iterdir() if place.is_dir() else ():
        match = _NAME.match(path.name)
        if match:
            states.append((int(match[1]), path))
    yield from sorted(states, reverse=True)


def refuse_interrupted(folder: Path) -> None:
    """Raise `ConfigurationError` where a new run would remove an interrupted one that can be resumed."""
    done = next((number for number, _ in saved_states(folder)), 0)
    try:
        if not done or (saved := read_run(folder)).finished:
            return
    except DataError:  # without its description, nothing can go on from the states
        return
    raise ConfigurationError(
        f"{folder} holds an interrupted run ({saved.model} on {saved.dataset}, stopped after epoch {done}), and a new "
        f"one would remove it. Go on with it: burnish run --resume {shlex.quote(str(folder))} (in Python, "
        f"resume={str(folder)!r}); to begin anew, remove the folder or give another one"
    )


def latest_state(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The latest state in a run's folder, None when there is none.

    Raises `DataError` for a damaged file, and says which earlier one is whole.
    """
    states = list(saved_states(folder))
    if not states:
        return None
    number, path = states[0]
    try:
        return _read(path)
    except DataError as error:
        for earlier, whole in states[1:]:
            try:
                _read(whole)
            except DataError:
                continue
            raise DataError(
                f"{error} The state after epoch {earlier} ({whole.name}) is whole: remove {path} to go on from there."
            ) from error
        raise DataError(
            f"{error} There is no other state: remove {path.parent} to train from the start (epoch {number} is lost)."
        ) from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    tree, tensors = read_file(path, _WHAT)
    if not isinstance(tree, dict) or tree.get("format") != 1:
        raise DataError(f"{path} has a format that this burnish does not know; it is of a later version")
    for part, kind in _PARTS.items():
        if type(tree.get(part)) is not kind:
            raise DataError(f"{path} is damaged: {part!r} in its description is {tree.get(part)!r}.")
    done = _NAME.match(path.name)
    if done is not None and int(done[1]) != tree["epoch"] + 1:
        raise DataError(f"{path} is damaged: it says that it was written after epoch {tree['epoch'] + 1}.")
    return tree, tensors


def _generators(run: Run) -> Iterator[torch.Generator]:
    """The generators of the data loaders, which shuffle; each once, always in the same order."""
    seen: set[int] = set()
    for loader in (run.train_data, run.valid_data, run.test_data):
        parts = (loader, getattr(loader, "general_dataloader", None), getattr(loader, "kg_dataloader", None))
        for part in parts:
            generator = getattr(part, "generator", None)
            if isinstance(generator, torch.Generator) and id(generator) not in seen:
                seen.add(id(generator))
                yield generator


# ---------------------------------------------------------------------- the trainer


def _plain_attributes(trainer: Any, packer: Packer) -> dict[str, Any]:
    """The trainer's own numbers, texts and mappings (early stopping, losses, phases), packed."""
    packed = {}
    for name, value in vars(trainer).items():
        if name in _NOT_KEPT or _is_helper(value) or callable(value):
            continue
        try:
            packed[name] = packer.pack(value)
        except NotPortableError:
            continue  # the model, the config, loggers, evaluators: built anew
    return packed


def _is_helper(value: Any) -> bool:
    kinds = (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler)
    return isinstance(value, kinds)


def _helpers(trainer: Any, packer: Packer) -> list[dict[str, Any]]:
    """States of optimizers, schedulers and scalers; a helper with two names (RecVAE) is saved once."""
    helpers: list[dict[str, Any]] = []
    names: dict[int, str] = {}
    # RecVAE's `optimizer` is one of two others in turn, so a name of its own comes first.
    for name, value in sorted(vars(trainer).items(), key=lambda pair: pair[0] == "optimizer"):
        if not _is_helper(value):
            continue
        if id(value) in names:
            helpers.append({"name": name, "same_as": names[id(value)]})
            continue
        names[id(value)] = name
        helpers.append({"name": name, "state": packer.pack(value.state_dict())})
    return helpers


def _restore_helpers(trainer: Any, saved: list[dict[str, Any]], tensors: dict[str, Tensor]) -> None:
    for helper in saved:
        name = helper["name"]
        ours = _helper(trainer, name)
        if "same_as" in helper:
            setattr(trainer, name, _helper(trainer, helper["same_as"]))
            continue
        state = unpack(helper["state"], tensors)
        what = f"the saved state of the trainer's {name!r}"
        if isinstance(ours, torch.optim.Optimizer):
            _check_groups(what, ours, state)
        else:  # torch sets whatever such a state names
            _check_entries(what, ours.state_dict(), state)
        ours.load_state_dict(state)


def _helper(trainer: Any, name: Any) -> Any:
    """The optimizer, scheduler or scaler of a name in a file."""
    value = vars(trainer).get(name)
    if not _is_helper(value):
        raise DataError(f"the saved state has an optimizer {name!r}, and this run has none of that name")
    return value


def _check_groups(what: str, optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    ours = optimizer.state_dict()["param_groups"]
    if not isinstance(saved["state"], dict) or len(ours) != len(saved["param_groups"]):
        raise DataError(f"{what} is of other parameters than this run's")
    for group, other in zip(ours, saved["param_groups"], strict=True):
        # A scheduler adds what the rate began as; torch adds options from version to version.
        _check_entries(what, {**group, "initial_lr": 0.0}, other)
    for one in saved["state"].values():
        for name, value in one.items():
            check_fits(f"{what}, {name!r}", None, value)


def _check_entries(what: str, ours: dict[str, Any], saved: dict[str, Any]) -> None:
    for name, value in saved.items():
        if name not in ours:
            raise DataError(f"{what} has {name!r}, which this run's has not")
        check_fits(f"{what}, {name!r}", ours[name], value)
