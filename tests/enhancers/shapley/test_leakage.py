"""Values and weights come from training rows alone: the files of validation and test are changed, not objects."""

from __future__ import annotations

import contextlib
import io
import warnings

import pytest
import torch

from burnish import Shapley, enhance
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.world import build_world

HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Of each user, in time: (user, item, rating, time); every item is in a training row."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("source")
    lines = (write_data(folder) / "conformance.inter").read_text(encoding="utf-8").splitlines()[1:]
    users: dict[str, list[list[str]]] = {}
    for line in sorted(lines, key=lambda line: float(line.split("\t")[3])):
        users.setdefault(line.split("\t")[0], []).append(line.split("\t"))
    kept = {row[1] for own in users.values() for row in own[:-4]}
    return {user: [row for row in own if row[1] in kept] for user, own in users.items()}


def exchanged(held):
    """The items of held-out rows in the hands of other users, and one of them in every third row: more popular."""
    items = [row[1] for row in held[7:] + held[:7]]
    items[::3] = [items[0]] * len(items[::3])
    return [[user, item, "1", time] for (user, _, _, time), item in zip(held, items, strict=True)]


def write(file, rows):
    file.write_text("\n".join([HEAD, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")


def parts_of(rows):
    training = [row for own in rows.values() for row in own[:-2]]
    return training, *([own[place] for own in rows.values()] for place in (-2, -1))


def given_as_files(folder, rows, changed):
    """Three files, as of a published split."""
    target = folder / "split"
    target.mkdir(parents=True)
    training, *held = parts_of(rows)
    for name, part in zip(("train", "valid", "test"), [training, *map(changed, held)], strict=True):
        write(target / f"split.{name}.inter", part)
    return {"benchmark_filename": ["train", "valid", "test"]}


def split_by_time(folder, rows, changed):
    """One file that RecBole splits: the last two interactions of each user are held out."""
    target = folder / "split"
    target.mkdir(parents=True)
    training, *held = parts_of(rows)
    write(target / "split.inter", [*training, *changed(held[0]), *changed(held[1])])
    return {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
    }


def shapley_of(model, folder, options, **own):
    columns = [name.split(":")[0] for name in HEAD.split("\t")]
    options = {**options, "epochs": 3, "load_col": {"inter": columns}}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enhancer = Shapley(warmup_epochs=1, refresh=1, **own)
        world = build_world(enhance(model, enhancer), folder, options=options, data="split")
        held = world.test._dataset.inter_feat["item_id"].clone()
        # Without validation, by which RecBole would choose the epoch.
        world.trainer.fit(world.train, saved=False, verbose=False)
    return world.model.enhancers["shapley"], world.train._dataset.inter_feat, held


@pytest.mark.parametrize("lay", [given_as_files, split_by_time])
@pytest.mark.parametrize(
    ("model", "own"),
    [
        ("BPR", {"values": {"profile": 1, "regression": 1, "in-run": 1}, "in_run_share": 1.0}),
        ("BPR", {"beta_popularity": 0.5}),
        ("BPR", {"control": "matched"}),
        ("BPR", {"control": "popularity"}),
        ("BPR", {"control": "score"}),
        ("LightGCN", {"values": "joint", "propagate": True}),
    ],
)
def test_files_of_validation_and_test_change_nothing(lay, model, own, rows, tmp_path):
    found = []
    for name, changed in (("as it is", list), ("changed", exchanged)):
        options = lay(tmp_path / name, rows, changed)
        found.append(shapley_of(model, tmp_path / name, options, **own))
    (one, training, held), (other, training_too, held_too) = found
    assert torch.equal(training["item_id"], training_too["item_id"])
    assert torch.equal(training["user_id"], training_too["user_id"])
    assert not torch.equal(held, held_too)
    assert one._valuations == 2
    assert (one.weights - 1).abs().max() > 0.1
    assert torch.equal(one.values, other.values)
    assert torch.equal(one.weights, other.weights)
