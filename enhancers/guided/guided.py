"""LLM-guided refinement: interpretable scores become part of the embeddings.

Jia, Yuan, Wu, Zheng, "Improving LLM interpretability and performance via guided embedding refinement for sequential
recommendation", arXiv 2504.11658.  From the paper: scores of items and users on interpretable attributes, joined with
a reduced base embedding; items' scores frozen, users' trained.  Ours: see docs/guided.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.anatomy.table import Side, Table
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import positives, training_items
from burnish.enhancers.kept_embeddings import clear_kept, kept
from burnish.enhancers.unchanged import evaluating
from burnish.errors import ConfigurationError, UnsupportedError
from burnish.explanation import Reason
from burnish.files.data_names import data_names
from burnish.randomness import forked_randomness

from .blocks import make_block, scores_beside
from .fusion import Fusion, principal
from .options import GuidedConfig
from .reasons import AttributeGame, Contributions, contributions
from .rows import TrainingRows
from .scorers.shipped import load_scores
from .users import mean_of_items, own_scores
from .vector_parts import AttributeParts, Vectors, parts_along
from .wording import attribute_words
from .worth import attribute_weights

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction


class Guided(Enhancer[GuidedConfig]):
    """Scores of items on interpretable attributes become part of their embeddings (arXiv 2504.11658).

    Attributes: `guided`, `[n_items, m]`, are standardised scores, frozen.  `users`, `[n_users, m]`, are trained and
    pulled to where they started, `start`; there where the backbone has a table of users.  `attributes` are the names of
    the m columns.

    Parameters
    ----------
    config
        The options as a `GuidedConfig`; give either this or options.
    **options
        The fields of `GuidedConfig`, each with its default and description there (`burnish enhancers` shows them).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.

    References
    ----------
    arXiv 2504.11658: Jia, Yuan, Wu, Zheng, "Improving LLM interpretability and performance via guided embedding
    refinement for sequential recommendation".  docs/guided.md says what is ours.

    Examples
    --------
    >>> burnish.enhance("BPR", burnish.Guided(attributes=("humor", "violence")))
    <class 'recbole.model.general_recommender.bpr.BPR[guided]'>
    """

    name = "guided"
    reasons_about = (
        "A reason is what the score gains because the item has its value on an attribute instead of the average "
        "item's."
    )
    Config = GuidedConfig

    guided: Tensor
    start: Tensor
    users: nn.Parameter
    ready: Tensor

    def check_files(self, config: Any) -> None:
        """Raise for scores that are not there, and attributes or columns that they lack."""
        scores_beside(self.config, config)
        if self.config.user_scores is not None:
            load_scores(self.config.user_scores, id_column="user_id", names=data_names(config))

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Read the scores, and find which tables they refine."""
        items = anatomy.need("item", self.name)
        self._anatomy = anatomy
        seed = self.state.seed if self.config.seed is None else self.config.seed
        block = make_block(self.config, dataset, seed)
        self.attributes, self.known = block.names, block.known
        self.register_buffer("guided", block.values)
        pairs = self._positive_pairs(anatomy, dataset)
        weights = self._weights(*pairs)
        self.fusions = nn.ModuleDict()
        for table in items:
            self.fusions[table.module_key] = self._fusion(table, weights)
        self._item_of = self._partners(anatomy) if self.config.users else {}
        start = self._users_start(pairs, anatomy.n_users, own_scores(self.config, dataset, block))
        self.register_buffer("start", start)
        if self._item_of:
            self.users = nn.Parameter(start.clone())
        self._rows = TrainingRows(dataset, anatomy.fields, dataset.config["MAX_ITEM_LIST_LENGTH"])
        self._tokens = tuple(str(token) for token in dataset.field2id_token[anatomy.fields.item])
        self.register_buffer("ready", torch.tensor(self.config.base is None))
        if self.config.base == "model":
            self.take_base()

    def _weights(self, users: Tensor, items: Tensor) -> Tensor | None:
        """What each attribute counts beside its factor, `[m]`; None where all count 1."""
        if not self.config.weigh_by_value or self.config.control == "pca":
            return None
        return attribute_weights(users, items, self.guided, self.attributes)

    def _fusion(self, table: Table, weights: Tensor | None) -> Fusion:
        m, reduced = len(self.attributes), self.config.base is not None
        most = table.width - 1 if reduced else table.width
        if m > most:
            some = ", ".join(self.attributes[: max(most, 1)])
            raise UnsupportedError(
                f"guided: {m} attributes do not fit into table {table.name!r} of {self._anatomy.backbone}, which is "
                f"{table.width} wide; choose at most {most} (attributes: [{some}]), or raise the embedding size"
            )
        own = None if weights is None else weights.clone()
        return Fusion(table.width, m, reduced=reduced, learn=self.config.learn_alpha, weights=own)

    def _partners(self, anatomy: Anatomy) -> dict[str, str]:
        """The fusion of the items that a user table meets in the score, where both are equally wide."""
        return {
            users.module_key: items.module_key
            for users, items in anatomy.pairs
            if users.side == "user" and items.side == "item" and users.width == items.width
        }

    def _users_start(self, pairs: tuple[Tensor, Tensor], n_users: int, own: Tensor | None) -> Tensor:
        start = mean_of_items(*pairs, self.guided, n_users, self.config.shrinkage)
        if own is not None:
            start = torch.where(own.isnan(), start, own)
        start[0] = 0.0
        return start

    def _positive_pairs(self, anatomy: Anatomy, dataset: Dataset) -> tuple[Tensor, Tensor]:
        """Users and items of the positive training interactions, on the CPU."""
        fields, origin = anatomy.fields, f"enhancer {self.name!r}"
        liked = positives(dataset, fields.label, self.config.positive_from, origin)
        users, items = training_items(dataset, fields, liked)
        return users.cpu(), items.cpu()

    def idle_here(self, others: Sequence[Enhancer[Any]]) -> dict[str, str]:
        if self._item_of or not self.config.users:
            return {}
        reason = f"where no table of users is refined, as in {self._anatomy.backbone}"
        seen = f"{reason}, but on what reasons say of users"
        return dict.fromkeys(self.config.given("weight"), reason) | dict.fromkeys(
            self.config.given("user_scores") if self.config.control == "none" else [], seen
        )

    # ------------------------------------------------------------------ the base

    def base_run(self) -> str | None:
        """`auto` or a folder; None where no base is to come from elsewhere."""
        return self.config.base if self.config.base not in (None, "model") else None

    def base_options(self) -> Mapping[str, Any]:
        return self.config.base_options

    @torch.no_grad()
    def take_base(self) -> None:
        """Reduce the tables as they are now, and balance the guided blocks with what is left of them."""
        by_key = {table.module_key: table for table in self._anatomy.tables}
        for key, fusion in self.fusions.items():
            assert isinstance(fusion, Fusion)
            self._reduce(fusion, by_key[key], [by_key[u] for u, i in self._item_of.items() if i == key])
        self.ready.fill_(True)

    def _reduce(self, fusion: Fusion, items: Table, users: list[Table]) -> None:
        rows = items.raw()[1:]
        centre, directions = principal(rows, items.width)
        theirs = (users[0].raw()[1:], self.users[1:]) if users else None
        guided = self.guided[1:].to(rows)
        fusion.start_from(centre, directions, (rows, guided), theirs, self.config.balance)

    def has_begun(self) -> bool:
        return bool(self.ready)

    def on_epoch(self, epoch: int) -> None:
        if not self.has_begun():
            raise ConfigurationError(
                f"guided: base = {self.config.base!r} is trained or read where a run or the fit of a RecBole trainer "
                f"begins, not in a training loop of one's own; use one of these, leave base out (one stage), or attach "
                f"guided with base: model to a model that is trained already"
            )

    # ------------------------------------------------------------------ what the backbone sees

    def refines(self, table: Table) -> bool:
        return table.module_key in self.fusions or table.module_key in self._item_of

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """Rows with the guided block of their ids; see `Fusion`."""
        if table.side == "item":
            return self._of(table.module_key).items(rows, self.guided[ids])
        return self._of(self._item_of[table.module_key]).users(rows, self.users[ids])

    def _of(self, key: str) -> Fusion:
        fusion = self.fusions[key]
        assert isinstance(fusion, Fusion)
        return fusion

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """How far the batch's users' attributes are from where they started: squared distance, `[B]`."""
        field = self._anatomy.fields.user
        if not self._item_of or field not in batch:
            return {}
        ids = batch[field]
        return {"anchor": (self.users[ids] - self.start[ids]).square().sum(-1)}

    # ------------------------------------------------------------------ reasons

    def profile(self, side: Side, number: int) -> dict[str, float]:
        """What an item is like, or what a user likes.

        Users: as trained, where the backbone has a table of users; else the shrunk mean of their training items (or
        their own scores).

        Parameters
        ----------
        side
            "item" or "user".
        number
            Internal id.

        Returns
        -------
        dict
            Attributes by name, in standard deviations over items, the largest first.
        """
        if side == "item":
            values = self.guided[number]
        else:
            values = self.users[number] if self._item_of else self.start[number]
        profile = dict(zip(self.attributes, values.tolist(), strict=True))
        return dict(sorted(profile.items(), key=lambda pair: -pair[1]))

    def contributions(self, user: int, item: int, row: Interaction | None = None) -> Contributions | None:
        """What each attribute of an item adds to its score for a user.

        Parameters
        ----------
        user, item
            Internal ids.
        row
            The one row that the backbone predicts from, on the model's device; by default by the training history.

        Returns
        -------
        Contributions or None
            None for a user without a training sequence, where the backbone needs one.
        """
        backbone = self.state.backbone
        row = self._rows.row(user, item, self.guided.device) if row is None else row
        if backbone is None or row is None:
            return None
        return contributions(AttributeGame(backbone, self.guided, row, item, seed=self.state.seed))

    @torch.no_grad()
    def attribute_parts(self, vectors: Vectors) -> AttributeParts | None:
        """What of items' vectors is what they are scored on, by attribute; see `vector_parts`.

        vectors: gives `[n_items, d]`, by the model as it is at the time, such as rows of a refined table or what a
        graph backbone propagates, in which users' attributes take part, too.
        None for a control, whose attributes mean nothing, before the first stage is over, and where vectors are no sum
        over attributes.
        """
        backbone = self.state.backbone
        if backbone is None or self.config.control != "none" or not self.has_begun():
            return None
        before, found = kept(backbone), None
        own = [(tensor, tensor.detach().clone()) for tensor in self._attribute_tensors()]
        directions = [self._of(key).directions for key in self.fusions]

        def at(factors: Tensor) -> Tensor | None:
            for tensor, whole in own:
                tensor.copy_(whole * factors.to(whole))
            clear_kept(backbone)
            with forked_randomness(self.state.seed, self.guided.device):
                return vectors()

        with evaluating(backbone):
            try:
                found = parts_along(self.attributes, directions, at)
            finally:
                for tensor, whole in own:
                    tensor.copy_(whole)
                clear_kept(backbone)
                for name, value in before.items():
                    setattr(backbone, name, value)
        return found

    def _attribute_tensors(self) -> list[Tensor]:
        return [self.guided, self.users] if self._item_of else [self.guided]

    @torch.no_grad()
    def explain(self, user: int, item: int, row: Interaction | None = None) -> list[Reason] | None:
        """One reason an attribute, the largest contribution to the score first.

        Contributions are exact where the score is additive in the attributes, else Shapley values; with the score of
        the same item with average attributes (`rest`) they sum to the score.

        Parameters
        ----------
        user, item
            Internal ids.
        row
            What to predict from, as for `contributions`; by default the user's training history.

        Returns
        -------
        list of Reason or None
            None for a user without a training history, where the backbone needs one.
        """
        explained = self.contributions(user, item, row)
        if explained is None:
            return None
        tastes = self.profile("user", user)
        traits = self.profile("item", item)
        reasons = []
        for place in explained.values.argsort(descending=True).tolist():
            name, adds = self.attributes[place], float(explained.values[place])
            evidence = {
                "attribute": name,
                "item": self._tokens[item],
                "item_score": traits[name],
                "user_score": tastes[name],
                "score": explained.score,
                "rest": explained.rest,
                "share": explained.share,
                "additive": explained.additive,
                "standard_error": float(explained.standard_error[place]),
            }
            words = attribute_words(name, traits[name], tastes[name], adds)
            text = f"Item {self._tokens[item]} {words}."
            reasons.append(Reason("attribute", text, adds, evidence, evidence["standard_error"]))
        return reasons

    # ------------------------------------------------------------------ the rest

    def row_tensors(self) -> dict[str, Side]:
        sides: dict[str, Side] = {"guided": "item", "start": "user"}
        return {**sides, "users": "user"} if self._item_of else sides
