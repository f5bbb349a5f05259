"""The scores in the package: complete, on the schema's scale, and found by name."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from burnish.enhancers.guided.attributes import load_schema
from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.scorers.shipped import (
    ShippedScorer,
    load_scores,
    shipped_names,
    shipped_scores,
)
from burnish.errors import ConfigurationError, DataError, UnknownNameError


def test_ml_100k_covers_recboles_items() -> None:
    recbole = resources.files("recbole")
    text = (recbole / "dataset_example" / "ml-100k" / "ml-100k.item").read_text(encoding="utf-8")
    ids = [line.split("\t")[0] for line in text.splitlines()[1:]]
    scores = shipped_scores("ml-100k")
    assert sorted(scores.ids) == sorted(ids)
    assert scores.attributes == load_schema("films").names
    assert scores.scale == (0.0, 9.0)
    np.testing.assert_array_equal(scores.values, np.round(scores.values))
    assert scores.values.std(axis=0).min() > 1  # every attribute tells films apart
    toy_story = dict(zip(scores.attributes, scores.rows(["1"])[0], strict=True))
    assert (toy_story["family_friendliness"], toy_story["violence"]) == (9, 1)


def test_every_shipped_name_can_be_read() -> None:
    assert shipped_names() == ("ml-100k",)
    for name in shipped_names():
        assert len(shipped_scores(name).ids) > 0


def test_the_scorer_takes_the_ids_and_attributes_asked_for() -> None:
    schema = load_schema("films").only(["humor", "darkness"])
    scores = ShippedScorer("ml-100k").score(Texts(("50", "none"), {}), schema)
    assert scores.values.shape == (2, 2)
    assert np.isfinite(scores.values[0]).all()
    assert np.isnan(scores.values[1]).all()
    other = schema.model_copy(update={"scale": (1, 5)})
    with pytest.raises(ConfigurationError, match=r"scale = \[1, 5\].*go from 0 to 9"):
        ShippedScorer("ml-100k").score(Texts(("50",), {}), other)


def test_load_scores_takes_a_name_or_a_file(tmp_path: Path) -> None:
    assert load_scores("ml-100k").values.shape == (1682, 16)
    assert load_scores("ml-100k", load_schema("films").only(["humor"])).attributes == ("humor",)
    with (tmp_path / "mine.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["item_id", "fun"], ["007", "3"]])
    assert load_scores(tmp_path / "mine.csv").ids == ("007",)
    assert load_scores(str(tmp_path / "mine.csv")).ids == ("007",)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'ml-100k'.*Or give a file"):
        load_scores("ml100k")
    with pytest.raises(UnknownNameError, match="data set with shipped scores 'ml-1m'"):
        shipped_scores("ml-1m")
    with pytest.raises(DataError, match=r"does not exist.*called 'ml-100k'"):
        load_scores("ml-100k.tsv")
    with pytest.raises(ConfigurationError, match="these are of items"):
        load_scores("ml-100k", id_column="user_id")
