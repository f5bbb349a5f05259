"""One sentence for a recommendation: the strongest and most telling reason first, and nothing that is no reason."""

from __future__ import annotations

from burnish.explanation import Explanation, Reason
from burnish.trained.explanation_sentences import sentence


def chose(item: str, contribution: float, **more: object) -> Reason:
    return Reason("interaction", f"You chose item {item}.", contribution, {"item": item, **more})


def told(*reasons: Reason) -> str:
    return sentence(Explanation("u", "5", 1.0, reasons, "Five"))


def test_what_everybody_has_chosen_is_less_telling() -> None:
    common = chose("1", 0.5, title="Star Wars (1977)", chosen_by=0.9)
    rare = chose("2", 0.4, title="Van, The (1996)", chosen_by=0.01)
    assert told(common, rare) == "Because you chose The Van and Star Wars."
    assert told(common, chose("3", 0.1)) == "Because you chose Star Wars and item 3."


def test_at_most_three_are_named_and_unclear_titles_quoted() -> None:
    four = [chose(str(n), 1 - n / 10, title=f"Film {n}") for n in range(4)]
    assert told(*four) == "Because you chose Film 0, Film 1 and Film 2."
    assert told(chose("1", 1, title="Up, Down"), chose("2", 0.5, title="Heat")) == (
        "Because you chose “Up, Down” and “Heat”."
    )


def test_what_speaks_against_it_comes_last() -> None:
    assert told(chose("1", 0.5), chose("2", -0.7), chose("3", -0.9)) == (
        "Because you chose item 1. Against it speaks that you chose item 3."
    )
    assert told(chose("2", -0.7)) == "Nothing listed speaks for it; against it speaks that you chose item 2."


def test_how_sure_the_model_is_comes_last() -> None:
    sure = Reason(
        "uncertainty", "The model is less sure of it than of 80% of items; it was chosen twice.", 0.0
    )
    assert told(sure, chose("1", 0.5), chose("2", -0.4)).endswith(f"that you chose item 2. {sure.text}")
    assert told(sure) == sure.text


def test_kinds_in_their_order() -> None:
    scores = {"attribute": "dark_humor", "item_score": 2.0, "user_score": 1.0}
    attribute = Reason("attribute", "Item 5 is so.", 0.9, scores)
    path = Reason("path", "You rated Fargo, as others did.", 0.3)
    assert told(attribute, path, chose("1", 0.1)) == (
        "It is very high in dark humor, and so is what you like. You rated Fargo, as others did. "
        "Because you chose item 1."
    )
    against = Reason("attribute", "x", -0.2, {**scores, "item_score": -2.0})
    assert told(path, against).endswith(
        "Against it speaks that it is very low in dark humor, unlike what you like."
    )
    assert told() == ""


def test_what_chosen_items_say_together() -> None:
    def spoke(item: str, wit: float, pace: float, beside: float) -> Reason:
        evidence = {"by_attribute": {"wit": wit, "pace": pace}, "beside_attributes": beside}
        return chose(item, wit + pace + beside, **evidence)

    one, other = spoke("1", 0.6, 0.0, 0.1), spoke("2", 0.1, 0.35, 0.1)
    assert told(one) == "Because you chose item 1, mostly for what it says about wit."
    assert told(one, other) == "Because you chose item 1 and item 2, mostly for what they say about wit."
    # More weighs than wit where all are added up, though not in each.
    assert told(one, spoke("3", 0.0, 0.0, 0.6)) == (
        "Because you chose item 1 and item 3, partly for what they say about wit."
    )
    assert told(spoke("3", 0.0, 0.0, 0.5), spoke("6", 0.45, 0.0, 0.0)) == (
        "Because you chose item 3 and item 6, partly for what they say about wit."
    )
    assert told(one, chose("4", 0.1)) == "Because you chose item 1 and item 4."
    assert told(spoke("5", -0.1, -0.5, 0.1)) == (
        "Nothing listed speaks for it; against it speaks that you chose item 5, mostly for what it says about pace."
    )
