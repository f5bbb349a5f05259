"""What DReX says of its users, items and predictions: keyword profiles and reasons."""

from __future__ import annotations

from typing import Any

from burnish.backbones.checks import whole_number
from burnish.backbones.review_model import ReviewModel
from burnish.enhancers.saving.tokens import Tokens
from burnish.errors import UnsupportedError, unknown_name
from burnish.explanation import Reason

from .modalities import ReviewModality
from .profiles import WEIGHTINGS, KeywordProfiles, Side
from .reasons import Overlap, Pair, keyword_reasons, missing_words


class ExplainedByWords(ReviewModel):
    """A `ReviewModel` with attention over reviews, the modality `review`, which tells words by it.

    tokens: original ids of users and items.
    Options: `keep_profile_words` (words of a profile, and the most reasons of a pair) and `profile_weighting`
    (attention, excess or distinctive; see `KeywordProfiles`).
    """

    modalities: Any

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.tokens = Tokens.of(dataset)
        self.keep_profile_words = whole_number(config, "keep_profile_words")
        self._profiles: dict[str, KeywordProfiles] = {}
        self.weigh_words(str(config["profile_weighting"]))

    #: What the numbers of its reasons are, for readers.
    reasons_about = (
        "A reason is a word that the user's reviews and the item's have in common; its number is the smaller of its "
        "shares of the model's attention to either, times how few items' reviews have it, 0 to 1."
    )

    @property
    def explains(self) -> bool:
        """Whether the model has reasons to give: it reads reviews."""
        return "review" in self.modalities

    def weigh_words(self, weighting: str) -> None:
        """From now on tell words by another `profile_weighting`; the model itself is as before.

        Raises `UnknownNameError` for a weighting that is none.
        """
        if weighting not in WEIGHTINGS:
            raise unknown_name("profile_weighting", weighting, WEIGHTINGS)
        self.profile_weighting = weighting

    def keyword_profiles(self, weighting: str | None = None) -> KeywordProfiles:
        """The profiles that the present parameters give, kept until the model is trained again.

        weighting: by default `profile_weighting`.
        Raises `UnsupportedError` for a model that reads no reviews, `UnknownNameError` for a weighting that is none.
        """
        name = weighting or self.profile_weighting
        if name not in self._profiles:
            self._profiles[name] = KeywordProfiles.of(self, self._attention(), name)
        return self._profiles[name]

    def profile(self, side: Side, id: int, k: int | None = None) -> list[tuple[str, float]]:
        """The words of a user or item with their masses, the largest first; without training reviews none.

        side: "user" or "item".  id: internal.  k: how many; by default `keep_profile_words`.
        A mass is the sum of the attention that a word gets in the reviews, so at most their number.
        """
        return self.keyword_profiles().top(side, id, k or self.keep_profile_words)

    def explain(self, user: int, item: int, k: int = 0) -> list[Reason]:
        """The words that the profiles of a user and an item share, see `keyword_reasons`.  Internal ids.

        k: how many at most; `keep_profile_words` where that is more.
        """
        part, profiles = self._attention(), self.keyword_profiles()
        return keyword_reasons(
            self, part, profiles, self.tokens, (user, item), max(k, self.keep_profile_words)
        )

    def overlaps(self, user: int, item: int, k: int) -> list[Overlap]:
        """The words of `explain`, at most k, without the sentences that carry them.  Internal ids."""
        return Pair(self, self._attention(), self.keyword_profiles(), user, item).overlaps(k)

    def no_reason(self, user: int, item: int) -> str:
        """Why `explain` has nothing to say of a pair."""
        return missing_words(self, user, item)

    def forget(self) -> None:
        """See `ReviewModel.forget`."""
        super().forget()
        self._profiles = {}

    def _attention(self) -> ReviewModality:
        if not self.explains:
            raise UnsupportedError(
                f"{type(self).__name__} with modalities = {list(self.modalities)} reads no reviews and has no words "
                f"to tell; train it with modalities: [review, rating]"
            )
        part: ReviewModality = self.modalities["review"]
        return part
