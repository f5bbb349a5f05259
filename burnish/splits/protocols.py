"""The split protocols: their names and settings, and what they are among RecBole's `eval_args`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from pydantic import Field, field_validator, model_validator

from burnish.errors import ConfigurationError, nearest, unknown_name
from burnish.strict import Strict, validated

#: burnish's own option.
OPTION = "split"
RANDOM, LEAVE_ONE_OUT, TIME = NAMES = ("random", "leave-one-out", "time")
#: What the option decides of RecBole's `eval_args`; `mode` stays free.
_DECIDED = ("split", "order", "group_by")


class Shares(Strict):
    """Shares of the interactions."""

    valid: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _something_is_left(self) -> Shares:
        if not self.valid + self.test < 1 - 1e-9:
            raise ValueError(f"valid = {self.valid:g} and test = {self.test:g} leave nothing to train on")
        return self


class Dates(Strict):
    """The first instants of validation and test: ISO 8601 (UTC unless there is a zone), or numbers as in the data."""

    valid_from: float | str
    test_from: float | str

    @field_validator("valid_from", "test_from", mode="before")
    @classmethod
    def _instant(cls, value: Any) -> Any:
        if isinstance(value, date):  # as YAML reads them
            value = value.isoformat()
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                seconds_of(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("give a date, as in 1998-03-01, or a number of the times in the data")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Dates:
        ends = [seconds_of(one) if isinstance(one, str) else one for one in (self.valid_from, self.test_from)]
        if type(self.valid_from) is type(self.test_from) and not ends[0] < ends[1]:
            raise ValueError(f"valid_from = {self.valid_from} is not before test_from = {self.test_from}")
        return self


def seconds_of(text: str) -> float:
    """Seconds since 1970 of a text in ISO 8601, in UTC where it has no zone.  Raises `ValueError` for any other."""
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise ValueError(f"{text!r} is no date; write one as 1998-03-01 or 1998-03-01T12:00") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


@dataclass(frozen=True)
class Protocol:
    """A split protocol.  settings: None where it has none."""

    name: str
    settings: Shares | Dates | None

    def as_option(self) -> dict[str, Any]:
        """Everything written out, as the option may be given."""
        return {self.name: {} if self.settings is None else self.settings.model_dump()}

    def eval_args(self) -> dict[str, Any]:
        """The entries of RecBole's `eval_args` that it decides."""
        if self.name == LEAVE_ONE_OUT:
            return {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
        # What dates come to is known with the data; RecBole, which does not read the option, would take these shares.
        shares = self.settings if isinstance(self.settings, Shares) else Shares()
        parts = [round(1 - shares.valid - shares.test, 12), shares.valid, shares.test]
        if self.name == TIME:
            return {"split": {"RS": parts}, "order": "TO", "group_by": "none"}
        return {"split": {"RS": parts}, "order": "RO", "group_by": "user"}


def named(value: Any) -> Protocol:
    """The protocol that the option's value asks for: a name, or a name with settings.

    Raises `UnknownNameError` for a name that does not exist, `ConfigurationError` for settings that cannot be.
    """
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ConfigurationError(
            f"{OPTION} = {value!r}: give {', '.join(NAMES)}, or one of them with its settings, as in "
            f"{{{TIME}: {{valid: 0.1, test: 0.1}}}}"
        )
    name, settings = next(iter(value.items()))
    spelt = str(name).lower().replace("_", "-").replace(" ", "-")
    if spelt not in NAMES:
        raise unknown_name(OPTION, str(name), NAMES, cure="RecBole's own ways stand in eval_args.")
    settings = {} if settings is None else settings
    origin = f"{OPTION}: {spelt}"
    if not isinstance(settings, Mapping):
        raise ConfigurationError(
            f"{origin} = {settings!r}: give settings, as in {{valid: 0.1, test: 0.1}}, or none"
        )
    if spelt == LEAVE_ONE_OUT:
        if settings:
            raise ConfigurationError(f"{origin} has no settings; leave out {', '.join(map(repr, settings))}")
        return Protocol(spelt, None)
    dated = spelt == TIME and any(_is_date(str(key)) for key in settings)
    if dated:
        return Protocol(spelt, validated(Dates, settings, origin, kind="setting"))
    return Protocol(spelt, validated(Shares, settings, origin, kind="setting"))


def _is_date(key: str) -> bool:
    return (nearest(key, [*Shares.model_fields, *Dates.model_fields]) or "") in Dates.model_fields


def as_option(value: Any) -> dict[str, Any]:
    """The option with everything written out.  Raises what `named` does."""
    return named(value).as_option()


def eval_args_of(value: Any, given: Any) -> dict[str, Any]:
    """The `eval_args` of a run: those that were given, with what the option decides.

    value: of the option.  given: `eval_args` as somebody gave them, None for none.
    Raises `ConfigurationError` where they say another split; and what `named` raises.
    """
    protocol = named(value)
    decided = protocol.eval_args()
    if not isinstance(given, Mapping):  # refused elsewhere, where it is not None
        return decided
    for key in _DECIDED:
        if key in given and not _same(given[key], decided[key]):
            raise ConfigurationError(
                f"{OPTION} = {protocol.name!r} and eval_args.{key} = {given[key]!r} say different things; leave out "
                f"one of the two ({protocol.name} is {key}: {decided[key]!r})"
            )
    return {**given, **decided}


def _same(one: Any, other: Any) -> bool:
    return str(one).lower() == str(other).lower() if isinstance(other, str) else bool(one == other)


def with_split(options: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Options with the protocol among them.  Raises `ConfigurationError` where they ask for another one."""
    wanted = as_option(value)
    if OPTION in options and as_option(options[OPTION]) != wanted:
        raise ConfigurationError(
            f"{OPTION} = {value!r} and options.{OPTION} = {options[OPTION]!r} say different things; give one of them"
        )
    eval_args_of(wanted, options.get("eval_args"))
    return {**options, OPTION: wanted}
