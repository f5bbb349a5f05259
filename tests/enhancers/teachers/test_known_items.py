"""What the training split says: positive, once, and nothing of validation or test."""

from __future__ import annotations

import pytest
import torch

from burnish.enhancers.anatomy.describe import describe
from burnish.enhancers.interactions import positives
from burnish.enhancers.teachers.known_items import known_items


def of(made, positive_from=None):
    dataset = made.train._dataset
    anatomy = describe(made.model, made.config, dataset)
    liked = positives(dataset, anatomy.fields.label, positive_from, "a test")
    return known_items(dataset, anatomy, liked)


def test_only_the_training_split_counts(world):
    made = world("BPR")
    known = of(made)
    feat = made.train._dataset.inter_feat
    pairs = {(int(u), int(i)) for u, i in zip(feat["user_id"], feat["item_id"], strict=True)}
    found = known.matrix.tocoo()
    assert pairs == set(zip(found.row.tolist(), found.col.tolist(), strict=True))
    assert known.shape == (made.model.n_users, made.model.n_items)
    before = known.matrix.copy()
    for loader in (made.valid, made.test):  # nothing of these is looked at
        held_out = loader._dataset.inter_feat
        held_out.interaction["item_id"] = torch.ones_like(held_out["item_id"])
    assert (of(made).matrix != before).nnz == 0


def test_a_sequence_counts_with_its_first_item_and_without_its_held_out_ones(world):
    made = world("SASRec")
    known = of(made).matrix
    feat = made.train._dataset.inter_feat
    want = set()
    for user, items, length, target in zip(
        feat["user_id"], feat["item_id_list"], feat["item_length"], feat["item_id"], strict=True
    ):
        want |= {(int(user), int(target))}
        if int(length) == 1:
            want |= {(int(user), int(items[0]))}
    found = known.tocoo()
    assert want == set(zip(found.row.tolist(), found.col.tolist(), strict=True))


def test_only_positive_ratings_count(world):
    made = world("BPR", LABEL_FIELD="rating", load_col={"inter": ["user_id", "item_id", "rating"]})
    feat = made.train._dataset.inter_feat
    stars = (feat["rating"] * 4 + 1).round()  # RecBole has put them between 0 and 1
    with pytest.warns(UserWarning, match="count as positive"):
        assert of(made).matrix.nnz == int((stars >= 4).sum())
    assert of(made, positive_from=1.0).matrix.nnz == int((stars == 5).sum())
