"""Which test cases a model is asked, across kinds of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from burnish.training.cases import case_digest, case_digest_of
from burnish.training.train import train

LAST = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
TENTHS = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
AT_RANDOM = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"}


@pytest.fixture
def options(small: dict[str, Any]) -> dict[str, Any]:
    return {**small, "seed": 1}


def digests(options: dict[str, Any], *models: str, **more: Any) -> list[str]:
    sequential = {"train_neg_sample_args": None, "loss_type": "CE"}
    return [
        case_digest_of(
            model, "tiny", {**options, **(sequential if model in ("SASRec", "GRU4Rec") else {}), **more}
        )
        for model in models
    ]


def test_the_last_interaction_is_one_case_for_all(options: dict[str, Any]) -> None:
    assert len(set(digests(options, "EASE", "BPR", "SASRec", "GRU4Rec", eval_args=LAST))) == 1


@pytest.mark.parametrize(
    ("length", "same_items"),
    [
        (20, False),  # a tenth is two, and one of the 19 that have something before them
        (31, True),  # a tenth is three of both; but one ranking of three items, or three of one
    ],
)
def test_a_share_of_a_history_is_other_cases_for_sequential_models(
    length: int, same_items: bool, options: dict[str, Any], write_interactions: Any, tmp_path: Path
) -> None:
    rows = [(f"u{user}", f"i{(7 * user + n) % 60}", n) for user in range(8) for n in range(length)]
    write_interactions(tmp_path, "tiny", rows)
    more = {"data_path": str(tmp_path), "MAX_ITEM_LIST_LENGTH": 5}
    ease, bpr, sasrec, gru = digests(options, "EASE", "BPR", "SASRec", "GRU4Rec", **more, eval_args=TENTHS)
    assert ease == bpr
    assert sasrec == gru != ease
    tests = [
        rows_of_the_test_split(model, {**options, **more, "eval_args": TENTHS})
        for model in ("EASE", "SASRec")
    ]
    assert (tests[0] == tests[1]) is same_items


def rows_of_the_test_split(model: str, options: dict[str, Any]) -> set[tuple[int, int]]:
    """The users and items of the test split."""
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.data import load_dataset
    from burnish.training.request import make_config

    sequential = {"train_neg_sample_args": None, "loss_type": "CE"} if model == "SASRec" else {}
    config = make_config(find_backbone(model), "tiny", {}, {**options, **sequential})
    part = load_dataset(config).build()[2]
    return set(zip(part.inter_feat["user_id"].tolist(), part.inter_feat["item_id"].tolist(), strict=True))


def test_seeds_split_at_random_into_other_cases(options: dict[str, Any]) -> None:
    one, same = digests(options, "EASE", "BPR", eval_args=AT_RANDOM)
    (other,) = digests({**options, "seed": 2}, "EASE", eval_args=AT_RANDOM)
    assert one == same != other


def test_rows_are_known_by_their_names() -> None:
    """Whatever the numbers of users and items, and the order of rows."""
    from types import SimpleNamespace

    import numpy as np

    def part(users: list[str], items: list[str], rows: list[tuple[str, str]]) -> Any:
        numbers = {"u": users, "i": items}
        return SimpleNamespace(
            uid_field="u",
            iid_field="i",
            inter_feat={
                "u": [users.index(user) for user, _ in rows],
                "i": [items.index(item) for _, item in rows],
            },
            id2token=lambda field, ids: np.array(numbers[field])[ids],
        )

    config = {"MODEL_TYPE": SimpleNamespace(name="GENERAL")}
    rows = [("a", "x"), ("a", "y"), ("b", "x")]
    one = case_digest(config, part(["a", "b"], ["x", "y", "z"], rows))
    assert case_digest(config, part(["b", "a"], ["z", "y", "x"], rows[::-1])) == one
    others = [[*rows[:2], ("b", "y")], rows[:2], [*rows, rows[0]], [("A", "x"), *rows[1:]]]
    known = [part(["a", "b", "A"], ["x", "y"], other) for other in others]
    assert len({one, *(case_digest(config, other) for other in known)}) == 5
    sequential = {"MODEL_TYPE": SimpleNamespace(name="SEQUENTIAL")}
    assert case_digest(sequential, part(["a", "b"], ["x", "y"], rows)) != one
    assert case_digest(config, SimpleNamespace(uid_field=None, iid_field="i")) == "none"


def test_knowledge_aware_models_are_asked_the_same(tmp_path: Path) -> None:
    from burnish.enhancers.conformance.data import write_data

    write_data(tmp_path)
    options = {
        "data_path": str(tmp_path),
        "seed": 3,
        "metrics": ["NDCG"],
        "valid_metric": "NDCG@10",
        "use_gpu": False,
        "load_col": {
            "inter": ["user_id", "item_id", "rating", "timestamp"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        },
    }
    assert len({case_digest_of(model, "conformance", options) for model in ("EASE", "CFKG", "KGAT")}) == 1


@pytest.mark.parametrize(("model", "arguments"), [("BPR", AT_RANDOM), ("SASRec", LAST)])
def test_it_is_what_the_run_is_asked(model: str, arguments: Any, options: dict[str, Any]) -> None:
    more = {"train_neg_sample_args": None, "loss_type": "CE"} if model == "SASRec" else {}
    settings = {**options, "eval_args": arguments, **more}
    result = train(model, "tiny", options=settings, seed=1)
    own = case_digest(result.trained.config, result.splits.test)
    assert own == case_digest_of(model, "tiny", settings)
