"""The llm scorer against a server that misbehaves: what can be scored is, and what cannot is told."""

from __future__ import annotations

import json
import random
from email.utils import formatdate

import numpy as np
import pytest
from chat_server import ChatServer, Misdeed
from llm_world import right_values, scorer, some_texts, tiny_schema

from burnish.enhancers.guided.ledger import Ledger
from burnish.enhancers.guided.scorers.chat import EndpointError
from burnish.enhancers.guided.scorers.waiting import back_off, retry_after

BROKEN = {
    "429": Misdeed(status=429),
    "500": Misdeed(status=500),
    "502": Misdeed(status=502, body=None),
    "503 with Retry-After": Misdeed(status=503, headers={"Retry-After": "0"}),
    "a dropped connection": Misdeed(drop=True),
    "a body that is cut off": Misdeed(body=b'{"id": "chat-1", "choices": [{"mess'),
    "a body that is no JSON": Misdeed(body=b"<html>502 Bad Gateway</html>"),
    "an empty body": Misdeed(body=b" "),
    "a body without choices": Misdeed(body=b'{"choices": []}'),
    "a body that is a list": Misdeed(body=b"[1, 2]"),
    "an answer that is no JSON": Misdeed(content=lambda scores: "I would rather not say."),
    "an answer that is cut off": Misdeed(content=lambda scores: json.dumps(scores)[:150], finish="length"),
    "an empty answer": Misdeed(content=lambda scores: ""),
    "scores out of range": Misdeed(
        content=lambda scores: json.dumps({k: dict.fromkeys(s, 10) for k, s in scores.items()})
    ),
    "one score out of range": Misdeed(
        content=lambda scores: json.dumps(
            {k: s if k != "item_2" else dict.fromkeys(s, -1) for k, s in scores.items()}
        )
    ),
    "a missing item": Misdeed(
        content=lambda scores: json.dumps({k: s for k, s in scores.items() if k != "item_3"})
    ),
    "unknown items": Misdeed(
        content=lambda scores: json.dumps({k.replace("_1", "_77"): s for k, s in scores.items()})
    ),
    "a repeated item": Misdeed(
        content=lambda scores: (
            json.dumps(scores)[:-1]
            + ', "item_1": {"humor": 1, "pacing": 1}, "item_1": {"humor": 2, "pacing": 2}}'
        )
    ),
    "no usage": Misdeed(usage=False),
}


@pytest.mark.parametrize("what", BROKEN)
def test_everything_is_scored_rightly_all_the_same(tmp_path, what: str) -> None:
    texts = some_texts(24)
    with ChatServer() as server:
        server.misbehave(BROKEN[what], times=4)
        scores = scorer(server, tmp_path, prompts=1, items_per_request=6, concurrency=3).score(
            texts, tiny_schema()
        )
    np.testing.assert_array_equal(scores.values, right_values(texts))
    assert not scores.notes
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        assert ledger.count("answers") == ledger.count("requests") == len(server.seen)
        assert ledger.count("scores") == 24  # none is paid for twice


def test_what_is_valid_is_kept_and_only_the_rest_is_asked_again(tmp_path) -> None:
    bad = Misdeed(
        content=lambda scores: json.dumps({k: s if k != "item_2" else {} for k, s in scores.items()})
    )
    with ChatServer() as server:
        server.misbehave(bad, times=1)
        scorer(server, tmp_path, prompts=1, items_per_request=6).score(some_texts(6), tiny_schema())
        assert [len(seen.items) for seen in server.seen] == [6, 1]
        assert server.seen[1].items == [server.seen[0].items[1]]
        again = server.seen[1].body["messages"][1]["content"]
        assert "could not be used: humor, pacing missing" in again


def test_groups_get_smaller_down_to_one_item_and_what_never_works_is_told(tmp_path) -> None:
    poison = Misdeed(
        content=lambda scores: "No.", when=lambda body: "Film 5" in body["messages"][1]["content"]
    )
    with ChatServer() as server:
        server.misbehave(poison)
        scores = scorer(server, tmp_path, prompts=1, retries=5).score(some_texts(10), tiny_schema())
        asked = [len(seen.items) for seen in server.seen if '{"title": "Film 5"}' in seen.items]
    assert asked == [10, 5, 2, 1, 1, 1]
    others = [number for number in range(10) if number != 5]
    np.testing.assert_array_equal(scores.values[others], right_values(some_texts(10))[others])
    assert np.isnan(scores.values[5]).all()
    assert list(scores.notes) == ["105"]
    assert "there is no JSON (6 answers)" in scores.notes["105"]


def test_an_item_without_one_of_its_wordings_has_the_mean_of_the_others(tmp_path) -> None:
    def second(body: dict) -> bool:
        return (
            body["messages"][0]["content"].startswith("Below") and "Film 3" in body["messages"][1]["content"]
        )

    with ChatServer() as server:
        server.misbehave(Misdeed(content=lambda scores: "No.", when=second))
        scores = scorer(server, tmp_path, retries=1).score(some_texts(4), tiny_schema())
        server.behave()
        np.testing.assert_array_equal(scores.values, right_values(some_texts(4)))
        assert scores.uncertainty is not None
        assert np.isfinite(scores.uncertainty).all()  # two answers have a spread
        sent = len(server.seen)
        scorer(server, tmp_path, retries=1).score(some_texts(4), tiny_schema())
        assert len(server.seen) == sent + 1  # what has no answer is asked in the next run


def test_slow_bodies_end_at_the_time_out_and_smaller_groups_are_in_time(tmp_path) -> None:
    big = Misdeed(drip=0.02, when=lambda body: "item_3" in body["messages"][1]["content"])
    texts = some_texts(8)
    with ChatServer() as server:
        server.misbehave(big)
        scores = scorer(server, tmp_path, prompts=1, items_per_request=8, timeout=1.0).score(
            texts, tiny_schema()
        )
        sizes = sorted(len(seen.items) for seen in server.seen)
    np.testing.assert_array_equal(scores.values, right_values(texts))
    assert sizes == [2, 2, 2, 2, 4, 4, 8]
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        assert [row["status"] for row in ledger.rows("answers")].count("time-out") == 3


@pytest.mark.parametrize("structured", ["auto", "json", "text"])
def test_an_endpoint_without_structured_output(tmp_path, structured: str) -> None:
    """It refuses every response_format, one after the other."""
    refusal = {"message": "response_format is not supported", "param": "response_format"}
    texts = some_texts(8)
    with ChatServer() as server:
        if structured != "json":
            server.misbehave(Misdeed(status=400, error=refusal, when=lambda body: "response_format" in body))
        made = scorer(server, tmp_path, prompts=1, items_per_request=2, concurrency=2, structured=structured)
        np.testing.assert_array_equal(made.score(texts, tiny_schema()).values, right_values(texts))
        forms = [seen.body.get("response_format", {}).get("type") for seen in server.seen]
    if structured == "auto":
        assert forms[-1] is None
        assert forms.index("json_object") < forms.index(None)
        assert len(forms) <= 4 + 2 * 2  # what is found out by one request, others use
    else:
        assert set(forms) == {{"json": "json_object", "text": None}[structured]}


def test_a_form_that_was_asked_for_is_not_given_up(tmp_path) -> None:
    refusal = {"message": "json_schema is not supported"}
    with ChatServer() as server:
        server.misbehave(Misdeed(status=422, error=refusal))
        with pytest.raises(EndpointError, match="json_schema is not supported"):
            scorer(server, tmp_path, structured="schema").score(some_texts(3), tiny_schema())


def test_parameters_that_a_model_refuses_are_left_out(tmp_path) -> None:
    """As models that reason do: no temperature, and another name for the bound."""
    with ChatServer() as server:
        server.misbehave(
            Misdeed(
                status=400,
                error={"message": "Unsupported value: 'temperature' does not support 0 with this model."},
                when=lambda body: "temperature" in body,
            )
        )
        server.misbehave(
            Misdeed(
                status=400,
                error={
                    "message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
                },
                when=lambda body: "max_tokens" in body,
            )
        )
        made = scorer(server, tmp_path, prompts=1, max_output_tokens=777)
        np.testing.assert_array_equal(
            made.score(some_texts(3), tiny_schema()).values, right_values(some_texts(3))
        )
        last = server.seen[-1].body
    assert "temperature" not in last
    assert "max_tokens" not in last
    assert last["max_completion_tokens"] == 777
    assert last["response_format"]["type"] == "json_schema"


def test_a_refused_item_does_not_take_its_group_with_it(tmp_path) -> None:
    """As content filters do: 400 whenever one text is in the request."""
    filtered = {"message": "The prompt was filtered."}
    texts = some_texts(16)
    with ChatServer() as server:
        server.misbehave(
            Misdeed(status=400, error=filtered, when=lambda body: "Film 3" in body["messages"][1]["content"])
        )
        scores = scorer(server, tmp_path, prompts=1, items_per_request=16, retries=0).score(
            texts, tiny_schema()
        )
    assert "filtered" in scores.notes["103"]
    assert len(scores.notes) == 1
    right = right_values(texts)
    right[3] = np.nan
    np.testing.assert_array_equal(scores.values, right)


def test_what_the_endpoint_asks_to_wait_is_waited_by_all(tmp_path) -> None:
    with ChatServer() as server:
        server.misbehave(Misdeed(status=429, headers={"Retry-After": "0.4"}), times=1)
        scorer(server, tmp_path, prompts=1, items_per_request=1, concurrency=1).score(
            some_texts(5), tiny_schema()
        )
        first, *rest = [seen.at for seen in server.seen]
    assert min(rest) - first >= 0.4


def test_a_wait_of_hours_is_told_instead(tmp_path) -> None:
    with ChatServer() as server:
        server.misbehave(Misdeed(status=429, headers={"Retry-After": "7200"}))
        with pytest.raises(EndpointError, match=r"asks to wait 7,200 s"):
            scorer(server, tmp_path).score(some_texts(3), tiny_schema())


@pytest.mark.parametrize(
    ("misdeed", "message"),
    [
        (Misdeed(status=403, error={"message": "not in your country"}), "403: not in your country"),
        (
            Misdeed(status=404, error={"message": "The model `tiny` does not exist"}),
            "model = 'tiny' is not known",
        ),
        (Misdeed(status=402, error={"message": "pay first"}), "quota.*pay first"),
        (Misdeed(status=429, error={"message": "You exceeded", "code": "insufficient_quota"}), "quota"),
    ],
)
def test_what_will_not_change_stops_at_once_and_nothing_answered_is_lost(
    tmp_path, misdeed: Misdeed, message: str
) -> None:
    misdeed.when = lambda body: "Film 7" in body["messages"][1]["content"]
    with ChatServer() as server:
        server.misbehave(misdeed)
        with pytest.raises(EndpointError, match=message) as error:
            scorer(server, tmp_path, prompts=1, items_per_request=1, concurrency=1).score(
                some_texts(30), tiny_schema()
            )
        assert "Film 7" in server.seen[-1].items[0]
        assert f"Done: {len(server.seen) - 1} of 30" in str(error.value)
        assert "goes on" in str(error.value)
        server.behave()
        scores = scorer(server, tmp_path, prompts=1, items_per_request=1).score(some_texts(30), tiny_schema())
        assert all(times == 1 for text, times in server.asked.items() if "Film 7" not in text)
    np.testing.assert_array_equal(scores.values, right_values(some_texts(30)))


@pytest.mark.parametrize("status", [429, 500])
def test_an_endpoint_that_stays_away_stops_the_run(tmp_path, status: int) -> None:
    with ChatServer() as server:
        scorer(server, tmp_path, prompts=1).score(some_texts(10), tiny_schema())
        server.misbehave(Misdeed(status=status))
        with pytest.raises(EndpointError, match=str(status)):
            scorer(server, tmp_path, prompts=1, retries=2, items_per_request=1).score(
                some_texts(500), tiny_schema()
            )
        assert len(server.seen) < 100


def test_no_server_at_all(tmp_path) -> None:
    with ChatServer() as server:
        made = scorer(server, tmp_path, retries=1)
    with pytest.raises(EndpointError, match="no connection"):
        made.score(some_texts(3), tiny_schema())


def test_a_model_that_cannot_do_it_is_not_paid_for_long(tmp_path) -> None:
    with ChatServer() as server:
        server.misbehave(Misdeed(content=lambda scores: "Lovely films, all of them!"))
        with pytest.raises(EndpointError, match=r"not scored any.*no JSON"):
            scorer(server, tmp_path, retries=1).score(some_texts(1000), tiny_schema())
        assert len(server.seen) < 150


def test_retry_after_in_all_its_forms() -> None:
    now = 1_700_000_000.0
    assert retry_after({}) is None
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": "0.25"}) == 0.25
    assert retry_after({"retry-after": formatdate(now + 30, usegmt=True)}, now=now) == 30.0
    assert retry_after({"retry-after": formatdate(now - 30, usegmt=True)}, now=now) == 0.0
    assert retry_after({"retry-after-ms": "150", "retry-after": "9"}) == pytest.approx(0.15)
    for nonsense in ("soon", "", "nan", "inf", "-3"):
        assert retry_after({"retry-after": nonsense}) in (None, 0.0)


def test_back_off_doubles_within_bounds_and_is_seeded() -> None:
    delays = [back_off(n, 0.5, random.Random(3)) for n in range(1, 60)]
    for n, delay in enumerate(delays, start=1):
        full = min(60.0, 0.5 * 2 ** (n - 1))
        assert full / 2 <= delay <= full
    assert delays == [back_off(n, 0.5, random.Random(3)) for n in range(1, 60)]
    assert back_off(1, 0.5, random.Random(1)) != back_off(1, 0.5, random.Random(2))
