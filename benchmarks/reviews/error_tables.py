"""Errors of predicted ratings, row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.errors import NonFiniteError

from .cases import Cases, Rows
from .scale import FloatArray, Scale

#: Predicted ratings of pairs: users `[b]`, items `[b]` -> `[b]`.
Rater = Callable[[Tensor, Tensor], Tensor]


def predicted(
    rater: Rater, rows: Rows, *, device: torch.device | str = "cpu", at_once: int = 1 << 16
) -> FloatArray:
    """Ratings of rows, `[n]`, as the rater gives them.  The rater sees nothing but ids."""
    users, items = (torch.from_numpy(ids) for ids in (rows.users, rows.items))
    parts = [
        rater(user.to(device), item.to(device)).detach().double().cpu().numpy()
        for user, item in zip(users.split(at_once), items.split(at_once), strict=True)
    ]
    return np.concatenate(parts) if len(rows) else np.zeros(0)


def error_frame(predictions: FloatArray, cases: Cases, scale: Scale) -> pd.DataFrame:
    """One line a test row: `user`, `item` (tokens), `row`, `rating`, `predicted`, `error` and `error_unclipped`.

    `row` numbers the rows of a pair from 0.  Errors are prediction minus rating; the prediction is clipped to the
    scale in `error`, for every model alike.  Raises `NonFiniteError` for a prediction that is not finite.
    """
    rows = cases.test
    bad = ~np.isfinite(predictions)
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise NonFiniteError(
            f"the predicted rating of user {cases.user_tokens[rows.users[where]]!r} and item "
            f"{cases.item_tokens[rows.items[where]]!r} is {predictions[where]}; a smaller learning_rate may help"
        )
    frame = pd.DataFrame(
        {
            "user": cases.user_tokens[rows.users].astype(str),
            "item": cases.item_tokens[rows.items].astype(str),
        }
    )
    frame["row"] = frame.groupby(["user", "item"]).cumcount()
    frame["rating"] = rows.ratings
    frame["predicted"] = predictions
    frame["error"] = scale.clip(predictions) - rows.ratings
    frame["error_unclipped"] = predictions - rows.ratings
    return frame


def error_summary(frame: pd.DataFrame) -> dict[str, float]:
    """`mae` and `rmse` of an `error_frame`, and both `_unclipped`, which differ where predictions leave the scale."""
    means = {}
    for ending in ("", "_unclipped"):
        errors = frame[f"error{ending}"].to_numpy()
        means[f"mae{ending}"] = float(np.abs(errors).mean())
        means[f"rmse{ending}"] = float(np.sqrt((errors**2).mean()))
    return means
