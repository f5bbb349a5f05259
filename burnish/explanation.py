"""The typed result that everything gives that explains: an `Explanation` with its `Reason`s, and its forms."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from burnish.errors import UnsupportedError
from burnish.html_tables import facts, page, table

if TYPE_CHECKING:
    import pandas as pd

#: What sorts of evidence there are.  Enhancers and backbones of one's own may have others.
KINDS = ("interaction", "attribute", "keyword", "path", "neighbour", "review", "uncertainty")
#: Kinds of reasons whose contributions are parts of a score; those of other kinds are weights.
PARTS = ("interaction", "attribute", "uncertainty")
#: Difference between a score and what it is said to consist of, relative to their size, that counts as rounding.
ROUNDING = 1e-3
#: What `Explanation.to_frame` has a column for, beside the reasons.
_HEAD = ("user", "item", "title", "score", "note")
_ACCOUNT = ("rank", "method", "of", "average", "base", "omitted", "remainder", "additive", "exact", "budget")


@dataclass(frozen=True)
class Reason:
    """One reason for a recommendation.

    Attributes
    ----------
    kind
        What sort of evidence it is: one of `KINDS`, or another one of a method of your own.
    text
        A sentence for a person.
    contribution
        Its share of the score, with its sign: in units of the score for kinds in `PARTS`, else a weight in [0, 1].
    evidence
        The ids and numbers behind the sentence; ids are those of the original data, titles stand beside them.
    standard_error
        Of the contribution: 0 where it is exact, None where nothing is known about it.
    method
        Who gives it: the name of an enhancer, of a backbone, or "history".
    """

    kind: str
    text: str
    contribution: float
    evidence: dict[str, Any] = field(default_factory=dict)
    standard_error: float | None = None
    method: str = ""

    @property
    def counts(self) -> bool:
        """Whether its contribution is anything: it is not where a reason only says how sure the model is."""
        return self.kind != "uncertainty" or self.contribution != 0


@dataclass(frozen=True)
class Explanation:
    """Why an item was recommended to a user.

    Attributes
    ----------
    user, item
        Original ids.
    score
        The model's own.
    reasons
        The strongest first.
    title
        The item's name, where the data have names.
    note
        What else is to be known, such as why there are no reasons; empty where there is nothing.
    rank
        The item's place among what can be recommended to the user, from 1; None where it cannot.
    method
        Whose account of the score `base`, `omitted` and `remainder` are: the first that gives one among the reasons;
        reasons of others have another `method`.  Empty where reasons are weights.
    of
        What contributions are of: "score", or "standing", the score less the mean score of what could be recommended to
        the user; empty where reasons are weights.
    average
        That mean, where they are of the standing; it is a part of `base`.
    base
        The score of which nothing is explained, from which contributions start; None where reasons are weights.
    omitted
        What reasons of `method` that are not listed add up to.
    additive
        Whether the base and all contributions, listed or not, add up to the score within rounding (`ROUNDING`); None
        where reasons are weights.
    exact
        Whether contributions are computed from a closed form or all coalitions, and not estimated; None where reasons
        are weights.
    budget
        Coalitions that were asked for; None where none were.
    scale
        Lowest and highest rating, where the score is a predicted one; None elsewhere.
    """

    user: str
    item: str
    score: float
    reasons: tuple[Reason, ...] = ()
    title: str | None = None
    note: str = ""
    rank: int | None = None
    method: str = ""
    of: str = ""
    average: float | None = None
    base: float | None = None
    omitted: float = 0.0
    additive: bool | None = None
    exact: bool | None = None
    budget: int | None = None
    scale: tuple[float, float] | None = None

    @property
    def shown(self) -> float:
        """The score as people see it: a predicted rating is never beyond its scale."""
        return self.score if self.scale is None else min(max(self.score, self.scale[0]), self.scale[1])

    @property
    def contributions(self) -> tuple[Reason, ...]:
        """The reasons whose contributions are parts of the score by `method`."""
        return tuple(one for one in self.reasons if one.method == self.method and one.kind in PARTS)

    @property
    def remainder(self) -> float | None:
        """What all reasons leave over: the score less the base and contributions, listed or not; None for weights."""
        if self.base is None:
            return None
        return self.score - self.base - self.omitted - sum(one.contribution for one in self.contributions)

    @property
    def name(self) -> str:
        """The title with the id, or the id alone."""
        return f"{self.title} ({self.item})" if self.title else self.item

    # ------------------------------------------------------------------ forms

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as JSON has them; None for what is not a number where numbers are."""
        return {
            "user": self.user,
            "item": self.item,
            "title": self.title,
            "score": finite(self.score),
            "rank": self.rank,
            "share": self.share,
            "note": self.note,
            "method": self.method,
            "of": self.of,
            "average": finite(self.average),
            "base": finite(self.base),
            "omitted": finite(self.omitted),
            "remainder": finite(self.remainder),
            "additive": self.additive,
            "exact": self.exact,
            "budget": self.budget,
            "reasons": [
                {
                    "kind": reason.kind,
                    "text": reason.text,
                    "contribution": finite(reason.contribution),
                    "standard_error": finite(reason.standard_error),
                    "method": reason.method,
                    "evidence": finite(reason.evidence),
                }
                for reason in self.reasons
            ],
        }

    def to_json(self) -> str:
        """One line of JSON."""
        return as_json(self.to_dict())

    def to_frame(self) -> pd.DataFrame:
        """A row a reason, or one without a reason; columns as of `as_frame`."""
        return as_frame([self])

    def to_text(self) -> str:
        """Plain lines: a head, a line a reason, and what the score consists of."""
        ranked = "" if self.rank is None else f"rank {self.rank}, "
        lines = [f"{self.name} for user {self.user}: {ranked}score {self.shown:.4g}"]
        for one in self.reasons:
            sure = f" ± {one.standard_error:.2g}" if one.standard_error else ""
            sign = "+" if one.kind in PARTS else ""
            lines.append(
                f"  {one.contribution:{sign}.4g}{sure}  {one.text}" if one.counts else f"  {one.text}"
            )
        lines += [f"  {text}" for text in (self.account(), self.note) if text]
        return "\n".join(lines)

    __str__ = to_text

    def account(self) -> str:
        """What the score consists of, in one sentence; empty where reasons are weights."""
        if self.base is None or self.remainder is None:
            return ""
        listed = sum(one.contribution for one in self.contributions)
        parts = [f"{self.base:.4g} before any reason"]
        if self.average is not None:
            parts = [f"{self.average:.4g} as the average item has"]
            parts.append(f"{self.base - self.average:+.4g} before any reason")
        parts.append(f"{listed:+.4g} by those listed")
        parts += [f"{self.omitted:+.4g} by others"] if self.omitted else []
        parts += [] if self.additive else [f"{self.remainder:+.4g} that no reason explains"]
        asked = f" from {self.budget:,} coalitions" if self.budget else ""
        how = f" ({self.method}; {'exact' if self.exact else 'estimated'}{asked})"
        return f"score {self.score:.4g}: {', '.join(parts)}{how if self.method else ''}"

    @property
    def share(self) -> float | None:
        """The share of the score that attributes explain, 0 to 1; None where no attribute is among the reasons."""
        return next((one.evidence["share"] for one in self.reasons if "share" in one.evidence), None)

    def _repr_html_(self) -> str:
        errors = any(one.standard_error for one in self.reasons)
        rows = [
            (one.text, one.kind, one.contribution, *((one.standard_error or 0.0,) if errors else ()))
            for one in self.reasons
        ]
        heads = ("reason", "kind", "contribution", *(("±",) if errors else ()))
        parts = [table(heads, rows, text=2)] if rows else []
        if self.base is not None:
            level = 0.0 if self.average is None else self.average
            known = {"average item": self.average, "base": self.base - level, "others": self.omitted or None}
            parts.append(facts(known | {"remainder": None if self.additive else self.remainder}))
        title = f"{self.name} for user {self.user}: score {self.shown:.4g}"
        return page(title, *parts, notes=[self.note])

    def to_shap(self) -> Any:
        """A `shap.Explanation` of the score, for shap's plots (`shap.plots.waterfall`, `bar`).

        Features are the reasons of `method`, then "others" (`omitted`) and "not explained" (`remainder`) where there
        are such, so that the values and the base add up to the score.
        Raises `UnsupportedError` where reasons are weights, which add up to nothing, and where shap is not installed.
        """
        import numpy as np

        if self.base is None or self.remainder is None:
            kinds = ", ".join(sorted({one.kind for one in self.reasons})) or "none"
            raise UnsupportedError(
                f"reasons of kind {kinds} are weights and add up to no score, so they are no shap.Explanation; "
                f"interactions and attributes are one: explain(..., enhancer='history')"
            )
        parts = [(_feature(one), one.contribution, one.standard_error) for one in self.contributions]
        parts += [("others", self.omitted, None)] if self.omitted else []
        parts += [] if self.additive else [("not explained", self.remainder, None)]
        values = np.array([value for _, value, _ in parts], dtype=np.float64)
        errors = np.array([error or 0.0 for *_, error in parts], dtype=np.float64)
        return load_shap().Explanation(
            values,
            base_values=float(self.base),
            data=values.copy(),
            feature_names=[name for name, *_ in parts],
            error_std=errors if errors.any() else None,
        )


class Explanations(list[Explanation]):
    """A list of explanations that a notebook shows one below the other."""

    def to_frame(self) -> pd.DataFrame:
        """One table of all; columns as of `as_frame`."""
        return as_frame(self)

    def to_json(self) -> str:
        """A line of JSON each."""
        return "\n".join(one.to_json() for one in self)

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self)


def _feature(reason: Reason) -> str:
    evidence = reason.evidence
    named = next((evidence[key] for key in ("attribute", "title", "item", "word") if evidence.get(key)), None)
    return reason.text if named is None else str(named)


# ---------------------------------------------------------------------- for files


def as_json(content: Mapping[str, Any]) -> str:
    """One line of JSON; what has no form in JSON becomes text."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, default=str)


def as_frame(explanations: Iterable[Explanation]) -> pd.DataFrame:
    """One row a reason, and one without a reason for an explanation that has none.

    Columns: user, item, title, score, note, reason (from 1), kind, contribution, text, evidence (JSON), then
    standard_error and reason_method of the reason, and rank, method, of, average, base, omitted, remainder, additive,
    exact and budget of the explanation.
    """
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for one in explanations:
        head = tuple(getattr(one, name) for name in _HEAD)
        account = tuple(getattr(one, name) for name in _ACCOUNT)
        if not one.reasons:
            rows.append((*head, None, None, math.nan, None, None, math.nan, None, *account))
        for place, reason in enumerate(one.reasons, start=1):
            evidence = as_json(finite(reason.evidence))
            own = (place, reason.kind, reason.contribution, reason.text, evidence)
            rows.append((*head, *own, reason.standard_error, reason.method, *account))
    names = (*_HEAD, "reason", "kind", "contribution", "text", "evidence", "standard_error", "reason_method")
    frame = pd.DataFrame(rows, columns=pd.Index((*names, *_ACCOUNT)))
    types = dict.fromkeys(
        ("score", "contribution", "standard_error", "average", "base", "omitted", "remainder"), "float64"
    )
    types |= {
        "reason": "Int32",
        "rank": "Int32",
        "budget": "Int64",
        "additive": "boolean",
        "exact": "boolean",
    }
    return frame.astype({name: types.get(name, "string") for name in frame.columns})


def finite(value: Any) -> Any:
    """The value in plain types, as far down as it goes: None for a number that JSON has no form for.

    Numbers of numpy and torch, and arrays of them, are numbers and lists, as enhancers of one's own may give them.
    """
    if isinstance(value, Mapping):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if not isinstance(value, str | bytes | int | float) and hasattr(value, "tolist"):
        return finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_shap() -> Any:
    """The module shap.  Raises `UnsupportedError` where it is not installed."""
    try:
        import shap
    except ImportError as error:
        cure = "`pip install 'burnish[plots]'` adds it"
        raise UnsupportedError(f"shap cannot be imported ({error}); {cure}") from error
    return shap
