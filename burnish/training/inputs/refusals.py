"""What RecBole itself refuses, as errors that say with which data and options."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError, ConfigurationError, DataError

from .own_models import check_unset, told_where

_LIBRARY = re.compile(r"[\\/]site-packages[\\/](recbole|torch|numpy|pandas|scipy|sklearn)[\\/]")
#: What RecBole raises where options do not suit each other, the data or the model.
_KINDS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    RuntimeError,
    ArithmeticError,  # a division by 0, an overflow
    MemoryError,
    NameError,
)
#: Options that say where and how long, and explain nothing.
_BESIDE = frozenset(
    {
        "epochs",
        "threads",
        "show_progress",
        "use_gpu",
        "gpu_id",
        "checkpoint_dir",
        "data_path",
        "enhancers",
        "seed",
        "state",
    }
)


@contextmanager
def explained(config: Any, stage: str) -> Iterator[None]:
    """Turn what RecBole's own code raises inside into a `ConfigurationError` with the options that were given.

    stage: what is being done, such as "reading the data set".  Errors of our own code stay what they are.
    """
    try:
        yield
    except BurnishError:
        raise
    except _KINDS as error:
        check_kernels(config, error)
        check_unset(config, error)
        told_where(config, error)
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1].filename if frames else ""
        # A library's frame may be one that our code called: RecBole must stand between.
        if not _LIBRARY.search(last) or not any("recbole" in frame.filename for frame in frames):
            raise
        given = {name: value for name, value in config.external_config_dict.items() if name not in _BESIDE}
        shown = ", ".join(f"{name} = {_short(value)}" for name, value in given.items()) or "no options"
        said = str(error) or type(error).__name__
        raise ConfigurationError(
            f"{config['model']} on {config['data_path']}/{config['dataset']}.inter: RecBole stops while {stage}: "
            f"{said} ({type(error).__name__}). Look for the option of these that it is about, and correct it or "
            f"leave it out: {shown}"
        ) from error


def check_kernels(config: Any, error: Exception) -> None:
    """Raise `ConfigurationError` where an error is torch's of a kernel that is larger than what it goes over."""
    if "Kernel size can't be greater than actual input size" not in str(error):
        return
    named = [name for name in config.final_config_dict if "kernel" in name or "stride" in name]
    kernels = ", ".join(f"{name} = {_short(config[name])}" for name in named)
    raise ConfigurationError(
        f"{config['model']}: embedding_size = {config['embedding_size']} is too small for its convolutions"
        f"{f' ({kernels})' if kernels else ''}; give a larger embedding_size, or smaller kernels and strides. torch "
        f"says: {error}"
    ) from error


def check_best(config: Any, score: float, file: str) -> None:
    """Raise `DataError` where no epoch was kept, since validation gave no number in any."""
    if not math.isfinite(score) and not Path(file).is_file():
        raise DataError(
            f"valid_metric = {config['valid_metric']!r} could not be computed in any epoch on the validation part of "
            f"{config['data_path']}/{config['dataset']}.inter, as AUC cannot of labels of one kind; give more rows, "
            f"another threshold, split or valid_metric"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
