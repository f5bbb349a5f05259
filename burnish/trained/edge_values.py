"""Values of the edges of a trained model's graph: of interactions a graph backbone propagates along, and of `paths`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.checks import whole_number
from burnish.enhancers.anatomy.describe import propagation
from burnish.enhancers.paths.edge_effects import path_edge_values
from burnish.enhancers.paths.path_model import PathModel
from burnish.enhancers.shapley.edge_values import PairGraph, VectorGraph
from burnish.enhancers.shapley.edge_values import edge_values as values_in_propagation
from burnish.enhancers.shapley.valuation import Valuation
from burnish.enhancers.softmax.vectors import find_vectors
from burnish.enhancers.weights.propagation import GRAPH_BACKBONES, Propagation
from burnish.errors import UnsupportedError

from .export import anatomy_of
from .open import open_trained
from .titles import read_titles

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult
    from burnish.training.trained_model import TrainedModel

EDGES = "edges"


class PropagatedEdges:
    """Values of the interactions that a graph backbone propagates along, as its edges (`shapley.edge_values`).

    Raises `UnsupportedError` for a model that has no such graph.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self._trained = trained
        model, training = trained.model, trained.splits.training
        model.eval()
        own = getattr(getattr(model, "enhancers", None), "weigher", None)
        known = getattr(own, "propagation", None)  # whose edges an enhancer weighs
        try:
            self._propagation: Propagation = Propagation(model, training) if known is None else known
        except UnsupportedError as error:
            raise UnsupportedError(
                f"objective {EDGES!r} values the interactions that a graph backbone propagates along, and "
                f"{trained.config['model']} keeps no graph of them whose edges can be weighted; "
                f"{', '.join(GRAPH_BACKBONES)} do"
            ) from error
        call = propagation(model)
        anatomy = anatomy_of(trained)
        vectors = None if call is None else find_vectors(model, anatomy, training)
        if call is not None and vectors is not None and vectors.source == "output":
            self._scores: Callable[[], VectorGraph | PairGraph] = partial(VectorGraph, lambda: call()[:2])
        else:
            self._scores = partial(PairGraph, self._pairs)
        self._known: dict[tuple[int, int], Tensor] = {}

    def values(self, rows: np.ndarray, *, folds: int, seed: int) -> Tensor:
        """The values `[n]` of these rows of the training data, which judge each other; kept for the next question."""
        if (folds, seed) not in self._known:
            data = self._trained.dataset
            columns = self._trained.splits.training.inter_feat
            users, items = (columns[name][rows].long() for name in (data.uid_field, data.iid_field))
            found = values_in_propagation(
                self._propagation, self._scores(), users, items, folds=folds, seed=seed
            )
            self._known[folds, seed] = found[self._propagation.edges[2][torch.from_numpy(rows)]]
        return self._known[folds, seed]

    def _pairs(self, users: Tensor, items: Tensor) -> Tensor:
        from recbole.data.interaction import Interaction

        data = self._trained.dataset
        scores: Tensor = self._trained.model.predict(
            Interaction({data.uid_field: users, data.iid_field: items})
        )
        return scores.reshape(-1)


def edge_values(
    source: TrainedModel | TrainingResult | Path | str,
    *,
    repeats: int = 5,
    folds: int = 5,
    seed: int = 0,
    title_field: str | None = None,
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Valuation:
    """Value every edge of the graph that a path model walks on: of a run with `paths`, or of PathWalks.

    An edge is worth by how much the path model's loss on hidden training interactions would rise without it, to first
    order: -(d loss / d a) * a, where a is its learned weight.  The loss is -log of the probability of an interaction
    when the user's walks do not begin with it, summed over all.  No validation or test interaction is looked at.  For
    edges that a graph backbone propagates along see the objective "edges" of `value`.

    Parameters
    ----------
    source : TrainedModel, TrainingResult, Path or str
        What `burnish.load_run` or `burnish.run` returned, a run's folder, or, with `trust`, a RecBole checkpoint.
    repeats : int, default 5
        With other folds; their mean is the value, their spread its standard error (NaN for a single one).
    folds : int, default 5
        Folds that a user's interactions are dealt out to, 2 or more; each is hidden in turn.
    seed : int, default 0
        Decides the folds.
    title_field : str, optional
        The column of the item file with the names of items; by default a usual one, if there is any.
    model, data_path, trust
        As for `burnish.value`.
    progress : callable, optional
        Called after each repeat with how many are done, and of how many.

    Returns
    -------
    Valuation
        The output "edges".  The players are the edges: relation; from_type, from and from_name, to_type, to and
        to_name (original ids, and what people call them); and weight, the learned weight over that at the start.

    Raises
    ------
    UnsupportedError
        For a model without a path model.
    BurnishError
        For other arguments that cannot be used.

    References
    ----------
    First-order in-run data Shapley: Wang, Mittal, Song, Jia, arXiv 2406.11011; of edges: ours.

    Examples
    --------
    >>> run = burnish.run("BPR", "ml-100k", enhancers="paths")  # doctest: +SKIP
    >>> burnish.edge_values(run).frame().head()  # doctest: +SKIP
    """
    started = time.perf_counter()
    whole_number("repeats", repeats)
    whole_number("folds", folds, 2)
    trained = open_trained(source, model=model, data_path=data_path, trust=trust)
    paths = path_model_of(trained)
    found = []
    for repeat in range(repeats):
        mixed = np.random.SeedSequence([abs(seed), int(seed < 0), repeat]).generate_state(1, np.uint32)[0]
        found.append(path_edge_values(paths, folds=folds, seed=int(mixed)))
        if progress is not None:
            progress(repeat + 1, repeats)
    relations = list(found[0])
    values = torch.stack([torch.cat([one[name] for name in relations]) for one in found])
    errors = values.std(dim=0) / repeats**0.5 if repeats > 1 else torch.full_like(values[0], torch.nan)
    mean = values.mean(dim=0)
    settled = repeats > 1 and bool(errors.median() <= 0.1 * mean.std(correction=0))
    return Valuation(
        mean[:, None],
        errors[:, None],
        0,  # no game is evaluated
        time.perf_counter() - started,
        settled,
        (EDGES,),
        _edges(trained, paths, relations, title_field),
    )


def path_model_of(trained: TrainedModel) -> PathModel:
    """The path model of a run; `UnsupportedError` where there is none."""
    attached = getattr(trained.model, "enhancers", None)
    parts = (
        [enhancer.model for enhancer in attached.enhancers() if hasattr(enhancer, "finder")]
        if attached
        else []
    )
    found = next(
        (one for one in [*parts, getattr(trained.model, "paths", None)] if isinstance(one, PathModel)), None
    )
    if found is None:
        raise UnsupportedError(
            f"{trained.config['model']} was trained without a path model, so there are no edges of a knowledge graph "
            f"to value; train with the enhancer paths (--enhancers paths) or PathWalks.  For the interactions that a "
            f"graph backbone propagates along, take the objective edges (--objectives edges)"
        )
    return found


def _edges(
    trained: TrainedModel, paths: PathModel, relations: list[str], title_field: str | None
) -> pd.DataFrame:
    """The edges with their ends."""
    data, graph = trained.dataset, paths.graph
    titles = read_titles(trained.config, title_field)
    tokens = {
        kind: np.array(trained.tokens(name, np.arange(data.num(name))), dtype=object)
        for kind, name in (("user", data.uid_field), ("item", data.iid_field))
    }
    tables = []
    for name in relations:
        relation = graph.relation(name)
        columns: dict[str, Any] = {"relation": name}
        for side, kind, nodes in (
            ("from", relation.source, relation.sources.cpu().numpy()),
            ("to", relation.target, relation.targets.cpu().numpy()),
        ):
            labels = graph.labels.get(kind)
            named = None if labels is None else np.array(labels, dtype=object)[nodes]
            ids = (
                tokens[kind][nodes] if kind in tokens else (named if named is not None else nodes.astype(str))
            )
            columns[f"{side}_type"] = kind
            columns[side] = pd.array(ids, dtype="string")
            people = pd.Series(named if named is not None else [pd.NA] * len(nodes))
            if kind == "item" and titles is not None:
                people = pd.Series(ids).map(titles[1])
            columns[f"{side}_name"] = people.astype("string")
        steps = [step for step in paths._parameter if step.relation == name]
        numbers = {paths._parameter[step] for step in steps}
        weights = torch.stack(
            [
                torch.nn.functional.softplus(paths.rate * paths.theta[number].detach().double())
                for number in numbers
            ]
        ).mean(dim=0)
        columns["weight"] = (weights / np.log(2.0)).cpu().numpy()
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
