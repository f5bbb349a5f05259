"""A valuation: what each player of a game is worth, how surely, and what it took to find out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.errors import ConfigurationError, DataError, NonFiniteError, unknown_name
from burnish.files.jsons import parse_json
from burnish.files.whole import written_whole
from burnish.html_tables import page, table

from .parts import MEANINGFUL, each_once, families, part_table, value_of

if TYPE_CHECKING:
    from .summary import Summary

#: Outputs that a notebook shows.
_SHOWN = 8
_METADATA = b"burnish.valuation"
_VALUE, _ERROR, _RANK = "value.", "standard_error.", "rank."


@dataclass(frozen=True, eq=False)
class Valuation:
    """Values of the players of a game with one or more outputs.

    values: `[n_players, n_outputs]`, larger is more valuable.
    standard_error: of the same shape; 0 where a value is exact, NaN where nothing is known about its error.
    evaluations: how many coalitions the game was asked for (0 for a closed form).  seconds: how long it took.
    converged: whether the estimator reached the precision that it was asked for.
    outputs: names, for example of objectives or of embedding dimensions.
    players: what the players are, one row each; for interactions the columns `user` and `item` (original ids) and
        `row` (the row of the training data's `inter_feat`), and any other column that describes them.
    meanings: what outputs stand for whose names do not say it, by output: of groups of items and axes their items.

    Outputs `NAME.PART` are the parts of one value, which they add up to: `by_part`.

    Raises `ConfigurationError` for shapes that do not fit and `NonFiniteError` for a value that is not finite.
    """

    values: Tensor
    standard_error: Tensor
    evaluations: int
    seconds: float
    converged: bool
    outputs: tuple[str, ...]
    players: pd.DataFrame | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.dim() != 2 or self.values.shape[1] != len(self.outputs) or not self.outputs:
            raise ConfigurationError(
                f"values has the shape {list(self.values.shape)}; with {len(self.outputs)} outputs it must be "
                f"[n_players, {max(len(self.outputs), 1)}]"
            )
        if len(set(self.outputs)) < len(self.outputs):
            raise ConfigurationError(f"outputs = {self.outputs}: two outputs have the same name")
        for name in self.meanings:
            self.place(name)
        if self.standard_error.shape != self.values.shape:
            raise ConfigurationError(
                f"standard_error has the shape {list(self.standard_error.shape)} and values "
                f"{list(self.values.shape)}; both must have the same"
            )
        if self.players is not None and len(self.players) != self.n_players:
            raise ConfigurationError(f"players has {len(self.players)} rows for {self.n_players} players")
        finite = torch.isfinite(self.values)
        if not bool(finite.all()):
            player, output = (int(place) for place in torch.nonzero(~finite)[0])
            raise NonFiniteError(
                f"the value of player {player} for output {self.outputs[output]!r} is "
                f"{float(self.values[player, output])}: the game gave such a number, or its scale overflows"
            )

    @property
    def n_players(self) -> int:
        """How many players there are."""
        return int(self.values.shape[0])

    # ------------------------------------------------------------------ arithmetic

    def __add__(self, other: object) -> Valuation:
        """The values of the sum of two games (linearity); errors add in quadrature, as of independent estimates."""
        if not isinstance(other, Valuation):
            return NotImplemented
        if other.outputs != self.outputs or other.n_players != self.n_players:
            raise ConfigurationError(
                f"{self.n_players} players with outputs {self.outputs} and {other.n_players} with {other.outputs} "
                f"cannot be added: the players and the outputs must be the same"
            )
        if not _same_players(self.players, other.players):
            raise ConfigurationError(
                "these valuations are of different interactions, so their sum means nothing"
            )
        return Valuation(
            self.values + other.values.to(self.values.device),
            torch.hypot(self.standard_error, other.standard_error.to(self.values.device)),
            self.evaluations + other.evaluations,
            self.seconds + other.seconds,
            self.converged and other.converged,
            self.outputs,
            self.players if self.players is not None else other.players,
            self.meanings if self.meanings == other.meanings else {},
        )

    def __mul__(self, factor: object) -> Valuation:
        """The values of the game multiplied by a number."""
        if isinstance(factor, bool) or not isinstance(factor, (int, float)):
            return NotImplemented
        return replace(self, values=self.values * factor, standard_error=self.standard_error * abs(factor))

    __rmul__ = __mul__

    def total(self, weights: Mapping[str, float] | Sequence[float] | Tensor | None = None) -> Tensor:
        """One number a player: the weighted sum over the outputs, `[n_players]`.

        weights: a number an output, by name (an output left out counts nothing) or in order; None is 1 each, which
        gives the value of an interaction where the outputs are embedding dimensions.
        """
        if weights is None:
            return self.values.sum(dim=1)
        if isinstance(weights, Mapping):
            for name in weights:
                self.place(name)
            weights = [float(weights.get(name, 0.0)) for name in self.outputs]
        factors = torch.as_tensor(weights, dtype=self.values.dtype, device=self.values.device)
        if factors.shape != (len(self.outputs),):
            raise ConfigurationError(
                f"weights = {weights}: give one number for each of the outputs {self.outputs}"
            )
        return self.values @ factors

    def place(self, output: str) -> int:
        """The column of an output; `UnknownNameError` for one that is not there."""
        if output not in self.outputs:
            raise unknown_name("output of the valuation", output, self.outputs)
        return self.outputs.index(output)

    def column(self, output: str | None = None) -> Tensor:
        """The values for one output, `[n_players]`, or the sum of the parts `OUTPUT.PART`.

        None takes the only one, or the sum of several; of `profile` and its parts (dimensions, axes, prototypes) only
        the first counts, as they are one value.
        """
        if output is None:
            places = [place for own in each_once(self.outputs).values() for place in own]
            return self.values[:, places].sum(dim=1)
        if output not in self.outputs and output in families(self.outputs):
            return self.values[:, families(self.outputs)[output]].sum(dim=1)
        return self.values[:, self.place(output)]

    def label(self, output: str) -> str:
        """An output's name, and in brackets what it stands for where the name does not say it."""
        self.place(output)
        return f"{output} ({self.meanings[output]})" if output in self.meanings else output

    # ------------------------------------------------------------------ frames and files

    def frame(self, *, ranks: bool = True) -> pd.DataFrame:
        """One row a player: its own columns, then `value.NAME`, `standard_error.NAME` and `rank.NAME` an output.

        Rank 1 is the most valuable; equal values share the better rank.
        """
        columns: dict[str, Any] = {}
        if self.players is not None:
            columns = {str(name): self.players[name].reset_index(drop=True) for name in self.players.columns}
        values, errors = self.values.detach().cpu().numpy(), self.standard_error.detach().cpu().numpy()
        for place, name in enumerate(self.outputs):
            columns[_VALUE + name] = values[:, place]
            columns[_ERROR + name] = errors[:, place]
            if ranks:
                order = pd.Series(values[:, place]).rank(ascending=False, method="min")
                columns[_RANK + name] = order.astype("int64").to_numpy()
        return pd.DataFrame(columns)

    def save(self, path: Path | str, format: str | None = None) -> Path:
        """Write `frame()` and the rest into a parquet file, whole or not at all.  Returns the path.

        format: "parquet" says that a name with another suffix, or with none, is meant.
        Raises `ConfigurationError` for another suffix than .parquet and .pq, and when the file cannot be written.
        """
        named = Path(path).is_dir()  # which is told below
        if format is None and not named and Path(path).suffix.lower() not in (".parquet", ".pq"):
            raise ConfigurationError(
                f"{path}: Valuation.save writes a parquet file, which `load` reads; give a name that ends in .parquet, "
                f"or write another kind yourself, as with valuation.frame().to_csv(path)"
            )
        if format not in (None, "parquet"):
            raise unknown_name("format", str(format), ["parquet"])
        import pyarrow as pa
        import pyarrow.parquet as pq

        facts = {
            "format": 1,
            "outputs": list(self.outputs),
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "converged": self.converged,
            "players": None if self.players is None else [str(name) for name in self.players.columns],
            "meanings": dict(self.meanings),
        }
        table = pa.Table.from_pandas(self.frame(), preserve_index=False)
        kept = {**(table.schema.metadata or {}), _METADATA: json.dumps(facts).encode()}
        path = Path(path)
        with written_whole(path) as beside:
            pq.write_table(table.replace_schema_metadata(kept), beside)
        return path

    @classmethod
    def load(cls, path: Path | str) -> Valuation:
        """Read what `save` wrote.  Executes nothing from the file.

        Raises `DataError` for a file that is missing, damaged, or not a valuation.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        if not path.is_file():
            raise DataError(f"{path} does not exist; `burnish value --out {path}` or Valuation.save makes it")
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a parquet file, or a damaged one: {error}") from error
        try:
            facts = parse_json((table.schema.metadata or {})[_METADATA])
            if facts["format"] != 1:
                raise DataError(
                    f"{path} has format {facts['format']!r}, of a later burnish; this one reads 1"
                )
            outputs = tuple(str(name) for name in facts["outputs"])
            frame = table.to_pandas()
            values, errors = (
                torch.stack([torch.tensor(frame[kind + name].to_numpy()) for name in outputs], dim=1)
                for kind in (_VALUE, _ERROR)
            )
            players = None if facts["players"] is None else frame[facts["players"]]
            return cls(
                values,
                errors,
                int(facts["evaluations"]),
                float(facts["seconds"]),
                bool(facts["converged"]),
                outputs,
                players,
                {str(name): str(words) for name, words in facts.get("meanings", {}).items()},
            )
        except DataError:
            raise
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise DataError(
                f"{path} does not hold a valuation that Valuation.save wrote: {error!r}"
            ) from error

    # ------------------------------------------------------------------ other views

    def _repr_html_(self) -> str:
        values, errors = (part.detach().cpu().double() for part in (self.values, self.standard_error))
        rows = [
            (
                self.label(name),
                float(v.mean()),
                float(v.std(correction=0)),
                f"{float((v < 0).double().mean()):.1%}",
                float(e.median()),
            )
            for name, v, e in zip(self.outputs, values.T, errors.T, strict=True)
        ][:_SHOWN]
        heads = ("value", "mean", "standard deviation", "below 0", "median error")
        parts, what = [table(heads, rows)], "players"
        if self.n_players and self.players is not None and {"user", "item"} <= set(self.players):
            from .summary import frame_table

            what = "interactions"
            summary = self.summary(top=3, output=self.outputs[0])
            parts += [frame_table(summary.most, f"most valuable, by {self.outputs[0]}")]
            parts += [frame_table(summary.least, f"least valuable, by {self.outputs[0]}")]
        more = len(self.outputs) - len(rows)
        notes = [f"and {more} more values" if more > 0 else ""]
        notes += ["" if self.converged else "the estimator did not reach the precision that it was asked for"]
        return page(f"{self.n_players:,} {what} valued", *parts, notes=notes)

    def summary(self, *, top: int = 10, output: str | None = None) -> Summary:
        """The most and least valuable interactions, and values by user, by item and by popularity decile.

        output: which one, as for `column`.  Of None and "profile" the most and the least valuable
        interactions say which axis, prototype or attribute is most of it, where there are such outputs; of a sum of
        attributes which attribute.
        Raises `DataError` for a valuation whose players have no `user` and `item`.
        """
        from .summary import summarise

        values = self.column(output).detach().cpu().double().numpy()
        chosen = output or (self.outputs[0] if len(self.outputs) == 1 else None)
        errors = np.full(len(values), np.nan)
        if chosen is not None and chosen in self.outputs:
            errors = self.standard_error[:, self.place(chosen)].detach().cpu().double().numpy()
        parts = families(self.outputs)
        if output is not None and value_of(output) != "profile":
            parts = {output: parts[output]} if output in parts else {}
        mostly = {
            family: (self.values[:, places].detach().cpu().numpy(), [self.outputs[k] for k in places])
            for family, places in parts.items()
            if family in MEANINGFUL
        }
        return summarise(self.players, values, errors, top=top, output=chosen, mostly=mostly)

    def by_part(self, objective: str) -> pd.DataFrame:
        """The outputs `OBJECTIVE.PART`, what is worth most over all players first.

        Columns: part, meaning (where there are meanings), mean, share (of the sum of the means), standard_deviation,
        negative (the share of players with a value below 0) and largest (of players whose largest part it is).
        Raises `UnknownNameError` for an objective without parts.
        """
        found = families(self.outputs)
        if objective not in found:
            raise unknown_name("objective with parts", objective, found)
        names = [self.outputs[place] for place in found[objective]]
        return part_table(
            self.values[:, found[objective]].detach().cpu().double().numpy(), names, self.meanings
        )

    def to_shap(
        self,
        row: int | None = None,
        *,
        output: str | None = None,
        base: float | Sequence[float] = 0.0,
        data: Any = None,
    ) -> Any:
        """The values as a `shap.Explanation`, for shap's plots (`shap.plots.bar`, `beeswarm`, `waterfall`).

        Without `output` the players are the samples and the outputs their features: `[n_players, n_outputs]` for
        bar and beeswarm, or with `row` one player's `[n_outputs]` for waterfall (how its total is made up).
        With `output` the players are the features of one sample, `[n_players]`, for waterfall and bar: how the
        output comes about from the players (of a game on one recommendation or one user).

        base: the output of the empty coalition (with `output`) or what the values of a player start from.
        data: what the features are worth by themselves, shown beside the names and as colour: of the shape of the
            values; by default the values.
        Raises `UnsupportedError` where shap is not installed.
        """
        from .to_shap import explanation

        place = None if output is None else self.place(output)
        values, errors = (part.detach().cpu().double().numpy() for part in (self.values, self.standard_error))
        labels = [self.label(name) for name in self.outputs]
        return explanation(
            values, errors, labels, self.players, row, output=output, place=place, base=base, data=data
        )


def _same_players(one: pd.DataFrame | None, other: pd.DataFrame | None) -> bool:
    if one is None or other is None:
        return True
    for name in ("user", "item", "row"):
        if (name in one) != (name in other):
            return False
        if name in one and one[name].tolist() != other[name].tolist():
            return False
    return True
