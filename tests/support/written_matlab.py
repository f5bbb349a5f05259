"""A graph in a MATLAB file, as WSDM'20's Yelp is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.io import savemat

TYPES = ("user", "business", "compliment", "a_category", "city")
SIZES = (12, 9, 4, 5, 3)
PAIRS = ((1, 2), (1, 1), (1, 3), (2, 4), (2, 5))


def cells(values: list[Any]) -> np.ndarray[Any, Any]:
    made = np.empty((1, len(values)), dtype=object)
    for number, value in enumerate(values):
        made[0, number] = value
    return made


def content(seed: int = 0) -> dict[str, Any]:
    """The variables of a release in small."""
    draw = np.random.default_rng(seed)
    names = [
        cells([np.array([f"{kind} {n}" if kind == "city" else f"{kind}-{n}"]) for n in range(size)]).T
        for kind, size in zip(TYPES, SIZES, strict=True)
    ]
    matrices = []
    for number, (source, target) in enumerate(PAIRS):
        dense = (draw.random((SIZES[source - 1], SIZES[target - 1])) < 0.4).astype(float)
        if number == 0:
            dense *= draw.integers(1, 6, dense.shape)
            dense[:, 0] = 5  # so that everyone is in the data
            dense[0] = 4
        if number == 1:
            dense = np.triu(dense, 1) + np.triu(dense, 1).T
        if number == 4:  # one city each, or none
            dense = np.eye(3)[draw.integers(0, 3, 9)] * (np.arange(9) < 8)[:, None]
        matrices.append(sparse.csc_matrix(dense))
    return {
        "entityName": cells([np.array([kind]) for kind in TYPES]),
        "entity": cells(names),
        "relationIdx": np.array(PAIRS, dtype=np.uint8),
        "relation": cells(matrices),
        "filename": "./small.mat",
    }


def saved(folder: Path, made: dict[str, Any], name: str = "small.mat", **options: Any) -> Path:
    savemat(folder / name, made, **options)
    return folder / name
