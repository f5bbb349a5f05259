"""One request to an endpoint that speaks the chat-completions protocol, and what came of it.

The client is the `openai` package, its own retries off: what is sent has to be counted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from burnish.errors import BurnishError, ConfigurationError

from .bounded import ENCODINGS, UnusableBodyError, read_bounded
from .lenient import load_json
from .secret import Secret, shown_address
from .waiting import retry_after

if TYPE_CHECKING:
    import openai

Action = Literal["again", "smaller", "otherwise", "stop"]

_MOST_TOKENS = 10**9  # of one request: a count beyond is a mistake, and taken as not told


class EndpointError(BurnishError, RuntimeError):
    """The endpoint refuses the key or the model, or gives no usable answers; what was answered is in the ledger."""


@dataclass(frozen=True)
class Answer:
    """An answer of the model.  text: what it wrote.  body: the whole response.  tokens: None where not told."""

    text: str
    body: str
    input_tokens: int | None
    output_tokens: int | None
    ended: str = "stop"


@dataclass(frozen=True)
class Trouble:
    """No answer.

    status: a few words for the ledger.  why: for people, without the key.  action: "again" after a while, "smaller"
    (this request will never do, a part of it may), "otherwise" (a parameter is refused), "stop".
    wait: seconds that the endpoint asked for.  billed: whether it may have been paid for all the same.
    """

    status: str
    why: str
    action: Action
    body: str = ""
    wait: float | None = None
    billed: bool = False
    code: int = 0


class Endpoint:
    """An endpoint and a model; use it in one event loop, and close it.

    base_url: None for OpenAI's own.  timeout: seconds for one request in all, from sending to the last byte.
    Raises `ConfigurationError` where the address cannot be used or the package is not installed.
    """

    def __init__(self, *, model: str, base_url: str | None, secret: Secret, timeout: float) -> None:
        self.model, self.secret, self.timeout = model, secret, timeout
        self.address = shown_address(base_url)
        package = import_openai()
        try:
            http = package.DefaultAsyncHttpxClient(event_hooks={"response": [read_bounded]}, timeout=timeout)
            self._client: openai.AsyncOpenAI = package.AsyncOpenAI(
                api_key=secret.reveal(),
                base_url=base_url,
                max_retries=0,
                timeout=timeout,
                http_client=http,
                default_headers={"Accept-Encoding": ENCODINGS},
            )
        except (
            Exception
        ) as error:  # the http package's own kinds: of the address, of proxies in the environment
            raise ConfigurationError(
                f"base_url: no client can be made for {self.address} ({type(error).__name__}: "
                f"{secret.shown(str(error), 120)}); give an address such as http://localhost:11434/v1, and look at the "
                f"environment's proxies (HTTPS_PROXY, ...)"
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, body: Mapping[str, Any]) -> Answer | Trouble:
        """Send one request.  Never raises for what an endpoint or a network does."""
        package = import_openai()
        # not chat.completions.create: it walks through every parameter by its type, at two milliseconds a request, and
        # older ones do not know every parameter
        call = self._client.post("/chat/completions", cast_to=str, body=dict(body))
        try:
            # the client's own time-out is one between two bytes, which a slow body never reaches
            response = await asyncio.wait_for(call, self.timeout)
        except (asyncio.TimeoutError, package.APITimeoutError):
            return Trouble("time-out", f"no answer within {self.timeout:g} s", "smaller", billed=True)
        except package.APIConnectionError as error:
            return self._unconnected(error)
        except package.APIStatusError as error:
            return self._refused(error)
        except UnusableBodyError as error:
            return self._unusable(error)
        except (
            Exception
        ) as error:  # of the client, or of what is under it, where versions differ in what they wrap
            return Trouble(
                "error", f"{type(error).__name__}: {self.secret.shown(str(error))}", "again", billed=True
            )
        return self._answer(response)

    def _answer(self, body: str) -> Answer | Trouble:
        try:
            whole = load_json(body)
            choice = whole["choices"][0]
            text = choice["message"].get("content") or choice["message"].get("refusal") or ""
            usage = whole.get("usage")
            told = usage if isinstance(usage, Mapping) else {}
            ended = _plain(str(choice.get("finish_reason") or "stop"))[:40]
            tokens_in, tokens_out = (
                _tokens(told.get(name)) for name in ("prompt_tokens", "completion_tokens")
            )
            return Answer(_plain(str(text)), body, tokens_in, tokens_out, ended)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            why = f"the response is not a chat completion: {self.secret.shown(body, 80)!r}"
            return Trouble("no chat completion", why, "again", body, billed=True)

    def _unusable(self, error: UnusableBodyError) -> Trouble:
        return Trouble("unusable body", self.secret.shown(str(error)), "smaller", billed=True)

    def _unconnected(self, error: Exception) -> Trouble:
        cause = error.__cause__
        if isinstance(cause, UnusableBodyError):
            return self._unusable(cause)
        never_sent = type(cause).__name__ in ("ConnectError", "ConnectTimeout", "UnsupportedProtocol")
        why = (
            f"no connection ({type(cause or error).__name__}: {self.secret.shown(str(cause or error), 120)})"
        )
        status = "no connection" if never_sent else "dropped connection"
        return Trouble(status, why, "again", billed=not never_sent)

    def _refused(self, error: openai.APIStatusError) -> Trouble:
        code = error.status_code
        body = error.response.text
        words = self.secret.shown(_message(error.body) or body)
        status = f"HTTP {code}"
        wait = retry_after(error.response.headers)
        if code == 401:
            return Trouble(status, self._no_entry(), "stop", body, code=code)
        if code == 403:
            why = f"{self.address} forbids this to the key in {self.secret.variable} ({code}: {words})"
            return Trouble(status, why, "stop", body, code=code)
        if code == 404:
            why = (
                f"model = {self.model!r} is not known at {self.address}, or that is not the address of an endpoint "
                f"(404: {words}); check model and base_url"
            )
            return Trouble(status, why, "stop", body, code=code)
        if code == 402 or (code == 429 and "insufficient_quota" in body):
            why = f"the quota of the key in {self.secret.variable} is used up ({code}: {words}); raise it and run again"
            return Trouble(status, why, "stop", body, code=code)
        if code in (400, 413, 422):
            action: Action = "smaller" if code == 413 else "otherwise"
            return Trouble(status, f"{code}: {words}", action, body, code=code)
        if code in (408, 409, 425, 429) or code >= 500:
            return Trouble(status, f"{code}: {words}", "again", body, wait=wait, code=code)
        return Trouble(
            status, f"{self.address} refuses the request ({code}: {words})", "stop", body, code=code
        )

    def _no_entry(self) -> str:
        # the endpoint's own words are left out: some quote the key
        if not self.secret.is_set:
            return (
                f"{self.address} asks for a key (401), and the environment variable {self.secret.variable} is not set; "
                f"put the key into it (export {self.secret.variable}=...)"
            )
        return (
            f"{self.address} does not accept the key of the environment variable {self.secret.variable} (401): it is "
            f"wrong or has expired; set a valid one (export {self.secret.variable}=...) and run again"
        )


def import_openai() -> Any:
    """The `openai` package.  Raises `ConfigurationError` where it is not installed."""
    try:
        import openai
    except ImportError as error:
        raise ConfigurationError(
            "the llm scorer needs the package openai: pip install 'burnish[llm]'"
        ) from error
    return openai


def _message(body: object) -> str:
    """The words in a refusal; empty where there are none."""
    if not isinstance(body, Mapping):
        return ""
    inner = body.get("error", body)
    words = (inner.get("message") or inner.get("detail") or "") if isinstance(inner, Mapping) else inner
    try:
        return _plain(str(words))
    except (ValueError, RecursionError):  # of something deep or endless
        return ""


def _plain(text: str) -> str:
    """Text that can be written: lone surrogates have no bytes."""
    return text.encode("utf-8", "replace").decode()


def _tokens(told: object) -> int | None:
    """A count of tokens; None for anything that cannot be one."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return int(told) if 0 <= told <= _MOST_TOKENS and told == int(told) else None
