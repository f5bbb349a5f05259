"""Every mend: RecBole does the right thing with it.  `test_compat_process.py` shows that it does not without.

Expected values are worked out by hand, so the tests also hold on the old stack, where most mends are idle.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import burnish
from burnish.compat import all_mends

# Set by test_compat_process.py only, before RecBole is imported.
for _mend in all_mends():
    if _mend.name == os.environ.get("BURNISH_TEST_WITHOUT_MEND"):
        _mend.applies = lambda: False

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ITEMS = (
    "item_id:token\tprice:float\tmaker:token\ttags:token_seq\tvector:float_seq\n"
    "i1\t1.0\tacme\tx y\t0.5 1.5\n"
    "i2\t\tacme\t\t2.5\n"
    "i3\t4.0\t\ty\t\n"
    "i4\t\tzeta\tx y z\t1.0 2.0\n"
)
KG = (
    "head_id:token\trelation_id:token\ttail_id:token\n"
    "e1\tby\te7\ne2\tby\te7\ne2\tlike\te1\ne3\tlike\te1\ne4\tby\te8\ne5\tlike\te6\n"
)
LINK = "item_id:token\tentity_id:token\n" + "".join(f"i{n}\te{n}\n" for n in range(1, 7))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RecBole writes its logs where it is started and reads options from the command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with the data set `tiny`: 4 users, 6 items (4 with features), a knowledge graph."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    pairs = [(u, i) for u in range(1, 5) for i in range(1, 7) if (u + i) % 3]
    rows = [f"u{u}\ti{i}\t{1 + (u * i) % 5}\t{10 * u + i}\n" for u, i in pairs]
    (folder / "tiny.inter").write_text(INTER + "".join(rows))
    (folder / "tiny.item").write_text(ITEMS)
    (folder / "tiny.kg").write_text(KG)
    (folder / "tiny.link").write_text(LINK)
    return tmp_path


def make_config(model: str, data: Path, **options: Any) -> Any:
    from recbole.config import Config

    fixed = {
        "data_path": str(data),
        "checkpoint_dir": str(data / "saved"),
        "use_gpu": False,
        "epochs": 1,
        "embedding_size": 4,
        "show_progress": False,
        "topk": [1],
        "valid_metric": "MRR@1",
    }
    return Config(model=model, dataset="tiny", config_dict={**fixed, **options})


def make_data(config: Any) -> tuple[Any, Any, Any]:
    from recbole.data import create_dataset, data_preparation

    return data_preparation(config, create_dataset(config))


def make_model(config: Any) -> Any:
    from recbole.utils import get_model

    return get_model(config["model"])(config, make_data(config)[0]._dataset)


def item_features(data: Path, **options: Any) -> tuple[Any, Any]:
    from recbole.data import create_dataset

    dataset = create_dataset(make_config("BPR", data, load_col={"inter": "*", "item": "*"}, **options))
    dataset._change_feat_format()
    return dataset, dataset.item_feat


def run_in_new_process(code: str, folder: Path) -> None:
    """Run `code` after `import burnish`, without the mend that is switched off here."""
    without = f"""
import burnish
for mend in burnish.compat.all_mends():
    if mend.name == {os.environ.get("BURNISH_TEST_WITHOUT_MEND")!r}:
        mend.applies = lambda: False
"""
    command = [sys.executable, "-W", "ignore", "-c", without + code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_mend_has_a_test_here() -> None:
    tests = [name for name in globals() if name.startswith("test_")]
    for mend in all_mends():
        assert any(name.startswith("test_" + mend.name.replace("-", "_")) for name in tests), mend.name


# ------------------------------------------------------------------ numpy


def test_numpy_aliases_let_a_config_be_made(data: Path) -> None:
    assert make_config("BPR", data)["model"] == "BPR"
    assert np.dtype(np.float) == np.float64  # type: ignore[attr-defined]
    assert np.dtype(np.bool) == np.bool_
    assert np.dtype(np.long) == np.int_


def test_numpy_aliases_are_there_for_a_config_from_a_checkpoint(tmp_path: Path) -> None:
    """Such a Config is unpickled, never made, so a new process must have the names from the start."""
    run_in_new_process(
        "import recbole.config, recbole.data.interaction as interaction\n"
        "assert interaction.Interaction({'x': [1.0, 2.0]})['x'].tolist() == [1.0, 2.0]\n",
        tmp_path,
    )


# ------------------------------------------------------------------ scipy


def test_scipy_dok_update_gives_the_normalised_adjacency(data: Path) -> None:
    config = make_config("LightGCN", data, n_layers=1)
    from recbole.utils import get_model

    train = make_data(config)[0]._dataset
    dense = get_model("LightGCN")(config, train).norm_adj_matrix.to_dense().numpy()
    graph = np.zeros_like(dense)
    users, items = train.inter_feat["user_id"].numpy(), train.inter_feat["item_id"].numpy() + train.user_num
    graph[users, items] = graph[items, users] = 1
    degree = graph.sum(1) + 1e-7  # RecBole's own epsilon
    np.testing.assert_allclose(dense, graph / np.sqrt(np.outer(degree, degree)), atol=1e-6)


# ------------------------------------------------------------------ torch


def train_and_save(data: Path) -> tuple[Any, Any, Any]:
    from recbole.trainer import Trainer

    config = make_config("BPR", data)
    train, _, test = make_data(config)
    from recbole.utils import get_model

    trainer = Trainer(config, get_model("BPR")(config, train._dataset))
    trainer.fit(train, None, saved=True)
    return config, trainer, test


def test_torch_load_reads_checkpoints_in_the_trainer_and_nowhere_else(data: Path) -> None:
    _, trainer, test = train_and_save(data)
    best = trainer.model.user_embedding.weight.detach().clone()
    with torch.no_grad():
        trainer.model.user_embedding.weight.zero_()
    trainer.evaluate(test, load_best_model=True)
    assert torch.equal(trainer.model.user_embedding.weight, best)

    if burnish.compat.mend.at_least("torch", 2, 6)():
        with pytest.raises(Exception, match="weights_only"):
            torch.load(trainer.saved_model_file)


def test_torch_load_reads_pretrained_models(data: Path) -> None:
    from recbole.trainer import Trainer

    size = {"mf_embedding_size": 4, "mlp_embedding_size": 4, "mlp_hidden_size": [4]}

    def save_half(half: str) -> tuple[Any, str]:
        config = make_config("NeuMF", data, **size, mf_train=half == "mf", mlp_train=half == "mlp")
        trainer = Trainer(config, make_model(config))
        trainer.saved_model_file = str(data / f"{half}.pth")
        trainer._save_checkpoint(0)
        return trainer.model, trainer.saved_model_file

    (mf, mf_path), (_, mlp_path) = save_half("mf"), save_half("mlp")
    paths = {"mf_pretrain_path": mf_path, "mlp_pretrain_path": mlp_path}
    both = make_model(make_config("NeuMF", data, **size, use_pretrain=True, **paths))
    assert torch.equal(both.user_mf_embedding.weight, mf.user_mf_embedding.weight)


def test_torch_load_quick_start_reads_a_checkpoint_once(data: Path) -> None:
    from recbole.quick_start import load_data_and_model

    _, trainer, _ = train_and_save(data)
    before = torch.load
    _, model, *_ = load_data_and_model(trainer.saved_model_file)
    assert torch.equal(model.user_embedding.weight, trainer.model.user_embedding.weight)
    assert torch.load is before

    with pytest.raises(FileNotFoundError):
        load_data_and_model(str(data / "absent.pth"))
    assert torch.load is before


def test_pickle_warning_comes_with_files_named_by_the_user(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from recbole.quick_start import quick_start

    def warnings() -> int:
        count = sum("is a pickle" in record.getMessage() for record in caplog.records)
        caplog.clear()
        return count

    with caplog.at_level(logging.WARNING, logger="burnish.compat"):
        _, trainer, test = train_and_save(data)
        trainer.evaluate(test, load_best_model=True)
        assert warnings() == 0  # the trainer's own file
        trainer.evaluate(test, load_best_model=True, model_file=trainer.saved_model_file)
        assert warnings() == 1
        trainer.resume_checkpoint(trainer.saved_model_file)
        assert warnings() == 1
        with pytest.raises(FileNotFoundError):  # RecBole takes the handlers away from the log when it loads
            quick_start.load_data_and_model(str(data / "absent.pth"))
        assert warnings() == 1


def test_anomaly_detection_stays_off_with_sequential_models(tmp_path: Path) -> None:
    run_in_new_process(
        "import torch, recbole.model.sequential_recommender\nassert not torch.is_anomaly_enabled()\n",
        tmp_path,
    )


# ------------------------------------------------------------------ pandas


def test_pandas_blank_cells_are_filled(data: Path) -> None:
    dataset, items = item_features(data)
    ids = dataset.token2id("item_id", ["i1", "i2", "i3", "i4"])
    assert items["price"][ids].tolist() == [1.0, 2.5, 4.0, 2.5]  # the mean of 1 and 4
    assert dataset.id2token("maker", items["maker"][ids]).tolist() == ["acme", "acme", "[PAD]", "zeta"]
    assert int(items["maker"].min()) == 0


def test_pandas_blank_sequences_are_empty(data: Path) -> None:
    dataset, items = item_features(data)
    ids = dataset.token2id("item_id", ["i2", "i3"])
    assert items["tags"][ids[0]].tolist() == [0, 0, 0]
    assert items["vector"][ids[1]].tolist() == [0.0, 0.0]


def test_pandas_agg_len_splits_sequences(data: Path) -> None:
    dataset, items = item_features(data, normalize_field=["vector"])
    ids = dataset.token2id("item_id", ["i1", "i3", "i4"])
    tags = [
        [token for token in dataset.id2token("tags", row) if token != "[PAD]"] for row in items["tags"][ids]
    ]
    assert tags == [["x", "y"], ["y"], ["x", "y", "z"]]
    assert items["vector"][ids].tolist() == [[0.0, 0.5], [0.0, 0.0], [0.25, 0.75]]  # (v - 0.5) / 2


def test_pandas_agg_len_counts_given_sequences(data: Path) -> None:
    head = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
    for part in ("train", "valid", "test"):
        (data / "tiny" / f"tiny.{part}.inter").write_text(head + "u1\ti1 i2\ti3\nu2\ti2\ti4\nu1\ti5\ti6\n")
    config = make_config(
        "GRU4Rec",
        data,
        benchmark_filename=["train", "valid", "test"],
        alias_of_item_id=["item_id_list"],
        load_col={"inter": ["user_id", "item_id_list", "item_id"]},
        train_neg_sample_args=None,
    )
    dataset = make_data(config)[0]._dataset
    assert dataset.inter_feat["item_length"].tolist() == [2, 1, 1]


def test_pandas_agg_len_renumbers_sequences_of_entities(data: Path) -> None:
    (data / "tiny" / "tiny.user").write_text(
        "user_id:token\tliked:token_seq\nu1\ti2 i3\nu2\ti3\nu3\ti1\nu4\ti1 i2\n"
    )
    load = {"inter": "*", "user": "*", "kg": "*", "link": "*"}
    config = make_config("CKE", data, load_col=load, alias_of_item_id=["liked"], kg_embedding_size=4)
    dataset = make_data(config)[0]._dataset
    ids = dataset.token2id("user_id", ["u1", "u2", "u4"])
    liked = [dataset.id2token("liked", row).tolist() for row in dataset.user_feat["liked"][ids]]
    assert liked == [["i2", "i3"], ["i3", "[PAD]"], ["i1", "i2"]]


# ------------------------------------------------------------------ ray and dgl


def test_ray_absent_lets_quick_start_be_imported_and_tuned(data: Path) -> None:
    from recbole.quick_start import objective_function

    config = make_config("BPR", data)
    options = {key: config[key] for key in ("checkpoint_dir", "use_gpu", "epochs", "topk", "valid_metric")}
    where = {"model": "BPR", "dataset": "tiny", "data_path": str(data)}
    result = objective_function(config_dict={**options, **where}, saved=False)
    assert 0 <= result["test_result"]["recall@1"] <= 1
    stand_in = sys.modules.get("ray")
    assert stand_in is None or stand_in.__spec__ is not None  # absent, or the real one


def test_dgl_absent_lets_kgat_be_built(data: Path) -> None:
    load = {"inter": "*", "kg": "*", "link": "*"}
    config = make_config("KGAT", data, load_col=load, kg_embedding_size=4, layers=[4], kg_reverse_r=False)
    train = make_data(config)[0]._dataset
    from recbole.utils import get_model

    model = get_model("KGAT")(config, train)
    expected = np.zeros(tuple(model.matrix_size))
    source, target, relation = (part.numpy() for part in (model.all_hs, model.all_ts, model.all_rs))
    for kind in range(1, model.n_relations):  # each relation's rows are averaged, then added up
        one = np.zeros_like(expected)
        np.add.at(one, (source[relation == kind], target[relation == kind]), 1.0)
        expected += one / np.maximum(one.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(model.A_in.to_dense().numpy(), expected, atol=1e-6)
    assert "dgl" not in sys.modules or importlib.util.find_spec("dgl") is not None


# ------------------------------------------------------------------ knowledge-aware models and their checkpoints


def _scores(world: Any, *, anew: bool) -> torch.Tensor:
    """Of the first test users; anew: nothing that an evaluation kept is used."""
    from burnish.enhancers.kept_embeddings import clear_kept

    if anew:
        clear_kept(world.model)
    world.model.eval()
    torch.manual_seed(0)
    np.random.seed(0)  # KGIN and MCCLK drop edges in evaluation, too
    with torch.no_grad():
        return world.model.full_sort_predict(next(iter(world.test))[0]).clone()


@pytest.mark.parametrize("older", [False, True])
def test_kgat_attention_comes_back_with_a_checkpoint(older: bool, tmp_path: Path) -> None:
    from burnish.enhancers.conformance.world import build_world

    world = build_world("KGAT", tmp_path, options={"epochs": 2})
    untrained = world.model.A_in.to_dense().clone()
    world.trainer.fit(world.train, world.valid, show_progress=False)
    file = world.trainer.saved_model_file
    checkpoint = torch.load(file, weights_only=False)
    if older:
        del checkpoint["other_parameter"]["A_in"]
    fresh = build_world("KGAT", tmp_path)
    fresh.model.load_state_dict(checkpoint["state_dict"])
    fresh.model.load_other_parameter(checkpoint["other_parameter"])
    assert not torch.equal(fresh.model.A_in.to_dense(), untrained)
    torch.testing.assert_close(_scores(fresh, anew=True), _scores(fresh, anew=False), rtol=0, atol=0)
    fresh.model.load_other_parameter(checkpoint["other_parameter"])
    kept = _scores(fresh, anew=False)
    torch.testing.assert_close(_scores(fresh, anew=True), kept, rtol=0, atol=0)


@pytest.mark.parametrize("model", ["KGIN", "MCCLK"])
def test_knowledge_kept_embeddings_go_with_their_weights(model: str, tmp_path: Path) -> None:
    from burnish.enhancers.conformance.world import build_world

    world = build_world(model, tmp_path, options={"epochs": 1})
    world.trainer.fit(world.train, world.valid, show_progress=False)
    expected = _scores(world, anew=True)
    other = build_world(model, tmp_path)
    assert not torch.equal(_scores(other, anew=False), expected)
    other.model.load_state_dict(world.model.state_dict())
    assert torch.equal(_scores(other, anew=False), expected)


# ------------------------------------------------------------------ torch_scatter and KSR


@pytest.mark.skipif(
    importlib.util.find_spec("torch_scatter") is not None, reason="the real torch_scatter is here"
)
@pytest.mark.parametrize("model", ["KGIN", "MCCLK"])
def test_torch_scatter_absent_lets_kgin_and_mcclk_train(model: str, tmp_path: Path) -> None:
    from burnish.enhancers.conformance.world import build_world

    world = build_world(model, tmp_path)
    world.trainer.fit(world.train, world.valid, saved=False, show_progress=False)
    assert np.isfinite(world.trainer.train_loss_dict[0])
    assert "torch_scatter" not in sys.modules


def test_torch_scatter_absent_stand_ins_equal_a_loop() -> None:
    from burnish.compat.scatter_ import scatter_mean, scatter_softmax

    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(20, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 1, 1, 4] * 5)  # nothing at 2 and 3
    means, shares = torch.zeros(6, 3, dtype=torch.float64), torch.zeros(20, 3, dtype=torch.float64)
    for group in (0, 1, 4):
        mine = index == group
        means[group] = rows[mine].mean(0)
        shares[mine] = torch.softmax(rows[mine], 0)
    torch.testing.assert_close(scatter_mean(src=rows, index=index, dim=0, dim_size=6), means)
    torch.testing.assert_close(scatter_softmax(rows, index=index, dim=0), shares)
    weights = torch.arange(60, dtype=torch.float64).reshape(20, 3)
    expected = torch.autograd.grad((shares * weights).sum(), rows)[0]
    gradient = torch.autograd.grad((scatter_softmax(rows, index=index) * weights).sum(), rows)[0]
    torch.testing.assert_close(gradient, expected)
    with pytest.raises(ValueError, match="dim = 1"):
        scatter_mean(rows, index, dim=1)


def test_ksr_float64_lets_ksr_train(tmp_path: Path) -> None:
    from burnish.enhancers.conformance.world import build_world

    world = build_world("KSR", tmp_path)
    vectors = torch.from_numpy(world.train._dataset.get_preload_weight("rel_id"))
    torch.testing.assert_close(world.model.relation_Matrix, vectors[: world.model.n_relations].float())
    world.trainer.fit(world.train, world.valid, saved=False, show_progress=False)
    assert np.isfinite(world.trainer.train_loss_dict[0])


def test_pop_counts_every_interaction_and_no_negative() -> None:
    from recbole.data.interaction import Interaction
    from recbole.model.general_recommender.pop import Pop

    class Counting:
        ITEM_ID, drawn_label, device = "item_id", "label", "cpu"
        item_cnt = torch.zeros(5, 1, dtype=torch.long)

    model: Any = Counting()
    items, labels = torch.tensor([1, 1, 2, 3, 3, 4]), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    Pop.calculate_loss(model, Interaction({"item_id": items, "label": labels}))
    assert model.item_cnt.flatten().tolist() == [0, 2, 1, 0, 0]
    model.drawn_label = None
    Pop.calculate_loss(model, Interaction({"item_id": items, "label": labels}))
    assert model.item_cnt.flatten().tolist() == [0, 4, 2, 2, 1]
    assert int(model.max_cnt) == 4


# ------------------------------------------------------------------ times


def last_items(parts: tuple[Any, Any, Any], dataset: Any) -> dict[str, str]:
    """The item that each user is tested on."""
    tested = parts[2]._dataset.inter_feat
    users = dataset.id2token(dataset.uid_field, tested[dataset.uid_field].numpy())
    items = dataset.id2token(dataset.iid_field, tested[dataset.iid_field].numpy())
    assert len(set(users)) == len(users)
    return dict(zip(map(str, users), map(str, items), strict=True))


def split_by_time(model: str, data_path: Path | None, name: str, **options: Any) -> tuple[Any, Any]:
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    fixed: dict[str, Any] = {
        "use_gpu": False,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "train_neg_sample_args": None if model == "SASRec" else {"distribution": "uniform", "sample_num": 1},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "show_progress": False,
    }
    if data_path is not None:
        fixed["data_path"] = str(data_path)
    config = Config(model=model, dataset=name, config_dict={**fixed, **options})
    dataset = create_dataset(config)
    return data_preparation(config, dataset), dataset


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_exact_times_tell_the_last_item_of_every_user_of_ml_100k(model: str) -> None:
    import pandas as pd
    import recbole

    file = Path(recbole.__file__).parent / "dataset_example/ml-100k/ml-100k.inter"
    table = pd.read_csv(file, sep="\t", dtype=str)
    table.columns = [name.split(":")[0] for name in table.columns]
    table["timestamp"] = table["timestamp"].astype(float).astype("int64")
    last = table.sort_values("timestamp", kind="stable").groupby("user_id").tail(1)
    parts, dataset = split_by_time(model, None, "ml-100k")
    assert last_items(parts, dataset) == dict(zip(last["user_id"], last["item_id"], strict=True))


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
@pytest.mark.parametrize("step", [1e-3, 1, 20])
def test_exact_times_order_histories(model: str, step: float, tmp_path: Path) -> None:
    """Seconds, their parts, and milliseconds since 1970 alike; the file's order says nothing."""
    import random

    draw = random.Random(3)
    rows = [(f"u{u}", f"i{u}-{n}", 1.6e9 + 1e5 * u + step * n) for u in range(8) for n in range(10)]
    rows += [
        (f"u{u}", f"i{v}-{n}", 1.5e9 + n) for u in range(8) for v in range(8) for n in range(10) if u != v
    ][:40]
    draw.shuffle(rows)
    (tmp_path / "d").mkdir()
    lines = [f"{user}\t{item}\t{time!r}\n" for user, item, time in rows]
    (tmp_path / "d/d.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    parts, dataset = split_by_time(model, tmp_path, "d")
    assert last_items(parts, dataset) == {f"u{u}": f"i{u}-9" for u in range(8)}
    for part in parts:
        assert part._dataset.inter_feat["timestamp"].dtype == torch.float32
    assert dataset.inter_feat["timestamp"].dtype == torch.float32
    if model == "SASRec":
        tested = parts[2]._dataset.inter_feat
        assert tested["timestamp_list"].dtype == torch.float32
        own = [dataset.id2token("item_id", row.numpy()) for row in tested["item_id_list"]]
        for user, history in zip(dataset.id2token("user_id", tested["user_id"].numpy()), own, strict=True):
            assert [item for item in history if item.startswith(f"i{user[1:]}-")] == [
                f"i{user[1:]}-{n}" for n in range(9)
            ]


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
@pytest.mark.parametrize("spelled", ["{}", "{}.0", "+{}"])
def test_whole_times_order_nanoseconds(model: str, spelled: str, tmp_path: Path) -> None:
    """100 ns apart, where float64 has steps of 256 ns; duplicates are dropped by the exact time, too."""
    import random

    draw = random.Random(3)
    start = 1_600_000_000_000_000_000
    rows = [(f"u{u}", f"i{n}", start + 100 * (u + n)) for u in range(8) for n in draw.sample(range(30), 12)]
    last = {u: max((t, i) for v, i, t in rows if v == u)[1] for u, _, _ in rows}
    assert len({float(time) for _, _, time in rows}) < len({time for _, _, time in rows}) / 2
    draw.shuffle(rows)
    (tmp_path / "d").mkdir()
    lines = [f"{user}\t{item}\t{spelled.format(time)}\n" for user, item, time in rows]
    (tmp_path / "d/d.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    parts, dataset = split_by_time(model, tmp_path, "d", rm_dup_inter="last")
    assert last_items(parts, dataset) == last
    assert dataset.inter_feat["timestamp"].dtype == torch.float32


def test_whole_times_that_scaling_would_merge_are_refused(tmp_path: Path) -> None:
    """Between 1970 and 2020 a float64 of 0..1 has steps of 180 ns."""
    times = [5, *(1_600_000_000_000_000_000 + 100 * number for number in range(60))]
    (tmp_path / "d").mkdir()
    lines = [f"u{n % 9}\ti{n}\t{time}\n" for n, time in enumerate(times)]
    (tmp_path / "d/d.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    assert split_by_time("BPR", tmp_path, "d")
    with pytest.raises(ValueError, match=r"column 'timestamp' \(TIME_FIELD\).*normalize_all"):
        split_by_time("BPR", tmp_path, "d", normalize_all=True)


@pytest.mark.parametrize(
    "times",
    [
        ("1600000000.1234567", "1600000000.1234568"),
        ("99999999999999999998", "99999999999999999999"),
    ],
)
def test_whole_times_that_cannot_be_told_apart_are_refused(times: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    lines = [f"u{n % 9}\ti{n}\t{times[n % 2]}\n" for n in range(60)]
    (tmp_path / "d/d.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    with pytest.raises(
        ValueError, match=rf"d\.inter: column 'timestamp'.*{times[0]} and {times[1]} \(rows 1 and 2"
    ):
        split_by_time("BPR", tmp_path, "d")


# ------------------------------------------------------------------ metrics


def test_beyond_accuracy_metrics_are_computed(data: Path, tmp_path: Path) -> None:
    """By hand: what is recommended, and how often the training data have it."""
    from collections import Counter

    metrics = ["NDCG", "ItemCoverage", "AveragePopularity", "TailPercentage", "GiniIndex"]
    config = make_config(
        "BPR", data, metrics=metrics, topk=[2], valid_metric="NDCG@2", load_col={"inter": "*"}
    )
    train, valid, _ = make_data(config)
    from recbole.trainer import Trainer
    from recbole.utils import get_model

    trainer = Trainer(config, get_model("BPR")(config, train._dataset))
    collected = []
    evaluate = trainer.evaluator.evaluate
    trainer.evaluator.evaluate = lambda struct: collected.append(struct) or evaluate(struct)
    _, result = trainer.fit(train, valid, saved=False, show_progress=False)
    items = collected[-1].get("rec.items").numpy()[:, :2]
    counts = Counter(train._dataset.inter_feat["item_id"].numpy().tolist())
    assert result["itemcoverage@2"] == pytest.approx(
        len(set(items.ravel())) / 7, abs=1e-4
    )  # padding counts in RecBole
    assert result["averagepopularity@2"] == pytest.approx(
        np.mean([counts[i] for i in items.ravel()]), abs=1e-4
    )
    assert 0 <= result["giniindex@2"] <= 1
    assert 0 <= result["tailpercentage@2"] <= 1


def test_knowledge_loader_data_set_lets_items_be_counted(data: Path) -> None:
    load = {"inter": "*", "kg": ["head_id", "relation_id", "tail_id"], "link": ["item_id", "entity_id"]}
    train, _, _ = make_data(make_config("CKE", data, load_col=load))
    assert train.dataset is train.general_dataloader.dataset
    assert sum(train.dataset.item_counter.values()) == len(train.dataset)


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "n/a"])
def test_names_like_missing_values_are_names(data: Path, name: str) -> None:
    file = data / "tiny" / "tiny.inter"
    file.write_text(file.read_text().replace("u1\t", f"{name}\t") + "\ti1\t3\t9\n" + "u2\ti1\tNA\t9\n")
    train, valid, test = make_data(make_config("BPR", data, load_col={"inter": "*"}))
    assert name in train._dataset.field2id_token["user_id"]
    rows = sum(len(part._dataset.inter_feat) for part in (train, valid, test))
    assert rows == len(file.read_text().splitlines()) - 2  # the header, and the row of nobody
    assert not np.isnan(train._dataset.inter_feat["rating"].numpy()).any()


# ------------------------------------------------------------------ models


@pytest.mark.parametrize("sampling", [None, {"distribution": "uniform", "sample_num": 2}])
@pytest.mark.parametrize("size", [2, 100])
def test_pop_counts_each_interaction_once(data: Path, sampling: dict[str, Any] | None, size: int) -> None:
    """Whatever the size of the batches, and without the negatives that are drawn into them."""
    config = make_config("Pop", data, train_neg_sample_args=sampling, train_batch_size=size)
    train = make_data(config)[0]
    model = make_model(config)
    for batch in train:
        model.calculate_loss(batch)
    items = train._dataset.inter_feat["item_id"].numpy()
    assert model.item_cnt[:, 0].tolist() == np.bincount(items, minlength=7).tolist()
    assert int(model.max_cnt) == np.bincount(items).max() > 1


def test_item_knn_lists_are_compressed_rows(data: Path) -> None:
    """A user's score of an item is the sum of the cosines of the user's items that are among its neighbours."""
    import scipy.sparse
    from recbole.utils import get_model

    config = make_config("ItemKNN", data, k=2)
    train = make_data(config)[0]._dataset
    known = train.inter_matrix(form="csr").toarray()
    model = get_model("ItemKNN")(config, train)
    assert scipy.sparse.isspmatrix_csr(model.pred_mat)
    lengths = np.sqrt((known**2).sum(0))
    cosines = known.T @ known / (np.outer(lengths, lengths) + 1e-6)
    np.fill_diagonal(cosines, 0)
    kept = np.sort(cosines, axis=0)[-2:].sum(0)
    np.testing.assert_allclose(np.asarray(model.w.sum(0))[0], kept, rtol=1e-5)
    np.testing.assert_allclose(model.pred_mat.toarray(), known @ model.w.toarray(), rtol=1e-5)


# ------------------------------------------------------------------ harmless warnings


def warned_of(data: Path) -> str:
    """What a new process says that trains LightGCN and is shown every warning."""
    code = f"""
import burnish
for mend in burnish.compat.all_mends():
    if mend.name == {os.environ.get("BURNISH_TEST_WITHOUT_MEND")!r}:
        mend.applies = lambda: False
config = {{"data_path": {str(data)!r}, "epochs": 1, "embedding_size": 4, "topk": [1], "valid_metric": "MRR@1"}}
burnish.run("LightGCN", "tiny", config={{**config, "filter_inter_by_user_or_item": True, "use_gpu": False}})
"""
    command = [sys.executable, "-W", "default", "-c", code]
    done = subprocess.run(command, cwd=data, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "interactions read" in done.stderr
    return done.stderr


def test_torch_warnings_of_other_names_are_left_out(data: Path) -> None:
    said = warned_of(data)
    for name in ("GradScaler", "SparseTensor", "not writable"):
        assert name not in said


def test_pandas_warnings_of_what_is_mended_are_left_out(data: Path) -> None:
    said = warned_of(data)
    for name in ("chained assignment", "inplace"):
        assert name not in said
