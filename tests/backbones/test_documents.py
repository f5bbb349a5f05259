"""Documents against lists of words."""

from __future__ import annotations

import pytest
import torch

from burnish.backbones.documents import Documents

Data = tuple[list[int], list[int], list[int], list[list[int]]]


def world(seed: int, n_events: int = 60, n: int = 7, others: int = 5) -> Data:
    """Owners, others and texts of events, and the words of each text; some texts are empty, some events have none."""
    draw = torch.Generator().manual_seed(seed)

    def numbers(high: int, size: int, low: int = 0) -> list[int]:
        return torch.randint(low, high, (size,), generator=draw).tolist()

    texts = [numbers(50, size, 1) for size in numbers(6, 20)]
    return numbers(n - 1, n_events, 1), numbers(others, n_events), numbers(20, n_events, -1), texts


def document(owner: int, without: int, data: Data) -> list[int]:
    """All words of the owner, from the pair with the newest event on, but for those of the pair of an event."""
    owners, others, texts, words = data
    mine = [event for event, who in enumerate(owners) if who == owner]
    newest = {others[event]: event for event in mine}
    found: list[int] = []
    for other in sorted(newest, key=lambda other: -newest[other]):
        if without >= 0 and other == others[without]:
            continue
        for event in reversed(mine):
            if others[event] == other and texts[event] >= 0:
                found += words[texts[event]]
    return found


def make(data: Data, n: int = 7) -> Documents:
    owners, others, texts, words = data
    offsets = torch.tensor([0, *map(len, words)]).cumsum(0)
    flat = torch.tensor([word for text in words for word in text], dtype=torch.int32)
    return Documents(n, torch.tensor(owners), torch.tensor(others), torch.tensor(texts), flat, offsets)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length", [1, 8, 200])
def test_documents_are_those_of_lists(seed: int, length: int) -> None:
    data = world(seed)
    made = make(data)
    for without in (None, torch.full((7,), -1)):
        for owner, found in enumerate(made.take(torch.arange(7), length, without).tolist()):
            expected = document(owner, -1, data)[:length]
            assert found == expected + [0] * (length - len(expected))
    events = torch.arange(len(data[0]))
    taken = made.take(torch.tensor(data[0]), length, events).tolist()
    left_out = 0
    for event, found in enumerate(taken):
        expected = document(data[0][event], event, data)[:length]
        left_out += expected != document(data[0][event], -1, data)[:length]
        assert found == expected + [0] * (length - len(expected))
    assert left_out > 10


def test_owners_without_events_have_no_words() -> None:
    assert not make(world(0)).take(torch.tensor([0, 6]), 4).any()


def test_no_text_at_all() -> None:
    owners, others, texts, words = world(0)
    made = make((owners, others, [-1] * len(texts), words))
    assert not made.take(torch.tensor(owners), 4, torch.arange(len(owners))).any()
