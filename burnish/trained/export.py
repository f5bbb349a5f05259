"""`burnish.export_embeddings`: the rows of one embedding table, with the ids of the original data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.errors import UnsupportedError, unknown_name, warn

from .open import open_trained

if TYPE_CHECKING:
    from burnish.enhancers.anatomy.describe import Anatomy
    from burnish.enhancers.anatomy.table import Table
    from burnish.training.result import TrainingResult
    from burnish.training.trained_model import TrainedModel

SIDES = ("item", "user")
#: refined: as the backbone reads them.  raw: as they are stored.  output: propagated, or made of the data.
KINDS = ("refined", "raw", "output")


@dataclass(frozen=True)
class Embeddings:
    """Vectors with the ids that they belong to.

    Attributes
    ----------
    ids
        `[n]`, original ids as text, without padding.
    vectors
        `[n, d]`.
    seen_in_training
        `[n]`, False for an id that no training interaction has.
    table
        The name of the table they are from, or "output".
    side, kind
        As asked for.
    """

    ids: np.ndarray
    vectors: np.ndarray
    seen_in_training: np.ndarray
    table: str
    side: str
    kind: str

    def frame(self) -> pd.DataFrame:
        """Columns id, seen_in_training, and d0, d1, … with the vectors."""
        columns = {f"d{i}": self.vectors[:, i] for i in range(self.vectors.shape[1])}
        return pd.DataFrame(
            {"id": self.ids.astype(object), "seen_in_training": self.seen_in_training, **columns}
        )


def export_embeddings(
    source: TrainedModel | TrainingResult | Path | str,
    side: Literal["item", "user"] = "item",
    kind: Literal["refined", "raw", "output"] = "refined",
    *,
    table: str | None = None,
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> Embeddings:
    """Export the embeddings of all items or users, with their original ids.

    Parameters
    ----------
    source : TrainedModel, TrainingResult, Path or str
        What `burnish.load_run` or `burnish.run` returned, a run's folder, or, with `trust`, a RecBole checkpoint.
    side : {"item", "user"}
        Whose embeddings.
    kind : {"refined", "raw", "output"}
        "refined" gives the rows as the backbone reads them (the stored ones where nothing is attached), "raw" the
        stored ones, "output" what a graph backbone propagated (the vectors whose products are its scores), or what a
        backbone's `output_vectors()` gives: users `[n_users, d]` and items `[n_items, d]`.
    table : str, optional
        The name of the table, where a side has several; by default the first.
    model : str or type, optional
        The class of the run's model, where it is neither RecBole's nor announced by a package, or where that is
        (`"mine.py:Tower"`).
    data_path : Path or str, optional
        Where the data set's folder is now, if it has been moved.
    trust : bool, default False
        Allow what can execute code: unpickling a checkpoint, importing the modules of the run's model and enhancers.

    Returns
    -------
    Embeddings
        `ids` `[n]` and `vectors` `[n, d]`, without padding.

    Raises
    ------
    UnsupportedError
        Where the backbone has no such embeddings.
    UnknownNameError
        For a table that it does not have, with the names of those it has.

    Examples
    --------
    >>> items = burnish.export_embeddings("out", "item")  # doctest: +SKIP
    >>> items.frame()  # doctest: +SKIP
    """
    if side not in SIDES:
        raise unknown_name("side", side, SIDES)
    if kind not in KINDS:
        raise unknown_name("kind of embeddings", kind, KINDS)
    trained = open_trained(source, model=model, data_path=data_path, trust=trust)
    trained.model.eval()
    anatomy = anatomy_of(trained)
    with torch.no_grad():
        if kind == "output":
            name, rows = "output", _output(trained, anatomy, side, table)
        else:
            name, rows = _table_rows(trained, anatomy, side, kind, table)
    if not bool(torch.isfinite(rows[1:]).all()):
        broken = int((~torch.isfinite(rows[1:])).any(1).sum())
        warn(f"{broken} of {len(rows) - 1} rows of {name} are not finite: that model should be trained anew")
    data = trained.dataset
    field = data.uid_field if side == "user" else data.iid_field
    count = int(data.num(field))
    seen = np.zeros(count, dtype=bool)
    seen[_ids_in(trained.splits.training, field)] = True
    return Embeddings(
        ids=np.array(trained.tokens(field, np.arange(1, count))),
        vectors=rows[1:count].detach().cpu().numpy().copy(),
        seen_in_training=seen[1:],
        table=name,
        side=side,
        kind=kind,
    )


def anatomy_of(trained: TrainedModel) -> Anatomy:
    """The anatomy of a model, enhanced or plain."""
    from burnish.enhancers.anatomy.describe import describe
    from burnish.enhancers.attach import is_enhanced

    if is_enhanced(trained.model):
        return trained.model.enhancers.anatomy
    return describe(trained.model, trained.config, trained.splits.training)


def tables_of(anatomy: Anatomy, side: str) -> dict[str, Table]:
    """The tables of one side by the names that `table` takes."""
    return {getattr(table, "key", table.name): table for table in anatomy.tables if table.side == side}


def _table_rows(
    trained: TrainedModel, anatomy: Anatomy, side: str, kind: str, name: str | None
) -> tuple[str, Tensor]:
    tables = tables_of(anatomy, side)
    if not tables:
        raise UnsupportedError(
            f"{anatomy.backbone} has no {side} embeddings; it has "
            f"{', '.join(sorted({table.side for table in anatomy.tables})) or 'no'} tables"
        )
    if name is not None and name not in tables:
        raise unknown_name(f"{side} table of {anatomy.backbone}", name, tables)
    chosen = name or next(iter(tables))
    table = tables[chosen]
    if kind == "raw" or not hasattr(trained.model, "enhancers"):
        return chosen, table.raw()
    ids = torch.arange(table.count, device=table.raw().device)
    return chosen, trained.model.enhancers.state.refined(table, ids)


def _output(trained: TrainedModel, anatomy: Anatomy, side: str, name: str | None) -> Tensor:
    from burnish.enhancers.anatomy.describe import propagation

    if name is not None:
        raise UnsupportedError(f"table = {name!r}: the output of a backbone is not a table; leave it out")
    call = propagation(trained.model) if anatomy.output is not None else None
    call = getattr(trained.model, "output_vectors", call)
    if call is None:
        raise UnsupportedError(
            f"{anatomy.backbone} does not propagate all users and items at once, so it has no 'output' embeddings; "
            f"take kind 'refined' or 'raw'. Graph backbones have them (LightGCN, NGCF, SGL, DGCF, NCL), and so do "
            f"backbones with a method output_vectors (DReX, DeepCoNN, NARRE, ...)."
        )
    result: Any = call()
    return result[0] if side == "user" else result[1]


def _ids_in(part: Any, field: str) -> np.ndarray:
    matrix = part.inter_matrix(form="coo")
    return matrix.row if field == part.uid_field else matrix.col


def save_embeddings(embeddings: Embeddings, path: Path | str, format: str | None = None) -> Path:
    """Write embeddings to one file: whole or not at all.

    format: npz (arrays ids, vectors, seen_in_training; read with `numpy.load`, no pickled objects), parquet or csv
        (columns id, seen_in_training, d0, d1, …); by default what the suffix of `path` says.
    Raises `UnknownNameError` for another format.
    """
    from burnish.files.tables import TableFile, format_of
    from burnish.files.whole import written_whole

    target = Path(path)
    chosen = format_of(target, format, ("npz", "parquet", "csv"))
    if chosen == "npz":
        with written_whole(target) as beside, beside.open("wb") as handle:
            np.savez(
                handle,
                ids=embeddings.ids.astype(np.str_),
                vectors=embeddings.vectors,
                seen_in_training=embeddings.seen_in_training,
            )
    else:
        with TableFile(target, chosen) as file:
            file.write(embeddings.frame())
    return target
