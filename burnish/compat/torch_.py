"""torch 2.6 refuses to unpickle what a RecBole checkpoint holds; RecBole's modules, and only they, still may.

A RecBole checkpoint pickles its Config, so loading one can run any code.  That is RecBole's format and its
users' choice; where a file is named by the user, one warning says so.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from . import hook
from .mend import at_least, ignore, mend
from .view import ModuleView

_SINCE_2_6 = at_least("torch", 2, 6)
_QUICK_START = "recbole.quick_start.quick_start"
_TRAINER = "recbole.trainer.trainer"

logger = logging.getLogger("burnish.compat")


class _Torch(ModuleView):
    """torch as it is, but for the default of `load(weights_only=...)`."""

    def load(self, *args: Any, **options: Any) -> Any:
        return self.viewed.load(*args, **{"weights_only": False, **options})


@mend(
    "torch-load",
    library="torch",
    versions="torch >= 2.6",
    symptom="no checkpoint or pretrained model can be read: torch.load defaults to weights_only=True",
    modules=(
        _TRAINER,
        "recbole.model.context_aware_recommender.kd_dagfm",
        "recbole.model.general_recommender.convncf",
        "recbole.model.general_recommender.nais",
        "recbole.model.general_recommender.neumf",
        "recbole.model.general_recommender.ract",
        "recbole.model.sequential_recommender.s3rec",
    ),
    applies=_SINCE_2_6,
)
def load_whole_pickles(module: ModuleType) -> None:
    """Show the module a torch whose `load` reads whole pickles; everybody else's `torch.load` stays safe."""
    seen: ModuleType = vars(module)["torch"]
    vars(module)["torch"] = seen if isinstance(seen, _Torch) else _Torch(seen)


@mend(
    "torch-load-quick-start",
    library="torch",
    versions="torch >= 2.6",
    symptom="load_data_and_model cannot read a checkpoint: torch.load defaults to weights_only=True",
    modules=(_QUICK_START,),
    applies=_SINCE_2_6,
)
def load_data_and_model_from_pickle(quick_start: ModuleType) -> None:
    """Let the first `torch.load` inside `load_data_and_model`, and no later one, read a whole pickle.

    The function imports torch itself, so a view of the module cannot reach it.
    """
    original = quick_start.load_data_and_model
    if hasattr(original, "_burnish_loads_pickle"):
        return

    @functools.wraps(original)
    def load_data_and_model(model_file: Any) -> Any:
        with _one_whole_pickle():
            return original(model_file)

    load_data_and_model._burnish_loads_pickle = True  # type: ignore[attr-defined]
    hook.replace_everywhere(quick_start, "load_data_and_model", load_data_and_model)


@contextmanager
def _one_whole_pickle() -> Iterator[None]:
    import torch

    safe = torch.load

    def load_once(*args: Any, **options: Any) -> Any:
        torch.load = safe
        return safe(*args, **{"weights_only": False, **options})

    torch.load = load_once
    try:
        yield
    finally:
        torch.load = safe


@mend(
    "torch-warnings",
    library="torch",
    versions="torch >= 2.4",
    symptom="harmless: every run warns of calls that torch has other names for now, and of arrays that are copied",
    modules=(_TRAINER, "recbole.data.dataset.dataset"),
    applies=at_least("torch", 2, 4),
)
def silence_other_names(module: ModuleType) -> None:
    """Leave out three warnings: these calls do what they did, and `LongTensor` copies an array that is not writable."""
    ignore("`torch.cuda.amp.GradScaler(args...)` is deprecated", FutureWarning)
    ignore("torch.sparse.SparseTensor(indices, values, shape, *, device=) is deprecated", UserWarning)
    ignore("The given NumPy array is not writable", UserWarning)


@mend(
    "pickle-warning",
    library="torch",
    versions="every",
    symptom="silent: a checkpoint from somebody else is unpickled, and so can run code, without a word",
    modules=(_TRAINER, _QUICK_START),
    applies=lambda: True,
)
def warn_before_unpickling(module: ModuleType) -> None:
    """Warn where the user names a file: `load_data_and_model`, `resume_checkpoint`, `evaluate(model_file=)`.

    The best model of the same run, which `evaluate` loads by itself, is nobody else's: no warning.
    """
    if module.__name__ == _QUICK_START:
        original = module.load_data_and_model
        hook.replace_everywhere(module, "load_data_and_model", _warning(original, "model_file"))
        return
    for trainer, method, argument in (
        (module.Trainer, "resume_checkpoint", "resume_file"),
        (module.Trainer, "evaluate", "model_file"),
    ):
        setattr(trainer, method, _warning(getattr(trainer, method), argument))


def _warning(function: Callable[..., Any], argument: str) -> Callable[..., Any]:
    """`function`, with a warning whenever its `argument` names a file; applied once."""
    if hasattr(function, "_burnish_warns"):
        return function
    parameters = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        path = parameters.bind(*args, **options).arguments.get(argument)
        if path:
            logger.warning(
                "Loading %s: a RecBole checkpoint is a pickle and can run any code. "
                "Load it only if you trust where it comes from.",
                path,
            )
        return function(*args, **options)

    wrapper._burnish_warns = True  # type: ignore[attr-defined]
    return wrapper
