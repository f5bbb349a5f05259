"""Models of a person's own in a run: what is asked of them here, where they stop, and the first that they give.

RecBole's own models and burnish's are left alone, and so are methods that a class has from them.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from burnish.enhancers.attach import split_enhanced
from burnish.enhancers.unchanged import evaluating, unchanged
from burnish.errors import BurnishError, ConfigurationError
from burnish.own.classes import shown
from burnish.own.models import GIVES, home_of, is_missing, is_of_others
from burnish.own.sources import is_installed_file, source_files
from burnish.randomness import random_state, set_random_state
from burnish.speed.batch_sizes import out_of_memory

from ..options import model_options

#: What code may raise that is wrong, or wrongly called.
_KINDS = (
    *(ValueError, TypeError, LookupError, AttributeError, NameError, AssertionError, RuntimeError),
    *(ArithmeticError, ImportError),
)


def no_input_type(model: type) -> ConfigurationError:
    """The error for a model whose rows of training nothing decides."""
    plain = split_enhanced(model)[0]
    return ConfigurationError(
        f"{plain.__name__}{home_of(plain)} has no input_type, by which RecBole makes batches, and no option "
        f"loss_type is given: say input_type = InputType.POINTWISE in the class where its loss reads the item that was "
        f"taken (and a label, if it reads one), as with a cross-entropy over all items, or InputType.PAIRWISE where it "
        f"reads a negative item beside it (from recbole.utils import InputType); docs/backbones.md has both"
    )


def check_asked_of(config: Any) -> None:
    """Raise `ConfigurationError` where a class of a person's own lacks what the options ask of it."""
    plain = split_enhanced(config.model_class)[0]
    if not is_of_others(plain):
        return
    if config["MODEL_INPUT_TYPE"] is None:
        if config["loss_type"] is None:
            raise no_input_type(plain)
        raise ConfigurationError(
            f"loss_type = {config['loss_type']!r}: {plain.__name__}{home_of(plain)} has no input_type, and RecBole "
            f"knows that of the losses CE and BPR only; say one of these, or input_type in the class"
        )
    modes = {phase: str(mode) for phase, mode in config["eval_args"]["mode"].items() if mode != "full"}
    if modes and config["MODEL_TYPE"].name != "DECISIONTREE" and is_missing(plain, "predict"):
        raise ConfigurationError(
            f"eval_args.mode = {modes}: {plain.__name__}{home_of(plain)} has no predict(self, interaction), which "
            f"gives {GIVES['predict']}; write it, or evaluate over all items (eval_args: {{mode: full}})"
        )


def check_made(config: Any, model: Any) -> None:
    """Raise `ConfigurationError` where a model of a person's own has nothing to train."""
    plain = split_enhanced(config.model_class)[0]
    kind = config["MODEL_TYPE"].name
    if not is_of_others(plain) or kind == "DECISIONTREE":
        return
    own = [one for name, one in model.named_parameters() if not name.startswith("enhancers.")]
    if any(one.requires_grad for one in own):
        return
    cure = (
        "RecBole asks for one of a model that is not trained, too: self.fake_loss = nn.Parameter(torch.zeros(1)), "
        "which calculate_loss gives"
        if kind == "TRADITIONAL"
        else "in __init__ give it layers or nn.Parameter as attributes, as in self.item_embedding = "
        "nn.Embedding(self.n_items, 32); layers in a list go into nn.ModuleList"
    )
    what = "all parameters are frozen (requires_grad = False)" if own else "it has no parameters"
    raise ConfigurationError(
        f"{plain.__name__}{home_of(plain, '__init__') or home_of(plain)} cannot be trained: {what}; {cure}"
    )


def check_unset(config: Any, error: Exception) -> None:
    """Raise `ConfigurationError` where a class of a person's own stops, and reads options that nothing sets."""
    plain = split_enhanced(config.model_class)[0]
    if plain.__module__.partition(".")[0] in ("recbole", "burnish"):
        return
    own = getattr(sys.modules.get(plain.__module__), "__file__", None)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    lacking = sorted(name for name in model_options(plain) if config.final_config_dict.get(name) is None)
    if not lines or not lacking:
        return
    where = f"{Path(lines[-1].filename).name}, line {lines[-1].lineno}: {lines[-1].line}"
    raise ConfigurationError(
        f"{plain.__name__} stops in {where} ({type(error).__name__}: {error}), and reads options that nothing sets: "
        f"{', '.join(lacking)}. Give them (--{lacking[0]} VALUE), or defaults in a YAML file that the class names "
        f"(options_files, docs/backbones.md)"
    ) from error


def told_where(config: Any, error: Exception, method: str | None = None) -> None:
    """Raise `ConfigurationError` with class, file and line where a person's own model or enhancer stops.

    method: the one of the model that was called; by default the outermost that is on the way.
    """
    if isinstance(error, BurnishError) or out_of_memory(error):
        return
    plain, recipe = split_enhanced(config.model_class)
    frames = traceback.extract_tb(error.__traceback__)
    for cls in filter(is_of_others, (plain, *(one for one, _ in recipe))):
        files = set(source_files(cls)) | set(_files_of(cls))
        lines = [one for one in frames if one.filename in files]
        if not lines:
            continue
        last, name = lines[-1], (method if cls is plain else None) or lines[0].name
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise ConfigurationError(
            f"{cls.__name__}.{name} stops in {shown(last.filename)}, line {last.lineno}: {last.line} ({said})"
            f"{_hint(config, error)}"
        ) from error


def _files_of(cls: type) -> Iterator[str]:
    """The files, or cells, of the functions of a class, and of its parents that are a person's own."""
    for base in filter(is_of_others, cls.__mro__):
        for value in vars(base).values():
            if isinstance(value, FunctionType) and not is_installed_file(value.__code__.co_filename):
                yield value.__code__.co_filename


def _hint(config: Any, error: Exception) -> str:
    text = str(error)
    if (
        "before Module.__init__() call" in text
        or "required positional arguments: 'config' and 'dataset'" in text
    ):
        return "; the first line of __init__ is super().__init__(config, dataset)"
    if isinstance(error, KeyError) and error.args:
        kind = getattr(config["MODEL_INPUT_TYPE"], "name", "")
        other = {
            "POINTWISE": f"{config['NEG_PREFIX']}{config['ITEM_ID_FIELD']}",
            "PAIRWISE": config["LABEL_FIELD"],
        }
        if error.args[0] == other.get(kind):
            better = "PAIRWISE" if kind == "POINTWISE" else "POINTWISE"
            return (
                f"; batches of input_type {kind} have no {error.args[0]}: say input_type = InputType.{better}"
            )
    return ""


def check_scores(config: Any, model: Any, loader: Any) -> None:
    """Let a plain model of a person's own score the first rows of the validation set, and leave no trace of it.

    So what its methods give is looked at before the first epoch; enhanced ones are in the first evaluation.
    """
    plain, enhancers = split_enhanced(config.model_class)
    if enhancers or not loader or not _own_methods(plain):
        return
    from recbole.data.dataloader.general_dataloader import FullSortEvalDataLoader

    streams = random_state()
    try:
        try:
            # As its batches are made, without going over it: that draws numbers, or starts processes.
            rows = loader.collate_fn(list(range(min(loader.sample_size, 3))))[0].to(config["device"])
            items = loader._dataset.get_item_feature()[:100].to(config["device"])
        except _KINDS:  # what is wrong with the rows is told where they are used
            return
        with unchanged(model), evaluating(model), torch.no_grad(), first_results_checked(config, model):
            if not isinstance(loader, FullSortEvalDataLoader):
                model.predict(rows)
                return
            try:
                model.full_sort_predict(rows)
            except NotImplementedError:  # RecBole goes on with this
                pairs = rows[:1].repeat_interleave(len(items))
                pairs.update(items)
                model.predict(pairs)
    finally:
        set_random_state(streams)


def _own_methods(plain: type) -> dict[str, FunctionType]:
    """The methods that RecBole calls and a person wrote, by name."""
    found: dict[str, FunctionType] = {}
    for base in reversed(plain.__mro__):
        for name in GIVES:
            value = vars(base).get(name)
            if value is None:
                continue
            if isinstance(value, FunctionType) and is_of_others(base):
                found[name] = value
            else:
                found.pop(name, None)
    return found


@contextmanager
def first_results_checked(config: Any, model: Any) -> Iterator[None]:
    """While this is open, the first that each method of a person's own model gives is looked at, and where it stops.

    The class has a method in the place of its own meanwhile, which hands everything on.
    Raises `ConfigurationError` with class, file, line and what is to be given.
    """
    plain = split_enhanced(config.model_class)[0]
    methods = _own_methods(plain)
    homes = {name: home_of(plain, name) for name in methods}
    with ExitStack() as stack:
        for name, function in methods.items():
            stack.callback(_put_back, plain, name, vars(plain).get(name))
            n_items = getattr(model, "n_items", None)
            setattr(plain, name, _looked_at(function, name, config, plain, n_items, homes[name]))
        try:
            yield
        except _KINDS as error:
            told_where(config, error)
            raise


def _put_back(cls: type, name: str, before: Any) -> None:
    if before is None:
        delattr(cls, name)
    else:
        setattr(cls, name, before)


def _looked_at(
    function: FunctionType, name: str, config: Any, plain: type, n_items: int | None, home: str
) -> Callable[..., Any]:
    waiting = True

    @functools.wraps(function)
    def call(self: Any, interaction: Any, *args: Any, **options: Any) -> Any:
        nonlocal waiting
        if not waiting:
            return function(self, interaction, *args, **options)
        try:
            given = function(self, interaction, *args, **options)
        except NotImplementedError as error:
            if name == "full_sort_predict":  # RecBole goes on with predict
                raise
            raise ConfigurationError(
                f"{plain.__name__}.{name}{home} raises NotImplementedError; it is to give {GIVES[name]}"
            ) from error
        except _KINDS as error:
            check_unset(config, error)
            told_where(config, error, name)
            raise
        if name == "calculate_loss" and not torch.is_grad_enabled():  # an enhancer looks at it
            return given
        wrong = (
            _wrong_loss(given)
            if name == "calculate_loss"
            else _wrong_scores(name, given, interaction, n_items, config)
        )
        if wrong:
            raise ConfigurationError(
                f"{plain.__name__}.{name}{home} gives {wrong}; it is to give {GIVES[name]}"
            )
        waiting = False
        return given

    return call


def _kind(value: Any) -> str:
    if value is None:
        return "None (is there no return?)"
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _wrong_loss(given: Any) -> str:
    """What is wrong with a loss; empty for nothing."""
    parts = given if isinstance(given, tuple) else (given,)
    if not parts:
        return "an empty tuple"
    for part in parts:
        within = " in a tuple" if isinstance(given, tuple) else ""
        if not isinstance(part, Tensor):
            return f"{_kind(part)}{within}"
        if part.numel() != 1:
            return f"{_kind(part)}{within}, one number for each row it seems: take its mean (.mean())"
        if not part.is_floating_point():
            return f"a tensor of {part.dtype}{within}"
    if not any(part.requires_grad for part in parts):
        return (
            "a tensor that no gradient goes back from: compute it from the model's parameters, without .item(), "
            ".detach(), torch.tensor(...) and torch.no_grad()"
        )
    return ""


def _wrong_scores(name: str, given: Any, interaction: Any, n_items: int | None, config: Any) -> str:
    """What is wrong with scores; empty for nothing."""
    if not isinstance(given, Tensor):
        return _kind(given)
    if not given.is_floating_point():
        return f"a tensor of {given.dtype}"
    rows, shape = len(interaction), [size for size in given.shape if size != 1]
    if name == "predict":
        if given.numel() != rows:
            return f"{_kind(given)} for {rows} rows"
        sampled = any(str(mode).startswith(("uni", "pop")) for mode in config["eval_args"]["mode"].values())
        if sampled and given.dim() > 1 and rows > 1:
            return f"{_kind(given)} for {rows} rows: squeeze it (.squeeze(-1))"
        return ""
    if n_items is None:
        return ""
    flat = given.dim() <= 1 and given.numel() == rows * n_items
    if flat or shape == [size for size in (rows, n_items) if size != 1]:
        return ""
    turned = ": turn it over (.t())" if shape == [n_items, rows] else ""
    return f"{_kind(given)} for {rows} rows and n_items = {n_items}{turned}"
