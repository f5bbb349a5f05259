"""Small splits written by hand or drawn, without RecBole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.benchmarks.reviews.cases import Cases, Rows

Triples = Iterable[tuple[int, int, float]]


def rows_of(triples: Triples) -> Rows:
    """Rows sorted as `Cases.of` sorts them."""
    listed = sorted(triples)
    users, items, ratings = zip(*listed, strict=True) if listed else ((), (), ())
    return Rows(np.array(users, np.int64), np.array(items, np.int64), np.array(ratings, np.float64))


def cases_of(train: Triples, valid: Triples, test: Triples, n_users: int, n_items: int) -> Cases:
    """Ids from 1; tokens u1, u2, ... and i1, i2, ..."""
    return Cases(
        rows_of(train),
        rows_of(valid),
        rows_of(test),
        n_users,
        n_items,
        np.array(["[PAD]", *(f"u{n}" for n in range(1, n_users))], dtype=object),
        np.array(["[PAD]", *(f"i{n}" for n in range(1, n_items))], dtype=object),
    )


def drawn_cases(seed: int, n_users: int = 24, n_items: int = 40, n_rated: int = 18) -> Cases:
    """Each user rates `n_rated` items; a random one in six is a validation row and two in six are test rows."""
    draw = np.random.default_rng(seed)
    parts: tuple[list, list, list] = ([], [], [])
    for user in range(1, n_users):
        for item in draw.choice(np.arange(1, n_items), n_rated, replace=False):
            which = draw.choice(3, p=[3 / 6, 1 / 6, 2 / 6])
            parts[which].append((user, int(item), float(draw.integers(1, 6))))
    return cases_of(*parts, n_users, n_items)


@pytest.fixture
def drawn() -> Callable[..., Cases]:
    """`drawn_cases`."""
    return drawn_cases


@pytest.fixture
def written() -> Callable[..., Cases]:
    """`cases_of`."""
    return cases_of


@pytest.fixture(scope="session")
def rated_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data set "rated": 30 users, 25 items, some 14 ratings a user from 1 to 5."""
    folder = tmp_path_factory.mktemp("rated-data")
    (folder / "rated").mkdir()
    draw = np.random.default_rng(8)
    good = draw.normal(0, 1, 25)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(30):
        for time, item in enumerate(draw.choice(25, draw.integers(8, 21), replace=False)):
            rating = int(np.clip(np.rint(3.4 + good[item] + 0.8 * draw.normal()), 1, 5))
            lines.append(f"u{user}\ti{item}\t{rating}\t{time}")
    (folder / "rated" / "rated.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def rated(rated_path: Path) -> dict[str, Any]:
    """RecBole options for a short training on "rated"."""
    return {
        "data_path": str(rated_path),
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        "epochs": 2,
        "embedding_size": 8,
        "use_gpu": False,
    }


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in an empty folder, so that nothing is dropped into the checkout."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
