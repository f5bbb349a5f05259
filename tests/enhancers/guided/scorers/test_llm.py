"""The llm scorer against a real server on loopback, which behaves."""

from __future__ import annotations

import numpy as np
from chat_server import ChatServer, expected
from llm_world import scorer, some_texts, tiny_schema


def test_scores_are_those_of_the_model_in_the_order_of_the_ids(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(25)
    with ChatServer() as server:
        scores = scorer(server, tmp_path, items_per_request=4).score(texts, schema)
    right = [[expected(f'{{"title": "{t}"}}', a, "") for a in schema.names] for t in texts.fields["title"]]
    np.testing.assert_array_equal(scores.values, right)
    assert scores.ids == texts.ids
    assert scores.attributes == schema.names
    assert scores.scale == (0.0, 9.0)
    assert not scores.notes
    assert len(server.seen) == 3 * 7
    np.testing.assert_array_equal(scores.uncertainty, np.zeros((25, 2)))
