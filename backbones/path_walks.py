"""PathWalks: the path model alone, as a recommender."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor

from burnish.enhancers.anatomy.describe import Fields
from burnish.enhancers.interactions import positives, training_items
from burnish.enhancers.options import warn_of_idle
from burnish.enhancers.paths.best_paths import PathFinder
from burnish.enhancers.paths.graph_digest import check_graph_print, graph_digest, graph_print
from burnish.enhancers.paths.learned_paths import (
    cross_entropy,
    drawn_hidden,
    path_model,
    walked,
    warn_of_returns,
)
from burnish.enhancers.paths.lists import Pairs
from burnish.enhancers.paths.options import WalkConfig
from burnish.enhancers.paths.reasons import NO_PATH, reasons_for
from burnish.enhancers.wasserstein.positives import KnownPositives
from burnish.explanation import Reason
from burnish.strict import validated

PROPERTIES = Path(__file__).parent / "properties"


class LoneWalkConfig(WalkConfig):
    """What the path model is made of, and how it learns alone."""

    users: int = Field(default=64, ge=1, description="users a training batch has")


class PathWalks(GeneralRecommender):
    """Walks from a user along meta-paths over a graph with learned edges, as a native RecBole model.

    Scores are logarithms of the path model's probabilities.  It is what `paths` trains beside a backbone, alone: a
    floor for it.  `walks` has its options (`WalkConfig`: graph, metapaths, normalise, hide, ...).

    The loss is the cross entropy of items hidden from a user's walk (`hide`), or of all of them, as in the paper
    (equation L2: `-sum_b y_ub log p_ub` with y_u the user's training row, normalised to the sum 1).  It is trained over
    users: a batch is `users` of them, with all of their items, and each is there once an epoch.

    Source: Zhang, Xu, Zhou and Zhang, WSDM 2020 (arXiv 1912.08422).  Hidden items: ours.
    """

    input_type = InputType.POINTWISE
    #: Epochs go over users (see `burnish.plugin`).
    users_a_batch = 64
    fingerprint: Tensor
    option_schemas: ClassVar = {"walks": LoneWalkConfig}
    options_files = tuple(PROPERTIES / f"{name}.yaml" for name in ("ranking", "pathwalks"))

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.walks = validated(LoneWalkConfig, dict(config["walks"] or {}), "walks")
        self.users_a_batch = self.walks.users
        warn_of_idle("walks", self.walks, self.walks.idle())
        graph, metapaths = walked("walks", self.walks, dataset, int(config["seed"]))
        warn_of_returns("walks", self.walks, metapaths)
        self.register_buffer("fingerprint", graph_print(graph, self.device))
        self.paths = path_model(self.walks, graph.to(self.device), metapaths)
        fields = Fields(self.USER_ID, self.ITEM_ID, dataset.label_field, None, None)
        liked = positives(dataset, fields.label, self.walks.graph.positive_from, type(self).__name__)
        self.known = KnownPositives(*training_items(dataset, fields, liked), self.n_users, self.n_items)
        self._finder: tuple[tuple[int, ...], PathFinder] | None = None

    def calculate_loss(self, interaction: Any) -> Tensor:
        """The mean cross entropy of the batch's users; of one of interactions each user counts once."""
        users = interaction[self.USER_ID]
        if list(interaction.interaction) != [self.USER_ID]:
            users = torch.unique(users)
        # From the stream that a resumed run goes on with.
        drawn = int(torch.randint(2**62, (), device="cpu"))
        generator = torch.Generator(device=users.device).manual_seed(drawn)
        known = Pairs(*self.known.pairs_of(users), self.n_items)
        hidden = drawn_hidden(known, self.walks.hide, generator)
        walk = self.paths.columns if self.paths.most is None else self.paths.listed
        walked = walk(users, None if hidden is None else known.where(hidden))
        return cross_entropy(walked, known, hidden, len(users)).mean()

    def predict(self, interaction: Any) -> Tensor:
        """Scores of pairs, `[B]`."""
        users, which = torch.unique(interaction[self.USER_ID], return_inverse=True)
        return self.paths.scores(users)[which, interaction[self.ITEM_ID]]

    @classmethod
    def digest_beside(cls, stem: Path, options: Mapping[str, Any]) -> str | None:
        """Of the files that the graph is made of, as `Enhancer.digest_beside`."""
        asked = validated(LoneWalkConfig, dict(options.get("walks") or {}), "walks").graph
        return graph_digest(stem, asked, options)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As torch's; refuses weights of another graph."""
        saved = state_dict.setdefault(f"{prefix}fingerprint", self.fingerprint)  # files of before have none
        check_graph_print(type(self).__name__, saved, self.fingerprint)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def explain(self, user: int, item: int, k: int = 3) -> list[Reason]:
        """The k best paths from the user to the item, one of each kind first; of internal ids."""
        now = tuple(parameter._version for parameter in self.paths.parameters())
        if self._finder is None or self._finder[0] != now:
            self._finder = (now, PathFinder(self.paths))
        return reasons_for(self._finder[1], user, item, k)

    def no_reason(self, user: int, item: int) -> str:
        """Why `explain` gave nothing."""
        return NO_PATH

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, `[B * n_items]`."""
        return self.paths.scores(interaction[self.USER_ID]).reshape(-1)
