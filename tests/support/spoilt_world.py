"""Good inputs, and what replaces parts of them: see `mutants`."""

from __future__ import annotations

import math
import random
from typing import Any

#: What replaces a value.
POOL: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, math.nan, math.inf, "", "abc", "nan", [], {}, ["x"], {"x": 1}, [None]),
    *("1e3", "[1", (1, 2), -0.5, 7, "user_id", "ratng", [[1]], {"inter": None}, "0.1 "),
)
HEADS = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float",
    "item": "item_id:token\ttitle:token_seq\tprice:float\tclass:token",
    "user": "user_id:token\tage:float\tcity:token",
    "kg": "head_id:token\trelation_id:token\ttail_id:token",
    "link": "item_id:token\tentity_id:token",
}
COMMON: dict[str, Any] = {
    "epochs": 1,
    "embedding_size": 8,
    "train_batch_size": 256,
    "use_gpu": False,
    "threads": 1,
    "user_inter_num_interval": "[0,inf)",
    "item_inter_num_interval": "[0,inf)",
    "rm_dup_inter": None,
    "val_interval": None,
    "unused_col": None,
    "unload_col": None,
    "seq_len": None,
    "learner": "adam",
    "learning_rate": 0.001,
    "weight_decay": 0.0,
    "eval_batch_size": 4096,
    "eval_step": 1,
    "stopping_step": 10,
    "clip_grad_norm": None,
    "seed": 2020,
    "reproducibility": True,
    "repeatable": False,
    "worker": 0,
    "shuffle": True,
    "metric_decimal_place": 4,
    "loss_decimal_place": 4,
    "filter_inter_by_user_or_item": True,
    "normalize_field": None,
    "normalize_all": None,
    "alias_of_item_id": None,
    "alias_of_user_id": None,
    "preload_weight": None,
    "additional_feat_suffix": None,
    "benchmark_filename": None,
    "field_separator": "\t",
    "seq_separator": " ",
    "encoding": None,
    "numerical_features": [],
    "discretization": None,
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "RATING_FIELD": "rating",
    "TIME_FIELD": "timestamp",
    "LABEL_FIELD": "label",
    "NEG_PREFIX": "neg_",
    "cold_below": None,
    "eval_memory_mib": None,
    "enable_amp": False,
    "state": "INFO",
    "gpu_id": "0",
    "transform": None,
    "save_dataset": False,
    "checkpoint_dir": "saved",
    "require_pow": False,
    "tensorboard": False,
}
RANKED = {
    "metrics": ["NDCG", "Recall"],
    "topk": [5, 10],
    "valid_metric": "NDCG@10",
    "train_neg_sample_args": {
        "distribution": "uniform",
        "sample_num": 1,
        "alpha": 1.0,
        "dynamic": False,
        "candidate_num": 0,
    },
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"},
}
COLUMNS = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
WORLDS: dict[str, dict[str, Any]] = {
    "BPR": {**RANKED, "load_col": {**COLUMNS, "item": ["item_id", "title", "price"]}},
    "SASRec": {
        **RANKED,
        **{"n_layers": 1, "n_heads": 1, "hidden_size": 8, "inner_size": 8, "loss_type": "CE"},
        "eval_args": {
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "mode": {"valid": "full", "test": "full"},
        },
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        **{"train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 10, "repeatable": True},
    },
    "FM": {
        "threshold": {"rating": 3},
        "load_col": {**COLUMNS, "item": ["item_id", "class", "price"], "user": ["user_id", "city"]},
        **{"metrics": ["AUC", "LogLoss"], "valid_metric": "AUC", "train_neg_sample_args": None},
        "eval_args": {"split": {"RS": [8, 1, 1]}, "order": "RO", "group_by": None, "mode": "labeled"},
    },
    "EMF": {"load_col": COLUMNS, "LABEL_FIELD": "rating"},
    "NeuMF": {
        **RANKED,
        "load_col": {"inter": ["user_id", "item_id"]},
        **{"mf_embedding_size": 4, "mlp_embedding_size": 4, "mlp_hidden_size": [8], "dropout_prob": 0.1},
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "mode": "uni20"},
    },
    "MultiVAE": {
        **RANKED,
        "load_col": COLUMNS,
        **{"mlp_hidden_size": [8], "latent_dimension": 4, "train_neg_sample_args": None},
    },
    "DIN": {
        "load_col": COLUMNS,
        **{"mlp_hidden_size": [8], "MAX_ITEM_LIST_LENGTH": 5, "repeatable": True},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni10"},
        **{"metrics": ["AUC"], "valid_metric": "AUC"},
    },
    "CKE": {
        **RANKED,
        "load_col": {
            **COLUMNS,
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        },
        "kg_embedding_size": 8,
        "entity_kg_num_interval": "[0,inf)",
    },
}
PLAN: dict[str, Any] = {
    "dataset": "d",
    "backbones": ["BPR", {"name": "LightGCN", "label": "gcn", "options": {"n_layers": 1}}],
    "arms": {"rv": {"enhancers": {"rvrec": {"weight": 0.1}}}, "big": {"options": {"embedding_size": 16}}},
    "seeds": 2,
    "options": {"epochs": 1},
    "threads": 1,
    "floors": {"default": None, "EASE": {"tune": {"reg_weight": [1.0, 2.0]}, "trials": 2}},
}
Rows = list[list[str]]


def good_files(draw: random.Random) -> dict[str, str]:
    """The texts of a data set's atomic files."""
    items = range(1, 26)
    rows = {
        "inter": [
            [f"u{user}", f"i{item}", str(draw.randint(1, 5)), str(1_600_000_000 + user * 7 + place * 86_400)]
            for user in range(1, 31)
            for place, item in enumerate(draw.sample(items, 8))
        ],
        "item": [[f"i{item}", f"film {item}", f"{item / 2}", "ab"[item % 2]] for item in items],
        "user": [[f"u{user}", str(20 + user), "xyz"[user % 3]] for user in range(1, 31)],
        "kg": [[f"e{item}", f"r{item % 2}", f"e{item % 5 + 30}"] for item in items],
        "link": [[f"i{item}", f"e{item}"] for item in items],
    }
    return {suffix: written(HEADS[suffix].split("\t"), content) for suffix, content in rows.items()}


def written(head: list[str], rows: Rows) -> str:
    return "".join("\t".join(row) + "\n" for row in [head, *rows])


#: Pairs and shapes that chance would seldom hit.
SHAPES: tuple[dict[str, Any], ...] = (
    {"topk": [10, 100]},
    {"topk": 10**9},
    {"learner": "adamw"},
    {"learner": "lion"},
    {"eval_args": {"split": {"RS": [0.8, 0.2]}}},
    {"eval_args": {"split": {"LS": "test_only"}}},
    {"eval_args": {"split": {"LS": "valid_only"}}},
    {"eval_args": {"split": {"LS": "tset_only"}}},
    {"eval_args": {"split": {"TS": [0.8, 0.1, 0.1]}, "order": "TO"}},
    {"eval_args": {"mode": "uni1000"}},
    {"eval_args": {"mode": "uniform"}},
    {"eval_args": {"group_by": "item"}},
    {"load_col": {"inter": ["user_id", "item_id"]}},
    {"load_col": {"inter": ["user_id"]}},
    {"load_col": {"inter": ["user_id", "itemid"]}},
    {"load_col": {"itner": ["user_id", "item_id"]}},
    {"load_col": None},
    {"load_col": {"inter": "*"}, "unload_col": {"inter": ["timestamp"]}},
    {"benchmark_filename": ["part1", "part2"]},
    {"benchmark_filename": ["part1", "part2", "part3"]},
    {"benchmark_filename": ["part1", "part2", "part4"]},
    {"metrics": ["NDGC"]},
    {"metrics": ["AUC"]},
    {"metrics": ["RMSE"], "valid_metric": "RMSE"},
    {"metrics": ["GiniIndex", "ItemCoverage"], "valid_metric": "GiniIndex@10"},
    {"valid_metric": "NDCG@7"},
    {"threshold": {"rating": "high"}},
    {"threshold": {"ratng": 3}},
    {"threshold": {"rating": 99}},
    {"user_inter_num_interval": 5},
    {"user_inter_num_interval": "[5,inf"},
    {"item_inter_num_interval": "[inf,5]"},
    {"val_interval": {"rating": "[3,inf)"}},
    {"val_interval": {"rating": ">3"}},
    {"val_interval": {"user_id": "u1"}},
    {"rm_dup_inter": "frist"},
    {"rm_dup_inter": "first"},
    {"encoding": "utf-7x"},
    {"encoding": "utf-16"},
    {"encoding": "ascii"},
    {"field_separator": ","},
    {"train_neg_sample_args": {"distribution": "popular"}},
    {"train_neg_sample_args": {"sample_nm": 2}},
    {"train_neg_sample_args": {"dynamic": True, "candidate_num": 0}},
    {"train_neg_sample_args": None},
    {"train_neg_sample_args": {"distribution": "none"}},
    {"numerical_features": ["price"]},
    {"numerical_features": ["prce"]},
    {"normalize_field": ["price"]},
    {"normalize_field": ["title"]},
    {"normalize_all": True, "normalize_field": ["price"]},
    {"discretization": {"price": {"method": "ED"}}, "numerical_features": ["price"]},
    {"discretization": {"price": {"method": "LD"}}},
    {"seq_len": {"title": 0}},
    {"seq_len": {"titel": 3}},
    {"unused_col": {"inter": ["item_id"]}},
    {"additional_feat_suffix": ["emb"]},
    {"preload_weight": {"item_id": "price"}},
    {"preload_weight": {"item_id": "pric"}},
    {"alias_of_item_id": ["class"]},
    {"alias_of_item_id": ["user_id"]},
    {"TIME_FIELD": "rating"},
    {"TIME_FIELD": None},
    {"USER_ID_FIELD": "item_id"},
    {"USER_ID_FIELD": None, "ITEM_ID_FIELD": None},
    {"LABEL_FIELD": "rating"},
    {"clip_grad_norm": {"max_norm": -1}},
    {"clip_grad_norm": {"maxnorm": 1}},
    {"train_batch_size": 0},
    {"eval_batch_size": 0},
    {"learning_rate": "1e-3x"},
    {"gpu_id": -1},
    {"transform": "mask_itemseq"},
    {"loss_type": "BPR", "train_neg_sample_args": None},
    {"loss_type": "ce"},
    {"MAX_ITEM_LIST_LENGTH": 0},
    {"rating_scale": [5, 1]},
    {"n_heads": 3},
    {"hidden_size": 0},
)
