"""The options of the llm scorers, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from burnish.strict import Strict

from ..attributes import AttributeSchema
from ..cost import Limits, Price, tokens_of
from .prompts import Kind, item_name

_ROOM = 1024  # tokens of an answer beyond what is expected, where it has to be bounded


def is_address(base_url: str) -> bool:
    """Whether this is the address of a server: http or https, a host, and a port from 1 to 65535 or none."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        return False
    whole = base_url.isprintable() and " " not in base_url
    return whole and parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0


class Settings(Strict):
    """How an endpoint is asked.  `burnish guide score --help` shows the first sentence of a description."""

    model_config = ConfigDict(strict=True)

    model: str = Field(min_length=1, description="its name at the endpoint")
    base_url: str | None = Field(
        None,
        description="the endpoint; by default OpenAI's. Hosted, vLLM, Ollama, llama.cpp, ...; None for the one in "
        "OPENAI_BASE_URL, else OpenAI's own",
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        min_length=1,
        description="variable with the key. It may be unset where base_url is given",
    )
    ledger: Path = Field(strict=False, description="file of all requests and answers. SQLite")
    items_per_request: int = Field(10, ge=1, le=100, description="items in one request")
    concurrency: int = Field(16, ge=1, le=1000, description="requests in flight")
    prompts: int = Field(
        3,
        ge=1,
        le=3,
        description="wordings to average over, 1 to 3. The uncertainty is their standard deviation (n - 1 in the "
        "denominator)",
    )
    timeout: float = Field(60.0, gt=0, le=86400, description="seconds a request may take. In all")
    retries: int = Field(
        6,
        ge=0,
        le=100,
        description="how often a request is sent again. One without an answer; so often, too, an item without a "
        "valid answer is asked again",
    )
    replay: bool = Field(False, description="answers from the ledger only; no network")
    limits: Limits = Field(
        Limits(), description="stop before so many dollars or requests. In one call of score"
    )
    price: Price | None = Field(None, description="what the endpoint charges. Needed for a limit of dollars")
    structured: Literal["auto", "schema", "json", "text"] = Field(
        "auto",
        description="how answers are bound to their form. schema (JSON schema), json (some JSON), text (by words "
        "only), auto (the first of these that the endpoint takes)",
    )
    seed: int | None = Field(
        None, description="of the order of items in requests, and the random part of backoff"
    )
    backoff: float = Field(
        0.5,
        ge=0,
        le=60,
        description="seconds before the first retry of a request. Doubled each time, 60 at most, a half to all of it "
        "by chance; an endpoint's Retry-After wins, up to max_wait seconds",
    )
    max_wait: float = Field(600.0, ge=0, description="seconds that an endpoint's Retry-After may ask for")
    max_characters: int = Field(
        2000, ge=20, description="a text field is cut there. Users' histories at 6,000, the newest part kept"
    )
    max_output_tokens: int | None = Field(
        None,
        ge=1,
        description="bound on an answer. None for none, or a generous one where limits.max_usd needs it",
    )

    @field_validator("base_url")
    @classmethod
    def _address(cls, base_url: str | None) -> str | None:
        if base_url is not None and not is_address(base_url):
            raise ValueError("give the address of an endpoint, such as http://localhost:11434/v1")
        return base_url

    @model_validator(mode="after")
    def _priced(self) -> Settings:
        if self.limits.max_usd is not None and self.price is None:
            raise ValueError(
                f"max_usd = {self.limits.max_usd} without a price: give price=Price(input_per_million=..., "
                f"output_per_million=...) as your endpoint charges it"
            )
        return self

    def expected_output(self, schema: AttributeSchema, kind: Kind, items: int) -> int:
        """The tokens of a valid answer about so many items, by the rule of four bytes a token."""
        one = json.dumps({item_name(kind, 0): dict.fromkeys(schema.names, schema.scale[1])})
        return items * tokens_of(len(one))

    def most_output(self, schema: AttributeSchema, kind: Kind, items: int) -> int | None:
        """The bound on the tokens of an answer: the user's, else a generous one for dollar limits, else None."""
        if self.max_output_tokens is None and self.limits.max_usd is not None:
            return _ROOM + 4 * self.expected_output(schema, kind, items)
        return self.max_output_tokens
