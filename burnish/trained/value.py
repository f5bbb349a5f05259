"""`burnish.value`: what every training interaction of a trained model is worth, by one or more objectives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.checks import is_file, whole_number
from burnish.enhancers.guided.scorers.shipped import load_scores
from burnish.enhancers.shapley.objectives import combined
from burnish.enhancers.shapley.parts import value_of
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError, DataError, warn

from .finished_shards import FinishedShards, digest_of
from .open import open_trained
from .titles import read_titles
from .value_agreement import Agreement, agreement
from .value_objectives import Shard, check_names, choose, without_effect
from .valued_interactions import item_attributes, valued_interactions

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult
    from burnish.training.trained_model import TrainedModel

#: Interactions in a shard: about so many are lost when a valuation is interrupted.
SHARD = 200_000
#: Values count as settled when their median error is at most this share of their spread.
SETTLED = 0.1
COMBINED = "combined"


def value(
    source: TrainedModel | TrainingResult | Path | str,
    objectives: Sequence[str] | str = "profile",
    *,
    repeats: int = 5,
    folds: int = 5,
    seed: int = 0,
    combine: bool = False,
    table: str | None = None,
    scores: str | None = None,
    title_field: str | None = None,
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> Valuation:
    """Value every training interaction of a trained model.

    No validation or test interaction is looked at.  Interactions labelled negative are left out (of ratings,
    those below `positive_from` of the model's enhancers, by default three quarters of the way up); a sequential model
    has a row for each interaction but a user's first.

    Parameters
    ----------
    source : TrainedModel, TrainingResult, Path or str
        What `burnish.load_run` or `burnish.run` returned, a run's folder, or, with `trust`, a RecBole checkpoint.
    objectives : str or sequence of str, default "profile"
        What interactions are judged by, an output each; a text may name several, separated by commas.

        * "profile": Shapley value for the user's profile, judged by held-out folds of their own training interactions;
        * "dimensions": the same by embedding dimension, an output each, which add up to "profile"; they depend on the
          basis of the embedding, which means nothing (a rotation gives others);
        * "axes": "profile" by the principal axes of the items' directions, ten outputs and the rest, which add up to
          "profile"; the items at the ends of an axis say what it is;
        * "prototypes": "profile" by the group of the item that judges, of eight groups of items, an output each, which
          add up to "profile"; a group's central items say what it is;
        * "attributes": Shapley value for what the user's items are scored on in place of their vectors, an output an
          attribute; needs a run with the enhancer `guided`, or `scores`;
        * "profile_beyond_popularity": as "profile", less what popular items have in common;
        * "ranking": Shapley value for ranking the user's held-out items above items that are as popular;
        * "regression": Shapley value for predicting the user's other items, by a ridge regression between items;
        * "joint": "profile", "profile_beyond_popularity" and twice "regression", standardised within user: separates
          noise best;
        * "fit": negated ranking loss of the trained model, how well it explains the interaction;
        * "standing": the score among other users' scores of the same item, so that popularity cancels;
        * "similarity": cosine of the item to the rest of the user's profile;
        * "edges": of a graph backbone, what the ranking of other interactions loses without this edge in its graph.
    repeats : int, default 5
        With other folds and drawn items, 1 or more; their mean is the value, their spread its standard error (unknown,
        NaN, for a single repeat; 0 for an objective that draws nothing).
    folds : int, default 5
        Folds that a user's interactions are dealt out to, 2 or more.
    seed : int, default 0
        Decides folds and drawn items.
    combine : bool, default False
        Add an output "combined", the sum of the objectives, each standardised within user; "profile" and its parts are
        one value.
    table : str, optional
        The item table to take vectors from, where there are several; by default what a graph backbone propagates, else
        the one that meets users in the score.
    scores : str, optional
        For "attributes": a file of items' scores, as `burnish guide score` makes, or the name of a data set whose
        scores are shipped; by default those that the run's enhancer `guided` has.
    title_field : str, optional
        The column of the item file with the names of items; by default a usual one, if there is any.
    model : str or type, optional
        The class of the run's model, where it is neither RecBole's nor announced by a package, or where that is
        (`"mine.py:Tower"`).
    data_path : Path or str, optional
        Where the data set's folder is now, if it has been moved.
    trust : bool, default False
        Allow what can execute code: unpickling a checkpoint, importing the modules of the run's model and enhancers.

    Returns
    -------
    Valuation
        `values` and `standard_error`, `[n_interactions, n_outputs]`; `meanings`, what outputs of "axes" and
        "prototypes" stand for.  The players are the interactions: columns user,
        item (original ids), row (of the training data's `inter_feat`) and title (if there are titles).

    Raises
    ------
    BurnishError
        For arguments or a model that cannot be used.

    Warns
    -----
    UserWarning
        Where the interactions are too few for their values to mean much: two halves of the users do not agree on them
        (`burnish.trained.value_agreement`).

    References
    ----------
    Shapley values as the worth of interactions: RVRec, arXiv 2509.03130.  Games and estimators: ours, derived in
    docs/values.md.

    Examples
    --------
    >>> run = burnish.run("BPR", "ml-100k")  # doctest: +SKIP
    >>> values = burnish.value(run, "profile,similarity")  # doctest: +SKIP
    >>> values.frame().head()  # doctest: +SKIP
    """
    trained = open_trained(source, model=model, data_path=data_path, trust=trust)
    valuer = Valuer(
        trained,
        objectives,
        repeats=repeats,
        folds=folds,
        seed=seed,
        combine=combine,
        table=table,
        scores=scores,
        title_field=title_field,
    )
    valuation = valuer.run()
    found = valuer.agreement()
    if found is not None and not found.enough:
        warn(found.warning())
    return valuation


def check_settings(
    objectives: Sequence[str] | str,
    *,
    repeats: int,
    folds: int,
    shard: int,
    combine: bool,
    scores: str | None = None,
) -> None:
    """Raise `ConfigurationError`, `UnknownNameError` or `DataError` for what `Valuer` would refuse of any model."""
    names = check_names(objectives)
    whole_number("repeats", repeats)
    whole_number("folds", folds, 2)
    whole_number("shard", shard)
    if combine and len({value_of(name) for name in names}) < 2:
        only = (
            "there is one objective only" if len(names) < 2 else f"{', '.join(names)} are one value, profile"
        )
        raise ConfigurationError(f"combine: {only}; name several, or leave combine out")
    if scores is not None and not is_file(Path(scores)):
        load_scores(scores)  # shipped ones, or says that they are not there


@dataclass(eq=False, kw_only=True)
class Valuer:
    """Values shard after shard of users, so that memory stays bounded and little is lost.

    Parameters
    ----------
    trained
        The model and its data.
    objectives, repeats, folds, seed, combine, table, scores, title_field
        As for `value`.
    shard
        About how many interactions are valued at a time; the values depend on it where folds are drawn.
    """

    trained: TrainedModel = field(kw_only=False)
    objectives: Sequence[str] | str = field(default="profile", kw_only=False)
    repeats: int = 5
    folds: int = 5
    seed: int = 0
    combine: bool = False
    table: str | None = None
    scores: str | None = None
    title_field: str | None = None
    shard: int = SHARD

    def __post_init__(self) -> None:
        given = ("repeats", "folds", "shard", "combine", "scores")
        check_settings(self.objectives, **{name: getattr(self, name) for name in given})
        self.titles = read_titles(self.trained.config, self.title_field)
        self.interactions = valued_interactions(self.trained, self.table)
        if not self.interactions.n:
            raise DataError("the training data hold no interaction, so there is nothing to value")
        self._chosen = choose(self.objectives, self.interactions, str(self.trained.config["model"]))
        if any(one.name == "attributes" for one in self._chosen):
            self.interactions.attributes = item_attributes(self.trained, self.interactions.items, self.scores)
        elif self.scores is not None:
            warn(f"scores = {self.scores!r} have no effect without the objective attributes")
        defaults = type(self).__dataclass_fields__
        options = {name: getattr(self, name) for name in ("repeats", "folds", "table")}
        typed = {name: value for name, value in options.items() if value != defaults[name].default}
        for words in without_effect(self._chosen, typed):
            warn(words)
        self.outputs = tuple(name for one in self._chosen for name in one.outputs(self.interactions))
        self.outputs += (COMBINED,) if self.combine else ()
        self._order, self._cuts = _cut(self.interactions.users.cpu().numpy(), self.shard)

    @property
    def n_shards(self) -> int:
        """How many shards of users there are."""
        return len(self._cuts) - 1

    def run(
        self, shards_in: Path | None = None, progress: Callable[[int, int, bool], None] | None = None
    ) -> Valuation:
        """Value all shards.

        Parameters
        ----------
        shards_in
            A folder that finished shards are kept in (and taken from, when they are of the very same model, data and
            settings); it is left as it is (`FinishedShards.remove`), since only the caller knows when the valuation is
            safe.
        progress
            Called after each shard with how many are done, of how many, and whether this one was finished already.
        """
        started = time.perf_counter()
        finished = FinishedShards(shards_in, self.fingerprint() if shards_in is not None else "")
        shape = (self.interactions.n, len(self.outputs))
        values, errors = torch.empty(shape, dtype=torch.float64), torch.empty(shape, dtype=torch.float64)
        for number in range(self.n_shards):
            kept = finished.read(number)
            valued = kept if kept is not None else self._shard(number)
            if kept is None:
                finished.write(number, *valued)
            values[self._rows(number)], errors[self._rows(number)] = valued
            if progress is not None:
                progress(number + 1, self.n_shards, kept is not None)
        return Valuation(
            values,
            errors,
            0,  # closed forms: no game is evaluated
            time.perf_counter() - started,
            _settled(values, errors),
            self.outputs,
            self.players(),
            self.meanings(),
        )

    def run_share(
        self,
        shards_in: Path,
        share: tuple[int, int],
        progress: Callable[[int, int, bool], None] | None = None,
    ) -> None:
        """Value one part of the shards, and keep them for `run`, which finds all of them there in the end.

        share: which part, from 0, and of how many.  progress: as for `run`, of this part.
        """
        finished = FinishedShards(shards_in, self.fingerprint())
        own = self.shards_of(share)
        for done, number in enumerate(own, start=1):
            kept = finished.read(number) is not None
            if not kept:
                finished.write(number, *self._shard(number))
            if progress is not None:
                progress(done, len(own), kept)

    def shards_of(self, share: tuple[int, int]) -> range:
        """The shards of one part."""
        return range(share[0], self.n_shards, share[1])

    def missing_in(self, shards_in: Path) -> int:
        """How many shards are not there yet."""
        finished = FinishedShards(shards_in, self.fingerprint())
        return sum(finished.read(number) is None for number in range(self.n_shards))

    def agreement(self) -> Agreement | None:
        """How far two halves of the users agree on what the interactions are worth; None where that cannot be told."""
        return agreement(self.interactions.users, self.interactions.items, seed=abs(self.seed))

    def players(self) -> pd.DataFrame:
        """The interactions: user, item, row, and title where there are titles."""
        data = self.trained.dataset
        sides = {}
        for name, column, ids in (
            ("user", data.uid_field, self.interactions.users),
            ("item", data.iid_field, self.interactions.items),
        ):
            sides[name] = pd.array(self._tokens(column)[ids.cpu().numpy() + 1], dtype="string")
        players = pd.DataFrame({**sides, "row": self.interactions.rows})
        if self.titles is not None:
            players["title"] = players["item"].map(self.titles[1]).astype("string")
        return players

    def meanings(self) -> dict[str, str]:
        """What outputs stand for, by output, of those that need words: items by title, else by id."""
        tokens = self._tokens(self.trained.dataset.iid_field)
        titles = self.titles[1] if self.titles is not None else {}

        def name(item: int) -> str:
            token = str(tokens[item + 1])
            return titles.get(token) or token

        found: dict[str, str] = {}
        for one in self._chosen:
            found |= one.meanings_of(self.interactions, name)
        return found

    def _tokens(self, column: str) -> np.ndarray:
        """The original ids of a column, by internal id."""
        return np.array(
            self.trained.tokens(column, np.arange(self.trained.dataset.num(column))), dtype=object
        )

    def fingerprint(self) -> str:
        """A digest of all that the values depend on: weights, interactions and settings."""
        settings = [self.repeats, self.folds, self.seed, self.shard, list(self.outputs)]
        return digest_of(settings, {**self.trained.model.state_dict(), **self.interactions.told_apart_by()})

    def _rows(self, number: int) -> Tensor:
        """The places of a shard's interactions in `interactions`."""
        return torch.from_numpy(self._order[self._cuts[number] : self._cuts[number + 1]])

    def _shard(self, number: int) -> tuple[Tensor, Tensor]:
        """Values and standard errors of one shard: twice `[m, n_outputs]`, on the CPU."""
        valued = self.interactions
        places = self._rows(number).to(valued.users.device)
        users, items = valued.users[places], valued.items[places]
        mean = torch.zeros(len(places), len(self.outputs), dtype=torch.float64, device=users.device)
        squares = torch.zeros_like(mean)
        drawn = any(one.random for one in self._chosen)
        repeats = self.repeats if drawn else 1
        kept: dict[str, Tensor] = {}
        for repeat in range(repeats):
            common = _mixed(self.seed, repeat)
            shard = Shard(places, users, items, _mixed(common, number), common, self.folds)
            now = self._judge(shard, kept)
            step = now - mean
            mean += step / (repeat + 1)
            squares += step * (now - mean)
        if repeats > 1:
            errors = (squares / (repeats - 1) / repeats).sqrt()
        else:
            errors = torch.full_like(mean, torch.nan)
        errors[:, torch.tensor(self._exact(), device=users.device)] = 0.0
        return mean.cpu(), errors.cpu()

    def _judge(self, shard: Shard, kept: dict[str, Tensor]) -> Tensor:
        """All outputs for one repeat.  kept: what does not change from repeat to repeat."""
        columns: list[Tensor] = []
        judged: dict[str, Tensor] = {}
        for one in self._chosen:
            if one.name not in kept:
                values = one.compute(self.interactions, shard).double()
                values = values if values.dim() == 2 else values[:, None]
                if not one.random:
                    kept[one.name] = values
            else:
                values = kept[one.name]
            columns.append(values)
            judged.setdefault(value_of(one.name), values.sum(dim=1))  # a value and its parts count once
        if self.combine:
            columns.append(combined(list(judged.values()), shard.users)[:, None])
        return torch.cat(columns, dim=1)

    def _exact(self) -> list[bool]:
        exact = [not one.random for one in self._chosen for _ in one.outputs(self.interactions)]
        return exact + ([all(exact)] if self.combine else [])


def _mixed(seed: int, number: int) -> int:
    """A seed of its own for each number, in the range that torch's generators take."""
    return int(np.random.SeedSequence([abs(seed), int(seed < 0), number]).generate_state(1, np.uint32)[0])


def _cut(users: np.ndarray, shard: int) -> tuple[np.ndarray, list[int]]:
    """Interactions in the order of users, and where shards begin: at a user's first, about `shard` apart."""
    order = np.argsort(users, kind="stable")
    firsts = np.flatnonzero(np.diff(users[order], prepend=-1))
    cuts = [0]
    for place in np.searchsorted(firsts, np.arange(shard, len(users), shard)):
        if place < len(firsts) and firsts[place] > cuts[-1]:
            cuts.append(int(firsts[place]))
    return order, [*cuts, len(users)]


def _settled(values: Tensor, errors: Tensor) -> bool:
    """Whether the median error of every output is small beside the spread of its values."""
    if bool(torch.isnan(errors).any()):
        return False
    spread = values.std(dim=0, correction=0)
    return bool((errors.median(dim=0).values <= SETTLED * spread).all())
