"""NeighbourMeans: vectors of users and items with the means of their neighbours in a graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from burnish.enhancers.paths.graph import ITEM, USER, Adjacency, Graph, Step
from burnish.enhancers.paths.graph_digest import check_graph_print, graph_digest, graph_print
from burnish.enhancers.paths.graph_options import GraphConfig
from burnish.enhancers.paths.propagation import hop
from burnish.enhancers.paths.sources import read_graph
from burnish.errors import DataError
from burnish.strict import validated

from .checks import not_negative, whole_number

PROPERTIES = Path(__file__).parent / "properties"


class NeighbourMeans(GeneralRecommender):
    """The embedding model that the path model was trained with in the paper, as a native RecBole model.

    `z = tanh(e + sum_r mean_r)`, where e is a node's own embedding and mean_r the mean of the embeddings of its
    neighbours along relation r; `score = w . (z_u * z_i)`.  Users have the items of their training interactions and
    whatever else the graph joins them to, items their users and attributes; `graph` says what there is
    (`GraphConfig`).  A relation between users whose edges all go both ways, as friendships do, is one relation, any
    other has a mean along it and one against it.  The loss is the cross entropy of a softmax over all items.

    With `softmax: {cosine: false, mask_known: false}` it is trained as in the paper, users with all of their items;
    with `paths` beside, jointly.

    Source: Zhang, Xu, Zhou and Zhang, WSDM 2020 (arXiv 1912.08422), and its released code.  The constant that is added
    to all scores there changes nothing and is left out.
    """

    input_type = InputType.POINTWISE
    options_files = tuple(PROPERTIES / f"{name}.yaml" for name in ("ranking", "neighbourmeans"))
    fingerprint: Tensor
    means_once: Tensor
    option_schemas: ClassVar = {"graph": GraphConfig}

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        size = whole_number(config, "embedding_size")
        self.reg_weight = not_negative(config, "reg_weight")
        graph = read_graph(dataset, validated(GraphConfig, dict(config["graph"] or {}), "graph"))
        steps = {kind: graph.steps_from(kind) for kind in (USER, ITEM)}
        if not graph.n_edges:
            raise DataError(
                "graph: there is no edge, and so no neighbour; NeighbourMeans needs interactions at least"
            )
        self.register_buffer("fingerprint", graph_print(graph, self.device))
        graph = graph.to(self.device)
        self._neighbours = {
            kind: [(graph.ends(step)[1], *_edges(graph, step)) for step in steps[kind]] for kind in steps
        }
        #: Places of steps against a relation whose edges all go both ways, and so of the same mean once more.
        self._again = {
            kind: {place for place, step in enumerate(own) if step.inverse and _mutual(graph, step)}
            for kind, own in steps.items()
        }
        self.register_buffer("means_once", torch.ones((), dtype=torch.bool))
        self._means_once = True
        self.user_embedding = nn.Embedding(self.n_users, size)
        self.item_embedding = nn.Embedding(self.n_items, size)
        others = dict.fromkeys(
            kind for near in self._neighbours.values() for kind, *_ in near if kind not in (USER, ITEM)
        )
        self.node_embedding = nn.ModuleDict(
            {_module_name(kind): nn.Embedding(graph.counts[kind], size) for kind in others}
        )
        self.factors = nn.Parameter(torch.ones(size))
        for table in self.modules():
            if isinstance(table, nn.Embedding):
                nn.init.xavier_normal_(table.weight)
        self.loss_fct = nn.CrossEntropyLoss()
        self._forget()

    @classmethod
    def digest_beside(cls, stem: Path, options: Mapping[str, Any]) -> str | None:
        """Of the files that the graph is made of, as `Enhancer.digest_beside`."""
        asked = validated(GraphConfig, dict(options.get("graph") or {}), "graph")
        return graph_digest(stem, asked, options)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As torch's; refuses weights of another graph."""
        saved = state_dict.setdefault(f"{prefix}fingerprint", self.fingerprint)  # files of before have none
        check_graph_print(type(self).__name__, saved, self.fingerprint)
        # Models of before were trained with the means of mutual relations twice.
        once = state_dict.setdefault(f"{prefix}means_once", torch.zeros_like(self.means_once))
        self._means_once = bool(once)
        self._forget()
        super()._load_from_state_dict(state_dict, prefix, *args)

    def get_ego_embeddings(self) -> Tensor:
        """Own embeddings of users and items, one after another, as RecBole's graph models have it."""
        return torch.cat([self.user_embedding.weight, self.item_embedding.weight])

    def forward(self) -> tuple[Tensor, Tensor]:
        """Vectors of all users, times the factors, and of all items: `[n_users, d]` and `[n_items, d]`."""
        tables = {USER: self.user_embedding.weight, ITEM: self.item_embedding.weight}
        vectors = {}
        for kind, near in self._neighbours.items():
            total = tables[kind]
            for place, (other, weights, there, back) in enumerate(near):
                if self._means_once and place in self._again[kind]:
                    continue
                rows = tables[other] if other in tables else self._nodes(other)
                total = total + hop(rows, weights.to(rows), there, back)
            vectors[kind] = torch.tanh(total)
        return vectors[USER] * self.factors, vectors[ITEM]

    def _nodes(self, kind: str) -> Tensor:
        rows = self.node_embedding[_module_name(kind)].weight
        assert isinstance(rows, Tensor)
        return rows

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, Tensor]:
        """The cross entropy of the batch's items, and the squared embeddings by `reg_weight`."""
        self._forget()
        users, items = self.forward()
        scores = users[interaction[self.USER_ID]] @ items[1:].t()
        loss = self.loss_fct(scores, interaction[self.ITEM_ID] - 1)
        return loss, self.loss_without_interactions()[1]

    def loss_without_interactions(self) -> tuple[Tensor, Tensor]:
        """As `calculate_loss` with interactions that count nothing, which a softmax over all items need not be computed
        for.
        """
        squares = sum((parameter**2).sum() for parameter in self.parameters())
        return self.factors.new_zeros(()), self.reg_weight * squares / 2

    def predict(self, interaction: Any) -> Tensor:
        """Scores of pairs, `[B]`."""
        users, items = self._vectors()
        return (users[interaction[self.USER_ID]] * items[interaction[self.ITEM_ID]]).sum(1)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, `[B * n_items]`."""
        users, items = self._vectors()
        return (users[interaction[self.USER_ID]] @ items.t()).reshape(-1)

    def _forget(self) -> None:
        """Drop the vectors of an evaluation, which have the names that RecBole's models give theirs."""
        self.restore_user_e: Tensor | None = None
        self.restore_item_e: Tensor | None = None

    def _vectors(self) -> tuple[Tensor, Tensor]:
        if self.restore_user_e is None or self.restore_item_e is None:
            self.restore_user_e, self.restore_item_e = self.forward()
        return self.restore_user_e, self.restore_item_e


def _edges(graph: Any, step: Step) -> tuple[Tensor, Adjacency, Adjacency]:
    """What turns neighbours' rows into means: weights `[e]`, and the edges from neighbours and to them."""
    near = graph.adjacency(step)
    weights = near.neighbours.new_zeros(len(near.edges), dtype=torch.float32)
    weights[near.edges] = 1.0 / near.degrees()[near.origins()].float()
    return weights, graph.adjacency(step.back()), near


def _mutual(graph: Graph, step: Step) -> bool:
    """Whether a step and the one straight back have the same edges."""
    there, back = graph.adjacency(step), graph.adjacency(step.back())
    same_ends = graph.ends(step) == graph.ends(step.back())
    return same_ends and there.starts.equal(back.starts) and there.neighbours.equal(back.neighbours)


def _module_name(kind: str) -> str:
    """A type of node as a name that torch takes."""
    return "_" + kind.replace(".", "_dot_")
