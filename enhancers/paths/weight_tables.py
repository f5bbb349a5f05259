"""What a path model has learned, as tables: what each meta-path counts, and which edges count most and least."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from burnish.checks import whole_number

from .graph import Step
from .path_model import PathModel

#: The weight of an edge before training: softplus of 0.
AT_START = math.log(2.0)


def metapath_table(model: PathModel, users: Tensor | None = None) -> list[dict[str, Any]]:
    """What each meta-path counts, the largest share first.

    Parameters
    ----------
    model
        The path model.
    users
        `[b]`, over whose own mixtures the rows go; by default all users.  Without own mixtures it changes nothing.

    Returns
    -------
    list of dict
        `metapath`, `share` (the mean over users), `least` and `most` (over users), `steps`, and `collaborative`:
        whether it knows of nothing but who interacted with what.
    """
    if users is None:
        n = len(model.own_mixing) if model.own_mixing is not None else 2
        users = torch.arange(1, n, device=model.mixing.device)
    with torch.no_grad():
        shares = model.shares(users).double().cpu()
    rows = [
        {
            "metapath": str(path),
            "share": float(shares[:, number].mean()),
            "least": float(shares[:, number].min()),
            "most": float(shares[:, number].max()),
            "steps": len(path),
            "collaborative": path.collaborative,
        }
        for number, path in enumerate(model.metapaths)
    ]
    return sorted(rows, key=lambda row: -float(row["share"]))


def edge_table(model: PathModel, k: int = 10, relation: str | None = None) -> list[dict[str, Any]]:
    """The edges whose learned weights have risen and fallen most since the start.

    Parameters
    ----------
    model
        The path model.
    k
        How many of those that have risen, and how many of those that have fallen, 1 or more.
    relation
        Of one relation alone; by default of all that the model's meta-paths take.

    Returns
    -------
    list of dict
        From the largest to the smallest: `relation`, `direction` ("both" where an edge has one weight for both), `from`
        and `to` (labels), `from_id` and `to_id`, `weight` and `times_start`: the weight over that before training.
        Weights are those before "walk" divides them.  Edges that have not changed are left out.

    Raises
    ------
    UnknownNameError
        For a relation that the graph does not have.
    """
    whole_number("k", k)
    if relation is not None:
        model.graph.relation(relation)
    steps: dict[int, list[Step]] = {}
    for step, number in model._parameter.items():
        if relation in (None, step.relation):
            steps.setdefault(number, []).append(step)
    candidates: list[tuple[float, int, int]] = []
    for number in steps:
        # The ratio is monotonous in theta, so that only the ends of each relation are looked at.
        theta = model.rate * model.theta[number].detach().double().cpu()
        n = min(k, len(theta))
        ends = torch.cat([theta.topk(n).indices, theta.topk(n, largest=False).indices]).unique()
        candidates += [(float(theta[edge]), number, int(edge)) for edge in ends]
    candidates = [one for one in candidates if one[0] != 0.0]
    candidates.sort(key=lambda one: (-one[0], one[1:]))
    risen = [one for one in candidates if one[0] > 0][:k]
    fallen = [one for one in candidates if one[0] < 0][-k:]
    return [_row(model, steps[number], edge, theta) for theta, number, edge in [*risen, *fallen]]


def _row(model: PathModel, steps: list[Step], edge: int, theta: float) -> dict[str, Any]:
    graph, whole = model.graph, model.graph.relation(steps[0].relation)
    begin, end = int(whole.sources[edge]), int(whole.targets[edge])
    weight = float(torch.nn.functional.softplus(torch.tensor(theta, dtype=torch.float64)))
    direction = "both" if model.tied else ("against" if steps[0].inverse else "along")
    return {
        "relation": whole.name,
        "direction": direction,
        "from": graph.label(whole.source, begin),
        "to": graph.label(whole.target, end),
        "from_id": begin,
        "to_id": end,
        "weight": weight,
        "times_start": weight / AT_START,
    }
