"""Small texts, a small schema and an llm scorer that a test can wait for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from chat_server import ChatServer, expected

from burnish.enhancers.guided.attributes import AttributeSchema, make_schema
from burnish.enhancers.guided.scorers.llm import LLMScorer
from burnish.enhancers.guided.scorers.protocol import Texts


def tiny_schema() -> AttributeSchema:
    """Two attributes, scored from 0 to 9."""
    attributes = {"humor": "how much it wants to make you laugh", "pacing": "momentum"}
    return make_schema({"domain": "films", "instruction": "Score the film itself.", "attributes": attributes})


def some_texts(n: int) -> Texts:
    """So many films with a title each."""
    return Texts(
        tuple(str(100 + number) for number in range(n)), {"title": tuple(f"Film {k}" for k in range(n))}
    )


def scorer(server: ChatServer, folder: Path, **options: Any) -> LLMScorer:
    """A scorer for this server, with back-off of milliseconds."""
    settings = {"model": "tiny", "base_url": server.url, "ledger": folder / "ledger.sqlite", "backoff": 0.001}
    return LLMScorer(**(settings | {"seed": 1} | options))


def right_values(texts: Texts) -> np.ndarray:
    """`[n, 2]`: the scores that the server's rule gives, without the scorer."""
    names = tiny_schema().names
    rows = [
        [expected(json.dumps({"title": title}), name, "") for name in names]
        for title in texts.fields["title"]
    ]
    return np.array(rows, dtype=float)
