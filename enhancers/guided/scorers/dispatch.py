"""Sending what is to be asked: many requests at once, again where it pays, within limits, all of it in the ledger.

An item is asked again, with others or alone, until its answer is valid or its tries are used up.  Groups get smaller
with every try: halves, and single items at the last.  What another run on the same ledger is asking is left to it,
and looked at again until its answer is there or that run has given it up.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from burnish.errors import BurnishError

from ..attributes import AttributeSchema
from ..claims import RENEW_S, Holder
from ..cost import Budget, Progress, Reservation, tokens_of
from ..ledger import Ledger, item_key, text_hash
from .chat import Answer, Endpoint, EndpointError, Trouble
from .dialect import Dialect, Question, request_body
from .parsing import parse_answer
from .prompts import Kind, item_name, prompt_name
from .settings import Settings
from .waiting import back_off
from .work import Work, groups

_LOST_IN_A_ROW = 5  # requests without any answer, all their tries used up: the endpoint is down
_LOOK_AGAIN_S = 0.2  # at what another run is asking
_USELESS_FIRST = 10  # items given up before a single one was scored: the model cannot do it


@dataclass
class Answers:
    """What was asked in one run and came of it, by wording and text: scores by attribute, or why there are none."""

    scores: dict[tuple[int, str], dict[str, int]] = field(default_factory=dict)
    reasons: dict[tuple[int, str], str] = field(default_factory=dict)


class _StoppedError(Exception):
    """This run has been stopped while a request was waiting."""


class Dispatch:
    """One run.  Make and use it inside one event loop.

    open_pairs: (wording, text) pairs to be asked, in order.  asked: what is known already; filled by `run`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        schema: AttributeSchema,
        kind: Kind,
        endpoint: Endpoint,
        ledger: Ledger,
        asked: Answers,
        open_pairs: Iterable[tuple[int, str]],
        progress: Progress | None,
    ) -> None:
        self.settings, self.schema, self.kind = settings, schema, kind
        self.endpoint, self.ledger, self.asked, self.progress = endpoint, ledger, asked, progress
        self.budget = Budget(settings.limits, settings.price)
        self.dialect = Dialect.start(settings.structured)
        pairs = list(open_pairs)
        self._all = len(pairs) + len(asked.scores)
        self._fresh = groups(pairs, settings.items_per_request)
        self._fingerprint = schema.fingerprint()
        self._again: deque[Work] = deque()
        self._elsewhere: deque[tuple[float, Work]] = deque()  # with another run, and when to look again
        self._holder = Holder()
        self._chance = random.Random(settings.seed)
        self._stop = asyncio.Event()
        self._settled = asyncio.Event()
        self._gate = 0.0  # the loop's time before which nothing is sent
        self._answers = 0
        self._lost = 0
        self.error: BaseException | None = None

    # ------------------------------------------------------------------------------------------ the run

    async def run(self) -> None:
        """Ask everything.  Raises the first error that stopped it, after requests in flight have ended."""
        running: set[asyncio.Task[None]] = set()
        self._tell()
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                while not self._stop.is_set() and len(running) < self.settings.concurrency:
                    work = self._next()
                    if work is None:
                        break
                    running.add(asyncio.create_task(self._do(work)))
                if not running and (self._stop.is_set() or not self._elsewhere):
                    break
                if not running:
                    with suppress(_StoppedError):
                        await self._sleep(_LOOK_AGAIN_S)
                    continue
                pause = _LOOK_AGAIN_S if self._elsewhere else None
                done, running = await asyncio.wait(
                    running, timeout=pause, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    failure = task.exception()
                    if failure is not None and not isinstance(failure, _StoppedError):
                        self.stop(failure)
        finally:
            for task in (*running, renewing):
                task.cancel()
            await asyncio.gather(*running, renewing, return_exceptions=True)
            with suppress(BurnishError):  # what stopped this run is what is to be told
                self.ledger.release(self._holder)
        if self.error is not None:
            raise self.error

    def _next(self) -> Work | None:
        """What to ask next; None where nothing is left, or what is left is with another run."""
        now = asyncio.get_running_loop().time()
        if self._elsewhere and self._elsewhere[0][0] <= now:
            return self._elsewhere.popleft()[1]
        return self._again.popleft() if self._again else next(self._fresh, None)

    async def _renew(self) -> None:
        """Keep the claims of this run while it lives."""
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(BurnishError):  # an unwritable ledger shows where an answer is lost by it
                self.ledger.renew(self._holder)

    def stop(self, error: BaseException | None = None) -> None:
        """Send nothing more; what is in flight is waited for.  The first error is kept."""
        if self.error is None:
            self.error = error
        self._stop.set()
        self._settled.set()

    async def _do(self, work: Work) -> None:
        """Ask for these texts until there is an answer, or no hope of one; what is left becomes new work."""
        work = self._claimed(work)
        seen = self._answers  # at the last failure
        while work.texts:
            dialect = self.dialect
            outcome = await self._send(work, dialect)
            if isinstance(outcome, Answer):
                self._lost = 0
                return
            if outcome.action == "stop":
                raise EndpointError(outcome.why)
            if outcome.action == "otherwise":
                refusal = self._reword(outcome, dialect)
                if refusal is None:
                    continue
                outcome = refusal
            refused = outcome.action == "smaller" and outcome.code > 0
            if refused and len(work.texts) > 1:
                self._halve(work)
                return
            # a crowded endpoint that does answer others is waited for
            if not (outcome.code == 429 and seen != self._answers):
                work = replace(work, failed=work.failed + 1)
            seen = self._answers
            if refused or work.failed > self.settings.retries:
                self._give_up(work, outcome)
                return
            if outcome.action == "smaller" and len(work.texts) > 1:
                self._halve(work)
                return
            await self._wait(work, outcome)

    def _claimed(self, work: Work) -> Work:
        """The part of the work that is to be asked here: not answered meanwhile, nor being asked by another run."""
        keys = {self._key(work.variant, text): text for text in work.texts}
        claimed = self.ledger.claim(list(keys), self._holder)
        for key, scores in claimed.known.items():
            self.asked.scores[work.variant, keys[key]] = scores
        if claimed.theirs:
            then = asyncio.get_running_loop().time() + _LOOK_AGAIN_S
            theirs = replace(work, texts=tuple(keys[key] for key in claimed.theirs))
            self._elsewhere.append((then, theirs))
        self._tell()
        return replace(work, texts=tuple(keys[key] for key in claimed.mine))

    def _reword(self, outcome: Trouble, dialect: Dialect) -> Trouble | None:
        """None where the request can be put otherwise; else what to do with the refusal."""
        if dialect != self.dialect:
            return None  # another request has found out already
        other = dialect.after(outcome.why)
        if other is None:
            return replace(outcome, action="smaller")
        if not other.limit and self.settings.limits.max_usd is not None:
            raise EndpointError(
                f"max_usd = {self.settings.limits.max_usd} cannot be kept: {self.endpoint.address} takes no bound on "
                f"the tokens of an answer ({outcome.why}); limit max_requests instead"
            )
        self.dialect = other
        return None

    def _halve(self, work: Work) -> None:
        """Ask for two halves instead: one of them may be in time, or be allowed."""
        half = (len(work.texts) + 1) // 2
        for texts in (work.texts[half:], work.texts[:half]):
            self._again.appendleft(replace(work, texts=texts))

    async def _wait(self, work: Work, outcome: Trouble) -> None:
        delay = back_off(max(1, work.failed), self.settings.backoff, self._chance)
        if outcome.wait is not None:
            if outcome.wait > self.settings.max_wait:
                raise EndpointError(
                    f"{self.endpoint.address} asks to wait {outcome.wait:,.0f} s ({outcome.why}), more than max_wait = "
                    f"{self.settings.max_wait:g}; run again then"
                )
            # it asked all of us
            self._gate = max(self._gate, asyncio.get_running_loop().time() + outcome.wait)
            delay = min(delay, 0.1 * outcome.wait)
        await self._sleep(delay)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except asyncio.TimeoutError:
            return
        raise _StoppedError

    # ------------------------------------------------------------------------------------------ one request

    async def _send(self, work: Work, dialect: Dialect) -> Answer | Trouble:
        """Send one request and write down what came back."""
        settings = self.settings
        most = settings.most_output(self.schema, self.kind, len(work.texts))
        question = Question(work.variant, work.texts, work.complaint)
        body = request_body(
            question, self.schema, model=settings.model, kind=self.kind, dialect=dialect, most_output=most
        )
        written = json.dumps(body, ensure_ascii=False)
        size = len(written.encode())
        reservation = await self._allowed(size, float(most or 0))
        used: tuple[float | None, float | None] = (None, None)
        try:
            request = self.ledger.add_request(
                model=settings.model,
                endpoint=self.endpoint.address,
                prompt=prompt_name(self.kind, work.variant),
                schema=self._fingerprint,
                items=len(work.texts),
                body=written,
            )
            outcome = await self.endpoint.ask(body)
            if isinstance(outcome, Answer):
                used = self._take(work, request, outcome, size)
            else:
                used = (None, None) if outcome.billed else (0, 0)
                text = self.endpoint.secret.scrub(outcome.body) or outcome.why
                self.ledger.add_answer(request, status=outcome.status, text=text)
            return outcome
        finally:
            self.budget.settle(reservation, *used)
            self._settled.set()

    async def _allowed(self, size: int, most_output: float) -> Reservation:
        """Wait until a request may be sent: after the pause that the endpoint asked for, and within the limits."""
        loop = asyncio.get_running_loop()
        while True:
            if self._stop.is_set():
                raise _StoppedError
            if (pause := self._gate - loop.time()) > 0:
                await self._sleep(pause)
                continue
            reservation = self.budget.reserve(size, most_output)
            if reservation is not None:
                return reservation
            self._settled.clear()
            await self._settled.wait()

    def _take(self, work: Work, request: int, answer: Answer, size: int) -> tuple[float, float]:
        """Write down an answer, keep what is valid, and put the rest back.  Returns the tokens used."""
        names = {item_name(self.kind, number): text for number, text in enumerate(work.texts)}
        parsed = parse_answer(answer.text, list(names), self.schema)
        wrong = {names[name]: reason for name, reason in parsed.wrong.items()}
        if wrong and answer.ended not in ("stop", "tool_calls"):
            wrong = {
                text: f"{reason}; the answer ended by {answer.ended!r}" for text, reason in wrong.items()
            }
        valid = {names[name]: scores for name, scores in parsed.valid.items()}
        tokens_in = tokens_of(size) if answer.input_tokens is None else answer.input_tokens
        tokens_out = (
            tokens_of(len(answer.text.encode("utf-8", "replace")))
            if answer.output_tokens is None
            else answer.output_tokens
        )
        self.ledger.add_answer(
            request,
            status="ok"
            if not wrong
            else f"{len(wrong)} of {len(names)} items not valid: {next(iter(wrong.values()))}",
            text=self.endpoint.secret.scrub(answer.body),
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            scores={
                self._key(work.variant, text): (
                    text_hash(text),
                    scores,
                )
                for text, scores in valid.items()
            },
            holder=self._holder,
        )
        self._answers += 1
        self.asked.scores.update({(work.variant, text): scores for text, scores in valid.items()})
        self._tell()
        if wrong:
            self._ask_again(work, wrong)
        return tokens_in, tokens_out

    def _ask_again(self, work: Work, wrong: dict[str, str]) -> None:
        tried = work.tried + 1
        left = self.settings.retries - tried
        if left < 0:
            self._note(work.variant, {text: f"{reason} ({tried} answers)" for text, reason in wrong.items()})
            return
        size = 1 if left == 0 else max(1, len(work.texts) // 2)
        texts = list(wrong)
        for start in reversed(range(0, len(texts), size)):
            part = tuple(texts[start : start + size])
            reasons = list(dict.fromkeys(wrong[text] for text in part))[:3]
            self._again.appendleft(Work(work.variant, part, tried=tried, complaint="; ".join(reasons)))

    def _give_up(self, work: Work, outcome: Trouble) -> None:
        self._note(work.variant, dict.fromkeys(work.texts, f"{outcome.why} ({work.failed} requests)"))
        if outcome.code == 429:
            raise EndpointError(
                f"{self.endpoint.address} still has no room after {work.failed} requests ({outcome.why}); lower "
                f"concurrency = {self.settings.concurrency}, or run again later"
            )
        if outcome.action == "again" or not outcome.code:
            self._lost += 1
            if self._lost >= _LOST_IN_A_ROW:
                raise EndpointError(
                    f"{self.endpoint.address} has not answered {self._lost} requests in a row, each tried "
                    f"{work.failed} times ({outcome.why})"
                )

    def _note(self, variant: int, reasons: dict[str, str]) -> None:
        self.asked.reasons.update({(variant, text): reason for text, reason in reasons.items()})
        self.ledger.release(self._holder, [self._key(variant, text) for text in reasons])
        self._tell()
        if not self.asked.scores and len(self.asked.reasons) >= _USELESS_FIRST:
            reason = next(iter(reasons.values()))
            raise EndpointError(
                f"model {self.settings.model!r} at {self.endpoint.address} has not scored any of the first "
                f"{len(self.asked.reasons)}: {reason}"
            )

    def _key(self, variant: int, text: str) -> str:
        return item_key(self.settings.model, prompt_name(self.kind, variant), self._fingerprint, text)

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(len(self.asked.scores) + len(self.asked.reasons), self._all)


def explain_stop(error: BurnishError, budget: Budget, ledger: Ledger, done: int, of: int) -> str:
    """The message of an error that stopped a run, with what was done and how to go on."""
    used = " ".join(budget.lines())
    return (
        f"{error}. Done: {done:,} of {of:,} answers; this run: {used}. All answers are in {ledger.path}: the same "
        f"call goes on from there and pays for none of them again."
    )
