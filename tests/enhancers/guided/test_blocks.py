"""The items' guided block: scores by token, their controls, users' own scores, and what does not fit."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guided_world import N_ITEMS, guided_of, item_scores, quiet_world, write_table, write_world

from burnish.enhancers.conformance.world import World
from burnish.enhancers.guided.blocks import Block, make_block
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.options import GuidedConfig
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


@pytest.fixture(scope="module")
def world(folder: Path) -> World:
    return quiet_world("BPR", folder)


def block(world: World, folder: Path, seed: int = 7, **options: Any) -> Block:
    config = GuidedConfig(**{"scores": str(folder / "scores.tsv"), **options})
    return make_block(config, world.train._dataset, seed)


def z_scores(name: str) -> dict[str, float]:
    values = item_scores()[name].astype(float)
    z = (values - values.mean()) / values.std()
    return {f"i{n + 1}": float(z[n]) for n in range(N_ITEMS)}


def test_rows_are_those_of_the_items_tokens(world: World, folder: Path) -> None:
    found = block(world, folder)
    tokens = world.dataset.field2id_token["item_id"]
    assert found.names == ("pace", "wit")
    assert found.known == N_ITEMS
    for column, name in enumerate(found.names):
        expected = [0.0, *(z_scores(name)[token] for token in tokens[1:])]
        assert found.values[:, column].tolist() == pytest.approx(expected, abs=1e-6)


def test_chosen_attributes_keep_the_order_asked_for(world: World, folder: Path) -> None:
    both = block(world, folder)
    assert torch.equal(block(world, folder, attributes=("wit", "pace")).values, both.values[:, [1, 0]])
    assert block(world, folder, attributes="wit").names == ("wit",)


def test_items_without_scores_are_average(world: World, folder: Path, tmp_path: Path) -> None:
    """Items that the data set lacks count neither for mean nor for spread."""
    ids = ["i1", "i2", "i3", "elsewhere"]
    file = write_table(
        tmp_path / "few.tsv", "item_id", ids, {"pace": [1, 3, 5, 999], "wit": [2, np.nan, 4, 999]}
    )
    found = block(world, folder, scores=str(file))
    number = {token: row for row, token in enumerate(world.dataset.field2id_token["item_id"])}
    z = float(np.sqrt(1.5))
    assert found.known == 3
    assert found.values[[number[i] for i in ids[:3]], 0].tolist() == pytest.approx([-z, 0, z], abs=1e-6)
    assert found.values[[number[i] for i in ids[:3]], 1].tolist() == pytest.approx([-1, 0, 1], abs=1e-6)
    others = [row for token, row in number.items() if token not in ids]
    assert (found.values[others] == 0).all()


def scored(tmp_path: Path, n: int = N_ITEMS, **columns: Any) -> str:
    ids = [f"i{number + 1}" for number in range(n)]
    return str(write_table(tmp_path / "s.tsv", "item_id", ids, columns))


def test_scores_of_few_items_are_said(world: World, folder: Path, tmp_path: Path) -> None:
    rising = list(range(N_ITEMS))
    with pytest.warns(
        UserWarning, match=rf"{N_ITEMS - 2} of {N_ITEMS} items of .* have no score in file .*s\.tsv"
    ):
        block(world, folder, scores=scored(tmp_path, 2, pace=[1, 2]))
    holes = [1.0, 2.0, *[np.nan] * (N_ITEMS - 2)]
    with pytest.warns(UserWarning, match=rf"{N_ITEMS - 2} of {N_ITEMS} items .* no score on 'wit' in"):
        block(world, folder, scores=scored(tmp_path, pace=rising, wit=holes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        block(world, folder, scores=scored(tmp_path, N_ITEMS - 1, pace=rising))
        block(world, folder, scores=scored(tmp_path, 2, pace=[1, 1]), control="random")


def test_scores_that_tell_nothing(world: World, folder: Path, tmp_path: Path) -> None:
    rising, same, empty = list(range(N_ITEMS)), [3.0] * N_ITEMS, [np.nan] * N_ITEMS
    with pytest.raises(
        DataError, match=r"no number at all for the items of .*: every cell of 'pace' is empty"
    ):
        block(world, folder, scores=scored(tmp_path, pace=empty))
    with pytest.raises(
        DataError, match=rf"every item has the same score .* on 'pace', 'wit' \({N_ITEMS} items"
    ):
        block(world, folder, scores=scored(tmp_path, pace=same, wit=same))
    with pytest.warns(UserWarning, match=r"every item has the same score .* on 'wit', which has no effect"):
        block(world, folder, scores=scored(tmp_path, pace=rising, wit=same))


@pytest.mark.parametrize("large", [1e308, 1e200])
def test_scores_that_overflow(world: World, folder: Path, tmp_path: Path, large: float) -> None:
    wide = [large * (-1) ** number for number in range(N_ITEMS)]
    with pytest.raises(DataError, match=r"s\.tsv: the numbers of column 'wit' are too large"):
        block(world, folder, scores=scored(tmp_path, pace=list(range(N_ITEMS)), wit=wide))


# ------------------------------------------------------------------ controls


def test_random_is_noise_of_equal_width(world: World, folder: Path) -> None:
    found = block(world, folder, control="random")
    assert found.values.shape == block(world, folder).values.shape
    assert found.names == ("random_1", "random_2")
    assert torch.equal(found.values, block(world, folder, control="random").values)
    assert not torch.equal(found.values, block(world, folder, seed=8, control="random").values)
    assert (found.values[0] == 0).all()
    assert abs(float(found.values[1:].mean())) < 0.3
    assert 0.7 < float(found.values[1:].std()) < 1.3
    assert block(world, folder, control="random", clip=0.5).values.abs().max() == 0.5


def test_permuted_is_the_scores_of_other_items(world: World, folder: Path) -> None:
    own, found = block(world, folder), block(world, folder, control="permuted")
    assert found.names == own.names
    assert torch.equal(found.values, block(world, folder, control="permuted").values)
    assert not torch.equal(found.values, own.values)
    assert not torch.equal(found.values, block(world, folder, seed=8, control="permuted").values)
    assert (found.values[0] == 0).all()
    # whole rows move: an item keeps no attribute of its own, and attributes stay together
    assert sorted(map(tuple, found.values[1:].tolist())) == sorted(map(tuple, own.values[1:].tolist()))


def test_pca_alone_has_an_empty_block_of_equal_width(world: World, folder: Path) -> None:
    found = block(world, folder, control="pca", base="model")
    assert found.values.shape == (N_ITEMS + 1, 2)
    assert (found.values == 0).all()
    with pytest.raises(ConfigurationError, match="needs a base, such as auto"):
        Guided(control="pca")


def test_the_seed_of_controls_is_the_runs_unless_given(folder: Path) -> None:
    scores = str(folder / "scores.tsv")

    def values(run: int, seed: int | None = None) -> torch.Tensor:
        world = quiet_world(
            "BPR", folder, Guided(scores=scores, control="random", seed=seed), options={"seed": run}
        )
        return guided_of(world).guided

    assert not torch.equal(values(1), values(2))
    assert torch.equal(values(1, 5), values(2, 5))
    assert torch.equal(values(5), values(2, 5))


@pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs the extra `text` (transformers)"
)
def test_text_components_of_equal_width(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standardised principal components of sentence vectors, by numpy from the same vectors."""
    from burnish.enhancers.guided.scorers.encoder import as_text
    from burnish.enhancers.guided.sentence_encoder import remembered_vectors
    from burnish.enhancers.guided.texts import item_texts

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with_titles = {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}}
    world = quiet_world("BPR", folder, options=with_titles)
    found = block(world, folder, control="text", clip=1e6)
    assert found.names == ("text_1", "text_2")
    assert torch.equal(found.values, block(world, folder, control="text", clip=1e6).values)
    texts = item_texts(world.dataset)
    sentences = tuple(as_text(texts.one(n)) for n in range(len(texts)))
    vectors = remembered_vectors(sentences, None, None).astype(float)
    left, _, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    expected = dict(zip(texts.ids, left[:, :2] * np.sqrt(len(texts)), strict=True))
    tokens = world.dataset.field2id_token["item_id"][1:]
    ours, theirs = found.values[1:].numpy(), np.array([expected[token] for token in tokens])
    for k in range(2):
        sign = np.sign(ours[:, k] @ theirs[:, k])
        assert np.allclose(ours[:, k], sign * theirs[:, k], atol=1e-3)


# ------------------------------------------------------------------ users


@pytest.mark.parametrize("control", ["none", "permuted"])
def test_own_scores_of_users_take_the_place_of_the_mean(control: str, folder: Path, tmp_path: Path) -> None:
    """On the items' axis; users without, and single attributes without, keep the mean of their items."""
    scores = str(folder / "scores.tsv")
    own = {"wit": [9, 2, np.nan], "pace": [1, np.nan, np.nan]}  # columns in another order
    file = write_table(tmp_path / "users.tsv", "user_id", ["u3", "u5", "u7"], own)
    plain = guided_of(quiet_world("BPR", folder, Guided(scores=scores, control=control)))
    world = quiet_world("BPR", folder, Guided(scores=scores, control=control, user_scores=str(file)))
    found = guided_of(world)
    if control != "none":  # a control has no attributes that users' scores could be of
        assert torch.equal(found.start, plain.start)
        return
    number = {token: row for row, token in enumerate(world.dataset.field2id_token["user_id"])}
    pace, wit = (item_scores()[name].astype(float) for name in ("pace", "wit"))
    z = {"pace": (1 - pace.mean()) / pace.std(), "wit": (9 - wit.mean()) / wit.std()}
    assert found.start[number["u3"]].tolist() == pytest.approx([z["pace"], z["wit"]], abs=1e-6)
    assert float(found.start[number["u5"], 1]) == pytest.approx((2 - wit.mean()) / wit.std(), abs=1e-6)
    assert found.start[number["u5"], 0] == plain.start[number["u5"], 0]
    others = [row for token, row in number.items() if token not in ("u3", "u5")]
    assert torch.equal(found.start[others], plain.start[others])


# ------------------------------------------------------------------ what does not fit


def test_scores_of_another_data_set(world: World, folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"none of the 1682 ids of shipped scores of ml-100k \(such as '1'\).*such as 'i"
    ):
        block(world, folder, scores="ml-100k")


def test_no_scores_for_this_data_set(world: World, folder: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no scores come with data set 'conformance' \(only with ml-100k\)"
    ):
        block(world, folder, scores=None)


def test_unknown_names_have_a_nearest_match(world: World, folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'paec'.*pace"):
        block(world, folder, attributes=("paec",))
    with pytest.raises(ConfigurationError, match="each once"):
        block(world, folder, attributes=("pace", "pace"))
    with pytest.raises(ConfigurationError, match="at least one"):
        block(world, folder, attributes=())
    with pytest.raises(UnknownNameError, match="ml-100k"):
        block(world, folder, scores="ml-100")
    with pytest.raises(DataError, match=r"does not exist.*scores\.tsv"):
        block(world, folder, scores=str(folder / "score.tsv"))
    with pytest.raises(UnknownNameError, match=r"enhancer 'guided': option.*score.*scores"):
        Guided(score="ml-100k")
    with pytest.raises(ConfigurationError, match=r"control.*'shuffled'"):
        Guided(control="shuffled")


def test_more_attributes_than_the_table_is_wide(folder: Path, tmp_path: Path) -> None:
    ids = [f"i{n}" for n in range(1, N_ITEMS + 1)]
    draw = np.random.default_rng(1)
    many = {f"a{k}": draw.integers(0, 10, N_ITEMS) for k in range(9)}
    file = str(write_table(tmp_path / "many.tsv", "item_id", ids, many))
    with pytest.raises(
        UnsupportedError, match=r"9 attributes do not fit into table 'item_embedding\.weight' of BPR.*8 wide"
    ):
        quiet_world("BPR", folder, Guided(scores=file))
    eight = tuple(list(many)[:8])
    assert guided_of(quiet_world("BPR", folder, Guided(scores=file, attributes=eight))).attributes == eight
    with pytest.raises(UnsupportedError, match="choose at most 7"):  # something of the base has to be left
        quiet_world("BPR", folder, Guided(scores=file, attributes=eight, base="model"))


def test_users_scores_of_nobody(folder: Path, tmp_path: Path) -> None:
    scores = str(folder / "scores.tsv")
    file = write_table(tmp_path / "nobody.tsv", "user_id", ["x1"], {"pace": [1], "wit": [2]})
    with pytest.raises(DataError, match=r"none of the ids in user_scores.*such as 'x1'.*such as 'u"):
        quiet_world("BPR", folder, Guided(scores=scores, user_scores=str(file)))
    write_table(file, "user_id", ["u1"], {"pace": [1]})
    with pytest.raises(UnknownNameError, match="attribute 'wit'"):
        quiet_world("BPR", folder, Guided(scores=scores, user_scores=str(file)))
