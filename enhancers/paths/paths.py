"""A path model on a knowledge graph, trained jointly with the backbone and distilled into it.

Zhang, Xu, Zhou and Zhang, "Distilling structured knowledge into embeddings for explainable and accurate
recommendation", WSDM 2020 (arXiv 1912.08422): both models are trained at once, tied by the divergence of what they say
of each user, and the embedding model alone serves.  Ours: items hidden from the walks that are to find them, known
items left out, any backbone and objective.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.distil.distil import (
    divergence,
    divergence_of_products,
    seen_before,
    with_drawn,
)
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import positives
from burnish.enhancers.teachers.student import Student
from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness

from .best_paths import PathFinder
from .divergence import divergence_of_walks
from .graph_digest import check_graph_print, graph_digest, graph_print
from .graph_files import check_graph_files
from .learned_paths import cross_entropy, drawn_hidden, path_model, walked, warn_of_returns
from .lists import MixedLists, Pairs
from .options import (
    FIRST_PHASE,
    LATER_FIT,
    LATER_OWN,
    SAMPLED,
    SCORED_TOP,
    UNION_TOP,
    PathsConfig,
)
from .path_model import PathModel
from .reasons import NO_PATH, reasons_for
from .union import Drawing, divergence_on_union

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

    from burnish.explanation import Reason

#: Copies of scores `[users, n_items]` in float32 that a step holds, beside one a prefix of a meta-path.
_COPIES = 8


class Paths(Enhancer[PathsConfig]):
    """A path model on a knowledge graph is trained with the backbone, which learns from it; its paths are the reasons.

    Walks from a user along meta-paths, over edges with learned weights, give a distribution over items.  The loss is
    `own L1 + agree KL(paths || backbone) + fit L2`: the recommendation loss, the divergence of what both say of a user,
    and the path model's own cross entropy.  What serves is the backbone alone.

    Parameters
    ----------
    config
        The options as a `PathsConfig`; give either this or options.
    **options
        The fields of `PathsConfig`, each with its default and description there (`burnish enhancers paths`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.
    UnsupportedError
        When the model is made: for a catalogue that does not fit the budget.
    DataError
        When the model is made: for a graph without a way from users to items; where every user knows every item.

    References
    ----------
    Zhang, Xu, Zhou and Zhang, "Distilling structured knowledge into embeddings for explainable and accurate
    recommendation", WSDM 2020 (arXiv 1912.08422).  Hidden items, and known ones left out: ours.

    Examples
    --------
    >>> burnish.enhance("BPR", "softmax", burnish.Paths(metapaths="user -rated-> item -genre-> genre <-genre- item"))
    <class 'recbole.model.general_recommender.bpr.BPR[softmax, paths]'>
    """

    name = "paths"
    reasons_about = (
        "A reason is a way from the user to the item; its number is its share of the paths' score, 0 to 1."
    )
    Config = PathsConfig

    student: Student
    model: PathModel
    fingerprint: Tensor

    def check_files(self, config: Any) -> None:
        """Raise for files of the graph that are named and not there."""
        check_graph_files(config, self.config.graph)

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Read the graph, find meta-paths, and how the backbone scores."""
        config = self.config
        self._n_items, self._backbone, self._device = anatomy.n_items, anatomy.backbone, anatomy.device
        liked = positives(
            dataset, anatomy.fields.label, config.graph.positive_from, f"enhancer {self.name!r}"
        )
        self._seed = self.state.seed if config.seed is None else config.seed
        self.student = Student(
            self.name,
            anatomy,
            dataset,
            liked,
            users=config.users,
            mask_known=config.mask_known,
            state=self.state,
            seed=self._seed,
        )
        graph, metapaths = walked(f"enhancer {self.name!r}", config, dataset, self._seed)
        if config.fit:
            warn_of_returns(f"enhancer {self.name!r}", config, metapaths)
        self.model = path_model(config, graph.to(anatomy.device), metapaths, rate=config.rate).to(
            anatomy.device
        )
        self.register_buffer("fingerprint", graph_print(graph, anatomy.device))
        self.in_lists = False
        self._drawing = Drawing(self.student.known.items, self._n_items)
        self._share = 1.0
        self._finders: dict[tuple[int, ...], PathFinder] = {}

    def complete(self, parameters: Any) -> None:
        """Find how much a step holds, which is known once it is who makes its batches."""
        self.in_lists = self._goes_in_lists()

    def _goes_in_lists(self) -> bool:
        """Whether a step holds lists, and no number for every item; `UnsupportedError` for a step beyond the budget."""
        config, users = self.config, self.student.users_a_step
        if isinstance(config.sampled, int) and self.student.vectors is not None:
            return True
        prefixes = {path.steps[:n] for path in self.model.metapaths for n in range(1, len(path) + 1)}
        nodes = 0 if config.most is not None else sum(self._nodes(prefix) for prefix in prefixes)
        needed = 4 * users * (_COPIES * self._n_items + 4 * nodes)
        if needed <= config.budget_mib * 2**20:
            return False
        if config.most is not None and config.sampled != "all":
            return True
        cure = (
            "let sampled be null, so that drawn items stand for the rest"
            if config.most is not None
            else "follow no more than most nodes of a walk, so that a step holds lists"
        )
        raise UnsupportedError(
            f"enhancer {self.name!r}: walks of users = {users} users over {len(prefixes)} hops take about "
            f"{needed / 2**20:.0f} MiB a step, and budget_mib is {config.budget_mib}; give fewer users or meta-paths, "
            f"{cure}, or raise budget_mib"
        )

    def _nodes(self, prefix: tuple[Any, ...]) -> int:
        graph = self.model.graph
        return graph.counts[graph.ends(prefix[-1])[1]]

    def note(self) -> str:
        """Which meta-paths there are, and what each counts."""
        shares = self.model.shares().tolist()
        shown = "; ".join(
            f"{share:.2f} {path}" for share, path in zip(shares, self.model.metapaths, strict=True)
        )
        over = " in lists" if self.in_lists else ""
        return f"walks along {len(shares)} meta-paths over {self.model.graph.n_edges:,} edges{over}, mixed by {shown}."

    def idle_here(self, others: Any) -> dict[str, str]:
        if self.student.vectors is None:
            return dict.fromkeys(
                self.config.given("sampled"), f"on {self._backbone}, which scores every pair by itself"
            )
        reasons = dict.fromkeys(self.config.given("drawn"), f"on {self._backbone}, which scores by a product")
        why = self.student.idle_users(others)
        return reasons if why is None else reasons | dict.fromkeys(self.config.given("users"), why)

    def digest_beside(self, stem: Path, options: Mapping[str, Any]) -> str | None:
        """Of the files that the graph is made of."""
        return graph_digest(stem, self.config.graph, options)

    # ------------------------------------------------------------------ reasons, and what is kept

    @torch.no_grad()
    def explain(self, user: int, item: int, k: int = 3) -> list[Reason] | None:
        """The k best paths from the user to the item under the path model, one of each kind first.

        `contribution` is the share of the path model's score.  The backbone alone serves: how far both agree is another
        question (`quality.agreement`).
        """
        return reasons_for(self.finder(), user, item, k)

    def no_reason(self, user: int, item: int) -> str:
        """Why `explain` gave nothing."""
        return NO_PATH

    def finder(self) -> PathFinder:
        """Finds best paths under the weights as they are now."""
        now = tuple(parameter._version for parameter in self.model.parameters())
        if now not in self._finders:
            self._finders = {now: PathFinder(self.model)}
        return self._finders[now]

    def training_tensors(self) -> frozenset[str]:
        """All of them: scores are the backbone's.  A run's checkpoint has them, for reasons and to go on."""
        return frozenset(self.state_dict())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As torch's; refuses weights of another graph, whose edges are others."""
        check_graph_print(f"enhancer {self.name!r}", state_dict.get(f"{prefix}fingerprint"), self.fingerprint)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_finders": {}}

    # ------------------------------------------------------------------ the loss

    def on_epoch(self, epoch: int) -> None:
        """Take note of the schedule's phase."""
        self._share = 1.0 if self.config.schedule == "constant" or epoch < FIRST_PHASE else LATER_OWN

    def objective_share(self) -> float:
        return self.config.own * self._share

    @property
    def _fit(self) -> float:
        return self.config.fit * (1.0 if self._share == 1.0 else LATER_FIT)

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """By "agree" and "fit", the divergence and the path model's cross entropy of each user `[b]` of a step."""
        with forked_randomness(self.student.step_seed, self._device):
            return self._losses(batch)

    def _losses(self, batch: Interaction) -> dict[str, Tensor]:
        student, config = self.student, self.config
        if student.vectors is None:
            rows, users = student.rows(batch)
        else:
            users, states = student.step(batch)
        known = Pairs(*student.known.pairs_of(users), self._n_items)
        walk = self.model.listed if self.in_lists else self.model.columns
        losses: dict[str, Tensor] = {}
        walked: Tensor | MixedLists | None = None
        if self._fit:
            hidden = drawn_hidden(known, config.hide, student.generator())
            walked = walk(users, None if hidden is None else known.where(hidden))
            losses["fit"] = cross_entropy(walked, known, hidden, len(users)) * self._fit
        if config.agree:
            if walked is None or (config.hide and config.again):
                with torch.set_grad_enabled(config.learns != "backbone"):
                    walked = walk(users)
            elif config.learns == "backbone":
                walked = walked.detach()
            if student.vectors is None:
                agree = self._of_scored(walked, batch, rows, users, known)
            elif isinstance(walked, MixedLists):
                agree = self._of_union(walked, states, known)
            else:
                agree = self._of_products(walked, users, states, known)
            losses["agree"] = agree * config.agree
        return losses

    def _of_union(self, walked: MixedLists, states: Tensor, known: Pairs) -> Tensor:
        """The divergence `[b]` from lists to the products, on items that stand for all."""
        config, student = self.config, self.student
        sampled = config.sampled if isinstance(config.sampled, int) else SAMPLED
        learning = config.learns != "paths"

        def vectors(ids: Tensor) -> Tensor:
            found = student.items(ids)
            return found if learning else found.detach()

        return divergence_on_union(
            walked,
            (states if learning else states.detach()) * student.scale(),
            vectors,
            self._drawing.draw(sampled, student.generator()),
            known,
            mask_known=config.mask_known,
            top=config.top or UNION_TOP,
        )

    def _of_products(self, walked: Tensor, users: Tensor, states: Tensor, known: Pairs) -> Tensor:
        """The divergence `[b]` from the path model's probabilities `[n_items, b]` to the products."""
        keys, scale = self.student.items(), self.student.scale()
        if self.config.learns == "paths":
            states, keys = states.detach(), keys.detach()
        if self.config.top is None:
            own = known if self.config.mask_known else None
            return divergence_of_walks(walked.to(states), states * scale, keys, own)
        left_out = self.student.left_out(users)
        best = (
            _logarithms(walked)
            .masked_fill(left_out, -math.inf)
            .topk(min(self.config.top, self._n_items - 1), dim=1)
        )
        return divergence_of_products(
            best.values, best.indices, states, keys, left_out, scale=scale, temperature=1.0
        )

    def _of_scored(
        self, walked: Tensor | MixedLists, batch: Interaction, rows: Tensor, users: Tensor, known: Pairs
    ) -> Tensor:
        """The same where the model scores every pair by itself: the path model's list, and drawn items."""
        student, mask_known = self.student, self.config.mask_known
        top = min(self.config.top or SCORED_TOP, self._n_items - 1)
        if isinstance(walked, MixedLists):
            best = walked.best(top, known if mask_known else None)
        else:
            best = (
                _logarithms(walked).masked_fill(student.left_out(users), -math.inf).topk(top, dim=1).indices
            )
        items = with_drawn(best, self.config.drawn, self._n_items, student.generator())
        scores = student.pair_scores(batch, rows, items)
        if self.config.learns == "paths":
            scores = scores.detach()
        places = torch.arange(len(users), device=users.device).unsqueeze(1).expand_as(items)
        chances = walked.at(places, items) if isinstance(walked, MixedLists) else walked[items, places]
        left_out = (items == 0) | seen_before(items)
        if mask_known:
            left_out = left_out | known.holds(places, items)
        logs = chances.clamp_min(torch.finfo(chances.dtype).tiny).log()
        return divergence(logs.to(scores), scores, left_out, 1.0)


def _logarithms(walked: Tensor) -> Tensor:
    """Of probabilities `[n_items, b]`: `[b, n_items]`."""
    return walked.t().clamp_min(torch.finfo(walked.dtype).tiny).log()
