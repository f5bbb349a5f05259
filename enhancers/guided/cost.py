"""What scoring will cost, and limits that stop it before they are passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, isfinite

from burnish.errors import BurnishError, ConfigurationError

BYTES_A_TOKEN = 4.0
"""The rule for tokens that nobody has counted yet: four bytes of UTF-8 make one, roughly right for English."""


class LimitError(BurnishError, RuntimeError):
    """A limit of requests or of money would be passed by the next request; nothing that was answered is lost."""


@dataclass(frozen=True)
class Price:
    """What a model costs, in US dollars for a million tokens in and a million tokens out.

    No list of prices is built in: such a list would be wrong soon.
    """

    input_per_million: float
    output_per_million: float

    def __post_init__(self) -> None:
        for name in ("input_per_million", "output_per_million"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise ConfigurationError(
                    f"price: {name} = {value!r}; give dollars for a million tokens, 0 or more"
                )

    def of(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars."""
        return (input_tokens * self.input_per_million + output_tokens * self.output_per_million) / 1e6


@dataclass(frozen=True)
class Limits:
    """What one call of `score` may use at most: dollars, and requests sent (retries count); None for no limit."""

    max_usd: float | None = None
    max_requests: int | None = None

    def __post_init__(self) -> None:
        if self.max_usd is not None and not (isfinite(self.max_usd) and self.max_usd >= 0):
            raise ConfigurationError(f"max_usd = {self.max_usd!r}; give dollars, 0 or more, or leave it out")
        if self.max_requests is not None and (
            isinstance(self.max_requests, bool)
            or self.max_requests != int(self.max_requests)
            or self.max_requests < 0
        ):
            raise ConfigurationError(
                f"max_requests = {self.max_requests!r}; give a whole number, 0 or more, or leave it out"
            )


@dataclass(frozen=True)
class Estimate:
    """What scoring would take, if every answer were valid.

    requests: how many would be sent.  items: how many are to be scored.  already_known: how many of them have all
    their answers in the ledger.  input_tokens, output_tokens: of the requests to be sent; by the rate of this model's
    answers in the ledger where there are any (counted), else four bytes a token.  usd: None without a price.
    """

    requests: int
    items: int
    already_known: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    counted: bool = False

    def lines(self) -> list[str]:
        """The estimate for people, one fact a line."""
        rule = "by this model's earlier answers" if self.counted else f"{BYTES_A_TOKEN:.0f} bytes a token"
        price = "no price given" if self.usd is None else f"about ${self.usd:,.4f}"
        return [
            f"items     {self.items:,}, of which {self.already_known:,} are in the ledger",
            f"requests  {self.requests:,}",
            f"tokens    about {self.input_tokens:,} in, {self.output_tokens:,} out ({rule})",
            f"price     {price}",
        ]


@dataclass(frozen=True)
class Reservation:
    """Tokens set aside for a request in flight: the most that it can cost."""

    body_bytes: int
    input_tokens: float
    output_tokens: float
    usd: float


class Budget:
    """Counts requests and dollars, those in flight at the most they can cost, against the limits.

    A request in flight counts one token a byte of what is sent, which no tokenizer passes, until an answer has told how
    many tokens its bytes were; from then on the highest rate seen, and a tenth more.
    """

    def __init__(self, limits: Limits, price: Price | None) -> None:
        if limits.max_usd is not None and price is None:
            raise ConfigurationError(
                f"max_usd = {limits.max_usd} without a price: give "
                f"price=Price(input_per_million=..., output_per_million=...) as your endpoint charges it"
            )
        self.limits, self.price = limits, price
        self.sent = 0
        self.input_tokens = 0.0
        self.output_tokens = 0.0
        self.usd = 0.0
        self._in_flight: list[Reservation] = []
        self._rate: float | None = None

    @property
    def in_flight(self) -> int:
        """Requests that have been sent and not been settled."""
        return len(self._in_flight)

    def reserve(self, body_bytes: int, most_output: float) -> Reservation | None:
        """Set aside what a request can cost; None where it has to wait until others are settled.

        Raises `LimitError` where it would pass a limit even so.
        """
        limits = self.limits
        if limits.max_requests is not None and self.sent + 1 > limits.max_requests:
            raise LimitError(f"max_requests = {limits.max_requests} is used up")
        tokens = body_bytes * (1.0 if self._rate is None else self._rate * 1.1)
        usd = 0.0 if self.price is None else self.price.of(tokens, most_output)
        if limits.max_usd is not None:
            held = sum(other.usd for other in self._in_flight)
            if self.usd + held + usd > limits.max_usd:
                if self._in_flight:
                    return None
                raise LimitError(
                    f"max_usd = {limits.max_usd}: ${self.usd:.4f} are spent, and the next request can cost up to "
                    f"${usd:.4f}"
                )
        reservation = Reservation(body_bytes, tokens, most_output, usd)
        self._in_flight.append(reservation)
        self.sent += 1
        return reservation

    def settle(
        self, reservation: Reservation, input_tokens: float | None, output_tokens: float | None
    ) -> None:
        """A request is over: it used so many tokens; None where nobody can tell, which counts as all set aside."""
        self._in_flight.remove(reservation)
        if input_tokens is not None and input_tokens > 0:
            rate = input_tokens / max(1, reservation.body_bytes)
            self._rate = rate if self._rate is None else max(self._rate, rate)
        used_in = reservation.input_tokens if input_tokens is None else input_tokens
        used_out = reservation.output_tokens if output_tokens is None else output_tokens
        self.input_tokens += used_in
        self.output_tokens += used_out
        self.usd += 0.0 if self.price is None else self.price.of(used_in, used_out)

    def lines(self) -> list[str]:
        """What has been used, for people."""
        spent = "" if self.price is None else f", ${self.usd:.4f}"
        return [
            f"{self.sent:,} requests, {self.input_tokens:,.0f} tokens in, {self.output_tokens:,.0f} out{spent}"
        ]


def tokens_of(body_bytes: int) -> int:
    """Tokens of so many bytes, by the rule of four."""
    return ceil(body_bytes / BYTES_A_TOKEN)


Progress = Callable[[int, int], None]
"""Called with how many item-prompt pairs are done and how many there are."""
