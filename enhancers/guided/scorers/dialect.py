"""How a request is written for an endpoint: what it refuses is left out, or put otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..attributes import AttributeSchema
from .prompts import Kind, answer_schema, item_name, system_message, user_message

Structured = Literal["auto", "schema", "json", "text"]

_FORMAT = re.compile(r"response_?format|json_schema|json_object|structured|guided|grammar", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """What an endpoint understands.

    form: the answer is bound by a JSON schema, by "some JSON object", or by words only.  fixed: whether `form` was
    asked for by the user.  temperature: whether temperature 0 can be asked for (some models refuse it).
    limit: the name under which the greatest number of tokens is sent; empty where both names are refused.
    """

    form: Literal["schema", "json", "text"]
    fixed: bool = False
    temperature: bool = True
    limit: str = "max_tokens"

    @classmethod
    def start(cls, structured: Structured) -> Dialect:
        """The most that can be hoped for, or what the user asked for."""
        return cls("schema") if structured == "auto" else cls(structured, fixed=True)

    def after(self, refusal: str) -> Dialect | None:
        """The dialect to try after an endpoint refused a request in these words; None where they name nothing of it."""
        if self.temperature and "temperature" in refusal:
            return replace(self, temperature=False)
        if self.limit == "max_tokens" and "max_tokens" in refusal:
            return replace(self, limit="max_completion_tokens")
        if self.limit == "max_completion_tokens" and "max_completion_tokens" in refusal:
            return replace(self, limit="")
        if not self.fixed and self.form != "text" and _FORMAT.search(refusal):
            return replace(self, form="json" if self.form == "schema" else "text")
        return None

    def response_format(self, schema: AttributeSchema, keys: Sequence[str]) -> dict[str, Any] | None:
        """The parameter `response_format`."""
        if self.form == "schema":
            content = {"name": "scores", "strict": True, "schema": answer_schema(schema, keys)}
            return {"type": "json_schema", "json_schema": content}
        return {"type": "json_object"} if self.form == "json" else None


@dataclass(frozen=True)
class Question:
    """What one request asks: texts as `item_text` gives them, in wording `variant`, and a complaint about the answer
    before, if any."""

    variant: int
    texts: tuple[str, ...]
    complaint: str = ""


def request_body(
    question: Question,
    schema: AttributeSchema,
    *,
    model: str,
    kind: Kind,
    dialect: Dialect,
    most_output: int | None,
) -> dict[str, Any]:
    """The body of a request.  most_output: the tokens that the answer may have, None for no bound."""
    keys = [item_name(kind, number) for number in range(len(question.texts))]
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": system_message(schema, kind, question.variant)},
            {"role": "user", "content": user_message(question.texts, kind, question.complaint)},
        ],
    }
    if dialect.temperature:
        body["temperature"] = 0
    if most_output is not None and dialect.limit:
        body[dialect.limit] = most_output
    response_format = dialect.response_format(schema, keys)
    if response_format is not None:
        body["response_format"] = response_format
    return body
