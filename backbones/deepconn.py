"""DeepCoNN: two convolutional networks read what a user wrote and what was written about an item."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from burnish.errors import DataError

from .checks import share, whole_number
from .configured_texts import open_words
from .documents import Documents
from .review_model import ReviewModel
from .text_cnn import TextCNN

PROPERTIES = Path(__file__).parent / "properties"

#: So many documents are read at a time where all are.
PART = 1024

Side = Literal["user", "item"]


class DocumentNetwork(nn.Module):
    """One of the two networks: word vectors, convolution, maximum over the text, a dense layer."""

    def __init__(self, vectors: Tensor, n_filters: int, kernel: int, size: int, dropout: float) -> None:
        super().__init__()
        self.convolution = TextCNN(vectors, n_filters, kernel)
        self.dense = nn.Linear(n_filters, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors of documents, `[n, size]`.  tokens: see `TextCNN`."""
        return self.dropout(torch.relu(self.dense(self.convolution(tokens))))


class PairMachine(nn.Module):
    """w_0 + w . z + sum over i < j of (v_i . v_j) z_i z_j, where z = [user vector; item vector].

    size: width of each of the two vectors.  n_factors: width of the v.  base: w_0 at the start.

    The part of each side is a number and a vector of `n_factors`; the two vectors' inner product completes the sum, so
    that all pairs of many users and items cost one matrix product.
    Source: Rendle, "Factorization Machines", ICDM 2010.
    """

    def __init__(self, size: int, n_factors: int, base: float) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.tensor(base))
        self.linear = nn.Parameter(torch.zeros(2, size))
        self.factors = nn.Parameter(torch.empty(2, size, n_factors))
        nn.init.normal_(self.linear, std=0.1)
        nn.init.normal_(self.factors, std=0.1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Values of pairs, `[n]`, from vectors `[n, size]` and `[n, size]`."""
        own_user, of_user = self._side(0, users)
        own_item, of_item = self._side(1, items)
        return self.base + own_user + own_item + (of_user * of_item).sum(1)

    def all_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Values of every user with every item, `[n, m]`, from vectors `[n, size]` and `[m, size]`."""
        own_user, of_user = self._side(0, users)
        own_item, of_item = self._side(1, items)
        return self.base + own_user.unsqueeze(1) + own_item + of_user @ of_item.T

    def _side(self, side: int, vectors: Tensor) -> tuple[Tensor, Tensor]:
        sums = vectors @ self.factors[side]
        squares = vectors.square() @ self.factors[side].square()
        return vectors @ self.linear[side] + (sums.square() - squares).sum(1) / 2, sums


class DeepCoNN(ReviewModel):
    """Deep cooperative neural networks, as a native RecBole model.

    The reviews that a user wrote, one after the other, are the user's document, those about an item are the item's.  A
    network for users and one for items make a vector of a document; a factorization machine over both vectors gives the
    rating.

    No leak: in training, the reviews of the pair that is predicted are in neither document; these are put together as
    if they had never been written.  Predictions read the documents of all training reviews and nothing of a test row
    but its user and item.

    Source: Zheng, Noroozi and Yu, "Joint Deep Modeling of Users and Items Using Reviews for Recommendation", WSDM 2017.
    Word vectors are not learned, as there, but they are not the Google News vectors of the paper: they are the input
    vectors of the text encoder's word pieces, reduced to `word_width` numbers.
    Ours: the pair's own reviews left out in training, documents that begin with the newest review, windows that reach
    over the ends of a document by zeros (so that a document of one word has one), zeros for a document without words.
    """

    options_files = tuple(
        PROPERTIES / f"{name}.yaml" for name in ("rating", "reviews", "encoder", "deepconn")
    )
    #: No row of a parameter belongs to a user or an item.
    burnish_tables = ()

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        if not self.texts:
            raise DataError(
                f"data set {dataset.dataset_name!r}: no training interaction has a review, and DeepCoNN reads nothing "
                f"else; take a model of ratings, such as EMF"
            )
        self.length = whole_number(config, "document_length")
        words = open_words(self.texts, config)
        if not len(words.ids):
            raise DataError(
                f"data set {dataset.dataset_name!r}: no word of its {len(self.texts)} training reviews is left after "
                f"cleaning; look at stop_words and REVIEW_FIELD"
            )
        for name, value in (("word_ids", words.ids), ("offsets", words.offsets)):
            self.register_buffer(name, value, persistent=False)
        self.word_ids: Tensor
        self.offsets: Tensor
        size = whole_number(config, "embedding_size")
        shape = whole_number(config, "filters"), whole_number(config, "kernel_size"), size
        dropout = share(config, "dropout_prob")
        self.user_network = DocumentNetwork(words.vectors, *shape, dropout)
        self.item_network = DocumentNetwork(words.vectors, *shape, dropout)
        self.machine = PairMachine(size, whole_number(config, "fm_factors"), self.mean)
        self._documents: dict[Side, Documents] = {}
        self._final: tuple[Tensor, Tensor] | None = None

    # ------------------------------------------------------------------ documents

    def documents(self, side: Side) -> Documents:
        """What each user wrote, or what was written about each item, in the training split."""
        if side not in self._documents:
            pair = self.event_users, self.event_items, self.n_users
            owners, others, n = pair if side == "user" else (pair[1], pair[0], self.n_items)
            texts = torch.where(self.shown, self.event_texts, -1)
            self._documents[side] = Documents(n, owners, others, texts, self.word_ids, self.offsets)
        return self._documents[side]

    def encode(self, side: Side, ids: Tensor, without: Tensor | None = None) -> Tensor:
        """Vectors of users or items, `[n, size]`.  without: see `Documents.take`."""
        network = self.user_network if side == "user" else self.item_network
        return network(self.documents(side).take(ids, self.length, without))

    @torch.no_grad()
    def final_vectors(self) -> tuple[Tensor, Tensor]:
        """Vectors of users `[n_users, size]` and items `[n_items, size]`, from all training reviews.

        Kept until the model is trained again.
        """
        if self._final is None:
            vectors = self._every("user", self.n_users), self._every("item", self.n_items)
            if self.training:
                return vectors
            self._final = vectors
        return self._final

    def output_vectors(self) -> tuple[Tensor, Tensor]:
        """What `burnish export --kind output` gives: `final_vectors`."""
        return self.final_vectors()

    def _every(self, side: Side, n: int) -> Tensor:
        every = torch.arange(n, device=self.offsets.device)
        return torch.cat([self.encode(side, part) for part in every.split(PART)])

    def forget(self) -> None:
        """Drop documents and final vectors: parameters or reviews changed."""
        self._documents.clear()
        self._final = None

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self.forget()  # what is kept is on the former device
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.forget()

    # ------------------------------------------------------------------ ratings

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Mean squared error of training rows, each predicted without its own review."""
        events = self.events_of(interaction)
        users = self.encode("user", interaction[self.USER_ID], events)
        items = self.encode("item", interaction[self.ITEM_ID], events)
        return self.rating_error(self.machine(users, items), interaction[self.RATING].float())

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings of pairs, `[n]`, from all training reviews."""
        of_users, of_items = self.final_vectors()
        return self.machine(of_users[users], of_items[items])

    def rate_all(self, users: Tensor) -> Tensor:
        """Predicted ratings of all items, `[n, n_items]`."""
        of_users, of_items = self.final_vectors()
        return self.machine.all_pairs(of_users[users], of_items)
