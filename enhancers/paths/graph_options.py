"""Options of the graph: which files and columns become relations, and what they are called."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from burnish.enhancers.interactions import PositiveFrom
from burnish.files.data_names import split_names
from burnish.strict import Strict

from .graph import ITEM, RATED, USER

#: Type of the nodes of RecBole's `.kg` that are no items.
ENTITY = "entity"


def _word(value: str, what: str) -> str:
    """A name that meta-paths can write."""
    if not value or any(sign.isspace() for sign in value):
        raise ValueError(f"give {what} without white space, such as {'_'.join(value.split()) or 'friend'!r}")
    return value


class Column(Strict):
    """A column of the item or user file as a relation."""

    column: str = Field(description="its name in the file")
    step: float | None = Field(
        default=None, gt=0.0, allow_inf_nan=False, description="cut numbers into bins of this width"
    )
    quantiles: int | None = Field(
        default=None, ge=2, description="cut numbers into so many bins of about as many rows"
    )
    name: str | None = Field(default=None, description="of the relation; null for the column's")
    type: str | None = Field(
        default=None,
        description="of the nodes, such as person for actors and directors; null for the relation's name",
    )

    @model_validator(mode="after")
    def _fits(self) -> Column:
        if self.step is not None and self.quantiles is not None:
            raise ValueError(f"column {self.column!r}: give step or quantiles, not both")
        for value, what in ((self.name, "a name"), (self.type, "a type")):
            if value is not None:
                _word(value, what)
        if self.name == RATED or self.type in (USER, ITEM, ENTITY):
            raise ValueError(
                f"column {self.column!r}: {RATED!r} is the relation of the interactions, and {USER!r}, {ITEM!r} and "
                f"{ENTITY!r} are types of other nodes; give another name or type"
            )
        return self

    @property
    def binned(self) -> bool:
        """Whether its values are numbers that are cut."""
        return self.step is not None or self.quantiles is not None


class EdgeList(Strict):
    """A file with an edge a row: CSV or TSV (plain or gzip; the first line names the columns), or Parquet."""

    file: str = Field(description="from the working folder, or from the data set's")
    source_type: str = Field(
        description="of the nodes where edges begin: user, item, entity (of .kg) or another name"
    )
    target_type: str = Field(description="of the nodes where edges end")
    source: str = Field(
        default="source", description="column of where edges begin; users and items by original id"
    )
    target: str = Field(default="target", description="column of where edges end")
    relation: str | None = Field(
        default=None, description="column of the relations' names; null for `relation` where no name is given"
    )
    name: str | None = Field(default=None, description="of the relation, where all edges are of one")
    separator: str | None = Field(
        default=None, description="null for what the file's suffix says: .csv, .tsv"
    )

    @model_validator(mode="after")
    def _fits(self) -> EdgeList:
        if self.relation is not None and self.name is not None:
            raise ValueError(
                f"edge list {self.file!r}: give name (one relation) or relation (a column), not both"
            )
        _word(self.source_type, "a type"), _word(self.target_type, "a type")
        if self.name is not None:
            _word(self.name, "a name")
        if self.name == RATED:
            raise ValueError(f"name = {RATED!r} is the relation of the interactions; give another")
        if self.separator is not None and (
            len(self.separator) != 1 or not self.separator.isascii() or self.separator in '"\r\n'
        ):
            raise ValueError(
                f"separator = {self.separator!r}: give one ASCII character, no quote and no line end, such as ';'"
            )
        return self


Columns = tuple[Column, ...] | None


class GraphConfig(Strict):
    """What the graph is made of.  By default of all that lies beside the data set's interactions.

    Files are read whole, whatever RecBole's `load_col` says; of interactions only the training split's are.
    """

    positive_from: PositiveFrom = None
    kg: bool | str | None = Field(
        default=None,
        description="RecBole's .kg: null, where it is there; true, it must be; false, never; or another such file",
    )
    link: bool | str | None = Field(
        default=None, description="likewise, of the .link that joins items to entities"
    )
    net: bool | str | None = Field(default=None, description="likewise, of the .net between users")
    relations: tuple[str, ...] | None = Field(
        default=None, description="which relations of .kg to take, by their names there; null for all"
    )
    without: tuple[str, ...] = Field(
        default=(), description="relations to leave out, of any source, by the names that they would have"
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        description="other names for relations, as in {film.film.directed_by: directed_by}; those that get one name "
        "and have the same types at their ends become one",
    )
    entity_types: Literal["inferred", "one"] | dict[str, str] = Field(
        default="inferred",
        description="types of entities. inferred: those to which a single relation leads are of a type named after "
        "it, others of type entity; one: all are; or types by relation, as in {film.film.directed_by: person}, of "
        "where it leads to (where it comes from, if it leads to items), the first one where an entity has several",
    )
    twins: Literal["drop", "keep"] = Field(
        default="drop",
        description="of relations in .kg that hold the same edges, or the same the other way round, take one, or all",
    )
    symmetric: bool = Field(default=False, description="take the edges of .net both ways")
    net_name: str | None = Field(
        default=None,
        description="the relation of .net; null for what its columns say (friend_id: friend), or friend",
    )
    item_columns: Columns = Field(
        default=None,
        description="columns of the item file: names, or {column, step, quantiles, name, type}; null for all of type "
        "token and token_seq but ids, titles, texts, and those with a value of its own for nearly every row",
    )
    user_columns: Columns = Field(default=None, description="likewise, of the user file")
    edges: tuple[EdgeList, ...] = Field(
        default=(), description="files with an edge a row: {file, source_type, target_type, ...}"
    )
    titles: str | None = Field(
        default=None,
        description="column that names items; null for the one noted by `burnish data csv`, else by a usual name",
    )
    entity_names: str | None = Field(
        default=None, description="file (.tsv, .csv, plain or gzip, .parquet) with entities and their names"
    )

    @field_validator("item_columns", "user_columns", "relations", "without", mode="before")
    @classmethod
    def _names(cls, value: object, info: ValidationInfo) -> object:
        """A string of names with commas, as on the command line, is a list of them; a name stands for a column."""
        if isinstance(value, str):
            value = split_names(value)
        if isinstance(value, list | tuple) and str(info.field_name).endswith("_columns"):
            return [{"column": one} if isinstance(one, str) else one for one in value]
        return value

    @field_validator("item_columns", "user_columns")
    @classmethod
    def _once(cls, value: Columns) -> Columns:
        asked = [(one.column, one.name) for one in value or ()]
        for one in asked:
            if asked.count(one) > 1:
                raise ValueError(f"column {one[0]!r} is there twice; give it once, or a name to each")
        return value

    @field_validator("names", "entity_types")
    @classmethod
    def _words(cls, value: Any) -> Any:
        for name in value.values() if isinstance(value, dict) else ():
            _word(name, "a name")
            if name in (RATED, USER, ITEM):
                raise ValueError(f"{name!r} stands for something else already; give another name")
        return value

    @field_validator("net_name")
    @classmethod
    def _net_word(cls, value: str | None) -> str | None:
        if value == RATED:
            raise ValueError(f"{RATED!r} is the relation of the interactions; give another name")
        return value if value is None else _word(value, "a name")

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        reasons: dict[str, str] = {}
        if self.kg is False:
            reasons |= dict.fromkeys(
                self._given("link", "relations", "twins", "entity_types"), "with kg: false"
            )
        if self.net is False:
            reasons |= dict.fromkeys(self._given("symmetric", "net_name"), "with net: false")
        return reasons

    def _given(self, *names: str) -> list[str]:
        fields = type(self).model_fields
        return [
            name
            for name in names
            if getattr(self, name) != fields[name].get_default(call_default_factory=True)
        ]
