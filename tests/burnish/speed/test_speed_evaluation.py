"""Evaluation in larger batches finds what RecBole's finds, within its budget, on models of every kind."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from burnish.enhancers.conformance.world import World, build_world
from burnish.errors import ConfigurationError
from burnish.speed.batch_sizes import BatchSizes
from burnish.speed.evaluation import batch_sizes_for, budget_bytes
from burnish.speed.switches import without


def world(model, folder, **options) -> World:
    """A world in which RecBole evaluates one user at a time, of its own accord."""
    built = build_world(model, folder, options={"eval_batch_size": 1, **options})
    del built.config.external_config_dict["eval_batch_size"]
    built.trainer.eval_collector.data_collect(built.train)
    built.trainer.test_batch_size = 4096  # pairs that a model without full_sort_predict scores at a time
    return built


def watched(built: World):
    """(sizes of the batches, what was collected, result, streams left) of one evaluation."""
    sizes, structs = [], []
    trainer = built.trainer

    def counting(score):
        def counted(batch):
            sizes.append(int(batch[2][-1]) + 1)
            return score(batch)

        return counted

    for name in ("_full_sort_batch_eval", "_neg_sample_batch_eval"):
        setattr(trainer, name, counting(getattr(trainer, name)))
    inner_evaluate = trainer.evaluator.evaluate

    def evaluate(struct):
        structs.append({key: struct[key].clone() for key in ("rec.topk", "rec.items") if key in struct})
        return inner_evaluate(struct)

    trainer.evaluator.evaluate = evaluate
    torch.manual_seed(1)
    np.random.seed(1)
    result = trainer.evaluate(built.test, load_best_model=False)
    return sizes, structs[0], dict(result), (torch.get_rng_state(), np.random.get_state()[1].copy())


METRICS = {"metrics": ["NDCG", "Hit", "GAUC"], "topk": [5]}
UNI = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "uni20"}}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("BPR", METRICS),
        ("LightGCN", {}),
        ("NeuMF", {}),
        ("RippleNet", {}),
        ("ItemKNN", {}),
        ("BPR", UNI),
        ("KGIN", {}),
    ],
)
def test_ranking_metrics_and_streams_are_recboles(tmp_path, model, options):
    sizes, struct, result, streams = watched(world(model, tmp_path, **options))
    with without():
        one_by_one, expected, expected_result, expected_streams = watched(world(model, tmp_path, **options))
    assert set(one_by_one) == {1}
    assert sizes[0] == 1
    assert max(sizes) >= 16
    assert sum(sizes) == len(one_by_one)
    assert result == expected_result
    assert struct.keys() == expected.keys()
    assert all(torch.equal(struct[key], expected[key]) for key in struct)
    assert torch.equal(streams[0], expected_streams[0])
    assert (streams[1] == expected_streams[1]).all()


def test_a_model_that_draws_while_it_predicts_keeps_recboles_batches(tmp_path):
    built = world("BPR", tmp_path)
    plain = built.model.full_sort_predict

    def noisy(interaction):
        scores = plain(interaction)
        return scores + torch.rand_like(scores)

    built.model.full_sort_predict = noisy
    sizes = watched(built)[0]
    assert set(sizes) == {1}


def test_a_small_budget_is_kept_to(tmp_path):
    built = world("BPR", tmp_path, eval_memory_mib=0.05)
    sizes = watched(built)[0]
    cells = built.dataset.item_num * 4
    assert 1 < max(sizes) <= 0.05 * 2**20 / cells


@pytest.mark.parametrize("options", [{"eval_memory_mib": 0}, {"eval_batch_size": 300}])
def test_what_the_user_sets_holds(tmp_path, options):
    built = build_world("BPR", tmp_path, options={"eval_batch_size": 1, **options})
    if "eval_memory_mib" in options:
        del built.config.external_config_dict["eval_batch_size"]
    assert batch_sizes_for(built.config, built.test) is None


@pytest.mark.parametrize("value", [-1, "much", True, float("nan")])
def test_a_budget_that_is_none_is_refused(value):
    with pytest.raises(ConfigurationError, match="eval_memory_mib"):
        budget_bytes({"eval_memory_mib": value})


def test_batches_that_do_not_fit_are_halved(tmp_path):
    built = world("BPR", tmp_path)
    plain = built.model.full_sort_predict
    tried = []

    def tight(interaction):
        tried.append(len(interaction))
        if len(interaction) > 5:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 TiB")
        return plain(interaction)

    built.model.full_sort_predict = tight
    _, struct, result, _ = watched(built)
    with without():
        _, expected, expected_result, _ = watched(world("BPR", tmp_path))
    assert tried[:6] == [1, 16, 8, 4, 4, 8]
    assert max(tried[2:]) <= 8
    assert result == expected_result
    assert torch.equal(struct["rec.topk"], expected["rec.topk"])


def test_other_errors_pass(tmp_path):
    built = world("BPR", tmp_path)

    def broken(_interaction):
        raise RuntimeError("shapes do not match")

    built.model.full_sort_predict = broken
    with pytest.raises(RuntimeError, match="shapes do not match"):
        built.trainer.evaluate(built.test, load_best_model=False)
    assert "_burnish_sizes" not in vars(built.test)
    assert "eval_batch_collect" not in vars(built.trainer.eval_collector)


def test_progress_counts_users(tmp_path, capsys):
    built = world("BPR", tmp_path)
    built.trainer.evaluate(built.test, load_best_model=False, show_progress=True)
    users = len(built.test.uid_list)
    assert f"{users}/{users}" in capsys.readouterr().err


def test_plan_grows_by_what_it_sees():
    sizes = BatchSizes(2, budget=1000)
    sizes.learn(
        2, taken=20, drew=False
    )  # 10 a user: 100 would fit, but not more than 16 times as many at once
    assert (sizes.size, sizes.settled) == (32, False)
    sizes.learn(32, taken=320, drew=False)
    assert (sizes.size, sizes.settled) == (100, False)
    sizes.learn(100, taken=1250, drew=False)  # more a user than before
    assert (sizes.size, sizes.settled) == (80, True)


def test_plan_lets_the_first_batch_draw():
    sizes = BatchSizes(2, budget=10**6)
    sizes.learn(2, taken=20, drew=True)
    assert (sizes.size, sizes.settled) == (2, False)
    sizes.learn(2, taken=20, drew=False)
    assert sizes.size == 32
    sizes.learn(32, taken=20, drew=True)
    assert (sizes.size, sizes.settled) == (2, True)


def test_labelled_data_and_sequences_keep_their_batches(tmp_path):
    for model in ("DeepFM", "SASRec"):
        built = build_world(model, tmp_path)
        built.config.external_config_dict.pop("eval_batch_size")
        assert batch_sizes_for(built.config, built.test) is None


def test_a_batch_is_collated_as_in_recbole(tmp_path):
    loader = world("BPR", tmp_path).test
    fast = loader.collate_fn([3, 0, 7])
    with without():
        slow = loader.collate_fn([3, 0, 7])
    assert torch.equal(fast[0]["user_id"], slow[0]["user_id"])
    for one, other in (
        (fast[1][0], slow[1][0]),
        (fast[1][1], slow[1][1]),
        (fast[2], slow[2]),
        (fast[3], slow[3]),
    ):
        assert torch.equal(one, other)


def test_budget_by_default():
    assert budget_bytes({"eval_memory_mib": None}) == 256 * 2**20
    assert (
        batch_sizes_for(
            type("Config", (dict,), {"external_config_dict": {}})(eval_memory_mib=1, single_spec=True),
            SimpleNamespace(uid_list=[1], num_workers=2),
        )
        is None
    )
