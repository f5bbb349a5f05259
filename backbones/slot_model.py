"""What models share that read the reviews of a user and of an item one by one and weigh them by attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from burnish.errors import ConfigurationError, DataError, UnsupportedError
from burnish.explanation import Reason

from .biases import Biases
from .checks import not_negative, share, whole_number
from .configured_texts import open_words
from .review_attention import Reading, read_slots
from .review_model import ReviewModel
from .review_slots import ReviewSlots, fill_slots
from .text_cnn import TextCNN

Side = Literal["user", "item"]

#: Users or items whose representations are computed at a time where all are.
PART = 2048
#: Characters of a review that a reason shows.
EXCERPT = 240


class SlotModel(ReviewModel):
    """A `ReviewModel` that says of users and items what their newest reviews say, weighed by attention.

    A subclass gives `weights`, `represent` and `join`.  The rating is a product of factors and biases:
    `w . (a_u * b_i) + b_u + b_i + mean`, where a_u and b_i are what `join` gives for user and item.

    No leak: in training the rating of user u for item i is predicted without u's reviews of i, on either side (all of
    them, where the pair has several).  A test rating is predicted from training reviews, and nothing of its row but
    user and item is read.

    The word vectors are frozen: `StaticWords`, input embeddings of the text encoder reduced to `word_width` numbers.
    (The papers' are word2vec's, trained on Google News, which have to be downloaded.)
    """

    #: What an enhancer refines: the embeddings that meet in the score, not those that weigh reviews.
    burnish_tables = (("user_embedding.weight", "user"), ("item_embedding.weight", "item"))

    def __init__(self, config: Any, dataset: Any, width: int) -> None:
        """width: of what `join` gives."""
        super().__init__(config, dataset)
        size = whole_number(config, "embedding_size")
        self.max_reviews, self.filters = whole_number(config, "max_reviews"), whole_number(config, "filters")
        self.reg_weight = not_negative(config, "reg_weight")
        self.bias_shrinkage = not_negative(config, "bias_shrinkage")
        self.user_tokens, self.item_tokens = (
            np.asarray(dataset.field2id_token[field]) for field in (self.USER_ID, self.ITEM_ID)
        )
        self._open_texts(config)
        self.user_embedding, self.item_embedding = (
            nn.Embedding(self.n_users, size),
            nn.Embedding(self.n_items, size),
        )
        self.user_bias, self.item_bias = nn.Embedding(self.n_users, 1), nn.Embedding(self.n_items, 1)
        for table in (self.user_embedding, self.item_embedding):
            nn.init.normal_(table.weight, std=0.1)
        self._start_biases()
        self.dropout = nn.Dropout(share(config, "dropout_prob"))
        self.output = nn.Linear(width, 1, bias=False)
        nn.init.ones_(self.output.weight)
        self._slots: dict[Side, ReviewSlots] = {}
        self._final: dict[Side, Tensor] = {}

    def _open_texts(self, config: Any) -> None:
        length, kernel = whole_number(config, "review_length"), whole_number(config, "kernel_size")
        if not self.texts:
            raise DataError(
                f"{type(self).__name__}: none of the {self.n_events} training interactions has a review; give the "
                f"data set a reviews file (review_file), or take a model that needs none, such as EMF"
            )
        words = open_words(self.texts, config)
        numbers = words.padded(torch.arange(len(self.texts)), length).int()
        if not bool((numbers > 0).any()):
            raise DataError(
                f"{type(self).__name__}: no word of the {len(self.texts)} training reviews is left after cleaning; "
                f"look at stop_words and REVIEW_FIELD"
            )
        self.register_buffer("tokens", numbers, persistent=False)
        self.tokens: Tensor
        self.text_cnn = nn.ModuleDict(
            {side: TextCNN(words.vectors, self.filters, kernel) for side in ("user", "item")}
        )

    @torch.no_grad()
    def _start_biases(self) -> None:
        """Begin with what the biases would end at without the factors (ours): a gradient takes many epochs to it."""
        biases = Biases.of(
            self.event_users,
            self.event_items,
            self.event_ratings,
            self.n_users,
            self.n_items,
            self.bias_shrinkage,
        )
        self.user_bias.weight[:, 0], self.item_bias.weight[:, 0] = biases.users, biases.items

    # ------------------------------------------------------------------ to be given

    def weights(self, side: Side, ids: Tensor) -> Tensor:
        """The attention on each review of users or items, `[n, max_reviews]`, see `slots`."""
        raise UnsupportedError(f"{type(self).__name__} must define weights(side, ids)")

    def represent(
        self, side: Side, ids: Tensor, hidden: Tensor | None = None, factors: Tensor | None = None
    ) -> Tensor:
        """What the training split says of users or items, but for their embeddings, `[n, k]`.

        hidden: for each of them the item (user) of the rating to be predicted, see `ReviewSlots.kept`.
        factors: of the weights of their reviews, see `Reading`.
        """
        raise UnsupportedError(f"{type(self).__name__} must define represent(side, ids, hidden, factors)")

    def join(self, side: Side, embedded: Tensor, represented: Tensor) -> Tensor:
        """The factors of users or items, `[n, width]`, from their embeddings and from what `represent` gave."""
        raise UnsupportedError(f"{type(self).__name__} must define join(side, embedded, represented)")

    # ------------------------------------------------------------------ reviews

    def slots(self, side: Side) -> ReviewSlots:
        """The reviews that stand for the users or for the items; kept until `forget`."""
        if side not in self._slots:
            # A text of stop words alone says nothing: its place goes to an older review.
            readable = self.shown & (self.event_texts >= 0)
            readable = readable & (self.tokens[self.event_texts.clamp(min=0), 0] > 0)
            texts = self.event_texts.where(readable, -1)
            pair = self.event_users, self.event_items, self.n_users
            owners, others, n = pair if side == "user" else (pair[1], pair[0], self.n_items)
            self._slots[side] = fill_slots(owners, others, texts, n, self.max_reviews)
        return self._slots[side]

    def read(
        self, side: Side, ids: Tensor, hidden: Tensor | None = None, factors: Tensor | None = None
    ) -> Reading:
        """Features of the reviews of users or items."""
        cnn = self.text_cnn[side]
        assert isinstance(cnn, TextCNN)
        return read_slots(self.slots(side), self.tokens, cnn, ids, hidden, factors)

    def forget(self) -> None:
        """Drop the places of reviews and what is kept for predictions."""
        self._slots, self._final = {}, {}

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.forget()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self.forget()  # it would stay on the former device
        return super()._apply(fn, recurse)

    # ------------------------------------------------------------------ ratings

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Squared error of a batch of training rows, each predicted without its pair's own reviews; and the penalty.

        The penalty (ours) is `reg_weight` times the squares of the factors that a prediction is made of, a mean over
        the batch, and the squares of all biases times `bias_shrinkage` / the number of training ratings: alone, a bias
        would be the mean of its residuals and of so many zeros.
        """
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        left = self.join("user", self.user_embedding(users), self.represent("user", users, items))
        right = self.join("item", self.item_embedding(items), self.represent("item", items, users))
        b_u, b_i = self.user_bias(users), self.item_bias(items)
        ratings = (self.output(self.dropout(left * right)) + b_u + b_i).squeeze(1) + self.mean
        loss = self.rating_error(ratings, interaction[self.RATING].float())
        factors = (left.square().sum(1) + right.square().sum(1)).mean()
        biases = self.user_bias.weight.square().sum() + self.item_bias.weight.square().sum()
        return loss + self.reg_weight * factors + self.bias_shrinkage / self.n_events * biases

    @torch.no_grad()
    def final(self, side: Side) -> Tensor:
        """What `represent` says of all users or items, `[n, k]`; kept until the model is trained again."""
        if side not in self._final:
            n = self.n_users if side == "user" else self.n_items
            every = torch.arange(n, device=self.event_users.device)
            self._final[side] = torch.cat([self.represent(side, part) for part in every.split(PART)])
        return self._final[side]

    def output_vectors(self) -> tuple[Tensor, Tensor]:
        """What `burnish export --kind output` gives: the factors of users and items, `[n, width]`."""
        users = self.join("user", self.user_embedding.weight, self.final("user"))
        return users, self.join("item", self.item_embedding.weight, self.final("item"))

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings of pairs, `[n]`."""
        left = self.join("user", self.user_embedding(users), self.final("user")[users])
        right = self.join("item", self.item_embedding(items), self.final("item")[items])
        return self._rated(left, right, users, items)

    def rate_all(self, users: Tensor) -> Tensor:
        """Predicted ratings of all items, `[n, n_items]`."""
        left = self.join("user", self.user_embedding(users), self.final("user")[users])
        right = self.join("item", self.item_embedding.weight, self.final("item"))
        factors = (left * self.output.weight) @ right.T
        return factors + self.user_bias(users) + self.item_bias.weight.T + self.mean

    def rate_by_reviews(self, user: int, item: int, factors: Tensor) -> Tensor:
        """Predicted ratings of a pair by parts of the item's reviews, `[n]`.

        factors: `[n, max_reviews]` in the order of `review_attention`: 0 leaves a review out, the others share its
        weight.
        """
        items = torch.full((len(factors),), item, device=self.event_users.device)
        users = torch.full_like(items, user)
        left = self.join("user", self.user_embedding(users), self.final("user")[users])
        right = self.join("item", self.item_embedding(items), self.represent("item", items, factors=factors))
        return self._rated(left, right, users, items)

    def _rated(self, left: Tensor, right: Tensor, users: Tensor, items: Tensor) -> Tensor:
        product = self.output(left * right)
        return (product + self.user_bias(users) + self.item_bias(items)).squeeze(1) + self.mean

    # ------------------------------------------------------------------ explanations

    @torch.no_grad()
    def review_attention(self, side: Side, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Which events the reviews of users or items are, and their weights, each `[n, max_reviews]`.

        Newest first; -1 and 0 where there is none.  The weights of who has a review add up to 1.
        """
        if side not in ("user", "item"):
            raise ConfigurationError(f"side = {side!r}: give 'user' or 'item'")
        ids = ids.to(self.event_users.device)
        return self.slots(side).events[ids], self.weights(side, ids)

    #: What the numbers of its reasons are, for readers.
    reasons_about = (
        "A reason is a review of the item; its number is its share of the model's attention, 0 to 1."
    )

    def explain(self, user: int, item: int) -> list[Reason]:
        """The item's reviews that the prediction reads, the most attended first; none for an item without reviews.

        user, item: internal ids.  The weights are the item's, whoever asks; a review of this user's own is left out.
        """
        events, weights = (rows[0] for rows in self.review_attention("item", torch.tensor([item])))
        read = events >= 0
        events, weights = events[read], weights[read]
        columns = (self.event_users, self.event_ratings, self.event_texts)
        writers, ratings, texts = (column[events].tolist() for column in columns)
        rows = zip(events.tolist(), writers, ratings, texts, weights.tolist(), strict=True)
        reasons = [
            self._reason(item, event, writer, rating, self.texts[text], weight)
            for event, writer, rating, text, weight in rows
            if writer != user
        ]
        return sorted(reasons, key=lambda reason: -reason.contribution)

    def _reason(self, item: int, event: int, writer: int, rating: float, text: str, weight: float) -> Reason:
        name, about = str(self.user_tokens[writer]), str(self.item_tokens[item])
        return Reason(
            kind="review",
            text=f"Somebody who rated item {about} {rating:g} wrote: “{excerpt(text)}”",
            contribution=weight,
            evidence={
                "writer": name,
                "item": about,
                "rating": rating,
                "weight": weight,
                "event": event,
                "review": text,
            },
        )


def small_layer(into: int, out: int) -> nn.Linear:
    """A linear layer whose outputs start small, so that a product of two of them starts near the mean rating."""
    layer = nn.Linear(into, out)
    nn.init.normal_(layer.weight, std=0.1 / into**0.5)
    nn.init.zeros_(layer.bias)
    return layer


def excerpt(text: str, most: int = EXCERPT) -> str:
    """The beginning of a text on one line, cut between words where it is longer than `most` characters."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    cut = line[:most]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + " …"
