"""Meta-paths found in a graph: how well each recommends alone, measured on hidden training interactions.  Ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from burnish.checks import finite_number, whole_number
from burnish.errors import ConfigurationError, DataError

from .candidates import candidates
from .graph import RATED, Graph
from .metapaths import MetaPath
from .trial import Found, Hidden, Trial, hide


@dataclass(frozen=True)
class Mined:
    """A meta-path, and how well its walk alone recommends interactions that were hidden.

    Means over the users that were looked at; `popular_*` are of the same users, by popularity.

    Attributes
    ----------
    metapath
        The meta-path.
    precision, popular_precision
        The share of the first `at` items that were hidden ones.
    ndcg, popular_ndcg
        NDCG of the first `at` items.
    lift, error
        `ndcg` less `popular_ndcg`, and its standard error over users (NaN of a single one).
    users
        The share of users with an item that they do not know at the end of a path.
    found
        The share of the hidden interactions whose item is at the end of a path.
    reached
        At how many items that they do not know a user's paths end.
    paths
        How many paths of this kind a user has, to known items, too.
    added
        What it adds to the NDCG of those that were chosen before it; see `mine`.
    """

    metapath: MetaPath
    precision: float
    popular_precision: float
    ndcg: float
    popular_ndcg: float
    lift: float
    error: float
    users: float
    found: float
    reached: float
    paths: float
    added: float

    @property
    def collaborative(self) -> bool:
        """Whether it knows of nothing but who interacted with what."""
        return self.metapath.collaborative


def mine(
    graph: Graph,
    *,
    longest: int = 3,
    keep: int = 8,
    users: int = 1000,
    share: float = 0.2,
    at: int = 10,
    seed: int = 0,
    diverse: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Mined]:
    """The meta-paths of a graph that recommend best, looked for in its training interactions.

    Of some users a share of the interactions is hidden from the graph.  From each of these users a walk with equal
    chances at every node goes along each meta-path of `candidates`; the items where it ends and that the user does not
    know are ranked by its probability, and the list is judged by the hidden items.  Items where it does not end are not
    in the list, which may be short or empty.  Equal probabilities are put in an order by chance.  Nothing is learned,
    and nothing but the graph is looked at: give that of the training split.  Hidden are edges of the relation "rated":
    another one that repeats most interactions would know them, and is to be left out of the graph.

    One after the other those are chosen that add most, where a hidden item counts for a meta-path what it adds to the
    NDCG, and less by `diverse` where a meta-path chosen before has it among its first `at`, too.  So of two kinds of
    paths that recommend the same only the better one comes early, whatever they are called.  The figures choose among
    many on the same users, so that those of the first are a little too good; choose the final model on validation data.

    Parameters
    ----------
    graph
        Of the training split, with the relation "rated".
    longest
        How many steps a meta-path has at most; every second one makes many more.
    keep
        How many to choose.  There are fewer where no other one adds anything.
    users
        Of how many users, drawn by `seed`, interactions are hidden; of all with two interactions where there are fewer.
    share
        Of a user's interactions that are hidden; at least one is, and one is not.
    at
        How many items a list has.
    seed
        Of the users, of what is hidden, and of the order of equal probabilities.
    diverse
        From 0, the best ones, to 1, the ones that find what others do not.
    progress
        Called with how much is done and how much there is to do.

    Returns
    -------
    list of Mined
        In the order of the choice.

    Raises
    ------
    UnknownNameError
        For a graph without the relation "rated".
    DataError
        For a graph without users or items; where no user has two interactions, or no meta-path exists.
    ConfigurationError
        For options that are out of their range; for more meta-paths than can be tried.

    Examples
    --------
    >>> import torch
    >>> from burnish.enhancers.paths.graph import Graph, Relation
    >>> from burnish.enhancers.paths.mining import mine
    >>> users = torch.arange(1, 41).repeat_interleave(6)
    >>> items = 1 + (users % 2) * 10 + (torch.arange(240) * 7 + users * 3) % 10
    >>> graph = Graph(
    ...     {"user": 41, "item": 21, "genre": 2},
    ...     [
    ...         Relation.of("rated", "user", "item", users, items),
    ...         Relation.of("genre", "item", "genre", torch.arange(1, 21), torch.arange(20) // 10),
    ...     ],
    ... )
    >>> for one in mine(graph, at=5):
    ...     print(one.metapath, one.lift > 2 * one.error)
    user -rated-> item <-rated- user -rated-> item True
    """
    for name, value in (("keep", keep), ("users", users), ("at", at)):
        whole_number(name, value)
    if not 0 < finite_number("share", share) < 1:
        raise ConfigurationError(f"share = {share}: give a number between 0 and 1, such as 0.2")
    if not 0 <= finite_number("diverse", diverse) <= 1:
        raise ConfigurationError(f"diverse = {diverse}: give a number from 0 to 1")
    graph.relation(RATED)
    found = candidates(graph, longest)
    if not found:
        steps = "step leads" if longest == 1 else "steps leads"
        raise DataError(f"no meta-path of up to {longest} {steps} from users to items that they do not know")
    hidden = hide(graph, users, share, seed)
    popular, seen, paths = Trial(hidden, found, at, seed).run(progress)
    judge = _Judge(hidden, popular, at)
    judged = [judge(*one) for one in zip(found, seen, paths, strict=True)]
    return _chosen(judged, len(hidden.rows), keep, diverse)


# ---------------------------------------------------------------------- figures, and the choice


@dataclass(frozen=True)
class _Judged:
    """A candidate with its figures.

    hits: which of the hidden items are in lists.  gains: what each adds to the NDCG.
    """

    mined: Mined
    hits: Tensor
    gains: Tensor


class _Judge:
    """From places in lists to figures."""

    def __init__(self, hidden: Hidden, popular: Found, at: int) -> None:
        self.rows, self.n, self.at = hidden.rows, len(hidden.users), at
        n_hidden = torch.bincount(self.rows, minlength=self.n)
        places = torch.arange(1, at + 1, dtype=torch.float64, device=self.rows.device)
        self.discounts = 1 / (places + 1).log2()
        self.ideal = self.discounts.cumsum(0)[n_hidden.clamp(max=at) - 1]
        self.popular_precision, self.popular_ndcg, *_ = self._figures(popular)

    def _figures(self, seen: Found) -> tuple[float, Tensor, Tensor, Tensor]:
        """Precision; NDCG of each user; hits, and what each adds to its user's NDCG."""
        hits = torch.cat(seen.hits) if seen.hits else self.rows[:0]
        places = torch.cat(seen.places) if seen.places else self.rows[:0]
        rows = self.rows[hits]
        gains = self.discounts[places - 1] / self.ideal[rows]
        ndcg = gains.new_zeros(self.n).index_add(0, rows, gains)
        return len(hits) / (self.n * self.at), ndcg, hits, gains

    def __call__(self, path: MetaPath, seen: Found, paths: float) -> _Judged:
        precision, ndcg, hits, gains = self._figures(seen)
        lift = ndcg - self.popular_ndcg
        mined = Mined(
            metapath=path,
            precision=precision,
            popular_precision=self.popular_precision,
            ndcg=float(ndcg.mean()),
            popular_ndcg=float(self.popular_ndcg.mean()),
            lift=float(lift.mean()),
            error=float(lift.std()) / math.sqrt(self.n) if self.n > 1 else math.nan,
            users=seen.users / self.n,
            found=seen.found / len(self.rows),
            reached=seen.reached / self.n,
            paths=paths,
            added=0.0,
        )
        return _Judged(mined, hits, gains / self.n)


def _chosen(judged: Sequence[_Judged], n_hidden: int, keep: int, diverse: float) -> list[Mined]:
    """One after the other what adds most; among equals what has the higher NDCG, then what comes first."""
    rest = list(judged)
    chosen: list[Mined] = []
    worth = rest[0].gains.new_ones(n_hidden)  # less where a chosen one has it in its lists
    while rest and len(chosen) < keep:
        added = [float((one.gains * worth[one.hits]).sum()) for one in rest]
        best = max(range(len(rest)), key=lambda number: (added[number], rest[number].mined.ndcg))
        if added[best] <= 0:
            break
        taken = rest.pop(best)
        chosen.append(replace(taken.mined, added=added[best]))
        worth[taken.hits] = 1 - diverse
    return chosen


def mined_rows(mined: Sequence[Mined]) -> list[dict[str, str | float | bool]]:
    """A table for people, with a last row for popularity; shares and means as numbers.

    Parameters
    ----------
    mined
        As `mine` gives them.

    Returns
    -------
    list of dict
        One a meta-path, by the names of columns.

    Examples
    --------
    >>> mined_rows([])
    []
    """
    rows: list[dict[str, str | float | bool]] = [
        {
            "meta-path": str(one.metapath),
            "collaborative": one.collaborative,
            "precision": one.precision,
            "ndcg": one.ndcg,
            "lift": one.lift,
            "error": one.error,
            "added": one.added,
            "users": one.users,
            "found": one.found,
            "reached": one.reached,
            "paths": one.paths,
        }
        for one in mined
    ]
    if mined:
        rows.append(
            {
                "meta-path": "popularity",
                "precision": mined[0].popular_precision,
                "ndcg": mined[0].popular_ndcg,
            }
        )
    return rows
