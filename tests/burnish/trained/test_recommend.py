"""`recommend`: RecBole's own ranking where that exists, and what people expect elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import burnish
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.zoo import list_backbones
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.trained.open import open_trained
from burnish.trained.recommend import Recommender, recommend
from burnish.training.train import train

FULL = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}}
RATIO = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def trained(model: str, data: Path, folder: Path | None = None, enhancers: Any = None, **more: Any) -> Any:
    options = {**preset(model), "data_path": str(data), "threads": 1, **more}
    return train(model, NAME, options=options, enhancers=enhancers, folder=folder)


CASES = [
    ("BPR", {}, None),
    ("LightGCN", {}, {"rvrec": {}}),
    ("MultiVAE", {}, None),
    ("NeuMF", {}, None),
    ("ItemKNN", {}, None),
    ("KGAT", {}, None),
    ("SASRec", FULL, {"rvrec": {}}),
    ("BERT4Rec", FULL, None),
    ("GRU4Rec", FULL, None),
    ("SASRecF", FULL, None),
]


@pytest.mark.parametrize(("model", "more", "enhancers"), CASES, ids=[case[0] for case in CASES])
def test_the_test_state_is_recboles_ranking(
    model: str, more: dict[str, Any], enhancers: Any, data: Path, tmp_path: Path
) -> None:
    from recbole.utils.case_study import full_sort_topk

    more = more or RATIO
    trained(model, data, tmp_path / "run", enhancers, **more)
    source = open_trained(tmp_path / "run")
    sequential = source.sequential
    frame = recommend(source, k=5, state="test", include_unseen=True, include_known=sequential)
    loader = source.test
    users = list(dict.fromkeys(loader._dataset.inter_feat["user_id"].tolist()))
    scores, items = full_sort_topk(users, source.model, loader, 5)
    for user, row, values in zip(users, items, scores, strict=True):
        token = source.dataset.id2token("user_id", user)
        mine = frame[frame["user"] == token]
        assert list(mine["item"]) == list(source.dataset.id2token("item_id", row.numpy()))
        np.testing.assert_allclose(mine["score"], values.numpy(), rtol=1e-5, atol=1e-6)


def test_a_loaded_run_its_folder_and_the_result_of_training_give_the_same(data: Path, tmp_path: Path) -> None:
    result = trained("BPR", data, tmp_path / "run", **RATIO)
    loaded = burnish.load_run(tmp_path / "run")
    frame = recommend(loaded, ["u1", "u2"])
    pd.testing.assert_frame_equal(frame, recommend(tmp_path / "run", ["u1", "u2"]))
    pd.testing.assert_frame_equal(frame, recommend(result, ["u1", "u2"]))
    assert loaded.splits.training is loaded.train._dataset


def raw(data: Path) -> pd.DataFrame:
    frame = pd.read_csv(data / NAME / f"{NAME}.inter", sep="\t")
    return frame.set_axis([column.split(":")[0] for column in frame.columns], axis=1)


def test_known_items_are_left_out(data: Path) -> None:
    result = trained("BPR", data, **RATIO)
    frame = recommend(result, k=60)
    pairs = set(zip(raw(data)["user_id"], raw(data)["item_id"], strict=True))
    assert not pairs & set(zip(frame["user"], frame["item"], strict=True))
    assert set(frame["user"]) == {f"u{n}" for n in range(1, 41)}
    seen = len(result.splits[0].inter_feat["item_id"].unique())
    per_user = frame.groupby("user").size()
    known = raw(data).groupby("user_id").size()
    assert all(seen - known[user] <= count <= 60 - known[user] for user, count in per_user.items())
    again = recommend(result, ["u3"], k=60, include_known=True)
    assert set(again["item"]) & {item for user, item in pairs if user == "u3"}
    assert list(again["rank"]) == list(range(1, len(again) + 1))
    assert again["score"].is_monotonic_decreasing


def test_the_latest_state_of_a_sequence(data: Path) -> None:
    """The model is asked with the last items of the raw file, in the order of time."""
    result = trained("GRU4Rec", data, **FULL)
    source = open_trained(result)
    recommender = Recommender(source)
    for user in ("u1", "u17", "u40"):
        mine = raw(data).query("user_id == @user").sort_values("timestamp")
        ids = source.dataset.token2id("user_id", np.array([user]))
        batch = recommender.inputs.batch(np.asarray(ids))
        length = int(batch["item_length"][0])
        assert length == min(6, len(mine))
        sequence = source.dataset.id2token("item_id", batch["item_id_list"][0][:length].numpy())
        assert list(sequence) == list(mine["item_id"])[-length:]
        np.testing.assert_allclose(
            batch["timestamp_list"][0][:length], mine["timestamp"][-length:], rtol=1e-6
        )


def test_a_short_sequence_grows(data: Path) -> None:
    result = trained("GRU4Rec", data, MAX_ITEM_LIST_LENGTH=50, **FULL)
    recommender = Recommender(open_trained(result))
    mine = raw(data).query("user_id == 'u5'").sort_values("timestamp")
    ids = result.dataset.token2id("user_id", np.array(["u5"]))
    batch = recommender.inputs.batch(np.asarray(ids))
    assert int(batch["item_length"][0]) == len(mine) < 50
    assert list(result.dataset.id2token("item_id", batch["item_id_list"][0][: len(mine)].numpy())) == list(
        mine["item_id"]
    )
    assert not batch["item_id_list"][0][len(mine) :].any()


@pytest.mark.parametrize("model", ["DeepFM", "DIN", "DIEN", "ConvNCF"])
def test_models_that_score_pairs(model: str, data: Path) -> None:
    """Each score equals `predict` of that one pair."""
    result = trained(model, data, eval_batch_size=37)
    source = open_trained(result)
    recommender = Recommender(source, k=3)
    users = np.array([3, 9])
    scores = recommender.scores(users)
    assert scores.shape == (2, source.dataset.item_num)
    for user, item in ((0, 5), (1, 17), (1, source.dataset.item_num - 1)):
        pair = recommender.inputs.batch(users[user : user + 1])
        pair.update(source.dataset.get_item_feature()[torch.tensor([item])])
        with torch.no_grad():
            alone = source.model.predict(pair).reshape(())
        assert float(scores[user, item]) == pytest.approx(float(alone), rel=1e-4, abs=1e-6)


def test_batches_do_not_change_the_answer(data: Path) -> None:
    source = open_trained(trained("BPR", data))
    whole = pd.concat(Recommender(source, batch_users=1000).chunks(), ignore_index=True)
    parts = list(Recommender(source, batch_users=7).chunks())
    assert len(parts) == 6
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, check_exact=False, rtol=1e-5)


def test_titles_come_from_the_item_file(data: Path) -> None:
    result = trained("BPR", data)
    frame = recommend(result, ["u1"], k=2)
    assert list(frame["title"]) == [f"Film number {item[1:]}" for item in frame["item"]]
    years = recommend(result, ["u1"], k=2, title_field="release_year")
    assert all(1990 <= int(title) < 1996 for title in years["title"])
    with pytest.raises(UnknownNameError, match="Did you mean 'movie_title'"):
        recommend(result, ["u1"], title_field="movie_titel")


def test_users_without_a_prediction(data: Path) -> None:
    result = trained("BPR", data)
    with pytest.raises(DataError, match=r"user 'u400': unknown user.*Did you mean 'u40'"):
        recommend(result, ["u1", "u400"])
    frame = recommend(result, ["u400", "u1"], k=2, missing="row")
    assert list(frame["status"]) == ["unknown user", "ok", "ok"]
    assert frame["item"].isna().tolist() == [True, False, False]
    with pytest.raises(DataError, match="unknown user"):
        recommend(result, ["[PAD]"])


def test_users_and_items_that_training_has_not_seen(tmp_path: Path) -> None:
    write_data(tmp_path)
    file = tmp_path / NAME / f"{NAME}.inter"
    text = file.read_text()
    late = "".join(f"new\ti{n}\t5\t99999999{n}\n" for n in (1, 2)) + "u1\tfresh\t5\t999999999\n"
    file.write_text(text + late)
    split = {
        "eval_args": {"split": {"RS": [0.9, 0.05, 0.05]}, "order": "TO", "group_by": "none", "mode": "full"}
    }
    result = trained("BPR", tmp_path, **split)
    frame = recommend(result, k=100, include_known=True)
    assert list(frame[frame["user"] == "new"]["status"]) == ["not in training"]
    assert "fresh" not in set(frame["item"].dropna())
    flagged = recommend(result, ["u2"], k=100, include_unseen=True)
    assert not flagged.set_index("item")["seen_in_training"]["fresh"]
    assert flagged["seen_in_training"].sum() > 10
    with pytest.raises(DataError, match="user 'new': not in training"):
        recommend(result, ["new"])


def test_nothing_left(data: Path) -> None:
    result = trained("BPR", data)
    recommender = Recommender(open_trained(result), k=3)
    recommender.known = recommender.known.tolil()
    recommender.known[1, :] = True
    recommender.known = recommender.known.tocsr()
    frame = next(recommender.chunks([recommender.trained.tokens("user_id", np.array([1]))[0]]))
    assert list(frame["status"]) == ["nothing left"]


@pytest.mark.parametrize(("content", "says"), [("", "is empty"), ("BPR\n", "is no checkpoint of RecBole's")])
def test_a_text_file_is_no_checkpoint(content: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "nothing.txt"
    file.write_text(content, encoding="utf-8")
    for trust in (False, True):
        with pytest.raises(
            DataError, match=rf"nothing\.txt {says}.*give the folder of a run \(burnish run"
        ) as told:
            open_trained(file, trust=trust)
        assert "--trust" not in str(told.value)
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=f"such as {tmp_path},"):
        open_trained(file)


def test_a_checkpoint_needs_trust(data: Path, tmp_path: Path) -> None:
    result = trained("LightGCN", data, tmp_path / "run", {"rvrec": {}})
    with pytest.raises(ConfigurationError, match=r"can execute code.*Give the run's folder instead"):
        recommend(result.checkpoint, ["u1"])
    with pytest.warns(UserWarning, match="unpickling"):
        from_pickle = recommend(result.checkpoint, ["u1"], trust=True)
    pd.testing.assert_frame_equal(from_pickle, recommend(tmp_path / "run", ["u1"]))
    burnish.bake(result.model, tmp_path / "baked.pth")
    with pytest.warns(UserWarning, match="unpickling"):
        baked = recommend(tmp_path / "baked.pth", ["u1"], trust=True)
    pd.testing.assert_frame_equal(baked, from_pickle, check_exact=False, rtol=1e-4)


@pytest.mark.parametrize(
    ("argument", "value", "says"),
    [
        ("k", 0, "k = 0"),
        ("state", "lates", "Did you mean 'latest'"),
        ("missing", "eror", "Did you mean 'error'"),
    ],
)
def test_bad_arguments(argument: str, value: Any, says: str, data: Path) -> None:
    with pytest.raises((ConfigurationError, UnknownNameError), match=says):
        recommend(trained("BPR", data), ["u1"], **{argument: value})


@pytest.mark.conformance
@pytest.mark.parametrize("model", [name for name, kind in list_backbones().items() if kind != "exlib"])
def test_every_backbone_recommends(model: str, data: Path, tmp_path: Path) -> None:
    """A run's folder gives back the model that was trained: equal recommendations, ranked by `scores`."""
    result = trained(model, data, tmp_path, pretrain_epochs=1)
    frame = recommend(tmp_path, ["u1", "u2"], k=5)
    pd.testing.assert_frame_equal(frame, recommend(result, ["u1", "u2"], k=5))
    assert len(frame) == 10
    assert frame.groupby("user")["score"].apply(lambda column: column.is_monotonic_decreasing).all()
    pairs = set(zip(raw(data)["user_id"], raw(data)["item_id"], strict=True))
    assert not pairs & set(zip(frame["user"], frame["item"], strict=True))
