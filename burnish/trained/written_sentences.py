"""Sentences of a language model instead of a template's: it is sent the reasons alone, and may name nothing else.

What it writes is looked at before it is shown: a sentence that names an item of the catalogue, an id or a number that
is not among the reasons is not taken, and the template's stands in its place.  Every question and answer is in a
ledger, so that the same question is never paid for twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.enhancers.guided.ledger import Ledger
from burnish.enhancers.guided.scorers.chat import Answer, Endpoint, EndpointError, Trouble
from burnish.enhancers.guided.scorers.event_loop_thread import EventLoopThread
from burnish.enhancers.guided.scorers.secret import Secret
from burnish.enhancers.guided.scorers.settings import is_address
from burnish.enhancers.guided.scorers.waiting import back_off
from burnish.enhancers.paths.names import catalogue_title
from burnish.errors import ConfigurationError, warn
from burnish.explanation import Explanation

from .explanation_sentences import sentence

#: Of the ledger: what is asked, and by which wording.
PROMPT, SCHEMA = "sentence-1", "sentence"
#: Requests in flight, tries of one that got no answer, and the longest sentence that is taken.
AT_ONCE, TRIES, LONGEST = 4, 4, 400
_SYSTEM = (
    "You tell people why an item is recommended to them. Write one or two short, plain sentences in English that say "
    "the strongest and most telling reasons first. Use the given reasons only. Name no other item, person, number or "
    "fact, and promise nothing. What speaks against the item, if anything is given, comes last. Answer with the "
    "sentences alone."
)


@dataclass
class SentenceWriter:
    """Writes sentences by a model behind an endpoint that speaks the chat-completions protocol.

    Parameters
    ----------
    model
        Its name at the endpoint.
    ledger
        File of all requests and answers; made where there is none.
    titles
        Of the catalogue, by id: what must not be named where it is not among the reasons.
    base_url
        The endpoint; None for OpenAI's.
    api_key_env
        The environment variable with the key; it may be unset where `base_url` is given.
    timeout
        Seconds that a request may take.

    Raises
    ------
    ConfigurationError
        For an address that is none, a key that is not set, or where the package openai is not installed.
    """

    model: str
    ledger: Path
    titles: Mapping[str, str]
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    timeout: float = 60.0
    #: Why sentences were not taken, by what they were to explain: (user, item).
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        if self.base_url is not None and not is_address(self.base_url):
            raise ConfigurationError(
                "base_url: give the address of an endpoint, such as http://localhost:11434/v1"
            )
        self._secret = Secret(self.api_key_env, optional=self.base_url is not None)
        named = {catalogue_title(title) for title in self.titles.values()}
        self._names = [name for name in named | set(self.titles.values()) if len(name) > 1]

    def write(self, explanations: Sequence[Explanation]) -> dict[tuple[str, str], str]:
        """A sentence each, by (user, item): the model's where it names nothing but the reasons, else the template's.

        Raises `EndpointError` where the endpoint refuses the key or the model; what was answered until then is in the
        ledger.  Warns where sentences were not taken.
        """
        told = {(one.user, one.item): sentence(one) for one in explanations}
        bodies = {(one.user, one.item): self.body(one) for one in explanations if one.reasons}
        with Ledger(self.ledger) as ledger:
            texts = {key: ledger.text_of(self._key(body)) for key, body in bodies.items()}
            # Two recommendations with the same reasons are one question.
            unknown = {self._key(bodies[key]): bodies[key] for key, text in texts.items() if text is None}
            if unknown:
                self._ask(ledger, unknown)
                texts = {key: ledger.text_of(self._key(body)) for key, body in bodies.items()}
        by_key = {(one.user, one.item): one for one in explanations}
        for key, text in texts.items():
            why = "no answer" if text is None else self.objection(text, by_key[key])
            if why:
                self.refused[key] = why
            elif text is not None:
                told[key] = " ".join(text.split())
        if self.refused:
            (user, item), why = next(iter(self.refused.items()))
            warn(
                f"{len(self.refused)} of {len(bodies)} sentences by {self.model} are not taken, and those of templates "
                f"stand in their place; the first, for user {user} and item {item}: {why}"
            )
        return told

    def body(self, one: Explanation) -> dict[str, Any]:
        """The request: the item, and the texts and sides of its reasons; neither user nor score."""
        reasons = [
            {"reason": reason.text, "speaks": "for" if reason.contribution >= 0 else "against"}
            for reason in one.reasons
            if reason.counts
        ]
        content = {
            "item": catalogue_title(one.title) if one.title else f"item {one.item}",
            "reasons": reasons,
        }
        return {
            "model": self.model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": json.dumps(content, ensure_ascii=False)},
            ],
        }

    def objection(self, text: str, one: Explanation) -> str:
        """Why a sentence is not taken; empty where it is."""
        if not text.strip():
            return "it is empty"
        if len(text) > LONGEST:
            return f"it has {len(text)} letters, and {LONGEST} are the most"
        given = [reason.text for reason in one.reasons]
        given += [catalogue_title(one.title), one.title] if one.title else [f"item {one.item}"]
        titles = (str(reason.evidence["title"]) for reason in one.reasons if reason.evidence.get("title"))
        given += [form for title in titles for form in (title, catalogue_title(title))]
        source = "\n".join(given)
        strange = next((name for name in self._named(text) if name not in source), None)
        if strange is not None:
            return f"it names {strange!r}, which is not among the reasons"
        for found in re.findall(r"[“\"]([^“”\"]+)[”\"]", text):
            if found.strip(".,;!? ").lower() not in source.lower():
                return f"it quotes {found!r}, which is not among the reasons"
        for number in re.findall(r"\d+(?:[.,]\d+)*", text):
            if not re.search(rf"(?<!\d){re.escape(number)}(?!\d)", source):
                return f"it says {number}, which is not among the reasons"
        return ""

    def _named(self, text: str) -> Iterable[str]:
        """Titles of the catalogue in a text, the longest first; single words but where a sentence begins."""
        for name in sorted(self._names, key=len, reverse=True):
            if name not in text:
                continue
            for found in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text):
                begins = re.search(r"(?:^|[.!?]\s+)$", text[: found.start()]) is not None
                if " " in name or not begins:
                    yield name
                    # What is inside a longer title is not named by itself.
                    text = text.replace(name, " … ")
                    break

    def _key(self, body: Mapping[str, Any]) -> str:
        return hashlib.sha256(json.dumps([PROMPT, body], sort_keys=True).encode()).hexdigest()[:40]

    # ------------------------------------------------------------------ the endpoint

    def _ask(self, ledger: Ledger, bodies: Mapping[str, dict[str, Any]]) -> None:
        async def everything() -> None:
            endpoint = Endpoint(
                model=self.model, base_url=self.base_url, secret=self._secret, timeout=self.timeout
            )
            gate = asyncio.Semaphore(AT_ONCE)
            try:
                await asyncio.gather(*(self._one(endpoint, ledger, gate, *pair) for pair in bodies.items()))
            finally:
                await endpoint.close()

        EventLoopThread().until_done(everything)

    async def _one(
        self, endpoint: Endpoint, ledger: Ledger, gate: asyncio.Semaphore, key: str, body: dict[str, Any]
    ) -> None:
        async with gate:
            for number in range(TRIES):
                request = ledger.add_request(
                    model=self.model,
                    endpoint=endpoint.address,
                    prompt=PROMPT,
                    schema=SCHEMA,
                    items=1,
                    body=json.dumps(body, ensure_ascii=False),
                )
                self.asked += 1
                found = await endpoint.ask(body)
                if isinstance(found, Answer):
                    ledger.add_answer(
                        request,
                        status="ok",
                        text=found.text,
                        input_tokens=found.input_tokens,
                        output_tokens=found.output_tokens,
                        scores={key: (key[:32], {"sentence": 1})},
                    )
                    return
                ledger.add_answer(request, status=found.status, text=found.body)
                if found.action in ("stop", "otherwise", "smaller"):
                    self._stopped(found)
                    return
                await asyncio.sleep(self._wait(found, number))

    def _stopped(self, trouble: Trouble) -> None:
        if trouble.action == "stop":
            raise EndpointError(trouble.why)

    @staticmethod
    def _wait(trouble: Trouble, number: int) -> float:
        return trouble.wait if trouble.wait is not None else back_off(number + 1, 0.5, random.Random())
