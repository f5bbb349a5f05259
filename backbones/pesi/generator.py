"""A small transformer that writes the words of a sentence for a user and an item, and rates while it does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .sentences import BEGIN, END, PAD, UNKNOWN

#: Places before the feature words: the user's and the item's.
USER, ITEM, FIRST_FEATURE = 0, 1, 2


@dataclass(frozen=True)
class Written:
    """Sentences that a generator wrote.

    codes: word numbers, `PAD` after the last, `[n, length]`.
    certainty: the geometric mean of the probabilities of the words and of the end, 0 to 1, `[n]`.
    """

    codes: Tensor
    certainty: Tensor


class SentenceGenerator(nn.Module):
    """The places of a sequence: user, item, feature words, the beginning, and then the words of a sentence.

    A place sees itself and those before it; the user sees the item as well, and neither sees a word.  From the last
    layer, what stands at a word (or the beginning) says what comes next, at the item which words the sentence will
    have in any order (context prediction), and at the user the rating.

    vocabulary: how many words.  features: places of feature words.  length: words of a sentence, the end not counted.
    size: width.  The words' vectors are also the output's weights.

    Source: Li, Zhang, Chen, "Personalized transformer for explainable recommendation" (PETER), ACL 2021, for the
    sequence, the mask and the three tasks.  Ours: learned places, layers that normalise first, shared word vectors.
    """

    def __init__(
        self, vocabulary: int, features: int, length: int, size: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.n_features, self.length = features, length
        self.words = nn.Embedding(vocabulary, size, padding_idx=PAD)
        nn.init.normal_(self.words.weight, std=size**-0.5)
        n_places = FIRST_FEATURE + features + 1 + length
        self.places = nn.Parameter(torch.randn(n_places, size) * size**-0.5)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size, heads, 2 * size, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.word_bias = nn.Parameter(torch.zeros(vocabulary))
        self.rating = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 1))
        unseen = torch.ones(n_places, n_places, dtype=torch.bool).triu(1)
        unseen[USER, ITEM] = False
        self.register_buffer("unseen", unseen, persistent=False)
        self.unseen: Tensor

    @property
    def first_word(self) -> int:
        """The place of the beginning, which says the first word."""
        return FIRST_FEATURE + self.n_features

    def forward(self, users: Tensor, items: Tensor, features: Tensor, words: Tensor) -> Tensor:
        """What stands at each place, `[n, places, size]`.

        users, items: vectors, `[n, size]`.  features: words, `PAD` for an empty place, `[n, n_features]`.
        words: of the sentence so far, `[n, w]`.
        """
        begin = (
            torch.full_like(features[:, :1], BEGIN)
            if self.n_features
            else words.new_full((len(words), 1), BEGIN)
        )
        codes = torch.cat([features, begin, words], dim=1)
        at = torch.cat([users.unsqueeze(1), items.unsqueeze(1), self.words(codes)], dim=1)
        n_places = at.shape[1]
        # An empty place of a feature is hidden; what follows a sentence's end is seen by nothing that counts.
        hidden = torch.zeros(at.shape[:2], dtype=torch.bool, device=at.device)
        hidden[:, FIRST_FEATURE : self.first_word] = features == PAD
        at = self.dropout(at + self.places[:n_places])
        unseen = self.unseen[:n_places, :n_places]
        for layer in self.layers:
            at = layer(at, src_mask=unseen, src_key_padding_mask=hidden)
        normed: Tensor = self.norm(at)
        return normed

    def scores(self, at: Tensor) -> Tensor:
        """Logits of all words from what stands at places, `[..., vocabulary]`."""
        return nn.functional.linear(at, self.words.weight, self.word_bias)

    def losses(
        self, users: Tensor, items: Tensor, features: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What is to be made small, and the ratings.

        codes: words with `END` and then `PAD`, `[n, length + 1]`.
        Returns the mean negative log-likelihood of the words in their order (the end is one), that of the words in any
        order, and the ratings that stand at the user, `[n]`.
        """
        at = self(users, items, features, codes[:, :-1])
        real = codes != PAD
        said = nn.functional.cross_entropy(self.scores(at[:, self.first_word :][real]), codes[real])
        rows = real.nonzero()[:, 0]
        any_order = nn.functional.log_softmax(self.scores(at[:, ITEM]), dim=1)
        context = -any_order[rows, codes[real]].mean()
        return said, context, self.rating(at[:, USER]).squeeze(1)

    def likelihoods(self, users: Tensor, items: Tensor, features: Tensor, codes: Tensor) -> Tensor:
        """The mean log-probability of the words of sentences and of their ends, `[n]`.

        codes: words with `END` and then `PAD`, `[n, length + 1]`.
        """
        at = self(users, items, features, codes[:, :-1])
        each = nn.functional.log_softmax(self.scores(at[:, self.first_word :]), dim=2)
        real = codes != PAD
        said = each.gather(2, codes.unsqueeze(2)).squeeze(2) * real
        return said.sum(1) / real.sum(1)

    def ratings(self, users: Tensor, items: Tensor) -> Tensor:
        """The ratings that stand at the user, `[n]`: they read no words."""
        none = torch.full((len(users), self.n_features), PAD, device=users.device)
        at = self(users, items, none, none[:, :0])
        rated: Tensor = self.rating(at[:, USER]).squeeze(1)
        return rated

    @torch.no_grad()
    def write(self, users: Tensor, items: Tensor, features: Tensor) -> Written:
        """Sentences word by word, the likeliest each time; at least one word, and at most `length`."""
        n = len(users)
        codes = torch.full((n, 0), PAD, dtype=torch.long, device=users.device)
        total, count = torch.zeros(n, device=users.device), torch.zeros(n, device=users.device)
        going = torch.ones(n, dtype=torch.bool, device=users.device)
        for place in range(self.length + 1):
            logits = self.scores(self(users, items, features, codes)[:, -1]).float()
            logits[:, [PAD, BEGIN, UNKNOWN] + ([END] if place == 0 else [])] = -torch.inf
            best, chosen = torch.log_softmax(logits, dim=1).max(dim=1)
            if place == self.length:  # it ends here, whatever the next word would be
                break
            total, count = total + best * going, count + going
            codes = torch.cat([codes, torch.where(going, chosen, PAD).unsqueeze(1)], dim=1)
            going = going & (chosen != END)
            if not bool(going.any()):
                break
        codes = torch.where(codes == END, PAD, codes)
        return Written(codes, torch.exp(total / count.clamp(min=1)))
