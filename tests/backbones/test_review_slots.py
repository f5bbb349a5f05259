"""Which reviews stand for users and items."""

from __future__ import annotations

import random

import torch

from burnish.backbones.review_slots import fill_slots


def test_the_newest_readable_reviews_newest_first() -> None:
    draw = random.Random(3)
    owners = [draw.randrange(7) for _ in range(60)]
    others = [draw.randrange(1, 9) for _ in range(60)]
    texts = [draw.choice([-1, *range(20)]) for _ in range(60)]
    slots = fill_slots(torch.tensor(owners), torch.tensor(others), torch.tensor(texts), 9, 4)
    for owner in range(9):
        mine = [k for k in range(60) if owners[k] == owner and texts[k] >= 0]
        newest = mine[::-1][:4]
        empty = 4 - len(newest)
        assert slots.events[owner].tolist() == newest + [-1] * empty
        assert slots.others[owner].tolist() == [others[k] for k in newest] + [0] * empty
        assert slots.texts[owner].tolist() == [texts[k] for k in newest] + [-1] * empty


def test_kept_places_leave_out_every_review_of_the_pair() -> None:
    owners, others, texts = torch.tensor([1, 1, 1, 2]), torch.tensor([5, 6, 5, 5]), torch.tensor([0, 1, 2, 3])
    slots = fill_slots(owners, others, texts, 3, 3)
    ids = torch.tensor([1, 1, 2, 0])
    assert slots.kept(ids).tolist() == [[True] * 3, [True] * 3, [True, False, False], [False] * 3]
    hidden = slots.kept(ids, torch.tensor([5, 7, 5, 5]))
    assert hidden.tolist() == [[False, True, False], [True] * 3, [False] * 3, [False] * 3]


def test_no_reviews_at_all() -> None:
    slots = fill_slots(torch.tensor([1, 2]), torch.tensor([1, 1]), torch.tensor([-1, -1]), 3, 2)
    assert not bool(slots.kept(torch.arange(3)).any())
