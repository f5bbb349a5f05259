"""Reasons for a recommendation: the paths behind it, as sentences and as data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from burnish.checks import whole_number
from burnish.explanation import Reason

from .best_paths import PathFinder
from .drawing import to_dict
from .groups import PathGroup, groups_of
from .path_model import PathModel
from .phrases import Wording
from .sentences import Writer

#: Why there is none.
NO_PATH = "none of its meta-paths leads from this user to this item"


def reasons_for(
    model: PathModel | PathFinder,
    user: int,
    item: int,
    k: int = 3,
    *,
    wording: Wording | None = None,
    diverse: bool = True,
    shown: int = 5,
) -> list[Reason]:
    """Why a path model recommends an item to a user.

    Paths that differ in one node alone are one reason: "You rated A and B; both were directed by P, who also directed
    C."  Its contribution is that of all these paths, not of those alone that are named.

    Parameters
    ----------
    model : PathModel or PathFinder
        A finder reads the model's weights once and shares a user's walks between items: make one for several pairs.
    user, item : int
        Internal ids.
    k : int, default 3
        Reasons at most, 1 or more.
    wording : Wording, optional
        How sentences say what they say.
    diverse : bool, default True
        The best reason of each meta-path, then the second best of each, and so on.  False for the largest
        contributions, whatever the meta-path.
    shown : int, default 5
        Paths of each reason among its evidence, 1 or more.

    Returns
    -------
    list of Reason
        Of kind "path".  `contribution` is the share of the path model's score, 0 to 1.  `evidence` is what `to_dict`
        gives of the best paths, with `n_paths`, how many there are, and `metapath`.  Empty where no path leads from the
        user to the item.

    Raises
    ------
    DataError
        For a user or an item that the graph does not have.

    Examples
    --------
    >>> for reason in reasons_for(model, user=196, item=50):  # doctest: +SKIP
    ...     print(f"{reason.contribution:.1%}", reason.text)
    """
    whole_number("k", k)
    whole_number("shown", shown)
    finder = model if isinstance(model, PathFinder) else PathFinder(model)
    paths = finder.of(user)
    score = paths.score(item)
    writer = Writer(finder.graph, wording)
    own = [groups_of(paths, number, item) for number in range(len(paths.metapaths))]
    reasons = []
    for group in _best(own, k, diverse):
        described = to_dict(finder.graph, group.paths(paths, shown), score)
        evidence: dict[str, Any] = {
            "metapath": str(group.metapath),
            "n_paths": len(group),
            **described,
            "contribution": group.contribution,
        }
        reasons.append(Reason("path", writer.sentence(group), group.contribution / score, evidence))
    return reasons


def _best(by_metapath: list[Iterator[PathGroup]], k: int, diverse: bool) -> list[PathGroup]:
    """The largest contribution first, or in turns that take one of each meta-path; at equal ones the narrower first."""

    def place(group: PathGroup) -> tuple[float, int]:
        return -float(f"{group.contribution:.9g}"), len(group)

    if not diverse:
        return sorted((group for own in by_metapath for group in islice(own, k)), key=place)[:k]
    best: list[PathGroup] = []
    while len(best) < k:
        turn = [group for own in by_metapath if (group := next(own, None)) is not None]
        if not turn:
            break
        best += sorted(turn, key=place)
    return best[:k]
