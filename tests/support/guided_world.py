"""The conformance data with scores of its items, and worlds with the enhancer `guided`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.subject import train
from burnish.enhancers.conformance.world import World, build_world
from burnish.enhancers.guided.guided import Guided

N_ITEMS, N_USERS = 60, 40


def write_world(folder: Path) -> Path:
    """The conformance data in `folder`, and scores.tsv beside: attributes pace and wit, from 0 to 9."""
    if not (folder / NAME).exists():
        write_data(folder)
    file = folder / "scores.tsv"
    write_table(file, "item_id", [f"i{n}" for n in range(1, N_ITEMS + 1)], item_scores())
    return file


def item_scores() -> dict[str, np.ndarray]:
    """Scores of items i1 ... i60."""
    draw = np.random.default_rng(0)
    return {"pace": draw.integers(0, 10, N_ITEMS), "wit": draw.integers(0, 10, N_ITEMS)}


def write_table(file: Path, key: str, ids: Sequence[str], columns: Mapping[str, Any]) -> Path:
    """A TSV of ids and columns; NaN is an empty cell."""
    lines = ["\t".join([key, *columns])]
    for number, token in enumerate(ids):
        cells = [columns[name][number] for name in columns]
        lines.append("\t".join([token, *("" if cell != cell else f"{cell:g}" for cell in cells)]))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def quiet_world(model: str, folder: Path, *enhancers: Any, options: Mapping[str, Any] | None = None) -> World:
    """A world of a backbone, with enhancers or plain."""
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        return build_world(enhance(model, *enhancers) if enhancers else model, folder, options=options)


def quiet_training(world: World) -> World:
    """One epoch, or as many as the world's options say."""
    with contextlib.redirect_stdout(io.StringIO()):
        return train(world)


def guided_of(world: World) -> Guided:
    """The enhancer of a world's model."""
    found = world.model.enhancers["guided"]
    assert isinstance(found, Guided)
    return found


def history(world: World) -> list[tuple[int, int]]:
    """(user, item) of the training split, by a loop over its rows; liked ones where there are labels.

    Sequential data have a row for each item but the first of a user, with the items before it.
    """
    config, feat = world.config, world.train._dataset.inter_feat
    user, item, label = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"], config["LABEL_FIELD"]
    found = []
    for number in range(len(feat)):
        row = {name: column[number] for name, column in feat.interaction.items()}
        if label in row and float(row[label]) <= 0:
            continue
        found.append((int(row[user]), int(row[item])))
        length = int(row.get("item_length", 0))
        if length == 1:
            found.append((int(row[user]), int(row["item_id_list"][0])))
    return found


def reduced_by_hand(
    users: np.ndarray, items: np.ndarray, users_guided: np.ndarray, items_guided: np.ndarray
) -> np.ndarray:
    """Scores of two stages at their start, in float64: alpha^2 scale <g_u, g_i> + <P'e_u, P'(e_i - mean)>.

    All without the padding ids, and less each user's mean over items, which no ranking depends on.
    """

    def size(values: np.ndarray) -> float:
        return float(np.sqrt((values.astype(float) ** 2).mean()))

    centred = items - items.mean(0)
    basis = np.linalg.svd(centred, full_matrices=False)[2][: items.shape[1] - items_guided.shape[1]].T
    alpha = size(centred @ basis) / size(items_guided)
    scale = size(users @ basis) / size(alpha * users_guided)
    guided: np.ndarray = alpha**2 * scale * users_guided @ items_guided.T
    return less_user_means(guided + users @ basis @ (centred @ basis).T)


def less_user_means(scores: np.ndarray) -> np.ndarray:
    """Scores `[n_users, n_items]` less each user's mean."""
    found: np.ndarray = scores - scores.mean(1, keepdims=True)
    return found
