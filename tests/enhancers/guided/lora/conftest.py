"""Small language models, and a world in which histories tell what is liked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_language_model import FILLERS, WORDS, make_model, make_tokenizer

from burnish.enhancers.guided.attributes import AttributeSchema
from burnish.enhancers.guided.scorers.protocol import Scores, Texts


@pytest.fixture(scope="session")
def schema() -> AttributeSchema:
    meanings = {name: f"how {word} it is" for name, word in WORDS.items()}
    return AttributeSchema(domain="films", scale=(0, 9), instruction="Score the film.", attributes=meanings)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, schema) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    make_tokenizer(folder, schema)
    make_model(folder)
    return folder


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory, schema) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    make_tokenizer(folder, schema, chat=True)
    make_model(folder, "gpt2")
    return folder


@pytest.fixture(scope="session")
def planted(schema) -> SimpleNamespace:
    """Users who like items high on one attribute; item scores say how high, histories say it in a word."""
    random = np.random.default_rng(0)
    n_users, n_items, names = 48, 60, schema.names
    values = random.integers(0, 4, (n_items, 3)).astype(float)
    strong = np.arange(n_items) % 3
    values[np.arange(n_items), strong] = random.integers(6, 10, n_items)
    items = tuple(f"i{number}" for number in range(n_items))
    titles = [f"{random.choice(FILLERS)} {list(WORDS.values())[k]}" for k in strong]
    users = tuple(f"u{number}" for number in range(n_users))
    histories, pairs, later = [], [], []
    for user in range(n_users):
        liked = random.permutation(np.flatnonzero(strong == user % 3))
        seen, test = liked[:12], liked[12:16]
        histories.append("\n".join(titles[item] for item in seen[:6]))
        pairs += [(users[user], items[item]) for item in seen[6:]]
        later += [(user, item) for item in test]
    return SimpleNamespace(
        items=Scores(items, names, values, scale=(0, 9), source="planted"),
        texts=Texts(users, {"history": tuple(histories)}),
        interactions=([u for u, _ in pairs], [i for _, i in pairs]),
        later=later,
    )
