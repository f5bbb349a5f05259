"""Limits of requests and dollars: nothing that would pass them is sent."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from chat_server import ChatServer, Misdeed
from llm_world import right_values, scorer, some_texts, tiny_schema

from burnish.enhancers.guided.cost import LimitError, Limits, Price
from burnish.enhancers.guided.ledger import Ledger
from burnish.errors import ConfigurationError


def test_so_many_requests_and_not_one_more(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(40)
    with ChatServer(delay=0.005) as server:
        made = scorer(server, tmp_path, prompts=1, items_per_request=2, limits=Limits(max_requests=7))
        with pytest.raises(LimitError, match=r"max_requests = 7.*Done: 14 of 40.*goes on") as error:
            made.score(texts, schema)
        assert len(server.seen) == 7
        assert str(tmp_path / "ledger.sqlite") in str(error.value)
        with pytest.raises(LimitError, match="Done: 28 of 40"):  # the same call goes on
            made.score(texts, schema)
        np.testing.assert_array_equal(made.score(texts, schema).values, right_values(texts))
        assert len(server.seen) == 20
        assert set(server.asked.values()) == {1}


def test_retries_count_as_requests(tmp_path) -> None:
    with ChatServer() as server:
        server.misbehave(Misdeed(status=500))
        with pytest.raises(LimitError, match="max_requests = 3"):
            scorer(server, tmp_path, limits=Limits(max_requests=3)).score(some_texts(1), tiny_schema())
        assert len(server.seen) == 3


def test_no_requests_at_all_still_reads_the_ledger(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(3)
    with ChatServer() as server:
        scorer(server, tmp_path).score(texts, schema)
        sent = len(server.seen)
        scores = scorer(server, tmp_path, limits=Limits(max_requests=0)).score(texts, schema)
        np.testing.assert_array_equal(scores.values, right_values(texts))
        with pytest.raises(LimitError, match="max_requests = 0"):
            scorer(server, tmp_path, limits=Limits(max_requests=0)).score(some_texts(4), schema)
        assert len(server.seen) == sent


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize("dollars", [0.02, 0.05])
def test_dollars_are_never_passed(tmp_path, dollars: float, concurrency: int) -> None:
    """What the endpoint charged, by its own count, over all requests that it saw."""
    price, texts = Price(2.0, 8.0), some_texts(300)
    with ChatServer(delay=0.002) as server:
        made = scorer(
            server,
            tmp_path,
            prompts=1,
            items_per_request=2,
            concurrency=concurrency,
            price=price,
            limits=Limits(max_usd=dollars),
        )
        with pytest.raises(LimitError, match=re.escape(f"max_usd = {dollars}")):
            made.score(texts, tiny_schema())
        assert all(
            seen.body["max_tokens"] >= 1024 for seen in server.seen
        )  # without a bound there is no most
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        tokens = [(row["input_tokens"], row["output_tokens"]) for row in ledger.rows("answers")]
    assert len(tokens) == len(server.seen)
    charged = sum(price.of(a, b) for a, b in tokens)
    assert charged <= dollars
    assert charged > 0.4 * dollars  # and it is used: one request can cost 0.01 at most here
    assert made.budget is not None
    assert made.budget.usd == pytest.approx(charged)


def test_an_answer_as_long_as_allowed_does_not_pass_either(tmp_path) -> None:
    """The model babbles up to its bound, in every request."""

    def babble(scores: dict) -> str:
        return json.dumps(scores) + " and" * 100_000

    price = Price(0.0, 10.0)
    with ChatServer() as server:
        server.misbehave(Misdeed(content=babble, usage=False))
        made = scorer(
            server,
            tmp_path,
            prompts=1,
            items_per_request=1,
            price=price,
            limits=Limits(max_usd=0.035),
            concurrency=4,
        )
        # the server does not keep the bound, and says nothing of usage: what is counted is what came
        with pytest.raises(LimitError):
            made.score(some_texts(50), tiny_schema())
        assert len(server.seen) == 3  # 0.0112 are set aside for each, so the fourth waited, and was not sent


def test_requests_of_which_nobody_knows_count_in_full(tmp_path) -> None:
    with ChatServer() as server:
        server.misbehave(Misdeed(drop=True))
        made = scorer(
            server, tmp_path, prompts=1, price=Price(0.0, 10.0), limits=Limits(max_usd=0.03), retries=50
        )
        with pytest.raises(LimitError, match="max_usd"):
            made.score(some_texts(1), tiny_schema())
        assert len(server.seen) == 2


def test_dollars_without_a_price_are_refused_at_once(tmp_path) -> None:
    with ChatServer() as server, pytest.raises(ConfigurationError, match=r"max_usd = 1.0 without a price"):
        scorer(server, tmp_path, limits=Limits(max_usd=1.0))


def test_an_endpoint_that_takes_no_bound_cannot_be_limited_in_dollars(tmp_path) -> None:
    from burnish.enhancers.guided.scorers.chat import EndpointError

    with ChatServer() as server:
        server.misbehave(
            Misdeed(
                status=400,
                error={"message": "unknown: max_tokens or max_completion_tokens"},
                when=lambda body: "max_tokens" in body or "max_completion_tokens" in body,
            )
        )
        made = scorer(server, tmp_path, price=Price(1.0, 1.0), limits=Limits(max_usd=10.0))
        with pytest.raises(EndpointError, match=r"max_usd = 10.0 cannot be kept.*max_requests"):
            made.score(some_texts(3), tiny_schema())
