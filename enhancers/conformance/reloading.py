"""Reading tables and RecBole's checkpoints back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from burnish.enhancers.anatomy.table import Table

from .check import NotApplicableError
from .subject import Subject, assert_equal_scores, scores, train
from .world import World


def read(table: Table) -> Tensor:
    """A table as the backbone reads it: `[count, width]`."""
    parameter = getattr(table.owner, table.parameter)
    rows: Tensor = parameter.t() if table.transposed else parameter
    return rows[table.first : table.first + table.count]


def reloaded(world: World) -> Any:
    """The model that RecBole's quick start makes from the world's checkpoint."""
    world.trainer._save_checkpoint(0, verbose=False)
    return load(Path(world.trainer.saved_model_file))


def load(file: Path) -> Any:
    """The model of a checkpoint, by RecBole's quick start (without the log folder that it would begin here)."""
    from recbole.quick_start import quick_start

    begin_log = quick_start.init_logger
    quick_start.init_logger = lambda config: None
    try:
        return quick_start.load_data_and_model(str(file))[1]
    finally:
        quick_start.init_logger = begin_log


def need_sound_checkpoints(subject: Subject) -> None:
    """`NotApplicableError` where RecBole's own checkpoint of the plain backbone does not bring its scores back."""
    plain = train(subject.plain())
    try:
        assert_equal_scores(scores(plain), scores(plain, reloaded(plain)))
    except Exception as error:
        raise NotApplicableError(f"the plain backbone's own checkpoint does not reload: {error}") from error
