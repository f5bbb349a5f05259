"""What scorers take and give: texts of items in, scores on attributes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from burnish.errors import ConfigurationError, DataError, unknown_name

from ..attributes import AttributeSchema

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Texts:
    """What is to be scored: ids, and the text fields of each.

    Fields hold what describes an item, or a user's training history; nothing of validation or test.

    Parameters
    ----------
    ids
        Original ids (tokens) of items, or of users.
    fields
        For each field its texts, in the order of `ids`; an empty string where there is none.
    split
        Of users: the `training_fingerprint` of the split that the texts were made of; None where that is not known.
    title
        Of items: the field that names one, where the data set says so.

    Raises
    ------
    DataError
        For an id that is there twice, or a field with too few texts.
    """

    ids: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    split: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.ids)) < len(self.ids):
            twice = next(token for token in self.ids if self.ids.count(token) > 1)
            raise DataError(f"the id {twice!r} is there more than once; give each id one row of texts")
        for name, values in self.fields.items():
            if len(values) != len(self.ids):
                raise DataError(f"text field {name!r} has {len(values)} texts for {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.ids)

    def one(self, number: int) -> dict[str, str]:
        """The fields of one id that are not empty, by name."""
        return {name: values[number] for name, values in self.fields.items() if values[number].strip()}

    def take(self, numbers: Sequence[int]) -> Texts:
        """Some of the ids, by position."""
        fields = {name: tuple(values[n] for n in numbers) for name, values in self.fields.items()}
        return Texts(tuple(self.ids[n] for n in numbers), fields, self.split, self.title)


@dataclass(frozen=True)
class Scores:
    """Scores of items (or users) on attributes.

    Parameters
    ----------
    ids
        Original ids.
    attributes
        Their names.
    values
        `[n, m]`, NaN where unknown.
    uncertainty
        `[n, m]`, the standard deviation of a score between repeated judgements, NaN where unknown; None where the
        scorer has no way to tell.
    scale
        Lowest and highest possible score; None where the scorer has no bounds.
    source
        Who scored, for people.
    notes
        By id, why it has no score.
    split
        Of users: the `training_fingerprint` of the split that made the scores; None where that is not known.
    id_name
        What a file calls its column of ids; None where there is none.

    Raises
    ------
    DataError
        For arrays of another shape, an id that is there twice, and an infinite score.
    """

    ids: tuple[str, ...]
    attributes: tuple[str, ...]
    values: FloatArray
    uncertainty: FloatArray | None = None
    scale: tuple[float, float] | None = None
    source: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    id_name: str | None = None

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.attributes))
        if self.values.shape != shape:
            raise DataError(f"scores have shape {self.values.shape}; {shape} was expected, one row an id")
        if self.uncertainty is not None and self.uncertainty.shape != shape:
            raise DataError(f"uncertainties have shape {self.uncertainty.shape}; {shape} was expected")
        if len(set(self.ids)) < len(self.ids):
            seen: set[str] = set()
            twice = next(token for token in self.ids if token in seen or seen.add(token))  # type: ignore[func-returns-value]
            raise DataError(f"scores: the id {twice!r} has more than one row; keep one of them")
        if np.isinf(self.values).any():
            row, column = np.argwhere(np.isinf(self.values))[0]
            raise DataError(
                f"scores: {self.attributes[column]} of id {self.ids[row]!r} is infinite; give a finite number, or "
                f"leave the cell empty"
            )

    def only(self, names: Sequence[str]) -> Scores:
        """Some of the attributes, in the order given.  Raises `UnknownNameError` for one that is not there."""
        for name in names:
            if name not in self.attributes:
                raise unknown_name("attribute", name, self.attributes)
        if len(set(names)) < len(names) or not names:
            raise ConfigurationError(f"attributes = {list(names)!r}; give at least one, and each once")
        columns = [self.attributes.index(name) for name in names]
        spread = None if self.uncertainty is None else self.uncertainty[:, columns]
        return replace(self, attributes=tuple(names), values=self.values[:, columns], uncertainty=spread)

    def rows(self, ids: Sequence[str]) -> FloatArray:
        """Values `[len(ids), m]` in the order of `ids`; NaN for an id that has no row."""
        number = {token: row for row, token in enumerate(self.ids)}
        values = np.full((len(ids), len(self.attributes)), np.nan)
        for row, token in enumerate(ids):
            if token in number:
                values[row] = self.values[number[token]]
        return values


class Scorer(Protocol):
    """Whatever scores texts on the attributes of a schema."""

    name: str

    def score(self, texts: Texts, schema: AttributeSchema) -> Scores:
        """Score texts.

        Parameters
        ----------
        texts
            The ids to be scored, with what is known of them.
        schema
            The attributes and their scale.

        Returns
        -------
        Scores
            Of all `texts.ids`, in their order, on `schema.names`.
        """
        ...
