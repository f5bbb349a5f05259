"""The same negative samples from the same random numbers as RecBole's own loops."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recbole.sampler.sampler import AbstractSampler, RepeatableSampler, Sampler

from burnish.speed import sampling
from burnish.speed.sampling import Known
from burnish.speed.switches import without

USERS, ITEMS = 9, 30


class Interactions(dict):
    def __len__(self) -> int:
        return len(self["item"])


def data_set(seed: int) -> SimpleNamespace:
    draw = np.random.default_rng(seed)
    columns = {
        "user": torch.tensor(draw.integers(1, USERS, 60)),
        "item": torch.tensor(draw.integers(1, ITEMS, 60)),
    }
    return SimpleNamespace(
        uid_field="user", iid_field="item", user_num=USERS, item_num=ITEMS, inter_feat=Interactions(columns)
    )


def made(distribution: str) -> Sampler:
    phases = ["train", "valid", "test"]
    return Sampler(phases, [data_set(1), data_set(2), data_set(3)], distribution).set_phase("valid")


def drawn(sample):
    """What `sample()` gives from seed 7, and the state that it leaves."""
    np.random.seed(7)
    values = sample()
    return values, np.random.get_state()[1].copy(), np.random.get_state()[2]


def check_equal(sample):
    values, state, place = drawn(sample)
    with without():
        expected, expected_state, expected_place = drawn(sample)
    assert values.dtype == expected.dtype
    assert torch.equal(values, expected)
    assert (state == expected_state).all()
    assert place == expected_place


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
@pytest.mark.parametrize("keys", [[3], [4, 4, 4], [1, 2, 8, 2, 5, -1] * 20])
@pytest.mark.parametrize("largest", [10**6, 0])
def test_samples_and_random_state_are_recboles(distribution, keys, largest, monkeypatch):
    monkeypatch.setattr(sampling, "LARGEST_MATRIX", largest)
    sampler = made(distribution)
    check_equal(lambda: sampler.sample_by_user_ids(np.array(keys), None, 3))
    known = sampling._known[sampler][1]
    assert (known.matrix is None) == (largest == 0)


def test_other_items_are_recboles():
    sampler = RepeatableSampler(["train"], data_set(1)).set_phase("train")
    items = np.array([1, 2, 29, 4] * 30)
    check_equal(lambda: sampler.sample_by_user_ids(np.ones(120, dtype=np.int64), items, 2))


@pytest.mark.parametrize("largest", [10**6, 0])
def test_a_user_who_does_not_exist_is_named(largest, monkeypatch):
    monkeypatch.setattr(sampling, "LARGEST_MATRIX", largest)
    with pytest.raises(ValueError, match=r"user_id \[9\] not exist"):
        made("uniform").sample_by_user_ids(np.array([1, 9]), None, 1)


@pytest.mark.parametrize("largest", [10**6, 0])
def test_known_pairs(largest):
    known = Known(np.array([{1, 5}, set(), {0}], dtype=object), largest)
    keys, values = np.array([0, 0, 0, 1, 2, 2, -1, 0, 0]), np.array([1, 5, 2, 1, 0, 5, 0, -1, 99])
    assert known.contains(keys, values).tolist() == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("largest", [10**6, 0])
def test_nothing_known(largest):
    known = Known(np.array([set(), set()], dtype=object), largest)
    assert not known.contains(np.array([0, 1]), np.array([0, 7])).any()


def test_other_sets_are_seen():
    """A sampler whose `used_ids` are replaced looks into the new ones."""
    sampler = made("uniform")
    sampler.sample_by_user_ids(np.array([1, 2]), None, 1)
    sampler.used_ids = np.array([set(range(2, ITEMS))] * USERS, dtype=object)
    assert set(sampler.sample_by_user_ids(np.array([1, 2]), None, 5).tolist()) == {1}


def test_what_is_not_a_set_of_ids_is_left_to_recbole():
    class Letters(AbstractSampler):
        def get_used_ids(self):
            return {"a": {1}}

        def _uni_sampling(self, sample_num):
            return np.full(sample_num, 2)

    assert Letters("uniform", 1.0).sample_by_key_ids(["a", "a"], 2).tolist() == [2, 2, 2, 2]
