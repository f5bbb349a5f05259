"""Games on a trained backbone that encodes histories: masks leave items out of a user's history.

For sequential models (the history is a list of items) and autoencoders (it is a row of the rating matrix).
`value_history` plays them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from burnish.enhancers.interactions import transformed
from burnish.enhancers.unchanged import evaluating
from burnish.errors import ConfigurationError, DataError, UnsupportedError, unknown_id
from burnish.files.data_names import data_names
from burnish.randomness import forked_randomness
from burnish.telling import stage

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: What a coalition's scores are worth: scores `[n_masks, n_items]` (item 0, the padding, first) to `[n_masks]`.
Objective = Callable[[Tensor], Tensor]
#: Places of lists that a processor scores at once, so that what layers hand on stays in its cache.
CACHED = 1536
#: Coalitions whose values a game keeps, at most.
REMEMBERED = 1 << 16
#: Differences of scores, relative to the largest, that are the rounding of sums in another order.
SAME = 1e-5


def log_likelihood(held_out: Tensor) -> Objective:
    """Mean logarithm, over held-out items, of their share in a softmax over the catalogue (accuracy)."""
    return lambda scores: scores[:, 1:].log_softmax(dim=1)[:, held_out - 1].mean(dim=1)


def margin(held_out: Tensor) -> Objective:
    """Mean score of held-out items less that of the catalogue, in standard deviations of the catalogue's scores."""

    def value(scores: Tensor) -> Tensor:
        catalogue = scores[:, 1:]
        spread = catalogue.std(dim=1, unbiased=False).clamp_min(1e-12)
        return (scores[:, held_out].mean(dim=1) - catalogue.mean(dim=1)) / spread

    return value


def tail_share(popularity: Tensor) -> Objective:
    """Share of the softmax over the catalogue that falls on the less popular half of it (tail coverage).

    popularity: `[n_items]` interactions of every item in the training data, item 0 the padding.
    """
    order = popularity[1:].argsort(stable=True)
    tail = order[: len(order) // 2]
    return lambda scores: scores[:, 1:].softmax(dim=1)[:, tail].sum(dim=1)


class HistoryGame:
    """One user's history through a backbone, judged by objectives on the scores of all items.

    A coalition's members stay in the history in their order; the others are taken out of it and the rest closes up
    (sequential models), or their entries in the rating matrix become 0 (autoencoders).  The empty coalition is a
    list of one padding item, or a row of zeros.  Scores are those of evaluation mode; a backbone that draws random
    numbers then (DiffRec) draws the same ones at every call, from a stream of its own.

    A history that is asked for several times is scored once.  Histories of about a length are scored together, in
    lists no longer than the longest of them, where the model gives the same scores so (`shorter`).

    model: a trained backbone, enhanced or not; its mode is put back after every call and it is never changed.
    row: the fields of one row, as the training data have them: the user and, for sequential models, every list.
    history: `[n]` items, which are the players.  objectives: by name, see `log_likelihood` and others.
    batch: coalitions that the model scores at once.
    scorer: scores of rows `[n_masks, n_items]` in the place of the model's `full_sort_predict`, for models that need
        other columns or score pairs alone.
    shorter: whether lists may be shorter than the model's own; None, and it is tried on parts of the history at the
        first call.

    `HistoryGame.of_user` makes all of that from the training data.  Raises `UnsupportedError` for a backbone
    that keeps no history.
    """

    def __init__(
        self,
        model: nn.Module,
        row: Mapping[str, Tensor],
        history: Tensor,
        objectives: Mapping[str, Objective],
        *,
        batch: int = 256,
        seed: int = 0,
        scorer: Callable[[Any], Tensor] | None = None,
        shorter: bool | None = None,
    ) -> None:
        if not len(history):
            raise DataError("the history is empty, so the game has no players")
        if not objectives:
            raise ConfigurationError(
                "objectives is empty; give at least one, such as log_likelihood(held_out)"
            )
        if batch < 1:
            raise ConfigurationError(f"batch = {batch}; give at least 1")
        self.model: Any = model
        self.sequential = kind_of_history(model) == "sequential"
        self.device = next(model.parameters()).device
        self.history = history.to(self.device)
        self.row = {name: value.to(self.device) for name, value in row.items()}
        if self.sequential:
            longest = len(self.row[str(self.model.ITEM_SEQ)])
            if len(history) > longest:
                raise ConfigurationError(
                    f"the history has {len(history)} items and the model's lists hold {longest} "
                    "(MAX_ITEM_LIST_LENGTH); give the most recent ones"
                )
        self.objectives = dict(objectives)
        self.batch, self.seed = batch, seed
        self._scorer: Any = self.model.full_sort_predict if scorer is None else scorer
        self.shorter = shorter if self.sequential else False
        self._known: tuple[Tensor, Tensor] | None = None  # coalitions, and their values
        self._steps = stage("valuing: histories scored")

    @classmethod
    def of_user(
        cls,
        model: nn.Module,
        dataset: Dataset,
        user: str | int,
        *,
        held_out: float = 0.2,
        seed: int = 0,
        batch: int = 256,
        objectives: Mapping[str, Objective] | None = None,
    ) -> HistoryGame:
        """The game of one user of the *training* data (`train_data.dataset`), judged by a slice of those.

        user: the original id.  Sequential models: the history is the longest list among the user's rows and the
        slice is the item that follows it.  Autoencoders: the slice is `held_out` of the user's items at random (at
        least one), and the history is the others.
        objectives: by default `accuracy` (`log_likelihood`), `margin` and `tail` (`tail_share`).

        Raises `UnknownNameError` or `DataError` for a user who is not in the training data or has one interaction.
        """
        kind = kind_of_history(model)
        inner: Any = model
        named = f"{data_names(dataset.config).user} {str(user)!r}"
        number = internal_id(dataset, "user", inner.USER_ID, user)
        table = dataset.inter_feat
        rows = (table[inner.USER_ID] == number).nonzero().squeeze(1)
        if not len(rows):
            raise DataError(f"{named} has no interaction in the training data")
        items = table[inner.ITEM_ID]
        popularity = torch.bincount(items, minlength=inner.n_items)
        if kind == "sequential":
            lengths = table[inner.ITEM_SEQ_LEN][rows]
            last = rows[lengths.argmax()]
            row = {name: table[name][last] for name in table.columns}
            history = row[inner.ITEM_SEQ][: int(lengths.max())]
            judges = items[last].unsqueeze(0)
        else:
            row = {inner.USER_ID: table[inner.USER_ID][rows[0]]}
            mine = items[rows].unique()
            if len(mine) < 2:
                raise DataError(f"{named} has one training item: none is left to judge it by")
            if not 0 < held_out < 1:
                raise ConfigurationError(f"held_out = {held_out}; give a share between 0 and 1")
            count = min(max(1, round(held_out * len(mine))), len(mine) - 1)
            dealt = mine[torch.randperm(len(mine), generator=torch.Generator().manual_seed(seed))]
            judges, history = dealt[:count], dealt[count:].sort().values
        device = next(model.parameters()).device
        judges, popularity = judges.to(device), popularity.to(device)
        if objectives is None:
            objectives = {
                "accuracy": log_likelihood(judges),
                "margin": margin(judges),
                "tail": tail_share(popularity),
            }
        game = cls(model, row, history, objectives, batch=batch, seed=seed, scorer=scorer_of(model, dataset))
        game.held_out = judges
        return game

    #: The items that judge, where `of_user` made the game.
    held_out: Tensor | None = None

    @property
    def n_players(self) -> int:
        return len(self.history)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.objectives)

    def __call__(self, masks: Tensor) -> Tensor:
        if not len(masks):
            return torch.zeros(0, len(self.outputs), device=masks.device)
        before = 0 if self._known is None else len(self._known[0])
        given = masks.to(self.device)
        asked, place = (given if self._known is None else torch.cat([self._known[0], given])).unique(
            dim=0, return_inverse=True
        )
        new = torch.ones(len(asked), dtype=torch.bool, device=self.device)
        new[place[:before]] = False
        values = torch.zeros(len(asked), len(self.outputs), device=self.device)
        if self._known is not None:
            values[place[:before]] = self._known[1]
        if bool(new.any()):
            at = new.nonzero().squeeze(1)
            at = at[asked[at].sum(1).argsort(stable=True)]
            values[at] = self._asked(asked[at]).to(values.dtype)
        if len(asked) <= REMEMBERED:
            self._known = asked, values
        return values[place[before:]].to(masks.device)

    def _asked(self, masks: Tensor) -> Tensor:
        """Values of different coalitions in the order of their sizes, `[n_masks, n_outputs]`."""
        values = []
        with evaluating(self.model), torch.no_grad(), forked_randomness(self.seed, self.device):
            if self.shorter is None:
                self.shorter = self._reads_shorter_lists()
            for part, longest in self._parts(masks):
                scores = self.scores(part, longest)
                values.append(torch.stack([value(scores) for value in self.objectives.values()], dim=1))
                if self._steps is not None:
                    self._steps.step(len(part))
        return torch.cat(values)

    def _parts(self, masks: Tensor) -> Iterator[tuple[Tensor, int | None]]:
        """What the model scores at once of masks in the order of their sizes, and how long its lists are.

        A list of nothing but padding has the model's own length: what models make of it (SASRec: the mean over all
        places) depends on that.
        """
        if not self.shorter:
            yield from ((part, None) for part in masks.split(self.batch))
            return
        sizes = masks.sum(1).tolist()
        first = sizes.count(0)
        if first:
            yield masks[:first], None
        places = self.batch * sizes[-1] if self.device.type != "cpu" else CACHED
        while first < len(masks):
            end = first + 1
            while end < len(masks) and end - first < self.batch and (end + 1 - first) * sizes[end] <= places:
                end += 1
            yield masks[first:end], sizes[end - 1]
            first = end

    def scores(self, masks: Tensor, longest: int | None = None) -> Tensor:
        """The model's scores of all items, `[n_masks, n_items]`, for histories of the coalitions' members.

        longest: of the lists that it reads, as long as every coalition at least; None for its own length.
        """
        from recbole.data.interaction import Interaction

        fields = {name: value.expand(len(masks), *value.shape) for name, value in self.row.items()}
        if self.sequential:
            fields |= self._lists(masks, longest)
            return self._full_scores(Interaction(fields), len(masks))
        ratings = torch.zeros(len(masks), self.model.n_items, device=self.device)
        places = self.history.expand(len(masks), -1)
        ratings.scatter_reduce_(
            1, places, masks.to(ratings.dtype), "amax"
        )  # an item twice is there if one is
        self.model.get_rating_matrix = lambda users: ratings
        try:
            return self._full_scores(Interaction(fields), len(masks))
        finally:
            del self.model.get_rating_matrix

    def _full_scores(self, rows: Any, count: int) -> Tensor:
        scores: Tensor = self._scorer(rows)
        return scores.view(count, -1).float()

    def _reads_shorter_lists(self) -> bool:
        """Whether the beginnings of the history have the same scores from lists that are as long as they."""
        n, own = self.n_players, len(self.row[str(self.model.ITEM_SEQ)])
        for length in sorted({1, 2, (n + 1) // 2, n}):
            if length > n or length == own:
                continue
            masks = torch.arange(n, device=self.device) < torch.tensor([[1], [length]], device=self.device)
            whole = self.scores(masks)
            try:
                cut = self.scores(masks, length)
            except Exception:  # whatever a model raises whose layers are made for lists of one length
                return False
            near = SAME * float(whole[:, 1:].abs().max())
            if cut.shape != whole.shape or not bool(((cut - whole)[:, 1:].abs() <= near).all()):
                return False
        return True

    def _lists(self, masks: Tensor, longest: int | None) -> dict[str, Tensor]:
        """The row's lists with the members moved to the front, and how many there are (at least 1)."""
        n = self.n_players
        order = (~masks).to(torch.uint8).argsort(dim=1, stable=True)
        count = masks.sum(1)
        absent = torch.arange(n, device=masks.device) >= count.unsqueeze(1)
        model, lists = self.model, {}
        for name in self.list_fields():
            whole = self.row[name]
            own = self.history if name == model.ITEM_SEQ else whole[:n]
            moved = own[order]
            moved = moved.masked_fill(absent.view(*absent.shape, *[1] * (moved.dim() - 2)), 0)
            length = len(whole) if longest is None else max(longest, 1)
            padded = whole.new_zeros(len(masks), length, *whole.shape[1:])
            padded[:, :n] = moved[:, :length]
            lists[name] = padded
        lists[model.ITEM_SEQ_LEN] = count.clamp_min(1).to(self.row[model.ITEM_SEQ_LEN].dtype)
        return lists

    def list_fields(self) -> list[str]:
        """Fields that have one entry an item of the history."""
        model = self.model
        suffix = model.ITEM_SEQ[len(model.ITEM_ID) :]
        longest = len(self.row[model.ITEM_SEQ])
        return [
            name
            for name, value in self.row.items()
            if name.endswith(suffix) and value.dim() >= 1 and len(value) == longest
        ]


def scorer_of(model: Any, dataset: Dataset) -> Callable[[Any], Tensor]:
    """A model's scores of all items for rows as the data have them: by RecBole's option `transform` first."""
    return lambda rows: model.full_sort_predict(transformed(dataset, rows))


def kind_of_history(model: Any) -> str:
    """`sequential` or `autoencoder`; `UnsupportedError` for a backbone that keeps no history."""
    if callable(getattr(model, "full_sort_predict", None)):
        if hasattr(model, "ITEM_SEQ") and hasattr(model, "ITEM_SEQ_LEN"):
            return "sequential"
        if callable(getattr(model, "get_rating_matrix", None)):
            return "autoencoder"
    raise UnsupportedError(
        f"{type(model).__name__} does not encode a user's history at prediction, so nothing can be left out of it. "
        "Games on histories work with sequential models that score the whole catalogue (SASRec, GRU4Rec, ...) and with "
        "autoencoders (MultiVAE, CDAE, RecVAE, ...); without --user, `burnish value` takes any backbone with item "
        "vectors."
    )


def internal_id(dataset: Dataset, side: Literal["user", "item"], field: str, token: str | int) -> int:
    """An original id's number.  Raises `UnknownNameError` with the name of the column that the user's table has."""
    known = dataset.field2token_id[field]
    if str(token) not in known or known[str(token)] == 0:
        name = getattr(data_names(dataset.config), side)
        raise unknown_id(name, str(token), [str(name) for name in known if str(name) != "[PAD]"])
    return int(known[str(token)])
