"""Whether a model finds what it reads: times, labels, sampled items, histories, enough items."""

from __future__ import annotations

from typing import Any

import pytest

from burnish.errors import BurnishError, DataError

IDS = {"inter": ["user_id", "item_id"]}


def test_times_for_histories_and_for_order(world: Any) -> None:
    with pytest.raises(
        BurnishError, match=r"leaves out 'timestamp' .*SASRec reads histories.*load_col\.inter"
    ):
        world.train("SASRec", load_col=IDS)
    for args in ({"order": "TO"}, {"split": {"TS": [8, 1, 1]}}):
        with pytest.raises(BurnishError, match="leaves out 'timestamp'"):
            world.train(load_col=IDS, eval_args=args)
    with pytest.raises(BurnishError, match=r"eval_args\.order = 'RO'"):
        world.train("SASRec", eval_args={"split": {"LS": "valid_and_test"}, "order": "RO", "mode": "full"})


def test_a_label_for_context_models(world: Any) -> None:
    with pytest.raises(
        BurnishError, match=r"there is no label: LABEL_FIELD = 'label'.*threshold: \{rating: 4\}"
    ):
        world.train("FM", threshold=None)
    with pytest.raises(BurnishError, match=r"threshold: column 'ratng'.*'rating'"):
        world.train("FM", threshold={"ratng": 3})
    with pytest.raises(BurnishError, match=r"every row has the label 0 \(threshold = \{'rating': 99\};"):
        world.train("FM", threshold={"rating": 99})
    with pytest.raises(BurnishError, match=r"'rating' \(LABEL_FIELD\) holds [2-5] .*learns from 0 and 1"):
        world.train("FM", threshold=None, LABEL_FIELD="rating")


def test_ranks_of_rated_rows_and_errors_of_sampled_ones(world: Any) -> None:
    with pytest.raises(BurnishError, match=r"these rank items, but eval_args\.mode = labeled"):
        world.train("FM", metrics=["NDCG"], valid_metric="NDCG@10")
    with pytest.raises(BurnishError, match=r"RMSE compare.*mode: labeled"):
        world.train("NeuMF", metrics=["RMSE"], valid_metric="RMSE")
    with pytest.raises(BurnishError, match=r"eval_args\.mode|mode: labeled"):
        world.train("EMF", eval_args={"mode": "uni10"})


def test_more_items_asked_for_than_there_are(world: Any) -> None:
    with pytest.raises(BurnishError, match=r"topk = \[10, 100\]: .*d\.inter has 25 items.*give 25 at most"):
        world.train(topk=[10, 100])
    assert world.train(topk=[25], valid_metric="NDCG@25").test_result["recall@25"] == 1
    with pytest.raises(
        BurnishError, match=r"mode: valid = 'uni26': .*has 25 items.*give 25 at most, or full"
    ):
        world.train(eval_args={"mode": {"valid": "uni26", "test": "full"}}, topk=[10])


def test_a_single_item(world: Any) -> None:
    rows = "".join(f"u{user}\tonly\t3\t{user}\n" for user in range(30))
    world.write("inter", world.texts["inter"].splitlines()[0] + "\n" + rows)
    with pytest.raises(BurnishError, match=r"d\.inter: all interactions are with one item, item_id = 'only'"):
        world.train(load_col=IDS)


def parts(world: Any, head: str, *names: str) -> None:
    lines = world.texts["inter"].splitlines(keepends=True)[1:]
    for number, name in enumerate(names):
        world.write(f"{name}.inter", head + "".join(lines[number :: len(names)]))


def test_benchmark_files(world: Any) -> None:
    head = world.texts["inter"].splitlines(keepends=True)[0]
    parts(world, head, "a", "b", "c")
    assert world.train(benchmark_filename=["a", "b", "c"]).test_result
    with pytest.raises(BurnishError, match=r"benchmark_filename = \['a', 'b'\]: three are needed"):
        world.train(benchmark_filename=["a", "b"])
    with pytest.raises(BurnishError, match=r"d\.e\.inter does not exist.*benchmark_filename"):
        world.train(benchmark_filename=["a", "b", "e"])
    with pytest.raises(
        BurnishError, match=r"RecBole makes no histories of parts.*split: \{LS: valid_and_test\}"
    ):
        world.train("SASRec", benchmark_filename=["a", "b", "c"])
    world.write("b.inter", head.replace("user_id", "user") + "u1\ti1\t3\t5\n")
    with pytest.raises(BurnishError, match=r"column 'user_id'.*d\.b\.inter does not have it"):
        world.train(benchmark_filename=["a", "b", "c"])


def test_knowledge_graphs_need_their_files(world: Any) -> None:
    with pytest.raises(BurnishError, match=r"CKE reads kg files"):
        world.train("CKE", load_col={"inter": ["user_id", "item_id"]})
    (world.folder / "d.kg").unlink()
    with pytest.raises(
        BurnishError,
        match=r"d\.kg does not exist, and CKE reads a knowledge graph; put.*burnish paths export",
    ):
        world.train("CKE")


@pytest.mark.parametrize("many", [1, 30])
def test_users_with_all_items(world: Any, many: int) -> None:
    head = world.texts["inter"].splitlines()[0] + "\n"
    rows = [
        f"u{user}\ti{item}\t3\t{item}\n"
        for user in range(30)
        for item in range(5)
        if user < many or item != user % 5
    ]
    world.write("inter", head + "".join(rows))
    cure = r"user_inter_num_interval: '\[0,5\)' leaves" if many == 1 else "fewer interactions$"
    with pytest.raises(DataError, match=rf"{many} of 30 users have all 5 items \(user_id = 'u0'.*{cure}"):
        world.train(load_col=IDS, topk=[1], valid_metric="NDCG@1")
    if many == 1:
        options = {"topk": [1], "valid_metric": "NDCG@1", "user_inter_num_interval": "[0,5)"}
        assert world.train(load_col=IDS, **options).test_result
