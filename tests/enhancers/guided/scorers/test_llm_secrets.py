"""The key is in no file, log, error or representation; and only what may be sent is sent."""

from __future__ import annotations

import io
import json
import logging
import traceback
from pathlib import Path

import pytest
from chat_server import ChatServer, Misdeed
from llm_world import scorer, some_texts, tiny_schema

from burnish.enhancers.guided.scorers.chat import EndpointError
from burnish.enhancers.guided.scorers.llm import LLMScorer
from burnish.enhancers.guided.scorers.secret import Secret, shown_address
from burnish.errors import ConfigurationError

KEY = "sk-proj-Zq8vJ2mW5xTn7RbYc4LdKe91"


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def log() -> io.StringIO:
    """All that any logger says, at the finest level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    talkers = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
    # Other tests may have shut some of them: RecBole sets levels, and libraries disable what others log.
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in talkers)]
    known = list(logging.Logger.manager.loggerDict.items())
    loggers += [one for name, one in known if name.startswith(talkers) and isinstance(one, logging.Logger)]
    before = [(one, one.level, one.disabled, one.propagate) for one in loggers]
    shut = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    for one in loggers:
        one.setLevel(logging.DEBUG)
        one.disabled, one.propagate = False, True
    loggers[0].addHandler(handler)
    yield stream
    loggers[0].removeHandler(handler)
    logging.disable(shut)
    for one, level, disabled, propagate in before:
        one.setLevel(level)
        one.disabled, one.propagate = disabled, propagate


def echo(scores: dict) -> str:
    """A model that repeats the key, as an endpoint for debugging might."""
    return f"Authorization: Bearer {KEY}\n{json.dumps(scores)}"


@pytest.mark.parametrize(
    "misdeed",
    [
        Misdeed(content=echo),
        Misdeed(status=500, error={"message": f"key {KEY} on fire"}),
        Misdeed(status=400, error={"message": f"bad request by {KEY}"}),
        Misdeed(status=403, error={"message": f"{KEY[:10]}***{KEY[-4:]} may not"}),
        Misdeed(status=404, error={"message": f"no model for {KEY}"}),
        Misdeed(status=401, error={"message": f"Incorrect API key provided: {KEY}"}),
        Misdeed(body=f"<html>{KEY}</html>".encode()),
        Misdeed(drop=True),
    ],
)
def test_the_key_is_nowhere(tmp_path, monkeypatch, capfd, log, misdeed: Misdeed) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with ChatServer(key=KEY) as server:
        server.misbehave(misdeed)
        made = scorer(server, tmp_path, api_key_env="MY_KEY", retries=1, prompts=1)
        try:
            told = repr(made.score(some_texts(3), tiny_schema()))
        except EndpointError as error:
            told = (
                "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
            )
        assert all(seen.key == KEY for seen in server.seen)  # it did get there
        assert server.seen
        told += repr(made) + repr(vars(made)) + repr(made.settings)
    out, err = capfd.readouterr()
    for text in (told, out, err, log.getvalue()):
        assert KEY not in text
        assert KEY[:10] not in text
    assert "POST" in log.getvalue() or "post" in log.getvalue()  # the log was on
    assert KEY.encode() not in everything_in(tmp_path)
    assert KEY[:10].encode() not in everything_in(tmp_path)


def test_an_expired_key_stops_at_once_and_names_the_variable(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with ChatServer(key="another") as server:
        with pytest.raises(EndpointError, match=r"MY_KEY \(401\): it is wrong or has expired") as error:
            scorer(server, tmp_path, api_key_env="MY_KEY", concurrency=1).score(some_texts(30), tiny_schema())
        assert len(server.seen) == 1
    assert "export MY_KEY=" in str(error.value)
    assert "Incorrect API key" not in str(error.value)


def test_a_key_that_expires_in_the_middle_loses_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with ChatServer() as server:
        server.misbehave(Misdeed(status=401, when=lambda body: "Film 12" in body["messages"][1]["content"]))
        options = {"api_key_env": "MY_KEY", "prompts": 1, "items_per_request": 1}
        with pytest.raises(EndpointError, match="MY_KEY"):
            scorer(server, tmp_path, concurrency=4, **options).score(some_texts(20), tiny_schema())
        server.behave()
        scorer(server, tmp_path, **options).score(some_texts(20), tiny_schema())
        assert {times for text, times in server.asked.items() if "Film 12" not in text} == {1}


def test_a_local_endpoint_needs_no_key(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ChatServer() as server:
        assert not scorer(server, tmp_path).score(some_texts(2), tiny_schema()).notes
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        LLMScorer(model="m", ledger=tmp_path / "other").score(some_texts(2), tiny_schema())
    with ChatServer(key=KEY) as server, pytest.raises(EndpointError, match="OPENAI_API_KEY is not set"):
        scorer(server, tmp_path / "new").score(some_texts(2), tiny_schema())


def test_without_a_key_the_variable_is_named_before_anything_is_sent(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=r"NO_SUCH_KEY.*not set"):
        LLMScorer(model="m", ledger=tmp_path / "l", api_key_env="NO_SUCH_KEY").score(
            some_texts(2), tiny_schema()
        )


@pytest.mark.parametrize("value", ["two words", "schlüssel", "line\nbreak"])
def test_what_cannot_be_a_key_is_told_without_showing_it(monkeypatch, value: str) -> None:
    monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ConfigurationError, match="MY_KEY") as error:
        Secret("MY_KEY", optional=True)
    assert value not in str(error.value)


def test_an_address_is_shown_without_password_and_query(tmp_path) -> None:
    assert shown_address("https://me:pw@host:8443/v1?token=abc") == "https://host:8443/v1"
    assert shown_address("http://[::1]:80/v1") == "http://[::1]:80/v1"
    assert "openai.com" in shown_address(None)
    with pytest.raises(ConfigurationError) as error:
        LLMScorer(model="m", ledger=tmp_path / "l", base_url="ftp://me:hunter2@host/v1")
    assert "hunter2" not in str(error.value)


def test_control_characters_of_an_endpoint_do_not_reach_the_terminal(tmp_path) -> None:
    with ChatServer() as server:
        server.misbehave(Misdeed(status=403, error={"message": "\x1b[2Jno\nentry" + "x" * 5000}))
        with pytest.raises(EndpointError) as error:
            scorer(server, tmp_path).score(some_texts(1), tiny_schema())
    assert "\x1b" not in str(error.value)
    assert "no entry" in str(error.value)
    assert len(str(error.value)) < 1000
