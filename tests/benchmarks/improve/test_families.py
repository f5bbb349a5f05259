"""What `improve` tries."""

from __future__ import annotations

import pytest

from burnish.benchmarks.harness.schema import checked_label
from burnish.benchmarks.harness.specs import RunSpec, with_settings
from burnish.benchmarks.improve.families import HELD_AGAINST, PLAIN, Family, families_for
from burnish.enhancers.registry import make_enhancers

WAYS = families_for({})


def test_plain_comes_first_and_names_are_labels_of_their_own() -> None:
    names = [way.name for way in WAYS]
    assert names[0] == PLAIN
    assert not WAYS[0].enhancers
    assert len(set(names)) == len(names)
    assert [checked_label(name) for name in names] == names
    assert set(HELD_AGAINST) < set(names)
    for place, way in enumerate(WAYS):
        before = {way.instead_of, way.as_well_as}
        assert before <= {None, *names[:place]}
        # The search looks one step back.
        assert all(one.instead_of is one.as_well_as is None for one in WAYS if one.name in before)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_setting_is_one_of_its_enhancers(way: Family) -> None:
    points = way.settings(seed=1)
    assert points[0] == {name: values[0] for name, values in way.space.items()}
    assert sorted(map(repr, points)) == sorted({repr(point) for point in points})  # each once
    for point in points:
        spec = with_settings(RunSpec("ml-100k", "BPR", "BPR", way.name, 1, way.enhancers), point)
        make_enhancers(spec.enhancers)


def test_the_order_follows_from_the_seed() -> None:
    way = next(way for way in WAYS if way.name == "softmax")
    assert way.settings(1) == way.settings(1) != way.settings(2)
    assert way.settings(1)[0] == way.settings(2)[0]


def test_given_options_are_where_the_search_begins() -> None:
    plain, *_, last = families_for({"learning_rate": 0.01, "weight_decay": 1e-6})
    assert plain.space == {"learning_rate": [0.01, 0.02, 0.05], "weight_decay": [1e-6]}
    assert last.space["learning_rate"][0] == pytest.approx(0.05)


def test_a_loss_that_regularises_by_itself_is_varied_in_its_own_weight() -> None:
    plain, _, soft, *_ = families_for({}, own=1e-5)
    assert plain.space["reg_weight"] == [1e-5, 1e-4, 1e-2, 1e-3, 1e-1]
    assert soft.space["reg_weight"] == [1e-5]
    assert not any("weight_decay" in way.space for way in families_for({}, own=1e-5))
    assert families_for({"reg_weight": 0.1}, own=1e-5)[0].space["reg_weight"] == [0.1]
    # Who gives a weight decay has decided for that.
    assert "reg_weight" not in families_for({"weight_decay": 1e-6}, own=1e-5)[0].space
