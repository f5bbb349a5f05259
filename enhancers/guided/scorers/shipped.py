"""The scores that come with the package: a large language model's, for data sets that come with RecBole.

docs/attributes.md says where they are from.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

from burnish.checks import is_file
from burnish.errors import ConfigurationError, DataError, nearest, unknown_name
from burnish.files.data_names import DataNames

from ..attributes import AttributeSchema, load_schema
from .files import chosen_rows, read_scores
from .protocol import Scores, Texts

#: The schema that shipped scores were made with, by data set.
_SCHEMAS = {"ml-100k": "films"}


class ShippedScorer:
    """The shipped scores of a data set, for the ids asked for.

    Parameters
    ----------
    dataset
        One of `shipped_names()`.

    Raises
    ------
    UnknownNameError
        For a data set that scores are not shipped for.
    """

    name = "shipped"

    def __init__(self, dataset: str) -> None:
        self.scores = shipped_scores(dataset)

    def score(self, texts: Texts, schema: AttributeSchema) -> Scores:
        """Look the scores up.

        Parameters
        ----------
        texts
            Only their ids count.
        schema
            The attributes to look up, and their scale.

        Returns
        -------
        Scores
            Of `texts.ids` on `schema.names`; NaN and a note for an id without.

        Raises
        ------
        UnknownNameError
            For an attribute that was not scored.
        DataError
            Where none of the ids is there.
        """
        _same_scale(self.scores, schema)
        return chosen_rows(self.scores.only(schema.names), texts.ids)


def shipped_names() -> tuple[str, ...]:
    """The data sets that scores are shipped for."""
    return tuple(sorted(_SCHEMAS))


def shipped_schema(name: str) -> AttributeSchema:
    """The schema that the shipped scores of a data set were made with.  Raises `UnknownNameError`."""
    return load_schema(_SCHEMAS[_known(name)])


def shipped_scores(name: str) -> Scores:
    """The shipped scores of a data set ("ml-100k": 1,682 films, 16 attributes of the schema films, 0 to 9).

    Raises `UnknownNameError` for a data set that scores are not shipped for.
    """
    schema = shipped_schema(name)
    package = __package__.rpartition(".")[0]
    with resources.as_file(resources.files(package) / "shipped" / f"{name}.tsv") as file:
        return replace(read_scores(file, schema, id_column="item_id"), source=f"shipped scores of {name}")


def load_scores(
    source: str | Path,
    schema: AttributeSchema | None = None,
    *,
    id_column: str | None = None,
    names: DataNames | None = None,
) -> Scores:
    """Scores by the name of a data set that they are shipped for, or from a TSV, CSV or parquet file.

    Parameters
    ----------
    source
        The name, or the file.
    schema
        Take its attributes and insist on its scale, as in `read_scores`.
    id_column
        "item_id" or "user_id", where only one of them will do.
    names
        What the data set calls its ids, which a file may call them, too.

    Returns
    -------
    Scores
        One row an id.

    Raises
    ------
    DataError
        For a file that is missing or cannot be used, see `read_scores`.
    UnknownNameError
        For what is neither a name nor a file, and for an attribute that is not there.
    ConfigurationError
        For another scale, a suffix that names none of the formats, and shipped scores where users' are asked for.
    """
    path = Path(source)
    if str(source) in _SCHEMAS and not is_file(path):
        if id_column == "user_id":
            raise ConfigurationError(
                f"scores = {str(source)!r}: these are of items; give a file of users' scores"
            )
        scores = shipped_scores(str(source))
        if schema is None:
            return scores
        _same_scale(scores, schema)
        return scores.only(schema.names)
    if not (path.suffix or is_file(path) or len(path.parts) > 1):
        _known(str(source))  # says which names there are
    try:
        return read_scores(path, schema, id_column=id_column, names=names)
    except DataError as error:
        guess = None if is_file(path) else nearest(str(source), _SCHEMAS)
        if guess is None:
            raise
        raise DataError(f"{error} The shipped scores are called {guess!r}.") from error


def _known(name: str) -> str:
    if name not in _SCHEMAS:
        cure = "Or give a file of scores (.tsv, .csv, .parquet); burnish guide score makes one."
        raise unknown_name("data set with shipped scores", name, _SCHEMAS, cure=cure)
    return name


def _same_scale(scores: Scores, schema: AttributeSchema) -> None:
    if scores.scale is not None and scores.scale != tuple(schema.scale):
        raise ConfigurationError(
            f"scale = {list(schema.scale)}: {scores.source} go from {scores.scale[0]:g} to {scores.scale[1]:g}; "
            f"use the schema that they were made with"
        )
