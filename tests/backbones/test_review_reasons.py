"""Reasons from the attention on an item's reviews."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from review_world import build, rows_of, write_reviews
from slot_reference import StandInWords

from burnish.backbones.slot_model import excerpt

MODELS = ("NARRE", "HRDR")


@pytest.fixture(autouse=True)
def stand_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.backbones import slot_model

    monkeypatch.setattr(slot_model, "open_words", lambda texts, config: StandInWords(texts))


@pytest.mark.parametrize("name", MODELS)
def test_reasons_are_the_items_reviews_by_attention(name: str, tmp_path: Path) -> None:
    rows = rows_of()
    world = build(name, write_reviews(tmp_path, rows))
    model = world.model.eval()
    item = world.dataset.token2id("item_id", "i3")
    events, weights = model.review_attention("item", torch.tensor([item]))
    read = {
        event: weight
        for event, weight in zip(events[0].tolist(), weights[0].tolist(), strict=True)
        if event >= 0
    }
    writer = int(model.event_users[min(read)])
    for user in (writer, 0):
        reasons = model.explain(user, item)
        expected = {event: weight for event, weight in read.items() if int(model.event_users[event]) != user}
        assert {reason.evidence["event"]: reason.contribution for reason in reasons} == expected
        assert [reason.contribution for reason in reasons] == sorted(expected.values(), reverse=True)
    written = {row[0]: row for row in rows if row[1] == "i3"}
    for reason in model.explain(0, item):
        row = written[reason.evidence["writer"]]
        assert reason.kind == "review"
        assert (reason.evidence["rating"], reason.evidence["review"]) == (row[2], row[4])
        assert all(part in reason.text for part in (f"{row[2]:g}", "i3", row[4]))


def test_an_item_without_reviews_has_no_reasons(tmp_path: Path) -> None:
    rows = [(*row[:4], "" if row[1] == "i3" else row[4]) for row in rows_of()]
    world = build("NARRE", write_reviews(tmp_path, rows))
    assert world.model.explain(1, world.dataset.token2id("item_id", "i3")) == []


def test_excerpts_end_between_words() -> None:
    assert excerpt("a\tfine\n\ncable") == "a fine cable"
    assert excerpt("a fine cable for pedals", 13) == "a fine cable …"
    assert excerpt("x" * 30, 10) == "x" * 10 + " …"
