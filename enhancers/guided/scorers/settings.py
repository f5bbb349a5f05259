"""The options of the llm scorers, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from burnish.errors import ConfigurationError

from ..attributes import AttributeSchema
from ..cost import Limits, Price, tokens_of
from .prompts import Kind, item_name

_ROOM = 1024  # tokens of an answer beyond what is expected, where it has to be bounded


class Settings(BaseModel):
    """How an endpoint is asked; what each option means is in `LLMScorer`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str = Field(min_length=1)
    base_url: str | None = None
    api_key_env: str = Field("OPENAI_API_KEY", min_length=1)
    ledger: Path
    items_per_request: int = Field(10, ge=1, le=100)
    concurrency: int = Field(16, ge=1, le=1000)
    prompts: int = Field(3, ge=1, le=3)
    timeout: float = Field(60.0, gt=0, le=86400)
    retries: int = Field(6, ge=0, le=100)
    replay: bool = False
    limits: Limits = Limits()
    price: Price | None = None
    structured: Literal["auto", "schema", "json", "text"] = "auto"
    seed: int | None = None
    backoff: float = Field(0.5, ge=0, le=60)
    max_wait: float = Field(600.0, ge=0)
    max_characters: int = Field(2000, ge=20)
    max_output_tokens: int | None = Field(None, ge=1)

    @field_validator("base_url")
    @classmethod
    def _address(cls, base_url: str | None) -> str | None:
        if base_url is not None:
            parts = urlsplit(base_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("give the address of an endpoint, such as http://localhost:11434/v1")
        return base_url

    def expected_output(self, schema: AttributeSchema, kind: Kind, items: int) -> int:
        """The tokens of a valid answer about so many items, by the rule of four bytes a token."""
        one = json.dumps({item_name(kind, 0): dict.fromkeys(schema.names, schema.scale[1])})
        return items * tokens_of(len(one))

    def most_output(self, schema: AttributeSchema, kind: Kind, items: int) -> int | None:
        """The bound on the tokens of an answer: the user's, else a generous one for dollar limits, else None."""
        if self.max_output_tokens is None and self.limits.max_usd is not None:
            return _ROOM + 4 * self.expected_output(schema, kind, items)
        return self.max_output_tokens


def make_settings(**options: Any) -> Settings:
    """Checked settings.  Raises `ConfigurationError` that names the field, its value and the cure."""
    if isinstance(options.get("ledger"), str):
        options["ledger"] = Path(options["ledger"])
    try:
        settings = Settings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        value = "" if name == "base_url" else f" = {first.get('input')!r}"  # an address may hold a password
        raise ConfigurationError(f"llm scorer: {name}{value}: {first['msg']}") from None
    if settings.limits.max_usd is not None and settings.price is None:
        raise ConfigurationError(
            f"max_usd = {settings.limits.max_usd} without a price: give price=Price(input_per_million=..., "
            f"output_per_million=...) as your endpoint charges it"
        )
    return settings
