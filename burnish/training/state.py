"""The state of a training run at the end of an epoch, and going on from it, bit for bit.

A state is one file, `resume/epoch-00003.safetensors` in the run's folder: everything that later epochs depend on.
The two latest are kept, so that one is there whatever happens to the other.
"""

from __future__ import annotations

import re
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
from .record import STATES
from .stages import Run

KEPT = 2
_NAME = re.compile(r"^epoch-(\d+)\.safetensors$")
_WHAT = "the state of a training run (burnish run --output)"

#: What the trainer gets from the options, or must not keep from an earlier process.
_NOT_KEPT = frozenset(
    {"epochs", "eval_step", "saved_model_file", "checkpoint_dir", "start_epoch", "item_tensor"}
)


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
            if tree != self._trainer_before.get(name)
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
        try:
            apply(run.model, tree["model"], tensors)
            for name, value in tree["trainer"].items():
                setattr(run.trainer, name, unpack(value, tensors))
            _restore_helpers(run.trainer, tree["helpers"], tensors)
            generators = list(_generators(run))
            if len(generators) != len(tree["loaders"]):
                raise DataError("the saved state has other data loaders than this run")
            for generator, saved in zip(generators, tree["loaders"], strict=True):
                generator.set_state(unpack(saved, tensors).get_state())
            run.trainer.start_epoch = int(tree["epoch"]) + 1
            run.set_progress(unpack(tree["run"], tensors))
            set_random_state(unpack(tree["random"], tensors))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"the saved state does not fit this run: {error!r}") from error


def saved_states(folder: Path) -> Iterator[tuple[int, Path]]:
    """(epochs done, file) of every state in a run's folder, the latest first."""
    place = folder / STATES
    states = []
    for path in place.iterdir() if place.is_dir() else ():
        match = _NAME.match(path.name)
        if match:
            states.append((int(match[1]), path))
    yield from sorted(states, reverse=True)


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
        if "same_as" in helper:
            setattr(trainer, helper["name"], getattr(trainer, helper["same_as"]))
        else:
            getattr(trainer, helper["name"]).load_state_dict(unpack(helper["state"], tensors))
