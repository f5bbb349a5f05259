"""An attribute's part in a recommendation as a person would say it."""

from __future__ import annotations

#: In standard deviations: below the first an item is like any other, from the second on very much so.
ORDINARY, STRONG = 0.25, 1.5


def attribute_words(
    attribute: str, item_score: float, user_score: float, adds: float, *, numbers: bool = False
) -> str:
    """`is very high in humor, and so is what you like`: what an attribute of an item is to a user.

    Parameters
    ----------
    attribute
        Its name; underscores are read as blanks.
    item_score, user_score
        Of the item, and of what the user likes, in standard deviations over items.
    adds
        What the attribute adds to the score.  Where its sign is not that of the two together, the sentence says which
        way the attribute counts, as the model has learned it otherwise than their likeness tells.
    numbers
        Whether the scores stand behind the words.
    """

    def with_number(words: str, score: float) -> str:
        return f"{words} ({score:+.1f} sd)" if numbers else words

    same = _side(item_score) * _side(user_score)
    if adds >= 0:
        liked = ", and so is what you like" if same > 0 else ", which counts for it with you"
    else:
        liked = ", unlike what you like" if same < 0 else ", which counts against it with you"
    name = attribute.replace("_", " ")
    return with_number(f"is {_level(item_score)} in {name}", item_score) + with_number(liked, user_score)


def _side(score: float) -> int:
    return 0 if abs(score) < ORDINARY else (1 if score > 0 else -1)


def _level(score: float) -> str:
    if not _side(score):
        return "average"
    strong = "very " if abs(score) >= STRONG else ""
    return f"{strong}{'high' if score > 0 else 'low'}"
