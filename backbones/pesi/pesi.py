"""PESI: ratings from what ratings and reviews share and what ratings keep, and a sentence that says why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.backbones.biases import Biases
from burnish.backbones.checks import not_negative, share, whole_number
from burnish.backbones.configured_texts import cleaner_of
from burnish.backbones.rating_model import rating_levels
from burnish.backbones.review_model import ReviewModel
from burnish.backbones.slot_model import Side, small_layer
from burnish.errors import ConfigurationError, DataError
from burnish.explanation import Reason

from .features import FeatureProfiles, IntArray
from .generator import SentenceGenerator
from .sentences import SentenceReader, TrainingSentences, readable_sentence
from .views import RatingReader, Views, contrast

PROPERTIES = Path(__file__).parents[1] / "properties"

#: Pairs that sentences are written for at a time.
PART = 512


@dataclass(frozen=True)
class GeneratedSentence:
    """A sentence that the model wrote of an item for a user.

    words: in small letters, marks among them.  certainty: geometric mean of their probabilities, 0 to 1.
    given: the feature words that the generator was given (lemmas), the strongest first.
    """

    words: tuple[str, ...]
    certainty: float
    given: tuple[str, ...]


class PESI(ReviewModel):
    """Ratings and a sentence for each, with what ratings and reviews share told from what is private to either.

    Each user and item has a vector for ratings and one for reviews, and of each vector shared and private features
    (`Views`).  The rating is `w . (x_u * y_i) + b_u + b_i + mean`, where x and y are the shared and private features
    of ratings and the shared ones of reviews: what is private to reviews does not sway it.  A small transformer
    (`SentenceGenerator`) is given the shared and private features of the reviews of user and item, and the words that
    reviews of the item are known by (`FeatureProfiles.strongest`); it learns the most telling sentences of the training
    reviews, their words in any order, and the rating.  A contrast draws the shared features of the two views of a user
    (item) together and the private ones away; an entropy regulariser keeps what is private to reviews from telling the
    rating: a linear reader, which learns ratings from shared features, is to be undecided about it.

    No leak: a review is what a generator is to say, and never what a rating or a sentence is made from.  The words that
    it is given for a pair are counted without the pair's own reviews, in training too.  Predictions and sentences
    read nothing of a test row but its user and item; vocabulary and feature words are those of the training split.

    Source: PESI, Knowledge-Based Systems 2024: rating prediction and explanations under the inconsistency of ratings
    and reviews, with shared and private features disentangled by contrast and an entropy regulariser.  We could
    read its abstract only, and not its equations: every equation here is **our reading** of that sentence.  The
    generator is PETER's (see `SentenceGenerator`).  Ours besides: biases that start where they would end alone, the
    penalties, feature words by rarity and spread (`FeatureWords`), which sentences are learned.
    """

    options_files = tuple(PROPERTIES / f"{name}.yaml" for name in ("rating", "reviews", "pesi"))
    #: What an enhancer refines: the vectors that meet in the score.
    burnish_tables = (("user_embedding.weight", "user"), ("item_embedding.weight", "item"))

    @classmethod
    def settle_options(cls, config: Any, given: Collection[str]) -> None:
        """As for every model of ratings; and the first validation comes with the last epoch, if no earlier."""
        super().settle_options(config, given)
        if "eval_step" not in given and config["epochs"] > 0:
            config["eval_step"] = min(config["eval_step"], config["epochs"])

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        size, wide = whole_number(config, "embedding_size"), whole_number(config, "word_size")
        heads = whole_number(config, "heads")
        if wide % heads:
            raise ConfigurationError(
                f"word_size = {wide}, heads = {heads}: the heads share the width equally; give a word_size that "
                f"{heads} divides"
            )
        length, n_features = whole_number(config, "sentence_length"), whole_number(config, "read_features", 0)
        kept = whole_number(config, "review_sentences"), whole_number(config, "vocabulary_size")
        names = ("sentence", "context", "words_rating", "contrast", "entropy", "reg")
        self.weights = {name: not_negative(config, f"{name}_weight") for name in names}
        self.temperature = not_negative(config, "temperature")
        if not self.temperature:
            raise ConfigurationError("temperature = 0: cosines are divided by it; give a number above 0")
        self.bias_shrinkage = not_negative(config, "bias_shrinkage")
        dropout = share(config, "dropout_prob")
        self.user_tokens, self.item_tokens = (
            np.asarray(dataset.field2id_token[field]) for field in (self.USER_ID, self.ITEM_ID)
        )
        self._read_texts(SentenceReader(cleaner_of(config), length), *kept)

        self.user_embedding, self.item_embedding = self._tables(size)
        self.user_review_embedding, self.item_review_embedding = self._tables(size)
        self.user_bias, self.item_bias = nn.Embedding(self.n_users, 1), nn.Embedding(self.n_items, 1)
        self._start_biases()
        self.views = nn.ModuleDict({side: Views(size) for side in ("user", "item")})
        self.factors = nn.ModuleDict({side: small_layer(3 * size, size) for side in ("user", "item")})
        self.output = nn.Linear(size, 1, bias=False)
        nn.init.ones_(self.output.weight)
        self.dropout = nn.Dropout(dropout)
        self.reader = RatingReader(size, len(self.levels))
        self.given = nn.ModuleDict({side: nn.Linear(2 * size, wide) for side in ("user", "item")})
        self.generator = SentenceGenerator(
            len(self.written.words), n_features, length, wide, whole_number(config, "layers"), heads, dropout
        )
        self._profiles: FeatureProfiles | None = None

    def _tables(self, size: int) -> tuple[nn.Embedding, nn.Embedding]:
        tables = nn.Embedding(self.n_users, size), nn.Embedding(self.n_items, size)
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
        return tables

    def _read_texts(self, reader: SentenceReader, most: int, size: int) -> None:
        """Sentences, vocabulary and feature words of the training reviews, and the classes of ratings."""
        name = type(self).__name__
        if not self.texts:
            raise DataError(
                f"{name}: none of the {self.n_events} training interactions has a review; give the data set a reviews "
                f"file (review_file), or take a model that needs none, such as EMF"
            )
        has = (self.event_texts >= 0).nonzero()[:, 0]
        events = self.event_texts[has].numpy(), self.event_items[has].numpy()
        self.written = TrainingSentences.of(self.texts, events, reader, most, size)
        if not len(self.written.codes):
            raise DataError(
                f"{name}: no sentence of the {len(self.texts)} training reviews has a word; look at REVIEW_FIELD"
            )
        self.spoken = self.written.spoken()
        # A feature word that no form of is in the vocabulary cannot be given to the generator.
        self.feature_weights = self.written.features.weights * (self.spoken > 0)
        levels = rating_levels(self.event_ratings, self.scale)
        for key, value in (
            ("codes", self.written.codes),
            ("of_text", self.written.of_text),
            ("levels", levels),
        ):
            self.register_buffer(key, value, persistent=False)
        self.codes: Tensor
        self.of_text: Tensor
        self.levels: Tensor

    @torch.no_grad()
    def _start_biases(self) -> None:
        """Begin with what the biases would end at without the factors."""
        triples = self.event_users, self.event_items, self.event_ratings
        biases = Biases.of(*triples, self.n_users, self.n_items, self.bias_shrinkage)
        self.user_bias.weight[:, 0], self.item_bias.weight[:, 0] = biases.users, biases.items

    # ------------------------------------------------------------------ ratings

    def _views(self, side: Side) -> Views:
        views = self.views[side]
        assert isinstance(views, Views)
        return views

    def _embeddings(self, side: Side) -> tuple[nn.Embedding, nn.Embedding]:
        """The vectors of users or items for ratings, and those for reviews."""
        if side == "user":
            return self.user_embedding, self.user_review_embedding
        return self.item_embedding, self.item_review_embedding

    def _factors(self, side: Side, vectors: Tensor, review_vectors: Tensor) -> Tensor:
        """x of users or y of items, `[n, size]`, from their vectors in the two views."""
        views = self._views(side)
        shared, private = views.rating(vectors)
        also, _ = views.review(review_vectors)
        found: Tensor = self.factors[side](torch.cat([shared, private, also], dim=1))
        return found

    def _of(self, side: Side, ids: Tensor) -> Tensor:
        of_ratings, of_reviews = self._embeddings(side)
        return self._factors(side, of_ratings(ids), of_reviews(ids))

    def _of_all(self, side: Side) -> Tensor:
        of_ratings, of_reviews = self._embeddings(side)
        return self._factors(side, of_ratings.weight, of_reviews.weight)

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings of pairs, `[n]`."""
        return self._rated(self._of("user", users), self._of("item", items), users, items)

    def _rated(self, left: Tensor, right: Tensor, users: Tensor, items: Tensor) -> Tensor:
        scores = self.output(self.dropout(left * right)) + self.user_bias(users) + self.item_bias(items)
        rated: Tensor = scores.squeeze(1) + self.mean
        return rated

    def rate_all(self, users: Tensor) -> Tensor:
        """Predicted ratings of all items, `[n, n_items]`."""
        products = (self._of("user", users) * self.output.weight) @ self._of_all("item").T
        return products + self.user_bias(users) + self.item_bias.weight.T + self.mean

    @torch.no_grad()
    def output_vectors(self) -> tuple[Tensor, Tensor]:
        """What `burnish export --kind output` gives: the factors of users and items, `[n, size]`."""
        return self._of_all("user"), self._of_all("item")

    # ------------------------------------------------------------------ training

    def calculate_loss(self, interaction: Any) -> Tensor:
        """The error of the ratings of training rows, that of their sentences, and the regularisers.

        `reg_weight` is of the squared factors, a mean over the batch; biases are held back as by `bias_shrinkage`
        ratings that say nothing.
        """
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        ratings = interaction[self.RATING].float()
        left, right = self._of("user", users), self._of("item", items)
        loss = self.rating_error(self._rated(left, right, users, items), ratings)
        loss = loss + self.weights["reg"] * (left.square().sum(1) + right.square().sum(1)).mean()
        biases = self.user_bias.weight.square().sum() + self.item_bias.weight.square().sum()
        loss = loss + self.bias_shrinkage / self.n_events * biases
        loss = loss + self._entropy_loss(users, items, ratings)
        apart = self._contrast("user", users.unique()) + self._contrast("item", items.unique())
        loss = loss + self.weights["contrast"] / 2 * apart
        return loss + self._sentence_loss(users, items, ratings, self.events_of(interaction))

    def _contrast(self, side: Side, ids: Tensor) -> Tensor:
        of_ratings, of_reviews = self._embeddings(side)
        views = self._views(side)
        one, other = views.rating(of_ratings(ids)), views.review(of_reviews(ids))
        return contrast((one[0], other[0]), (one[1], other[1]), self.temperature)

    def _entropy_loss(self, users: Tensor, items: Tensor, ratings: Tensor) -> Tensor:
        """The reader's own error, which reaches nothing but the reader, and what it sees in private features."""
        shared, private = zip(
            self._views("user").review(self.user_review_embedding(users)),
            self._views("item").review(self.item_review_embedding(items)),
            strict=True,
        )
        classes = torch.searchsorted(self.levels, ratings).clamp(max=len(self.levels) - 1)
        reading = self.reader.error(torch.cat(shared, dim=1), classes)
        return reading + self.weights["entropy"] * self.reader.certainty(torch.cat(private, dim=1))

    def _sentence_loss(self, users: Tensor, items: Tensor, ratings: Tensor, events: Tensor) -> Tensor:
        known = events.clamp(min=0)
        texts = self.event_texts[known].where((events >= 0) & self.shown[known], -1)
        has = (self.of_text[texts.clamp(min=0)] >= 0).sum(1).where(texts >= 0, 0)
        row = has.nonzero()[:, 0]
        if not len(row):
            return users.new_zeros((), dtype=torch.float32)
        # One of its sentences each time: all of them would cost so many times as much, and say little more.
        drawn = (torch.rand(len(row), device=row.device) * has[row]).long()
        codes = self.codes[self.of_text[texts[row], drawn]]
        features = self._feature_words(users[row], items[row])
        left, right = self.standing_for(users[row], items[row])
        said, context, rated = self.generator.losses(left, right, features, codes)
        error = nn.functional.mse_loss(rated + self.mean, ratings[row])
        weights = self.weights
        return weights["sentence"] * said + weights["context"] * context + weights["words_rating"] * error

    # ------------------------------------------------------------------ sentences

    def standing_for(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What stands at the user's and the item's place of the generator, `[n, word_size]` each."""
        of_user = self._views("user").review(self.user_review_embedding(users))
        of_item = self._views("item").review(self.item_review_embedding(items))
        return self.given["user"](torch.cat(of_user, dim=1)), self.given["item"](torch.cat(of_item, dim=1))

    def given_features(self, users: Tensor, items: Tensor) -> IntArray:
        """The feature words that the generator is given for pairs, by number, -1 after the last: `[n, read_features]`.

        See `FeatureProfiles.strongest`; of the reviews that are shown, without those of the pair.
        """
        if self._profiles is None:
            shown = (self.shown & (self.event_texts >= 0)).nonzero()[:, 0]
            columns = (self.event_users, self.event_items, self.event_texts)
            of_user, of_item, texts = (column[shown].cpu().numpy() for column in columns)
            held = self.written.held[texts]
            self._profiles = FeatureProfiles(of_user, of_item, held, self.n_users, self.n_items)
        of_user, of_item = users.cpu().numpy(), items.cpu().numpy()
        return self._profiles.strongest(of_user, of_item, self.feature_weights, self.generator.n_features)

    def _feature_words(self, users: Tensor, items: Tensor) -> Tensor:
        chosen = self.given_features(users, items)
        words = np.append(self.spoken, 0)[chosen]  # -1 is the last: no word
        return torch.from_numpy(words).to(users.device)

    @torch.no_grad()
    def write(self, users: Tensor, items: Tensor) -> list[GeneratedSentence]:
        """A sentence for each pair, from training data alone.  users, items: ids, `[n]`."""
        training = self.training
        self.eval()
        try:
            return [
                sentence
                for some, others in zip(users.split(PART), items.split(PART), strict=True)
                for sentence in self._write(some, others)
            ]
        finally:
            if training:
                self.train()

    def _write(self, users: Tensor, items: Tensor) -> list[GeneratedSentence]:
        users, items = users.to(self.codes.device), items.to(self.codes.device)
        found = self.generator.write(*self.standing_for(users, items), self._feature_words(users, items))
        names, chosen = self.written.features.names, self.given_features(users, items)
        return [
            GeneratedSentence(
                tuple(self.written.sentence(code)),
                float(certainty),
                tuple(names[number] for number in given if number >= 0),
            )
            for code, certainty, given in zip(found.codes, found.certainty, chosen, strict=True)
        ]

    def sentence_likelihoods(
        self, sentence: Sequence[str], users: Tensor, items: Tensor, kept: Tensor | None = None
    ) -> Tensor:
        """How likely the generator is to write a sentence for pairs: mean log-probability of its words, `[n]`.

        sentence: as `write` gives it.  kept: which of the feature words of each pair it is given,
        `[n, read_features]`; None: all.
        """
        device = self.codes.device
        users, items = users.to(device), items.to(device)
        code = self.written.code(sentence).to(device)
        features = self._feature_words(users, items)
        if kept is not None:
            features = features * kept.to(device)
        codes = code.expand(len(users), -1)
        parts = zip(
            *(rows.split(PART) for rows in (*self.standing_for(users, items), features, codes)), strict=True
        )
        return torch.cat([self.generator.likelihoods(*part) for part in parts])

    @torch.no_grad()
    def words_ratings(self, users: Tensor, items: Tensor) -> Tensor:
        """The ratings that the generator would give while it writes, from the view of reviews alone, `[n]`.

        Where they are far from `rate`'s, reviews and ratings of user and item do not say the same.
        """
        return self.generator.ratings(*self.standing_for(users, items)) + self.mean

    def forget(self) -> None:
        """Drop the counts of feature words: what is shown may have changed."""
        self._profiles = None

    def explain(self, user: int, item: int) -> list[Reason]:
        """The sentence that the model writes of the item for the user.  user, item: internal ids.

        The contribution is how certain the generator is, 0 to 1: a weight, and no part of the predicted rating.
        """
        users, items = torch.tensor([user]), torch.tensor([item])
        (sentence,) = self.write(users, items)
        device = self.codes.device
        rated = float(self.words_ratings(users.to(device), items.to(device)))
        about, text = str(self.item_tokens[item]), readable_sentence(sentence.words)
        return [
            Reason(
                kind="review",
                text=f"What reviews of item {about} and yours lead the model to write (nobody wrote it): “{text}”",
                contribution=sentence.certainty,
                evidence={
                    "item": about,
                    "sentence": text,
                    "generated": True,
                    "given_features": list(sentence.given),
                    "named_features": sorted(self.written.said(sentence.words)),
                    "words_rating": rated,
                },
            )
        ]
