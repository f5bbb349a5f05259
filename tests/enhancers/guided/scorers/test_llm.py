"""The llm scorer against a real server on loopback, which behaves."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import threading

import numpy as np
import pytest
from chat_server import ChatServer, Misdeed, expected
from llm_world import right_values, scorer, some_texts, tiny_schema

from burnish.enhancers.guided.cost import Price
from burnish.enhancers.guided.ledger import Ledger
from burnish.enhancers.guided.scorers.llm import LLMScorer, LLMUserScorer
from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.errors import ConfigurationError, DataError


def test_scores_are_those_of_the_model_in_the_order_of_the_ids(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(25)
    with ChatServer() as server:
        scores = scorer(server, tmp_path, items_per_request=4).score(texts, schema)
    np.testing.assert_array_equal(scores.values, right_values(texts))
    assert scores.ids == texts.ids
    assert scores.attributes == schema.names
    assert scores.scale == (0.0, 9.0)
    assert not scores.notes
    assert len(server.seen) == 3 * 7
    np.testing.assert_array_equal(scores.uncertainty, np.zeros((25, 2)))


def test_wordings_differ_and_their_mean_and_spread_are_kept(tmp_path) -> None:
    by_wording: dict[str, int] = {}

    def score(text: str, attribute: str, system: str) -> int:
        offset = by_wording.setdefault(system, len(by_wording))
        return (1, 4, 8)[offset] if attribute == "humor" else 5

    with ChatServer(scores=score) as server:
        scores = scorer(server, tmp_path).score(some_texts(2), tiny_schema())
    assert len(by_wording) == 3
    np.testing.assert_allclose(scores.values, [[13 / 3, 5]] * 2)
    assert scores.uncertainty is not None
    np.testing.assert_allclose(scores.uncertainty, [[np.std([1, 4, 8], ddof=1), 0]] * 2)


def test_a_single_wording_has_no_spread(tmp_path) -> None:
    with ChatServer() as server:
        scores = scorer(server, tmp_path, prompts=1).score(some_texts(2), tiny_schema())
    assert scores.uncertainty is None
    assert len(server.seen) == 1


def test_the_request_is_what_the_protocol_asks_for(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-of-a-test")
    with ChatServer(key="sk-of-a-test") as server:
        scorer(server, tmp_path, prompts=1, api_key_env="SOME_KEY").score(some_texts(3), tiny_schema())
    (seen,) = server.seen
    assert seen.key == "sk-of-a-test"
    assert seen.body["model"] == "tiny"
    assert seen.body["temperature"] == 0
    assert [message["role"] for message in seen.body["messages"]] == ["system", "user"]
    assert "max_tokens" not in seen.body
    bound = seen.body["response_format"]["json_schema"]
    assert bound["strict"] is True
    assert bound["schema"]["required"] == ["item_1", "item_2", "item_3"]
    inner = bound["schema"]["$defs"]["scores"]
    assert inner["required"] == ["humor", "pacing"]
    assert inner["properties"]["humor"]["enum"] == list(range(10))
    assert inner["additionalProperties"] is False


def test_no_more_requests_at_once_than_said(tmp_path) -> None:
    with ChatServer(delay=0.02) as server:
        scorer(server, tmp_path, prompts=1, items_per_request=1, concurrency=3).score(
            some_texts(15), tiny_schema()
        )
    assert server.busiest == 3


def test_a_second_run_and_other_groups_pay_nothing(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(20)
    with ChatServer() as server:
        first = scorer(server, tmp_path, items_per_request=7).score(texts, schema)
        sent = len(server.seen)
        again = scorer(server, tmp_path, items_per_request=3).score(texts, schema)
        part = scorer(server, tmp_path, prompts=2).score(texts.take([7, 3]), schema)
        assert len(server.seen) == sent
    np.testing.assert_array_equal(first.values, again.values)
    np.testing.assert_array_equal(part.values, first.values[[7, 3]])


def test_only_what_changed_is_asked_again(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(20)
    with ChatServer() as server:
        scorer(server, tmp_path, prompts=1).score(texts, schema)
        titles = list(texts.fields["title"])
        titles[4] = "Film 4, the director's cut"
        changed = Texts(texts.ids, {"title": tuple(titles)})
        server.seen.clear()
        scores = scorer(server, tmp_path, prompts=1).score(changed, schema)
        assert [seen.items for seen in server.seen] == [['{"title": "Film 4, the director\'s cut"}']]
        np.testing.assert_array_equal(scores.values, right_values(changed))
        # another model, another schema, another wording: other questions
        for options, other in (
            ({"model": "big"}, schema),
            ({}, schema.only(["pacing"])),
            ({"prompts": 2}, schema),
        ):
            server.seen.clear()
            scorer(server, tmp_path, **({"prompts": 1} | options)).score(changed, other)
            assert sum(len(seen.items) for seen in server.seen) == 20


def test_equal_texts_are_asked_once_and_empty_ones_never(tmp_path) -> None:
    texts = Texts(("a", "b", "c"), {"title": ("Same", " ", "Same"), "genre": ("", "", "")})
    with ChatServer() as server:
        scores = scorer(server, tmp_path, prompts=1).score(texts, tiny_schema())
    assert server.asked == {'{"title": "Same"}': 1}
    np.testing.assert_array_equal(scores.values[0], scores.values[2])
    assert np.isnan(scores.values[1]).all()
    assert scores.notes == {"b": "it has no text"}


def test_nothing_to_score_sends_nothing(tmp_path) -> None:
    with ChatServer() as server:
        scores = scorer(server, tmp_path).score(Texts((), {"title": ()}), tiny_schema())
        assert scores.values.shape == (0, 2)
        assert not server.seen


def test_replay_never_touches_the_network(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(12)
    with ChatServer() as server:
        first = scorer(server, tmp_path).score(texts.take(range(10)), schema)
        sent = len(server.seen)
        replaying = scorer(server, tmp_path, replay=True)
        np.testing.assert_array_equal(replaying.score(texts.take(range(10)), schema).values, first.values)
        with pytest.raises(DataError, match=r"lacks 6 answers for 2 of 12 items"):
            replaying.score(texts, schema)
        assert len(server.seen) == sent
    with pytest.raises(DataError, match="does not exist"):
        LLMScorer(model="tiny", ledger=tmp_path / "none", replay=True).score(texts, schema)


def test_replay_needs_neither_key_nor_package_nor_a_folder_to_write(tmp_path, monkeypatch) -> None:
    schema, texts = tiny_schema(), some_texts(3)
    with ChatServer() as server:
        first = scorer(server, tmp_path).score(texts, schema)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    again = LLMScorer(model="tiny", ledger=tmp_path / "ledger.sqlite", replay=True).score(texts, schema)
    np.testing.assert_array_equal(again.values, first.values)
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]  # one file, to be passed on


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with pytest.raises(ConfigurationError, match=r"pip install 'burnish\[llm\]'"):
        LLMScorer(model="tiny", ledger=tmp_path / "l").score(some_texts(1), tiny_schema())


def test_the_dry_run_says_what_a_run_does(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(23)
    with ChatServer() as server:
        planned = scorer(server, tmp_path, items_per_request=5, price=Price(1.0, 2.0))
        estimate = planned.estimate(texts, schema)
        bodies = list(planned.requests(texts, schema))
        assert not server.seen
        assert not list(tmp_path.iterdir())  # not even a ledger
        assert (estimate.requests, estimate.items, estimate.already_known) == (15, 23, 0)
        written = sum(len(json.dumps(body, ensure_ascii=False).encode()) for body in bodies)
        assert estimate.input_tokens == -(-written // 4)
        assert estimate.usd == pytest.approx((estimate.input_tokens + 2 * estimate.output_tokens) / 1e6)

        planned.score(texts.take(range(10)), schema)
        sent = [seen.body for seen in server.seen]
        by_text = sorted(json.dumps(body, sort_keys=True) for body in sent)
        assert by_text == sorted(
            json.dumps(body, sort_keys=True)
            for body in scorer(server, tmp_path / "other", items_per_request=5).requests(
                texts.take(range(10)), schema
            )
        )
        later = planned.estimate(texts, schema)
        assert (later.requests, later.already_known, later.counted) == (9, 10, True)
        with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
            told = [row["input_tokens"] for row in ledger.rows("answers")]
            rate = sum(told) / sum(len(row["body"].encode()) for row in ledger.rows("requests"))
        rest = sum(len(json.dumps(b, ensure_ascii=False).encode()) for b in planned.requests(texts, schema))
        assert later.input_tokens == pytest.approx(rest * rate, abs=1)


def test_everything_asked_and_answered_is_in_the_ledger(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(12)
    with ChatServer() as server:
        server.misbehave(Misdeed(status=500), times=1)
        server.misbehave(Misdeed(content=lambda scores: "no idea"), times=1)
        scorer(server, tmp_path, prompts=1, items_per_request=6).score(texts, schema)
        sent = len(server.seen)
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        requests, answers = list(ledger.rows("requests")), list(ledger.rows("answers"))
        assert len(requests) == len(answers) == sent
        assert {row["schema"] for row in requests} == {schema.fingerprint()}
        assert {row["model"] for row in requests} == {"tiny"}
        assert {row["endpoint"] for row in requests} == {server.url}
        assert {row["prompt"] for row in requests} == {"items/1/v1"}
        statuses = sorted(str(row["status"]) for row in answers)
        assert statuses[-1] == "ok"
        assert any(status == "HTTP 500" for status in statuses)
        assert any("6 of 6 items not valid" in status for status in statuses)
        assert any("no idea" in str(row["text"]) for row in answers)
        assert ledger.count("scores") == 12


def test_progress_is_told_up_to_the_end(tmp_path) -> None:
    told: list[tuple[int, int]] = []
    with ChatServer() as server:
        scorer(server, tmp_path, prompts=1).score(some_texts(10), tiny_schema())
        scorer(server, tmp_path, prompts=2, progress=lambda done, of: told.append((done, of))).score(
            some_texts(30), tiny_schema()
        )
    assert told[0] == (10, 60)
    assert told[-1] == (60, 60)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_an_error_in_progress_is_raised_and_nothing_answered_is_lost(tmp_path) -> None:
    def progress(done: int, of: int) -> None:
        if done >= 10:
            raise RuntimeError("the screen is gone")

    with ChatServer() as server:
        with pytest.raises(RuntimeError, match="the screen is gone"):
            scorer(server, tmp_path, prompts=1, items_per_request=1, concurrency=2, progress=progress).score(
                some_texts(30), tiny_schema()
            )
        with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
            assert ledger.count("scores") == sum(server.answered.values()) >= 10


def test_users_are_scored_from_their_history_and_nothing_else(tmp_path) -> None:
    texts = Texts(
        ("u1", "u2"),
        {"history": ("Film 1 (5); Film 2 (3)", ""), "gender": ("F", "M"), "zip_code": ("94110", "10001")},
    )

    def score(text: str, attribute: str, system: str) -> int:
        return len(json.loads(text)["history"]) % 10

    with ChatServer(scores=score) as server:
        users = LLMUserScorer(model="tiny", base_url=server.url, ledger=tmp_path / "l", prompts=1)
        scores = users.score(texts, tiny_schema())
    (seen,) = server.seen
    assert seen.items == ['{"history": "Film 1 (5); Film 2 (3)"}']
    assert "94110" not in json.dumps(seen.body)
    assert "user_1" in seen.body["messages"][1]["content"]
    np.testing.assert_array_equal(scores.values[0], [22 % 10] * 2)
    assert scores.notes == {"u2": "they have no training history"}
    with pytest.raises(ConfigurationError, match="history"):
        users.score(some_texts(1), tiny_schema())


def test_two_runs_at_once_on_one_ledger(tmp_path) -> None:
    schema, texts = tiny_schema(), some_texts(60)
    results: list = []
    with ChatServer(delay=0.01) as server:

        def one() -> None:
            made = scorer(server, tmp_path, prompts=1, items_per_request=2, concurrency=2)
            results.append(made.score(texts, schema))

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for scores in results:
        np.testing.assert_array_equal(scores.values, right_values(texts))
    assert len(results) == 2


def test_it_runs_inside_a_running_event_loop(tmp_path) -> None:
    async def notebook() -> np.ndarray:
        return scorer(server, tmp_path).score(some_texts(3), tiny_schema()).values

    with ChatServer() as server:
        np.testing.assert_array_equal(asyncio.run(notebook()), right_values(some_texts(3)))


def test_no_random_stream_of_others_is_touched(tmp_path) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist()
    with ChatServer() as server:
        server.misbehave(Misdeed(status=500), times=2)
        scorer(server, tmp_path).score(some_texts(3), tiny_schema())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "concurrency = 0"),
        ({"items_per_request": 1000}, "items_per_request = 1000"),
        ({"prompts": 4}, "prompts = 4"),
        ({"timeout": 0.0}, "timeout = 0"),
        ({"retries": -1}, "retries = -1"),
        ({"structured": "yaml"}, "structured = 'yaml'"),
        ({"model": ""}, "model = ''"),
        ({"base_url": "localhost:8000"}, "base_url.*such as http"),
    ],
)
def test_options_are_checked(tmp_path, options: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LLMScorer(**({"model": "m", "ledger": tmp_path / "l"} | options))


def test_a_ledger_that_is_something_else_stops_before_anything_is_sent(tmp_path) -> None:
    foreign = tmp_path / "ledger.sqlite"
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE mine (a)")
    other.commit()
    other.close()
    with ChatServer() as server:
        with pytest.raises(DataError, match="not a ledger"):
            scorer(server, tmp_path).score(some_texts(3), tiny_schema())
        assert not server.seen


def test_the_server_of_these_tests_scores_by_title_and_attribute() -> None:
    assert expected('{"title": "A"}', "humor", "x") == expected('{"title": "A", "year": "1"}', "humor", "y")
    assert len({expected(f'{{"title": "{k}"}}', "humor", "") for k in range(100)}) == 10
