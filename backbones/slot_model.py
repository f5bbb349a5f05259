"""What models share that read the reviews of a user and of an item one by one and weigh them by attention."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from burnish.enhancers.errors import ConfigurationError, DataError
from burnish.enhancers.explanation import Reason

from .opening import open_words
from .review_model import ReviewModel
from .review_slots import ReviewSlots, fill_slots
from .text_cnn import TextCNN

Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")

#: Users or items whose representations are computed at a time where all are.
PART = 2048
#: Characters of a review that a reason shows.
EXCERPT = 240


class SlotModel(ReviewModel):
    """A `ReviewModel` whose users and items are, in part, the weighted mean of their newest reviews' text features.

    A subclass gives `attention` (a number for each review), `represent` (what stands for users or items) and `score`.

    No leak: a training rating of user u for item i is predicted without u's reviews of i, on both sides (all of them,
    where the pair has several).  A test rating is predicted from training reviews, and nothing of its row but user
    and item is read.

    The word vectors are frozen: input embeddings of the text encoder, reduced to `word_width` numbers and scaled to
    a mean square of 1.  (The papers' are word2vec's, trained on Google News, which have to be downloaded.)
    """

    #: What an enhancer refines: the embeddings that meet in the score, not those that weigh reviews.
    burnish_tables = (("user_embedding.weight", "user"), ("item_embedding.weight", "item"))

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.size = positive(config, "embedding_size")
        self.max_reviews = positive(config, "max_reviews")
        self.reg_weight = float(config["reg_weight"])
        self.user_tokens, self.item_tokens = (
            np.asarray(dataset.field2id_token[field]) for field in (self.USER_ID, self.ITEM_ID)
        )
        self.tokens: Tensor
        self._open_texts(config)
        self.user_embedding = nn.Embedding(self.n_users, self.size)
        self.item_embedding = nn.Embedding(self.n_items, self.size)
        self.user_bias, self.item_bias = nn.Embedding(self.n_users, 1), nn.Embedding(self.n_items, 1)
        for table in (self.user_embedding, self.item_embedding):
            nn.init.normal_(table.weight, std=0.1)
        for table in (self.user_bias, self.item_bias):
            nn.init.zeros_(table.weight)
        self.dropout = nn.Dropout(float(config["dropout_prob"]))
        self._slots: dict[Side, ReviewSlots] = {}
        self._final: dict[Side, Tensor] = {}

    def _open_texts(self, config: Any) -> None:
        length, filters = positive(config, "review_length"), positive(config, "filters")
        if not self.texts:
            raise DataError(
                f"{type(self).__name__}: none of the {self.n_events} training interactions has a review; give the "
                f"data set a reviews file (review_file), or take a model that needs none, such as EMF"
            )
        words = open_words(self.texts, config)
        vectors = torch.as_tensor(words.vectors).float()
        scale = vectors.square().mean().sqrt()
        numbers = words.padded(torch.arange(len(self.texts)), length).int()
        self.register_buffer("tokens", numbers, persistent=False)
        self.text_cnn = nn.ModuleDict(
            {side: TextCNN(vectors / scale, filters, positive(config, "kernel_size")) for side in SIDES}
        )

    # ------------------------------------------------------------------ to be given

    def attention(self, side: Side, ids: Tensor, others: Tensor, features: Tensor, at: Tensor, own: Any) -> Tensor:
        """A number for each review, `[n, R]`, whose softmax is its weight.

        others: the items (users) at the other end of the reviews, `[n, R]`.  features: of the different texts,
        `[m, filters]`; at: which of them each review is, `[n, R]`.  own: what `before_reviews` gave.
        """
        raise NotImplementedError

    def represent(self, side: Side, ids: Tensor, hidden: Tensor | None = None) -> Tensor:
        """What reviews (and ratings) of the training split say of users or items, `[n, width]`.

        hidden: for each of them the item (user) of the rating to be predicted.
        """
        raise NotImplementedError

    def score(self, users: Tensor, items: Tensor, of_users: Tensor, of_items: Tensor) -> Tensor:
        """Ratings of pairs from what `represent` gave for them, `[n]`."""
        raise NotImplementedError
