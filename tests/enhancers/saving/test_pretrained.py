"""`save_pretrained` and `from_pretrained`: what burnish added, matched by token, read without running code."""

from __future__ import annotations

import json
import random
import re
import shutil
import warnings
from pathlib import Path

import pytest
import shift
import shipping as ship
import torch

import burnish
from burnish.enhancers.aggregate.aggregate import Aggregate
from burnish.enhancers.attach import enhance
from burnish.enhancers.compress.compress import Compress
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.prior.prior import Prior
from burnish.enhancers.saving.files import read, write
from burnish.enhancers.saving.pretrained import from_pretrained, save_pretrained
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return ship.folder_for(tmp_path_factory)


@pytest.fixture(scope="module")
def reordered(tmp_path_factory):
    """The same data with interactions in another order, so that ids are given in another order."""
    root = tmp_path_factory.mktemp("reordered")
    file = write_data(root) / "conformance.inter"
    header, *lines = file.read_text().splitlines()
    random.Random(5).shuffle(lines)
    file.write_text("\n".join([header, *lines]) + "\n")
    return root


@pytest.fixture(scope="module")
def saved(folder, tmp_path_factory):
    """A saved BPR with the enhancer `rows`, and its world."""
    world = build_world(enhance("BPR", "rows"), folder)
    ship.as_if_trained(world.model)
    world.model.enhancers.state.step = 17
    target = tmp_path_factory.mktemp("saved") / "mine"
    assert save_pretrained(world.model, target, world.train._dataset) == target
    return world, target


def data_of(world):
    return world.train._dataset


def tokens(world, side):
    data = data_of(world)
    return data.field2id_token[data.uid_field if side == "user" else data.iid_field]


CHOOSING = [
    Compress(teachers="ease", mix=1, ridge=(1, 10), ranks=2),
    Aggregate(hops=(1,), own=(0.0,), neighbour=(0.0,)),
    Prior(strengths=(0.3, 0.5)),
]


@pytest.mark.parametrize("enhancer", CHOOSING, ids=lambda one: one.name)
def test_a_choice_is_told_where_what_was_chosen_comes_along(folder, tmp_path, enhancer):
    """Of `prior` its own tensor does; of the others it is the backbone's tables, which do not."""
    name = enhancer.name
    world, fresh = (build_world(enhance("BPR", enhancer), folder) for _ in range(2))
    with torch.no_grad():
        world.model.enhancers[name].try_candidate(1)
    save_pretrained(world.model, tmp_path / "it", data_of(world))
    for model in (fresh.model, burnish.detach(build_world(enhance("BPR", enhancer), folder).model)):
        loaded = from_pretrained(tmp_path / "it", model, data_of(fresh), config=fresh.config)
        note = loaded.enhancers[name].note()
        if name == "prior":
            assert torch.equal(loaded.enhancers[name].shift, world.model.enhancers[name].shift)
            assert note == world.model.enhancers[name].note()
            assert note.startswith("holds candidate 2 of 2")
        else:
            assert not torch.equal(loaded.user_embedding.weight, world.model.user_embedding.weight)
            assert note.startswith("no candidate is noted")


def test_folders_of_before_had_the_number_elsewhere(folder, tmp_path):
    """Those of `prior` are without it, and those of `compress` have it."""
    for enhancer, said in ((CHOOSING[2], "was not noted when this was saved"), (CHOOSING[0], "no candidate")):
        world, fresh = (build_world(enhance("BPR", enhancer), folder) for _ in range(2))
        with torch.no_grad():
            world.model.enhancers[enhancer.name].try_candidate(1)
        save_pretrained(world.model, tmp_path / enhancer.name, data_of(world))
        manifest, tensors, tokens = read(tmp_path / enhancer.name)
        key = f"{enhancer.name}.chosen"
        if tensors.pop(key, None) is None:
            tensors[key] = torch.tensor(1)
        write(tmp_path / enhancer.name, manifest, tensors, tokens)
        loaded = from_pretrained(tmp_path / enhancer.name, fresh.model, data_of(fresh))
        assert said in loaded.enhancers[enhancer.name].note()
        if enhancer.name == "prior":
            assert torch.equal(loaded.enhancers["prior"].shift, world.model.enhancers["prior"].shift)


@pytest.mark.parametrize("backbone", ship.REFINABLE)
def test_a_round_trip_gives_equal_scores(folder, tmp_path, backbone):
    world = build_world(enhance(backbone, "rows"), folder)
    ship.as_if_trained(world.model)
    batch = ship.first_test_batch(world)
    save_pretrained(world.model, tmp_path / "it", data_of(world))
    fresh = build_world(backbone, folder)  # equal seeds give equal backbones
    loaded = from_pretrained(tmp_path / "it", fresh.model, data_of(fresh))
    assert loaded is fresh.model
    assert type(loaded) is type(world.model)
    ship.assert_scores_equal(ship.scores(world.model, batch), ship.scores(loaded, batch))
    one, other = world.model.state_dict(), loaded.state_dict()
    assert list(one) == list(other)
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "SASRec"])
def test_a_network_goes_from_a_trained_model_to_its_plain_tables(folder, tmp_path, backbone):
    world = build_world(enhance(backbone, "rvrec"), folder)
    world.trainer.fit(world.train, saved=False, verbose=False)
    batch = ship.first_test_batch(world)
    wanted = ship.scores(world.model, batch)
    save_pretrained(world.model, tmp_path / "it", data_of(world))
    plain = burnish.detach(world.model)
    loaded = from_pretrained(tmp_path / "it", plain, data_of(world))
    ship.assert_scores_equal(wanted, ship.scores(loaded, batch))
    world.trainer.model = loaded
    world.trainer.optimizer = torch.optim.Adam(loaded.parameters())
    world.trainer._train_epoch(world.train, 0)  # and trains on


def test_only_what_burnish_added_is_saved_and_nothing_is_pickled(saved):
    from safetensors.torch import load_file

    world, target = saved
    assert sorted(file.name for file in target.iterdir()) == [
        "enhancers.json",
        "enhancers.safetensors",
        "tokens.json",
    ]
    tensors = load_file(target / "enhancers.safetensors")
    assert sorted(tensors) == ["rows.of_item", "rows.of_user"]
    manifest = json.loads((target / "enhancers.json").read_text())
    assert (manifest["backbone"], manifest["step"], manifest["version"]) == ("BPR", 17, 1)
    assert manifest["enhancers"][0]["row_tensors"] == {"of_user": "user", "of_item": "item"}
    assert {"name": "item_embedding.weight", "side": "item", "width": 8, "rows": 61} in manifest["tables"]
    assert json.loads((target / "tokens.json").read_text())["user"] == list(map(str, tokens(world, "user")))


def test_a_class_or_a_name_gives_a_new_model(folder, saved):
    world, target = saved
    other = build_world("BPR", folder)
    for backbone in ("BPR", type(other.model), type(world.model)):
        enhanced = from_pretrained(target, backbone, data_of(other))
        assert type(enhanced) is type(world.model)
        assert torch.equal(enhanced.enhancers["rows"].of_item, world.model.enhancers["rows"].of_item)
        assert enhanced.enhancers.state.step == 17


def test_a_model_with_the_same_enhancers_gets_the_tensors(folder, saved):
    world, target = saved
    other = build_world(enhance("BPR", "rows"), folder)
    assert from_pretrained(target, other.model, data_of(other)) is other.model
    assert torch.equal(other.model.enhancers["rows"].of_item, world.model.enhancers["rows"].of_item)


def test_rows_follow_their_tokens_into_another_order_of_ids(saved, reordered):
    world, target = saved
    other = build_world("BPR", reordered)
    assert list(tokens(world, "item")) != list(tokens(other, "item"))
    loaded = from_pretrained(target, other.model, data_of(other)).enhancers["rows"]
    for side, mine, now in (
        ("user", world.model.enhancers["rows"].of_user, loaded.of_user),
        ("item", world.model.enhancers["rows"].of_item, loaded.of_item),
    ):
        wanted = dict(zip(tokens(world, side), mine.tolist(), strict=True))
        got = dict(zip(tokens(other, side), now.tolist(), strict=True))
        assert wanted == got


def cut(root, keep):
    """A data set in `root` with only the interactions that `keep(user, item)` says, new names where it says one."""
    file = write_data(root) / "conformance.inter"
    header, *lines = file.read_text().splitlines()
    kept = []
    for line in lines:
        user, item, rest = line.split("\t", 2)
        changed = keep(user, item)
        if changed:
            kept.append("\t".join([*changed, rest]))
    file.write_text("\n".join([header, *kept]) + "\n")


def test_fewer_users_need_nothing_and_new_items_need_a_word(saved, tmp_path):
    world, target = saved
    new = {"i3": "new3", "i9": "new9"}
    cut(tmp_path, lambda user, item: None if user in ("u1", "u2") else (user, new.get(item, item)))
    other = build_world("BPR", tmp_path)
    before = {key: value.clone() for key, value in other.model.state_dict().items()}
    with pytest.raises(DataError, match=r"2 of 60 items .*'new[39]', 'new[39]'.*missing='keep'"):
        from_pretrained(target, other.model, data_of(other))
    # Refused, the model is the plain one that it was.
    assert list(other.model.state_dict()) == list(before)
    assert type(other.model).__module__.startswith("recbole.")
    loaded = from_pretrained(target, other.model, data_of(other), missing="keep")
    got = dict(zip(tokens(other, "item"), loaded.enhancers["rows"].of_item.tolist(), strict=True))
    wanted = dict(zip(tokens(world, "item"), world.model.enhancers["rows"].of_item.tolist(), strict=True))
    assert got.pop("new3") == got.pop("new9") == 0.0  # as `rows` starts
    assert got.items() <= wanted.items()


def test_foreign_tokens_are_refused_with_the_first_five(saved, tmp_path):
    _, target = saved
    cut(tmp_path, lambda user, item: (f"x{user}", item))
    other = build_world("BPR", tmp_path)
    for missing in ("error", "keep"):
        with pytest.raises(DataError, match=r"no user of the data set \('xu\d+'(, 'xu\d+'){4}, …\)"):
            from_pretrained(target, other.model, data_of(other), missing=missing)


def test_rows_that_were_not_declared_are_warned_about(folder, reordered, tmp_path):
    world = build_world(enhance("BPR", "undeclared"), folder)
    save_pretrained(world.model, tmp_path / "it", data_of(world))
    other = build_world("BPR", reordered)
    with pytest.warns(UserWarning, match=r"'undeclared.of_\w+' has as many rows as there are .*row_tensors"):
        from_pretrained(tmp_path / "it", other.model, data_of(other))


def test_another_backbone_or_size_or_enhancer_is_refused(folder, saved):
    _, target = saved
    other = build_world("LightGCN", folder)
    with pytest.raises(UnsupportedError, match="saved from BPR and cannot go onto LightGCN"):
        from_pretrained(target, other.model, data_of(other))
    wide = build_world("BPR", folder, options={"embedding_size": 12})
    with pytest.raises(UnsupportedError, match=r"user_embedding.weight' has width 12 here and 8"):
        from_pretrained(target, wide.model, data_of(wide))
    assert type(wide.model).__module__.startswith("recbole.")
    shifted = build_world(enhance("BPR", shift.Shift()), folder)
    with pytest.raises(ConfigurationError, match=r"has enhancers shift\(\), the folder rows\(\)"):
        from_pretrained(target, shifted.model, data_of(shifted))
    with pytest.raises(UnknownNameError, match="Did you mean 'BPR'"):
        from_pretrained(target, "BRP", data_of(other))
    with pytest.raises(ConfigurationError, match="configuration is for LightGCN"):
        from_pretrained(target, "BPR", data_of(other))
    with pytest.raises(ConfigurationError, match=r"missing='no'.*'error' or 'keep'"):
        from_pretrained(target, wide.model, data_of(wide), missing="no")
    with pytest.raises(ConfigurationError, match="give RecBole's data set"):
        from_pretrained(target, wide.model, wide.train)


def test_saving_refuses_what_it_could_not_give_back(folder, saved, tmp_path):
    world, _ = saved
    with pytest.raises(ConfigurationError, match="no enhancer is attached"):
        save_pretrained(build_world("BPR", folder).model, tmp_path / "it", data_of(world))
    cut(tmp_path / "data", lambda user, item: None if user == "u1" else (user, item))
    smaller = build_world("BPR", tmp_path / "data")
    with pytest.raises(ConfigurationError, match=r"39 users and 60 items, the model 40 and 60"):
        save_pretrained(world.model, tmp_path / "it", data_of(smaller))
    (tmp_path / "file").write_text("here")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        save_pretrained(world.model, tmp_path / "file", data_of(world))
    assert not (tmp_path / "it").exists()


def damaged(target, tmp_path, name, change):
    """A copy of the saved folder in which one file is changed."""
    copied = tmp_path / "damaged"
    copied.mkdir()
    for file in target.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    content = change((copied / name).read_bytes())
    if content is None:
        (copied / name).unlink()
    else:
        (copied / name).write_bytes(content)
    return copied


def newer(content):
    return json.dumps({**json.loads(content), "version": 99, "burnish": "7.0"}).encode()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("enhancers.safetensors", lambda c: c[:-5], "does not belong to enhancers.json.*cut short"),
        ("enhancers.safetensors", lambda c: None, "has no file 'enhancers.safetensors'"),
        ("tokens.json", lambda c: c.replace(b'"u1"', b'"u0"'), "tokens.json does not belong"),
        ("tokens.json", lambda c: None, "has no file 'tokens.json'"),
        ("enhancers.json", lambda c: c[:-20], "is not JSON"),
        ("enhancers.json", lambda c: None, "has no file 'enhancers.json'"),
        ("enhancers.json", lambda c: b'{"model_type": "bert"}', "was not written by save_pretrained"),
        ("enhancers.json", newer, r"version 99, written by burnish 7.0; .* install a newer"),
        (
            "enhancers.json",
            lambda c: c.replace(b'"step"', b'"stop"'),
            "enhancers.json: key 'stop' is not known. Did you mean 'step'",
        ),
    ],
)
def test_damaged_and_foreign_files_are_refused(saved, tmp_path, name, change, message):
    world, target = saved
    with pytest.raises(DataError, match=message):
        from_pretrained(damaged(target, tmp_path, name, change), world.model, data_of(world))


def test_a_folder_that_is_not_there(saved, tmp_path):
    world, _ = saved
    with pytest.raises(DataError, match="it is empty or does not exist"):
        from_pretrained(tmp_path / "nowhere", world.model, data_of(world))


def test_an_interrupted_save_leaves_the_earlier_one_or_is_noticed(saved, tmp_path, monkeypatch):
    import os

    world, _ = saved
    save_pretrained(world.model, tmp_path / "it", data_of(world))
    before = {file.name: file.read_bytes() for file in (tmp_path / "it").iterdir()}
    calls = []

    def fails(source, target):
        calls.append(target)
        raise OSError(28, "disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(ConfigurationError, match="No space left"):
        save_pretrained(world.model, tmp_path / "it", data_of(world))
    assert len(calls) == 1
    assert {file.name: file.read_bytes() for file in (tmp_path / "it").iterdir()} == before


# ---------------------------------------------------------------------- RecBole's pickles


class Evil:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_pickle_is_refused_unless_trusted_and_is_not_read(saved, tmp_path):
    world, _ = saved
    torch.save({"config": Evil(tmp_path / "mark")}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match=r"is a pickle.*trust=True"):
        from_pretrained(tmp_path / "evil.pth", world.model, data_of(world))
    assert not (tmp_path / "mark").exists()
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(DataError, match="give the folder"):
        from_pretrained(tmp_path / "text.txt", world.model, data_of(world), trust=True)


def test_a_trusted_checkpoint_gives_its_enhancers(folder, tmp_path):
    world = build_world(enhance("BPR", "rvrec"), folder)
    ship.as_if_trained(world.model)
    file = tmp_path / "mine.pth"
    world.trainer._save_checkpoint(0, verbose=False, saved_model_file=file)
    other = build_world("BPR", folder)
    with pytest.warns(UserWarning, match="can run code"):
        loaded = from_pretrained(file, other.model, data_of(other), trust=True)
    ship.assert_scores_equal(
        ship.scores(world.model, ship.first_test_batch(world)),
        ship.scores(loaded, ship.first_test_batch(world)),
    )
    # Rows of single ids need tokens, which such a file does not have.
    rows = build_world(enhance("BPR", "rows"), folder)
    rows.trainer._save_checkpoint(0, verbose=False, saved_model_file=file)
    other = build_world("BPR", folder)
    with (
        pytest.warns(UserWarning, match="can run code"),
        pytest.raises(DataError, match="no tokens to match them by"),
    ):
        from_pretrained(file, other.model, data_of(other), trust=True)
    plain = build_world("BPR", folder)
    plain.trainer._save_checkpoint(0, verbose=False, saved_model_file=file)
    with (
        pytest.warns(UserWarning, match="can run code"),
        pytest.raises(DataError, match="plain BPR: it holds no enhancers"),
    ):
        from_pretrained(file, plain.model, data_of(plain), trust=True)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        from_pretrained(file, plain.model, data_of(plain), trust=True)


def changed(read_again):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_again()
    return [str(one.message) for one in caught if "changed since" in str(one.message)]


def test_a_changed_source_of_an_enhancer_of_ones_own_is_told(saved, folder, tmp_path):
    """By its digest, which the folder has; a moved file is no other one, and folders of before have none."""
    world, target = saved
    content = json.loads((target / "enhancers.json").read_text())
    assert "support/shipping.py" in content["code"]["rows"]
    assert not [file for file in content["code"]["rows"] if Path(file).is_absolute()]
    assert changed(lambda: from_pretrained(target, "BPR", data_of(world))) == []
    other = shutil.copytree(target, tmp_path / "other")
    content["code"]["rows"]["support/shipping.py"] = "0" * 16
    (other / "enhancers.json").write_text(json.dumps(content))
    (line,) = changed(lambda: from_pretrained(other, "BPR", data_of(world)))
    assert re.match(
        r"\S*shipping\.py \(enhancer 'rows'\) changed since the enhancers in \S+ were saved", line
    )
    del content["code"]
    (other / "enhancers.json").write_text(json.dumps(content))
    assert changed(lambda: from_pretrained(other, "BPR", data_of(world))) == []


def test_enhancers_of_burnish_are_noted_without_code(folder, tmp_path):
    """So that a burnish of before reads the folder."""
    world = build_world(enhance("BPR", "rvrec"), folder)
    save_pretrained(world.model, tmp_path / "saved", data_of(world))
    assert "code" not in json.loads((tmp_path / "saved" / "enhancers.json").read_text())
