"""Scores by a language model behind any endpoint that speaks the chat-completions protocol.

Zero-shot scores of items and users on attributes: Jia, Yuan, Wu, Zheng, arXiv 2504.11658.  Prompts, the scale, the
mean over wordings with its spread as uncertainty, and the ledger are ours.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from burnish.errors import BurnishError, ConfigurationError, DataError
from burnish.strict import validated

from ..attributes import AttributeSchema
from ..cost import Budget, Estimate, Progress, tokens_of
from ..ledger import Ledger, item_key
from .chat import Endpoint, EndpointError, import_openai
from .dialect import Dialect, Question, request_body
from .dispatch import Answers, Dispatch, explain_stop
from .event_loop_thread import EventLoopThread
from .prompts import Kind, item_text, prompt_name
from .protocol import Scores, Texts
from .secret import Secret
from .settings import Settings, is_address
from .work import groups, shuffled


class LLMScorer:
    """Scores items by a language model.

    Parameters
    ----------
    progress
        Called with how many answers there are and how many there will be, from another thread.
    **options
        The fields of `Settings`, of which `model` and `ledger` (a path) are needed; None stands for the default.
        Scores are the mean over `prompts` wordings.

    Raises
    ------
    UnknownNameError
        For an option that does not exist.
    ConfigurationError
        For a value that cannot be used.
    """

    name = "llm"
    kind: ClassVar[Kind] = "items"
    _defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *, progress: Progress | None = None, **options: Any) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        self.settings = validated(Settings, {**self._defaults, **given}, "llm scorer", secret=("base_url",))
        self.progress = progress
        self.budget: Budget | None = None
        """What the last call of `score` used; None before the first, and after one that sent nothing."""

    # ------------------------------------------------------------------------------------------ before asking

    def estimate(self, texts: Texts, schema: AttributeSchema) -> Estimate:
        """What `score` would send and cost, if every answer were valid.  Nothing is sent, no file is made."""
        questions = self._questions(texts)
        asked, rate = Answers(), None
        if self.settings.ledger.exists():
            with Ledger(self.settings.ledger, read_only=True) as ledger:
                asked = self._known(ledger, questions, schema)
                names = [prompt_name(self.kind, variant) for variant in range(self.settings.prompts)]
                usage = ledger.usage(self.settings.model, names)
                rate = usage if usage.requests and usage.items and usage.body_bytes else None
        requests, size, items = 0, 0, 0
        for body, n in self._bodies(self._open(questions, asked), schema):
            requests, items = requests + 1, items + n
            size += body_bytes(body)
        if rate is None:
            tokens_in = tokens_of(size)
            tokens_out = self.settings.expected_output(schema, self.kind, items)
        else:
            tokens_in = math.ceil(size * rate.input_tokens / rate.body_bytes)
            tokens_out = math.ceil(items * rate.output_tokens / rate.items)
        price = self.settings.price
        everything = range(self.settings.prompts)
        known = sum(all((v, text) in asked.scores for v in everything) for text in questions if text)
        return Estimate(
            requests=requests,
            items=sum(1 for text in questions if text),
            already_known=known,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            usd=None if price is None else price.of(tokens_in, tokens_out),
            counted=rate is not None,
        )

    def requests(self, texts: Texts, schema: AttributeSchema) -> Iterator[dict[str, Any]]:
        """The bodies of the requests that `score` would send first.  Nothing is sent, no file is made."""
        questions = self._questions(texts)
        asked = Answers()
        if self.settings.ledger.exists():
            with Ledger(self.settings.ledger, read_only=True) as ledger:
                asked = self._known(ledger, questions, schema)
        for body, _ in self._bodies(self._open(questions, asked), schema):
            yield body

    def _bodies(
        self, open_pairs: list[tuple[int, str]], schema: AttributeSchema
    ) -> Iterator[tuple[dict[str, Any], int]]:
        settings = self.settings
        dialect = Dialect.start(settings.structured)
        for work in groups(open_pairs, settings.items_per_request):
            n = len(work.texts)
            most = settings.most_output(schema, self.kind, n)
            question = Question(work.variant, work.texts)
            yield (
                request_body(
                    question, schema, model=settings.model, kind=self.kind, dialect=dialect, most_output=most
                ),
                n,
            )

    def _fields(self, texts: Texts, number: int) -> dict[str, str]:
        """The fields of one item that the prompt shows."""
        return texts.one(number)

    def _questions(self, texts: Texts) -> list[str]:
        """The text of each item as the prompt has it; empty where it has none."""
        most = self.settings.max_characters
        shown = (self._fields(texts, number) for number in range(len(texts)))
        return [item_text(fields, most=most, kind=self.kind) if fields else "" for fields in shown]

    def _open(self, questions: list[str], asked: Answers) -> list[tuple[int, str]]:
        """What has to be asked, each text once in each wording, and in every wording beside other texts."""
        once = [text for text in dict.fromkeys(questions) if text]
        return [
            (v, text)
            for v in range(self.settings.prompts)
            for text in shuffled(once, v, self.settings.seed)
            if (v, text) not in asked.scores
        ]

    def _known(self, ledger: Ledger, questions: list[str], schema: AttributeSchema) -> Answers:
        """What the ledger holds."""
        asked, fingerprint = Answers(), schema.fingerprint()
        once = [text for text in dict.fromkeys(questions) if text]
        for variant in range(self.settings.prompts):
            name = prompt_name(self.kind, variant)
            keys = {item_key(self.settings.model, name, fingerprint, text): text for text in once}
            for key, scores in ledger.known(list(keys)).items():
                asked.scores[variant, keys[key]] = scores
        return asked

    # ------------------------------------------------------------------------------------------ asking

    def score(self, texts: Texts, schema: AttributeSchema) -> Scores:
        """Scores of all `texts.ids` on `schema.names`, from the ledger and, unless `replay` is set, from the endpoint.

        values: the mean over wordings, on the schema's scale; NaN for an id that has no text or never got a valid
        answer, with the reason in `notes` under its id.  uncertainty: None for a single wording.

        Raises `LimitError` before a limit is passed, `EndpointError` where the endpoint refuses the key or the model,
        stays away, or gives no valid answer at all, `DataError` for a ledger that cannot be used or, in a replay, that
        lacks answers.  All answers until then are in the ledger.
        """
        self.budget = None
        questions = self._questions(texts)
        with Ledger(self.settings.ledger, read_only=self.settings.replay) as ledger:
            asked = self._known(ledger, questions, schema)
            open_pairs = self._open(questions, asked)
            if open_pairs and self.settings.replay:
                raise self._missing(ledger, questions, open_pairs)
            if open_pairs:
                self._ask(ledger, schema, asked, open_pairs)
        if not asked.scores and asked.reasons:
            raise EndpointError(
                f"model {self.settings.model!r} has not scored any item: {next(iter(asked.reasons.values()))}"
            )
        return self._gather(texts, questions, schema, asked)

    def _missing(self, ledger: Ledger, questions: list[str], open_pairs: list[tuple[int, str]]) -> DataError:
        lacking = {text for _, text in open_pairs}
        items = sum(text in lacking for text in questions)
        return DataError(
            f"replay: the ledger {str(ledger.path)!r} lacks {len(open_pairs):,} answers for {items:,} of "
            f"{len(questions):,} {self.kind} (model {self.settings.model!r}, {self.settings.prompts} prompts, this "
            f"schema, these texts); score them without replay, or give what the ledger was made with"
        )

    def _ask(
        self, ledger: Ledger, schema: AttributeSchema, asked: Answers, open_pairs: list[tuple[int, str]]
    ) -> None:
        """Ask what is open, in an event loop of its own in another thread (the caller may have a loop already)."""
        settings = self.settings
        base_url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or None
        if base_url is not None and not is_address(base_url):
            raise ConfigurationError(
                "OPENAI_BASE_URL: the value of this environment variable is no address of an endpoint; set it to one, "
                "such as http://localhost:11434/v1, or give base_url"
            )
        secret = Secret(settings.api_key_env, optional=base_url is not None)
        import_openai()
        run = EventLoopThread()

        async def everything() -> None:
            endpoint = Endpoint(
                model=settings.model, base_url=base_url, secret=secret, timeout=settings.timeout
            )
            try:
                dispatch = Dispatch(
                    settings,
                    schema=schema,
                    kind=self.kind,
                    endpoint=endpoint,
                    ledger=ledger,
                    asked=asked,
                    open_pairs=open_pairs,
                    progress=self.progress,
                )
                self.budget = dispatch.budget
                run.started(dispatch)
                await dispatch.run()
            finally:
                await endpoint.close()

        total = len(asked.scores) + len(open_pairs)
        try:
            run.until_done(everything)
        except BurnishError as error:
            if self.budget is None:
                raise
            message = explain_stop(error, self.budget, ledger, len(asked.scores), total)
            stopped = type(error)(message)
        else:
            return
        raise stopped

    # ------------------------------------------------------------------------------------------ after asking

    def _gather(self, texts: Texts, questions: list[str], schema: AttributeSchema, asked: Answers) -> Scores:
        variants, names = self.settings.prompts, schema.names
        every = np.full((variants, len(questions), len(names)), np.nan)
        notes: dict[str, str] = {}
        for row, text in enumerate(questions):
            for variant in range(variants):
                scores = asked.scores.get((variant, text))
                if scores is not None:
                    every[variant, row] = [scores[name] for name in names]
            if np.isnan(every[:, row]).all():
                reasons = [asked.reasons[v, text] for v in range(variants) if (v, text) in asked.reasons]
                notes[texts.ids[row]] = reasons[0] if reasons else self._no_text()
        given = np.isfinite(every).sum(axis=0)
        total = np.nansum(every, axis=0)
        values = np.where(given > 0, total / np.maximum(given, 1), np.nan)
        spread = None
        if variants > 1:
            squares = np.nansum((every - values) ** 2, axis=0)
            spread = np.where(given > 1, np.sqrt(squares / np.maximum(given - 1, 1)), np.nan)
        low, high = schema.scale
        source = f"{self.settings.model}, {variants} wording{'s' * (variants > 1)}"
        return Scores(texts.ids, names, values, spread, (float(low), float(high)), source, notes, texts.split)

    def _no_text(self) -> str:
        return "it has no text"


class LLMUserScorer(LLMScorer):
    """Scores users by a language model, from what they chose in the training split.

    As `LLMScorer`, but `texts` are users with a field `history`: titles, and ratings if any, of their training
    interactions, from the oldest to the newest.  Only that field is sent.  The scores are their taste, on the same
    attributes and the same scale as items.
    """

    name = "llm-users"
    kind: ClassVar[Kind] = "users"
    _defaults: ClassVar[Mapping[str, Any]] = {"max_characters": 6000}

    def _questions(self, texts: Texts) -> list[str]:
        if "history" not in texts.fields:
            raise ConfigurationError(
                f"texts of users have the fields {sorted(texts.fields)}; {self.name} needs `history`, what of the "
                f"training split each user chose"
            )
        return super()._questions(texts)

    def _fields(self, texts: Texts, number: int) -> dict[str, str]:
        return {name: value for name, value in texts.one(number).items() if name == "history"}

    def _no_text(self) -> str:
        return "they have no training history"


def body_bytes(body: dict[str, Any]) -> int:
    """The bytes of a request, as the ledger has it."""
    return len(json.dumps(body, ensure_ascii=False).encode())
