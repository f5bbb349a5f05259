"""Teachers that are runs: which are taken, as what, and which are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import burnish
from burnish.enhancers.teachers.item_sides import ItemRows
from burnish.enhancers.teachers.trained_scores import trained_scores
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError
from burnish.training.identity import check_trained_on

WITH_COLUMNS = {
    "inter": ["user_id", "item_id", "rating"],
    "user": ["user_id", "age"],
    "item": ["item_id", "class"],
}
TRAINED: dict[str, Any] = {"epochs": 3, "learning_rate": 0.02}


def teacher(small: dict[str, Any], folder: Any, model: str = "BPR", seed: int = 3, **more: Any) -> Any:
    block, options = more.pop("enhancers", None), {**small, **TRAINED, **more}
    return burnish.run(
        model, "tiny", enhancers=block, config=options, folder=folder, seed=seed, show_progress=False
    )


def compressed(small: dict[str, Any], *, seed: int = 3, folder: Any = None, **options: Any) -> Any:
    block = {"compress": {"mix": 1, **options}}
    return burnish.run(
        "BPR", "tiny", enhancers=block, config=small, seed=seed, folder=folder, show_progress=False
    )


def scores_of(result: Any) -> np.ndarray:
    """`[n_users, n_items]` without padding, as RecBole asks for them."""
    from recbole.data.interaction import Interaction

    model = result.model.eval()
    users = torch.arange(1, model.n_users)
    with torch.no_grad():
        try:
            found = model.full_sort_predict(Interaction({model.USER_ID: users}))
        except NotImplementedError:
            found = torch.stack([_pairs(model, user) for user in users])
    return found.reshape(len(users), -1)[:, -(model.n_items - 1) :].numpy()


def _pairs(model: Any, user: torch.Tensor) -> torch.Tensor:
    from recbole.data.interaction import Interaction

    items = torch.arange(model.n_items)
    return model.predict(Interaction({model.USER_ID: user.expand(len(items)), model.ITEM_ID: items}))


def standardised(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("BPR", {"embedding_size": 4}),
        ("LightGCN", {"embedding_size": 4}),  # its propagated rows
        ("BPR", {"embedding_size": 4, "enhancers": {"softmax": {}}}),  # unit rows
        ("LightGCN", {"embedding_size": 4, "enhancers": {"softmax": {}}}),
        ("BPR", {"embedding_size": 4, "enhancers": {"rvrec": {}}}),
    ],
)
def test_a_teacher_that_is_narrower_is_repeated(model, more, small, tmp_path):
    """Scores of width 4, standardised, are of rank 5 at most: tables of width 8 hold them."""
    taught = teacher(small, tmp_path / "teacher", model, **more)
    result = compressed(small, teachers=str(tmp_path / "teacher"), ranks=5)
    np.testing.assert_allclose(scores_of(result), standardised(scores_of(taught)), atol=2e-4)
    assert result.valid_result == taught.valid_result


def test_the_tables_of_an_enhanced_teacher_are_its_baked_ones(small, tmp_path):
    taught = teacher(small, tmp_path / "teacher", enhancers={"softmax": {}})
    one = taught.trained
    scores = trained_scores(one.model, one.splits.training, one.config, name="x", budget_bytes=1)
    assert isinstance(scores.side, ItemRows)
    np.testing.assert_allclose(scores.rows(torch.arange(1, 41))[:, 1:], scores_of(taught), atol=1e-5)
    assert "enhancers" in dict(one.model.named_children())  # the teacher itself stays as it is


def test_a_model_that_is_no_product_is_written_out(small, tmp_path):
    taught = teacher(small, tmp_path / "teacher", "NeuMF", mf_embedding_size=4, mlp_embedding_size=4)
    wide = {**small, "embedding_size": 24}
    result = compressed(wide, teachers=str(tmp_path / "teacher"), ranks=24)
    found, wanted = scores_of(result), standardised(scores_of(taught))
    assert np.abs(found - wanted).mean() < 0.15  # 24 of 29 directions
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.97


def test_what_is_written_out_has_to_fit(small, tmp_path):
    taught = teacher(small, tmp_path / "teacher", "NeuMF", mf_embedding_size=4, mlp_embedding_size=4)
    one = taught.trained
    args = {"name": "teacher 'x'", "budget_bytes": 4 * 41 * 31 - 1}
    with pytest.raises(UnsupportedError, match=r"teacher 'x' is a run of NeuMF, .* and budget_mib is 0"):
        trained_scores(one.model, one.splits.training, one.config, **args)


def test_models_that_score_pairs(world):
    made = world("DeepFM", mlp_hidden_size=[4], load_col=WITH_COLUMNS)
    with torch.no_grad():
        made.model.first_order_linear.bias.fill_(0.2)
    made.model.eval()
    scores = trained(made).rows(torch.tensor([7, 2]))
    for row, user in enumerate((7, 2)):
        feat = made.train._dataset.user_feat[torch.tensor([user])]
        for item in (1, 30):
            pair = made.train._dataset.item_feat[torch.tensor([item])]
            pair.update(feat)
            assert float(scores[row, item]) == pytest.approx(float(made.model.predict(pair)), abs=1e-6)
    assert not scores[:, 0].any()


def test_models_that_read_histories(world):
    made = world("SASRec", train_neg_sample_args=None)
    with pytest.raises(
        UnsupportedError, match="the run is a run of SASRec, whose users are what their histories say"
    ):
        trained(made)


def test_models_that_need_more_columns(world):
    made = world("BPR")
    made.model.predict = lambda batch: batch["text"]
    made.model.full_sort_predict = made.model.predict
    with pytest.raises(
        UnsupportedError, match="BPR, which cannot score a user and an item without the column 'text'"
    ):
        trained(made)


def test_scores_that_are_not_finite(world):
    made = world("LightGCN")
    with torch.no_grad():
        made.model.item_embedding.weight.fill_(1e38)
    with pytest.raises(DataError, match=r"the run: (.* not all finite|the table of .* holds NaN)"):
        trained(made)
    made = world("MultiVAE", mlp_hidden_size=[4], latent_dimension=4)
    made.model.full_sort_predict = lambda batch: torch.full((len(batch), made.model.n_items), torch.nan)
    with pytest.raises(DataError, match="the run: the scores of MultiVAE are not all finite"):
        trained(made)


def trained(made: Any) -> Any:
    return trained_scores(made.model, made.train._dataset, made.config, name="the run", budget_bytes=2**30)


def test_mixed_with_ease(small, tmp_path):
    teacher(small, tmp_path / "teacher")
    result = compressed(small, teachers=["ease", str(tmp_path / "teacher")], ridge=5, ranks=8)
    alone = compressed(small, teachers="ease", ridge=5, ranks=8)
    other = compressed(small, teachers=str(tmp_path / "teacher"), ranks=8)
    assert "0.5 ease (ridge 5) + 0.5 " in result.model.enhancers["compress"].candidates()[0]
    mixed = scores_of(result).ravel()
    between = [np.corrcoef(mixed, scores_of(one).ravel())[0, 1] for one in (alone, other)]
    assert min(between) > np.corrcoef(scores_of(alone).ravel(), scores_of(other).ravel())[0, 1]


def test_teachers_of_another_split_or_data_set(small, tmp_path, write_interactions):
    teacher(small, tmp_path / "teacher", seed=4)
    named = r"teacher '.*teacher': it was trained on another split of 'tiny'.*: seed is 4 there and 3 here$"
    with pytest.raises(DataError, match=named):
        compressed(small, teachers=str(tmp_path / "teacher"))
    compressed(small, seed=4, teachers=str(tmp_path / "teacher"))
    write_interactions(tmp_path / "data", "tiny", [(f"u{n % 8}", f"i{n // 8 + n % 3}", n) for n in range(80)])
    other = {**small, "data_path": str(tmp_path / "data"), "epochs": 1}
    burnish.run("BPR", "tiny", config=other, folder=tmp_path / "other", seed=3, show_progress=False)
    with pytest.raises(
        DataError,
        match=r"teacher '.*other': it was trained on other data .*'tiny'.*; give a run on the same files",
    ):
        compressed(small, teachers=str(tmp_path / "other"))


@pytest.mark.parametrize("part", ["training", "validation"])
def test_either_part_of_the_split_tells(part):
    data = {
        "users": 4,
        "items": 5,
        "interactions": 9,
        "ids": {},
        "rows": "r",
        "training": "t",
        "validation": "v",
    }
    both = {"seed": 1, "dataset": "d", "eval_args": {"group_by": "user", "mode": "full"}}
    by_row = {**both, "eval_args": {"group_by": None, "mode": "full"}}
    check_trained_on(data, dict(data), theirs=both, ours=both, cure="give another")
    named = "eval_args.group_by is user there and None here$"
    with pytest.raises(DataError, match=rf"another split of 'd' than this run is, .*; give another: {named}"):
        check_trained_on({**data, part: "other"}, data, theirs=both, ours=by_row, cure="give another")
    with pytest.raises(
        DataError, match=r"trained on the data set 'e', and this run is on 'd'; give a run on 'd'$"
    ):
        check_trained_on(
            {**data, "users": 7}, data, theirs={**both, "dataset": "e"}, ours=both, cure="give another"
        )


def test_names_that_are_nothing(small, tmp_path):
    with pytest.raises(UnknownNameError, match=r"teacher 'eas' is not known\. Did you mean 'ease'"):
        compressed(small, teachers="eas")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"run\.json"):
        compressed(small, teachers=str(tmp_path / "empty"))


def test_a_loop_of_ones_own_reads_no_runs(world):
    made = world(burnish.enhance("BPR", burnish.Compress(teachers=("ease", "out"), mix=1)))
    with pytest.raises(ConfigurationError, match=r"the runs \['out'\] are trained or read where a run"):
        made.model.enhancers["compress"].try_candidate(0)


def test_the_finished_run_needs_its_teacher_no_more(small, tmp_path):
    teacher(small, tmp_path / "teacher")
    result = compressed(small, teachers=str(tmp_path / "teacher"), folder=tmp_path / "run")
    shutil.rmtree(tmp_path / "teacher")
    read = burnish.load_run(tmp_path / "run")
    assert np.array_equal(scores_of(read), scores_of(SimpleNamespace(model=result.model)))


def test_teachers_named_from_where_the_run_was_made(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    teacher(small, "teacher")
    whole = compressed(small, teachers="teacher")
    block = {"compress": {"teachers": "teacher", "mix": 1}}
    tell = burnish.training.stages.Run._tell

    def interrupt(run: Any, epoch: Any) -> None:
        tell(run, epoch)
        if epoch.number == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(burnish.training.stages.Run, "_tell", interrupt)
    with pytest.raises(KeyboardInterrupt):
        burnish.run("BPR", "tiny", enhancers=block, config=small, folder="run", seed=3, save_every=1)
    monkeypatch.setattr(burnish.training.stages.Run, "_tell", tell)
    (states,) = (tmp_path / "run" / "resume").glob("*.safetensors")
    assert states.stat().st_size < 60_000  # nothing of the teacher's scores
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = burnish.run(resume=tmp_path / "run")
    assert resumed.test_result == whole.test_result


def test_pairs_are_scored_a_few_at_a_time(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that scores pair by pair is not asked for all pairs of a block of users at once."""
    from recbole.model.general_recommender import NeuMF

    teacher(small, tmp_path / "pairs", "NeuMF", mlp_hidden_size=[4])
    whole = compressed(small, teachers={str(tmp_path / "pairs"): None})
    asked: list[int] = []
    predict = NeuMF.predict

    def watched(self: Any, pairs: Any) -> torch.Tensor:
        asked.append(len(pairs))
        return predict(self, pairs)

    monkeypatch.setattr(NeuMF, "predict", watched)
    monkeypatch.setattr("burnish.enhancers.teachers.trained_scores.PAIRS", 50)
    parts = compressed(small, teachers={str(tmp_path / "pairs"): None})
    assert max(asked) == 50
    np.testing.assert_allclose(scores_of(parts), scores_of(whole), atol=1e-5)
