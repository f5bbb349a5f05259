"""What is written in reviews as reasons that can be masked: DReX's words, NARRE's reviews, PESI's feature words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from burnish.backbones.drex.drex import DReX
from burnish.backbones.drex.masked_words import MaskedWords
from burnish.backbones.pesi.pesi import PESI, GeneratedSentence
from burnish.backbones.slot_model import SlotModel
from burnish.backbones.text_cnn import TextCNN

from .evidence import EvidenceGames, Makers, cosines, drawn, slopes
from .references import REFERENCES, Values, leave_one_out
from .standing import Recommendation

if TYPE_CHECKING:
    from burnish.trained.recommend import Recommender


class KeywordGames(EvidenceGames):
    """The words that the reviews of user and item have in common; one that is masked stands in none of them.

    Values are those of DReX's reasons: the smaller share of attention times rarity.
    """

    kind, method = "keywords", "words taken out of reviews"
    says: ClassVar = {
        "random": REFERENCES["random"],
        "popularity": "the words that most training reviews have",
        "similarity": "the words whose token vectors are nearest to the mean of the item's reviews (cosine)",
        "gradient": "the derivative of the predicted rating by the attention on each word",
        "leave-one-out": "the predicted rating by all words less that by all but one",
        "plain overlap": "the words with the largest smaller share of attention, without rarity, as in the paper",
    }

    def __init__(self, recommender: Recommender, model: DReX) -> None:
        super().__init__(recommender)
        self.model = model
        self._pair: tuple[tuple[int, int], MaskedWords] | None = None

    @classmethod
    def of(cls, recommender: Recommender) -> KeywordGames | None:
        """Those of a DReX that reads reviews; None of other models."""
        model = recommender.trained.model
        return cls(recommender, model) if isinstance(model, DReX) and model.explains else None

    def words(self, user: int, item: int) -> MaskedWords:
        """The model with words of this pair masked; of the last pair it is kept."""
        if self._pair is None or self._pair[0] != (user, item):
            self._pair = ((user, item), MaskedWords(self.model, user, item))
        return self._pair[1]

    def history(self, user: int, item: int) -> Tensor:
        """The places `[n]` of the words in common; none where no word of them is a reason."""
        n = len(self.words(user, item).words)
        return torch.arange(n if n and self.values(user, item).any() else 0)

    def values(self, user: int, item: int) -> Values:
        """Contributions of the words, 0 for one that is no reason, `[n]`."""
        return self._weights(user, item, rarity=True)

    def _weights(self, user: int, item: int, *, rarity: bool) -> Values:
        words = self.words(user, item).words
        found = {one.word: one for one in self.model.overlaps(user, item, len(words))}
        values = np.zeros(len(words))
        for place, word in enumerate(words.tolist()):
            if word in found:
                values[place] = found[word].weight if rarity else min(found[word].shares)
        return values

    @torch.no_grad()
    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """Scores `[n_masks, n_items]` by the states of user and item without masked words."""
        assert self._pair is not None
        masked = self._pair[1]
        weight = self.model.fuse.weight
        parts = masks.to(weight.device, weight.dtype).split(256)
        return torch.cat([masked.scores(part)[:, list(items)] for part in parts])

    def makers(self, seed: int) -> Makers:
        """Those of `says`."""
        profiles = self.model.keyword_profiles()
        reviews = np.bincount(profiles.attention.indices, minlength=profiles.attention.shape[1])

        def gradient(one: Recommendation) -> Values:
            masked = self.words(one.user, one.item)
            return slopes(lambda factors: masked.scores(factors)[:, one.item], len(one), self.model)

        return {
            "random": drawn(seed, 6),
            "popularity": lambda one: reviews[self.words(one.user, one.item).words].astype(np.float64),
            "similarity": lambda one: cosines(*self.words(one.user, one.item).vectors()),
            "gradient": gradient,
            "leave-one-out": leave_one_out,
            "plain overlap": lambda one: self._weights(one.user, one.item, rarity=False),
        }

    def remarks(self) -> list[str]:
        """What a masked word leaves behind."""
        return [
            "keywords: a masked word has no attention in any review of the user or the item; what the encoder made of "
            "the words around it, having read the whole review, stays"
        ]


class ReviewGames(EvidenceGames):
    """The item's reviews that NARRE or HRDR reads; one that is masked gives its weight to the others.

    Values are the attention on each; the user's own review of the item is always read, and no reason.
    """

    kind, method = "reviews", "reviews taken from the item's"
    says: ClassVar = {
        "random": REFERENCES["random"],
        "popularity": "the longest reviews",
        "similarity": "the reviews whose words' mean vector is nearest to that of the user's reviews (cosine)",
        "gradient": "the derivative of the predicted rating by the attention on each review",
        "leave-one-out": "the predicted rating by all reviews less that by all but one",
    }

    def __init__(self, recommender: Recommender, model: SlotModel) -> None:
        super().__init__(recommender)
        self.model = model
        self._item = 0
        self._slots = torch.zeros(0, dtype=torch.long)

    @classmethod
    def of(cls, recommender: Recommender) -> ReviewGames | None:
        """Those of a model that weighs reviews one by one; None of others."""
        model = recommender.trained.model
        return cls(recommender, model) if isinstance(model, SlotModel) else None

    def history(self, user: int, item: int) -> Tensor:
        """The places `[n]` of the item's reviews, the newest first."""
        slots = self.model.slots("item")
        read = (slots.events[item] >= 0) & (slots.others[item] != user)
        self._item, self._slots = item, read.nonzero()[:, 0]
        return torch.arange(len(self._slots))

    def values(self, user: int, item: int) -> Values:
        """The attention on each, `[n]`."""
        self.history(user, item)
        _, weights = self.model.review_attention("item", torch.tensor([item]))
        return np.asarray(weights[0][self._slots].double().cpu().numpy())

    @torch.no_grad()
    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """Scores `[n_masks, n_items]`: other items' reviews are all read."""
        own = self._rated(user, masks.to(self.model.output.weight.dtype))
        return self.with_own(user, items, self._item, own.double().cpu().numpy())

    def _rated(self, user: int, factors: Tensor) -> Tensor:
        model = self.model
        device = model.event_users.device
        every = torch.ones(len(factors), model.max_reviews, device=device)
        every = every.index_copy(1, self._slots.to(device), factors.to(device, every.dtype))
        return model.ranking_scores(model.rate_by_reviews(user, self._item, every))

    def makers(self, seed: int) -> Makers:
        """Those of `says`."""
        model = self.model

        def words_of(texts: Tensor) -> Tensor:
            return model.tokens[texts.clamp(min=0)] * (texts >= 0).unsqueeze(1)

        def longest(one: Recommendation) -> Values:
            texts = model.slots("item").texts[one.item][self._slots].tolist()
            return np.array([len(model.texts[text].split()) for text in texts], dtype=np.float64)

        def similar(one: Recommendation) -> Values:
            cnn = model.text_cnn["item"]
            assert isinstance(cnn, TextCNN)
            means = [
                cnn.vectors[words.long()].sum(1) / (words > 0).sum(1, keepdim=True).clamp(min=1)
                for words in (
                    words_of(model.slots("item").texts[one.item][self._slots]),
                    words_of(model.slots("user").texts[one.user]).view(1, -1),
                )
            ]
            return cosines(means[0], means[1][0])

        return {
            "random": drawn(seed, 7),
            "popularity": longest,
            "similarity": similar,
            "gradient": lambda one: slopes(lambda factors: self._rated(one.user, factors), len(one), model),
            "leave-one-out": leave_one_out,
        }


class SentenceGames(EvidenceGames):
    """The feature words that PESI's generator is given for a pair; the score is how likely it is to write its sentence.

    Its predicted rating reads no word, so that no word can be a reason for it: what is asked is whether the sentence
    goes by the words that are said to lead to it.  The item stands among the others by how likely the very same
    sentence is for them, each with the words that it is given itself.
    """

    kind, method = "sentences", "feature words not given to the generator"
    says: ClassVar = {
        "random": REFERENCES["random"],
        "popularity": "the feature words that most training reviews have",
        "similarity": "the words whose vectors are nearest to what stands for the item (cosine)",
        "gradient": "the derivative of the sentence's likelihood by each word's vector, along it",
        "leave-one-out": "the sentence's likelihood by all words less that by all but one",
    }

    def __init__(self, recommender: Recommender, model: PESI) -> None:
        super().__init__(recommender)
        self.model = model
        self._pair = (0, 0)
        self._written: GeneratedSentence | None = None
        self._others: Tensor | None = None
        self._named: list[bool] = []

    @classmethod
    def of(cls, recommender: Recommender) -> SentenceGames | None:
        """Those of a PESI that is given feature words; None of other models."""
        model = recommender.trained.model
        given = isinstance(model, PESI) and model.generator.n_features > 0
        return cls(recommender, model) if given else None

    def history(self, user: int, item: int) -> Tensor:
        """The places `[n]` of the feature words that are given, the strongest first."""
        if self._pair != (user, item):
            (self._written,) = self.model.write(torch.tensor([user]), torch.tensor([item]))
            self._pair, self._others = (user, item), None
            named = self.model.written.said(self._written.words)
            self._named.append(bool(named & set(self._written.given)))
        assert self._written is not None
        return torch.arange(len(self._written.given))

    def values(self, user: int, item: int) -> Values:
        """The order in which the words are given, the strongest largest, `[n]`."""
        n = len(self.history(user, item))
        return np.arange(n, 0, -1, dtype=np.float64)

    @torch.no_grad()
    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """Mean log-probabilities of the sentence's words, `[n_masks, n_items]`."""
        written, (_, item) = self._written, self._pair
        assert written is not None
        if self._others is None:
            every = torch.arange(self.model.n_items)
            users = torch.full_like(every, user)
            self._others = self.model.sentence_likelihoods(written.words, users, every).double().cpu()
        table = self._others[torch.tensor(list(items))].repeat(len(masks), 1)
        table[:, list(items).index(item)] = self._likelihoods(masks).double().cpu()
        return table

    def _likelihoods(self, masks: Tensor) -> Tensor:
        assert self._written is not None
        user, item = self._pair
        kept = torch.zeros(len(masks), self.model.generator.n_features, dtype=torch.long)
        kept[:, : masks.shape[1]] = masks.long()
        users, items = torch.full((len(masks),), user), torch.full((len(masks),), item)
        return self.model.sentence_likelihoods(self._written.words, users, items, kept)

    def makers(self, seed: int) -> Makers:
        """Those of `says`."""
        model = self.model
        counts = np.asarray(model.written.held.sum(axis=0)).ravel()

        def numbers(one: Recommendation) -> np.ndarray:
            given = model.given_features(torch.tensor([one.user]), torch.tensor([one.item]))[0]
            return given[given >= 0]

        @torch.no_grad()
        def similar(one: Recommendation) -> Values:
            spoken = torch.from_numpy(model.spoken[numbers(one)]).to(model.codes.device)
            pair = (torch.tensor([number], device=model.codes.device) for number in (one.user, one.item))
            stands = model.standing_for(*pair)[1][0]
            return cosines(model.generator.words(spoken), stands)

        def gradient(one: Recommendation) -> Values:
            def score(factors: Tensor) -> Tensor:
                def scaled(module: torch.nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
                    every = output.new_ones(1, output.shape[1])
                    places = torch.arange(factors.shape[1], device=output.device)
                    return output * every.index_copy(1, places, factors).unsqueeze(2)

                hook = model.generator.words.register_forward_hook(scaled)
                try:
                    return self._likelihoods(torch.ones(1, factors.shape[1]))
                finally:
                    hook.remove()

            return slopes(score, len(one), model)

        return {
            "random": drawn(seed, 8),
            "popularity": lambda one: counts[numbers(one)].astype(np.float64),
            "similarity": similar,
            "gradient": gradient,
            "leave-one-out": leave_one_out,
        }

    def remarks(self) -> list[str]:
        """What no word can be a reason for, and whether sentences name their words."""
        share = np.mean(self._named) if self._named else 0.0
        return [
            "sentences: the predicted rating of PESI reads no word, so that no word of a sentence is a reason for it; "
            "the figures are of the likelihood of the sentence that it writes",
            f"sentences: {share:.0%} of those that were explained name a feature word that the generator was given",
        ]
