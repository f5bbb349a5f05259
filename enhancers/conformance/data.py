"""A small synthetic data set with everything that any backbone reads: ratings, times, features, a graph, reviews."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: Name of the data set, and so of its folder and files.
NAME = "conformance"

#: The same data with the lines of every file in another order, so that RecBole gives every id another number.
PERMUTED = "conformance-permuted"

#: Scores of the items, beside the data sets' folders.
SCORES = "scores.tsv"

_JOBS = ("cook", "smith", "nurse", "clerk")
_WORDS = ("bright", "dull", "funny", "slow", "warm", "clever", "long", "sad", "quick", "kind")
_GENRES = ("drama", "comedy", "crime", "war", "music")


def write_data(folder: Path, *, n_users: int = 40, n_items: int = 60, seed: int = 1) -> Path:
    """Write the atomic files of the synthetic data set.

    Every user has 8 to 14 interactions at distinct times, ratings 1 to 5, in two groups with tastes of their own;
    every item is in one, and is linked to an entity of a knowledge graph.  Equal arguments give equal files.

    Parameters
    ----------
    folder
        Where the folder `conformance` with the files goes.
    n_users, n_items
        How many there are (equal numbers are allowed: tables must be told apart all the same).
    seed
        Of everything that is drawn.

    Returns
    -------
    Path
        The folder of the files.
    """
    target = folder / NAME
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    interactions = _interactions(rng, n_users, n_items)
    _write(target / "conformance.inter", interactions)
    _write(target / "conformance.reviews.tsv", _reviews(interactions, seed))
    _write(target / "conformance.user", _users(rng, n_users))
    _write(target / "conformance.item", _items(rng, n_items))
    _write(target / "conformance.link", _links(n_items))
    _write(target / "conformance.kg", _triples(rng, n_items))
    _write(target / "conformance.ent", _vectors(rng, "ent", [f"e{i}" for i in range(1, n_items + 6)]))
    _write(target / "conformance.rel", _vectors(rng, "rel", ["r1", "r2"]))
    return target


def write_permuted(folder: Path, *, seed: int = 2) -> Path:
    """Write `folder/conformance-permuted`: the files of `folder/conformance` with their lines shuffled."""
    target = folder / PERMUTED
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for file in sorted((folder / NAME).iterdir()):
        head, *lines = file.read_text(encoding="utf-8").splitlines()
        _write(
            target / f"{PERMUTED}{file.name.removeprefix(NAME)}",
            [head, *(lines[i] for i in rng.permutation(len(lines)))],
        )
    return target


def write_scores(folder: Path, *, n_items: int = 60, seed: int = 3) -> Path:
    """Write `folder/scores.tsv`: scores of the items on two attributes, 0 to 9, as the enhancer `guided` reads them."""
    rng = np.random.default_rng(seed)
    lines = ["item_id\tpace\twit"]
    lines += [f"i{item}\t{int(rng.integers(10))}\t{int(rng.integers(10))}" for item in range(1, n_items + 1)]
    _write(folder / SCORES, lines)
    return folder / SCORES


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _interactions(rng: np.random.Generator, n_users: int, n_items: int) -> list[str]:
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    half = n_items // 2
    clock = 0
    seen: set[int] = set()
    for user in range(1, n_users + 1):
        own = rng.permutation(half) + 1 + (user % 2) * half  # a group prefers its half of the items
        other = rng.permutation(n_items) + 1
        count = int(rng.integers(8, min(15, half + 1)))
        chosen = list(dict.fromkeys([*own[: count - 2], *other]))[:count]
        missing = [item for item in range(1, n_items + 1) if item not in seen][:2]
        for item in dict.fromkeys([*chosen, *missing]):
            seen.add(int(item))
            clock += 1
            liked = int(item) in own[: count - 2]
            rating = int(rng.integers(4, 6)) if liked else int(rng.integers(1, 5))
            lines.append(f"u{user}\ti{item}\t{rating}\t{880_000_000 + 60 * clock}")
    return lines


def _reviews(interactions: list[str], seed: int) -> list[str]:
    """A few words about five interactions in six, as `burnish.backbones` reads them beside the atomic files."""
    rng = np.random.default_rng([seed, 7])
    lines = ["user_id\titem_id\ttimestamp\treview"]
    for interaction in interactions[1:]:
        user, item, _, time = interaction.split("\t")
        words = rng.choice(_WORDS, size=int(rng.integers(2, 7)))
        if rng.random() < 5 / 6:
            lines.append(f"{user}\t{item}\t{time}\t{' '.join(words)}")
    return lines


def _users(rng: np.random.Generator, n_users: int) -> list[str]:
    lines = ["user_id:token\tage:token\tgender:token\toccupation:token"]
    for user in range(1, n_users + 1):
        age, gender = 10 * int(rng.integers(2, 6)), "MF"[user % 2]
        lines.append(f"u{user}\t{age}\t{gender}\t{_JOBS[int(rng.integers(len(_JOBS)))]}")
    return lines


def _items(rng: np.random.Generator, n_items: int) -> list[str]:
    lines = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for item in range(1, n_items + 1):
        genres = rng.choice(_GENRES, size=int(rng.integers(1, 4)), replace=False)
        lines.append(f"i{item}\tFilm number {item}\t{1990 + int(rng.integers(6))}\t{' '.join(genres)}")
    return lines


def _links(n_items: int) -> list[str]:
    return ["item_id:token\tentity_id:token", *(f"i{i}\te{i}" for i in range(1, n_items + 1))]


def _triples(rng: np.random.Generator, n_items: int) -> list[str]:
    lines = ["head_id:token\trelation_id:token\ttail_id:token"]
    for item in range(1, n_items + 1):
        shared = n_items + 1 + int(rng.integers(5))  # entities that are not items: a director, say
        near = int(rng.integers(1, n_items + 1))
        lines += [f"e{item}\tr1\te{shared}", f"e{item}\tr2\te{near}"]
    return lines


def _vectors(rng: np.random.Generator, kind: str, names: list[str]) -> list[str]:
    lines = [f"{kind}_id:token\t{kind}_emb:float_seq"]
    for name in names:
        lines.append(f"{name}\t{' '.join(f'{x:.4f}' for x in rng.normal(size=8))}")
    return lines
