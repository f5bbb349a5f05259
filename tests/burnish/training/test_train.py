"""`train`: the metrics of run_recbole, per-user values, nothing left behind, errors that help."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from burnish.errors import ConfigurationError, DataError, NonFiniteError, UnknownNameError
from burnish.training.train import train


def recbole_result(model: str, dataset: str, options: dict[str, Any]) -> dict[str, Any]:
    """What run_recbole gives for the same options."""
    from recbole.quick_start import run_recbole

    own = {key: value for key, value in options.items() if key != "threads"}
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    try:
        return run_recbole(model=model, dataset=dataset, config_dict={**own, "show_progress": False})
    finally:
        logging.getLogger().setLevel(level)
        logging.getLogger().handlers[:] = handlers


@pytest.fixture(autouse=True)
def _plain_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("BPR", {}),
        ("LightGCN", {"n_layers": 1}),
        ("Pop", {}),
        ("NeuMF", {"eval_args": {"mode": "uni20"}}),
        ("GRU4Rec", {"train_neg_sample_args": None, "hidden_size": 8, "MAX_ITEM_LIST_LENGTH": 5}),
        # The mask transform draws random numbers while FLOPs are counted.
        (
            "BERT4Rec",
            {"train_neg_sample_args": None, "hidden_size": 8, "inner_size": 8, "n_layers": 1, "n_heads": 1},
        ),
    ],
)
def test_same_metrics_as_run_recbole(model: str, more: dict[str, Any], small: dict[str, Any]) -> None:
    options = {**small, **more}
    if model in {"GRU4Rec", "BERT4Rec"}:
        options["eval_args"] = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}
        options["epochs"] = 1
    expected = recbole_result(model, "tiny", options)
    ours = train(model, "tiny", options=options, keep_checkpoint=False)
    assert ours.rounded_test_result == dict(expected["test_result"])
    assert ours.best_valid_result == dict(expected["best_valid_result"])
    assert ours.best_valid_score == expected["best_valid_score"]
    half = pytest.approx(0, abs=0.5e-4 + 1e-12)  # of the last place that RecBole keeps
    assert ours.test_result.keys() == ours.rounded_test_result.keys()
    assert all(ours.test_result[name] - value == half for name, value in ours.rounded_test_result.items())
    assert all(ours.valid_result[name] - value == half for name, value in ours.best_valid_result.items())


def test_per_user_values_average_to_the_figures(small: dict[str, Any]) -> None:
    result = train("BPR", "tiny", options=small, keep_checkpoint=False)
    frame = result.per_user
    assert frame is not None
    assert list(frame.columns) == [
        "user",
        "row",
        "ndcg@5",
        "ndcg@10",
        "recall@5",
        "recall@10",
        "mrr@5",
        "mrr@10",
        "n_training",
        "averagepopularity@5",
        "novelty@5",
        "averagepopularity@10",
        "novelty@10",
    ]
    assert sorted(frame["user"]) == sorted(f"u{n}" for n in range(40))
    for name, value in result.test_result.items():
        assert frame[name].dtype == np.float64
        assert frame[name].mean() == pytest.approx(value, abs=1e-12)


def test_per_user_ndcg_against_its_definition(small: dict[str, Any]) -> None:
    """NDCG@5 of each user, computed here from the model's scores and the split."""
    result = train("BPR", "tiny", options=small, keep_checkpoint=False)
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import init_seed

    config = result.dataset.config

    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    _, _, test = data_preparation(config, dataset)
    by_user = dict(zip(result.per_user["user"], result.per_user["ndcg@5"], strict=True))
    users, items = (test._dataset.inter_feat[name].numpy() for name in ("user_id", "item_id"))
    for user in np.unique(users):
        scores = (
            result.model.full_sort_predict({"user_id": torch.tensor([user])}).detach().reshape(-1).clone()
        )
        wanted = set(items[users == user])
        used = set(test._sampler.used_ids[user]) - wanted
        scores[[0, *used]] = -np.inf
        top = torch.topk(scores, 5).indices.tolist()
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(top) if item in wanted)
        best = sum(1 / np.log2(place + 2) for place in range(min(5, len(wanted))))
        assert by_user[dataset.id2token("user_id", user)] == pytest.approx(gain / best, abs=1e-6)


def test_leave_one_out_has_one_row_a_test_case(small: dict[str, Any]) -> None:
    options = {
        **small,
        "epochs": 1,
        "train_neg_sample_args": None,
        "hidden_size": 8,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    }
    frame = train("GRU4Rec", "tiny", options=options, keep_checkpoint=False).per_user
    assert frame is not None
    assert frame["row"].tolist() == list(range(40))
    assert sorted(frame["user"]) == sorted(f"u{n}" for n in range(40))
    assert set(np.round(frame["recall@10"], 12)) <= {0.0, 1.0}  # one relevant item a case


def test_value_metrics_have_no_users_but_are_unrounded(small: dict[str, Any]) -> None:
    options = {
        **small,
        "epochs": 1,
        "metrics": ["AUC", "LogLoss"],
        "valid_metric": "AUC",
        "eval_args": {"mode": "labeled"},
        "train_neg_sample_args": None,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "threshold": {"timestamp": 6},
    }
    result = train("FM", "tiny", options=options, keep_checkpoint=False)
    assert result.per_user is None
    assert set(result.test_result) == {"auc", "logloss"}
    for name, value in result.test_result.items():
        assert round(value, 4) == result.rounded_test_result[name]
        assert value != result.rounded_test_result[name]


def test_nothing_is_written_outside_the_folder(small: dict[str, Any], tmp_path: Path) -> None:
    result = train("BPR", "tiny", options=small, folder=tmp_path / "run")
    assert list(Path.cwd().iterdir()) == []
    written = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert written == ["checkpoint.pth", "log.txt", "model.safetensors", "run.json"]
    assert "train loss" in (tmp_path / "run" / "log.txt").read_text()
    assert result.checkpoint == tmp_path / "run" / "checkpoint.pth"
    train("BPR", "tiny", options=small, folder=tmp_path / "bare", keep_checkpoint=False)
    assert [path.name for path in (tmp_path / "bare").iterdir()] == ["log.txt"]


def test_tensorboard_on_request(small: dict[str, Any], tmp_path: Path) -> None:
    train("BPR", "tiny", options={**small, "epochs": 1, "tensorboard": True}, folder=tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").rglob("events*"))
    assert list(Path.cwd().iterdir()) == []


def test_checkpoint_is_a_recbole_one(small: dict[str, Any], tmp_path: Path) -> None:
    result = train("BPR", "tiny", options=small, folder=tmp_path)
    from recbole.quick_start import load_data_and_model

    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    try:
        _, model, *_ = load_data_and_model(str(result.checkpoint))
    finally:
        logging.getLogger().setLevel(level)
        logging.getLogger().handlers[:] = handlers
    for ours, theirs in zip(result.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_state_of_the_process_is_put_back(small: dict[str, Any], tmp_path: Path) -> None:
    argv, threads = list(sys.argv), torch.get_num_threads()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with pytest.raises(UnknownNameError):
        train("BPR", "tyny", options={**small, "threads": threads + 1}, folder=tmp_path)
    train("BPR", "tiny", options={**small, "threads": threads + 1}, folder=tmp_path)
    assert sys.argv == argv
    assert torch.get_num_threads() == threads
    assert (root.handlers, root.level) == (handlers, level)


def test_command_line_counts_only_when_asked(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prog", "--epochs=1", "--learning_rate=1e-2"])
    assert train("BPR", "tiny", options=small, keep_checkpoint=False).n_epochs == 2
    result = train("BPR", "tiny", options=small, keep_checkpoint=False, command_line=True)
    assert (result.n_epochs, result.config["learning_rate"]) == (1, 0.01)


def test_option_values_are_never_evaluated(small: dict[str, Any], tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    code = f"__import__('pathlib').Path({str(proof)!r}).touch()"
    with pytest.warns(UserWarning, match="'note' is read by neither"):
        result = train("BPR", "tiny", options={**small, "note": code}, keep_checkpoint=False)
    assert result.config["note"] == code
    assert not proof.exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("[1, 2]", [1, 2]), ("True", True), ("false", False), ("None", None), ("adam", "adam")],
)
def test_text_options_become_literals(text: str, value: object) -> None:
    from burnish.training.session import literal

    assert literal(text) == value


def test_seed_and_files_and_options_in_order(small: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("seed: 5\nepochs: 1\nlearning_rate: 2e-3\n")
    options = {key: value for key, value in small.items() if key != "epochs"}
    by_file = train("BPR", "tiny", config_files=[file], options=options, keep_checkpoint=False)
    assert (by_file.seed, by_file.n_epochs, by_file.config["learning_rate"]) == (5, 1, 2e-3)
    by_hand = train(
        "BPR", "tiny", config_files=[file], options={**options, "seed": 6}, seed=7, keep_checkpoint=False
    )
    assert by_hand.seed == 7


def test_epochs_are_reported(small: dict[str, Any]) -> None:
    seen: list[Any] = []
    result = train("BPR", "tiny", options={**small, "epochs": 3}, keep_checkpoint=False, on_epoch=seen.append)
    assert [(epoch.number, epoch.valid_score is None) for epoch in seen] == [
        (number, before) for number in (1, 2, 3) for before in (True, False)
    ]
    assert all(epoch.total == 3 for epoch in seen)
    assert result.losses == [epoch.loss for epoch in seen if epoch.valid_score is None]
    scores = [epoch.valid_score for epoch in seen if epoch.valid_score is not None]
    assert scores[result.best_epoch - 1] == max(scores) == result.best_valid_score


def test_test_set_can_be_left_alone(small: dict[str, Any]) -> None:
    result = train("BPR", "tiny", options=small, keep_checkpoint=False, evaluate_test=False)
    assert (result.test_result, result.per_user) == ({}, None)
    assert result.valid_result


def test_enhancers_are_attached(small: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("enhancers:\n  uneven: {spread: 0.9}\n")
    by_file = train("BPR", "tiny", config_files=[file], options=small, keep_checkpoint=False)
    assert by_file.enhancers == {"uneven": {"spread": 0.9}}
    by_argument = train(
        "BPR", "tiny", enhancers={"uneven": {"spread": 0.9}}, options=small, keep_checkpoint=False
    )
    assert by_argument.test_result == by_file.test_result
    off = train("BPR", "tiny", enhancers={}, config_files=[file], options=small, keep_checkpoint=False)
    plain = train("BPR", "tiny", options=small, keep_checkpoint=False)
    assert (off.enhancers, off.test_result) == ({}, plain.test_result)
    assert off.losses != by_file.losses


# ---------------------------------------------------------------- errors


def test_misspelt_model_and_data_set(small: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'LightGCN'"):
        train("LihgtGCN", "tiny", options=small)
    with pytest.raises(UnknownNameError, match=r"'tinny' is not known\. Did you mean 'tiny'"):
        train("BPR", "tinny", options=small)
    with pytest.raises(UnknownNameError, match="Did you mean 'ml-100k'"):
        train("BPR", "ml-100", options={"data_path": "nowhere"})


def test_misspelt_option_warns_with_the_nearest(small: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="'learning_rat' is read by neither .* Did you mean 'learning_rate'"):
        train("BPR", "tiny", options={**small, "epochs": 1, "learning_rat": 0.1}, keep_checkpoint=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["NDGC"]}, "NDGC"),
        ({"valid_metric": "Hit@10"}, "valid_metric = 'Hit@10'"),
        ({"valid_metric": "NDCG@20"}, "topk"),
        ({"topk": [0]}, "topk"),
        ({"threads": 0}, "threads = 0"),
        ({"eval_args": {"mode": "half"}}, "half"),
    ],
)
def test_bad_values(options: dict[str, Any], message: str, small: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train("BPR", "tiny", options={**small, **options}, keep_checkpoint=False)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "does not exist"), ("a: [", "not valid YAML"), ("- a", "list")]
)
def test_bad_config_files(content: str | None, message: str, small: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        train("BPR", "tiny", config_files=[file], options=small)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_hardly_any_data(n_rows: int, small: dict[str, Any], tmp_path: Path, write_interactions: Any) -> None:
    write_interactions(tmp_path, "few", [("a", "b", 1)][:n_rows])
    with pytest.raises(DataError, match=f"has {n_rows} interaction"):
        train("BPR", "few", options={**small, "data_path": str(tmp_path)}, keep_checkpoint=False)


def test_splits_that_come_out_empty(small: dict[str, Any], tmp_path: Path, write_interactions: Any) -> None:
    write_interactions(tmp_path, "thin", [(f"u{n}", f"i{n % 3}", n) for n in range(9)])
    with pytest.raises(DataError, match="validation split is empty"):
        train("BPR", "thin", options={**small, "data_path": str(tmp_path)}, keep_checkpoint=False)


def test_filters_that_leave_nothing(small: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no interaction is left"):
        train("BPR", "tiny", options={**small, "user_inter_num_interval": "[500,inf)"}, keep_checkpoint=False)


def test_missing_atomic_file(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match=r"hollow\.inter does not exist"):
        train("BPR", "hollow", options={**small, "data_path": str(tmp_path)}, keep_checkpoint=False)


def test_a_loss_that_is_no_number(small: dict[str, Any]) -> None:
    with pytest.raises(NonFiniteError, match=r"loss of BPR became NaN in epoch \d; learning_rate = 1e\+30"):
        train("BPR", "tiny", options={**small, "learning_rate": 1e30, "epochs": 9}, keep_checkpoint=False)


def test_no_validation_on_request(small: dict[str, Any]) -> None:
    options = {**small, "eval_args": {"split": {"RS": [0.8, 0.0, 0.2]}}}
    result = train("BPR", "tiny", options=options, keep_checkpoint=False)
    assert result.best_valid_result == {}
    assert result.test_result["ndcg@10"] > 0


def test_runs_of_one_second_have_checkpoints_of_their_own(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RecBole names checkpoints by the second: the second run's weights would be the first one's, or the reverse."""
    monkeypatch.setattr("recbole.trainer.trainer.get_local_time", lambda: "Jan-01-2000_00-00-00")
    one, other = (train("BPR", "tiny", options={**small, "embedding_size": size}) for size in (4, 8))
    assert one.checkpoint is not None
    assert other.checkpoint is not None
    kept = [torch.load(path, weights_only=False)["state_dict"] for path in (one.checkpoint, other.checkpoint)]
    assert [table["user_embedding.weight"].shape[1] for table in kept] == [4, 8]
