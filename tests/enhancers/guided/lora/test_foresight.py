"""Lessons come from the training split alone, in order of time, and what is to be foreseen is not told before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from burnish import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.lora import lessons, tune
from burnish.enhancers.guided.scorers.files import read_scores, write_scores
from burnish.enhancers.guided.scorers.protocol import Scores
from burnish.errors import ConfigurationError, DataError


def written(folder) -> pd.DataFrame:
    """The interactions as the data file has them."""
    path = next(folder.rglob("*.inter"))
    table = pd.read_csv(path, sep="\t", dtype=str)
    return table.rename(columns=lambda name: name.split(":")[0])


@pytest.mark.parametrize("backbone", ["BPR", "SASRec"])
def test_lessons_hold_the_training_split_and_nothing_else(backbone, tmp_path):
    order = {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
    }
    world = build_world(backbone, tmp_path, options=order)
    table = written(tmp_path)
    lines = {item: f"title {item}" for item in table["item_id"].unique()}
    found = lessons(world.train.dataset, lines, foreseen=0.4, longest=1000)
    table["timestamp"] = table["timestamp"].astype(float)
    kept = {str(user) for user in world.dataset.field2id_token["user_id"][1:]}
    most = world.config["MAX_ITEM_LIST_LENGTH"] if backbone == "SASRec" else None
    later: dict[str, list[str]] = {}
    for user, item in zip(*found.interactions, strict=True):
        later.setdefault(user, []).append(item)
    assert set(found.histories.ids) <= kept
    assert len(found.histories) > 10
    for row, user in enumerate(found.histories.ids):
        own = table[table["user_id"] == user].sort_values("timestamp", kind="stable")["item_id"].tolist()
        train = own[:-2]
        if most is not None:
            train = train[-(most + 1) :]
        whole = [line.removeprefix("title ") for line in found.whole.fields["history"][row].split("\n")]
        early = [line.removeprefix("title ") for line in found.histories.fields["history"][row].split("\n")]
        assert whole == train
        assert [item for item in early if item] + later.get(user, []) == train
        assert len(later.get(user, [])) == (max(1, round(0.4 * len(train))) if len(train) > 1 else 0)


def test_validation_and_test_rows_change_nothing(tmp_path):
    """The last two interactions of every user become others; lessons stay the same, word by word."""
    options = {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "user_inter_num_interval": None,
        "item_inter_num_interval": None,
    }
    found = []
    for changed in (False, True):
        folder = tmp_path / str(changed)
        if changed:
            build_world("BPR", folder, options=options)
            path = next(folder.rglob("*.inter"))
            table = pd.read_csv(path, sep="\t", dtype=str)
            user, item, time = (
                next(n for n in table if n.startswith(p)) for p in ("user_id", "item_id", "time")
            )
            times = table[time].astype(float)
            last = times.groupby(table[user]).rank(method="first", ascending=False) <= 2
            others = np.random.default_rng(0).permutation(table.loc[last, item].to_numpy())
            assert (others != table.loc[last, item].to_numpy()).any()
            table.loc[last, item] = others
            table.to_csv(path, sep="\t", index=False)
        world = build_world("BPR", folder, options=options)
        lines = {str(name): f"title {name}" for name in world.dataset.field2id_token["item_id"][1:]}
        lesson = lessons(world.train.dataset, lines)
        texts = {
            user: lesson.histories.fields["history"][row] for row, user in enumerate(lesson.histories.ids)
        }
        found.append((texts, sorted(zip(*lesson.interactions, strict=True))))
    assert found[0] == found[1]


def test_from_a_data_set_to_an_enhanced_backbone(tmp_path, model_folder, schema):
    """Tuned users' scores, as written, are what the enhancer starts its users with."""
    world = build_world("BPR", tmp_path)
    names = [str(name) for name in world.dataset.field2id_token["item_id"][1:]]
    values = np.random.default_rng(0).integers(0, 10, (len(names), 3)).astype(float)
    words = np.array(["funny", "tense", "tender"])[values.argmax(1)]
    items = Scores(tuple(names), schema.names, values, scale=(0, 9))
    lesson = lessons(world.train.dataset, dict(zip(names, words.tolist(), strict=True)), longest=10)
    options = {"epochs": 1, "batch_users": 16, "accumulate": 1, "max_tokens": 400, "device": "cpu"}
    result = tune(
        model_folder,
        schema,
        items,
        lesson.histories,
        lesson.interactions,
        options=options,
        final_histories=lesson.whole,
        folder=tmp_path / "lora",
    )
    path = tmp_path / "lora" / "user_scores.tsv"
    read = read_scores(path, schema, id_column="user_id")
    assert read.ids == result.user_scores.ids == lesson.whole.ids
    assert np.allclose(read.values, result.user_scores.values, equal_nan=True)
    write_scores(items, tmp_path / "items.tsv")
    guided = Guided(scores=str(tmp_path / "items.tsv"), user_scores=str(path))
    enhanced = build_world(enhance("BPR", guided), tmp_path)
    enhanced.trainer.fit(enhanced.train, enhanced.valid, verbose=False, saved=False, show_progress=False)


def test_misuse_is_told(tmp_path):
    world = build_world("BPR", tmp_path)
    with pytest.raises(ConfigurationError, match=r"foreseen = 1\.0"):
        lessons(world.train.dataset, {"1": "a"}, foreseen=1.0)
    with pytest.raises(ConfigurationError, match="longest = 0"):
        lessons(world.train.dataset, {"1": "a"}, longest=0)
    with pytest.raises(DataError, match="has a line"):
        lessons(world.train.dataset, {"no such item": "a"})
