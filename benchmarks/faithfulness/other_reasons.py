"""Reasons of other kinds as reasons that can be masked: attributes of the item, and the items that paths begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.reasons import AttributeGame, Contributions
from burnish.enhancers.host import Host
from burnish.enhancers.paths.paths import Paths
from burnish.enhancers.paths.reasons import reasons_for
from burnish.errors import UnsupportedError

from .evidence import EvidenceGames, Makers, drawn
from .references import REFERENCES, Reference, Values, leave_one_out
from .report import PATHS_SAY
from .standing import Recommendation

if TYPE_CHECKING:
    from burnish.trained.recommend import Recommender

#: Groups of paths that are looked at for one recommendation, the strongest first, and paths of each.
GROUPS, PATHS = 50, 1000


def attached(recommender: Recommender, kind: type) -> Any:
    """The enhancer of a class on a model; None where there is none."""
    host = getattr(recommender.trained.model, "enhancers", None)
    found = host.enhancers() if isinstance(host, Host) else []
    return next((one for one in found if isinstance(one, kind)), None)


class AttributeGames(EvidenceGames):
    """The game over an item's attributes.

    A mask leaves an attribute as it is or sets it to the mean of the catalogue; the other items stay as they are.
    """

    kind, method = "attributes", "attributes set to their mean"
    says: ClassVar = {
        "random": REFERENCES["random"],
        "item's extremes": "the attributes that the item is furthest from the average in",
        "user's taste": "the attributes that the user is furthest from the average in",
        "leave-one-out": REFERENCES["leave-one-out"],
    }
    unsigned, learned = False, False

    def __init__(self, recommender: Recommender, guided: Guided) -> None:
        super().__init__(recommender)
        self.guided = guided
        self._own: tuple[tuple[int, int], Contributions] | None = None

    @classmethod
    def of(cls, recommender: Recommender) -> AttributeGames | None:
        """Those of a model with `guided`; None of others."""
        guided = attached(recommender, Guided)
        return None if guided is None else cls(recommender, guided)

    def history(self, user: int, item: int) -> Tensor:
        """The places `[m]` of the attributes."""
        return torch.arange(len(self.guided.attributes))

    def values(self, user: int, item: int) -> Values:
        """What guided says that each attribute adds, `[m]`."""
        return self._contributions(user, item).values.double().cpu().numpy()

    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """Scores `[n_masks, n_items]` with masked attributes of the explained item."""
        assert self._own is not None
        item, own = self._own[0][1], self._own[1]
        if own.additive:
            asked = own.rest + masks.double().numpy() @ own.values.double().cpu().numpy()
        else:
            asked = self._game(user, item)(masks)[:, 0].double().cpu().numpy()
        return self.with_own(user, items, item, asked)

    def makers(self, seed: int) -> Makers:
        """Those of `says`."""
        guided = self.guided

        def taste(one: Recommendation) -> Values:
            likes = guided.profile("user", one.user)
            return np.abs([likes[name] for name in guided.attributes])

        return {
            "random": drawn(seed, 4),
            "item's extremes": lambda one: guided.guided[one.item].abs().double().cpu().numpy(),
            "user's taste": taste,
            "leave-one-out": leave_one_out,
        }

    def _contributions(self, user: int, item: int) -> Contributions:
        if self._own is None or self._own[0] != (user, item):
            found = self.guided.contributions(user, item, self._row(user, item))
            if found is None:
                raise UnsupportedError("guided has no reasons for a user without a training sequence")
            self._own = ((user, item), found)
        return self._own[1]

    def _game(self, user: int, item: int) -> AttributeGame:
        guided, model = self.guided, self.recommender.trained.model
        return AttributeGame(model, guided.guided, self._row(user, item), item, seed=guided.state.seed)

    def _row(self, user: int, item: int) -> Any:
        row = self.recommender.inputs.batch(np.array([user]))
        columns = self.recommender.trained.dataset.get_item_feature()
        row.update(columns[item : item + 1])
        return row.to(self.guided.guided.device)


def path_reference(recommender: Recommender) -> Reference | None:
    """The items that paths of the enhancer `paths` begin with, by what all these paths add; None without it."""
    paths = attached(recommender, Paths)
    if paths is None:
        return None

    def values(one: Recommendation) -> Values:
        place_of = {int(item): place for place, item in enumerate(one.history)}
        found = np.zeros(len(one))
        for reason in reasons_for(paths.finder(), one.user, one.item, GROUPS, diverse=False, shown=PATHS):
            for path in reason.evidence["paths"]:
                linking = path["nodes"][1]
                place = place_of.get(linking["id"]) if linking["type"] == "item" else None
                if place is not None:
                    found[place] += path["contribution"]
        return found

    return Reference("paths", values, PATHS_SAY)
