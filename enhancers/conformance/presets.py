"""Options that let each backbone run on the conformance data in about a second."""

from __future__ import annotations

from typing import Any

#: Options for every model: narrow tables, one epoch, nothing written but checkpoints.
COMMON: dict[str, Any] = {
    "epochs": 1,
    "seed": 2020,
    "reproducibility": True,
    "use_gpu": False,
    "show_progress": False,
    "learning_rate": 0.01,
    "train_batch_size": 128,
    "eval_batch_size": 4096,
    "metrics": ["NDCG", "Hit"],
    "topk": [5],
    "valid_metric": "NDCG@5",
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    "benchmark_filename": None,
    "embedding_size": 8,
    "hidden_size": 8,
    "inner_size": 16,
    "n_layers": 2,
    "num_layers": 1,
    "n_heads": 2,
    "mlp_hidden_size": [16],
    "MAX_ITEM_LIST_LENGTH": 6,
}

_LABELLED: dict[str, Any] = {
    "metrics": ["AUC", "LogLoss"],
    "valid_metric": "AUC",
    "threshold": {"rating": 4},
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "none", "mode": "labeled"},
}

_RATED: dict[str, Any] = {
    "metrics": ["RMSE", "MAE"],
    "valid_metric": "RMSE",
    "LABEL_FIELD": "rating",
    "train_neg_sample_args": None,
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "labeled"},
}
_REVIEWED: dict[str, Any] = {
    **_RATED,
    "max_tokens": 16,
    "word_width": 4,
    "filters": 6,
    "attention_size": 4,
    "document_length": 24,
    "max_reviews": 4,
    "review_length": 8,
    "rating_hidden_size": 8,
    "initial_hidden_size": 8,
}

#: Options for a category of models, as `list_backbones` names it.
BY_CATEGORY: dict[str, dict[str, Any]] = {
    "general": {},
    "context": {
        **_LABELLED,
        "load_col": {
            "inter": ["user_id", "item_id", "rating"],
            "user": ["user_id", "age", "gender", "occupation"],
            "item": ["item_id", "release_year", "class"],
        },
    },
    "sequential": {"train_neg_sample_args": None},
    "knowledge": {
        "load_col": {
            "inter": ["user_id", "item_id", "rating", "timestamp"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        },
        "kg_embedding_size": 8,
    },
    "ratings": _RATED,
    "reviews": _REVIEWED,
    "graphs": {},
}

_WITH_ITEM_CLASS: dict[str, Any] = {
    "load_col": {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "item": ["item_id", "class"],
    },
}
_PAIRWISE: dict[str, Any] = {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}
_BEHAVIOUR: dict[str, Any] = {
    **_PAIRWISE,
    "load_col": {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "user": ["user_id", "age", "gender", "occupation"],
        "item": ["item_id", "release_year"],
    },
    "metrics": ["AUC", "LogLoss"],
    "valid_metric": "AUC",
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni20"},
}
_ENTITY_VECTORS: dict[str, Any] = {
    "additional_feat_suffix": ["ent", "rel"],
    "load_col": {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
        "ent": ["ent_id", "ent_emb"],
        "rel": ["rel_id", "rel_emb"],
    },
    "alias_of_entity_id": ["ent_id"],
    "alias_of_relation_id": ["rel_id"],
    "preload_weight": {"ent_id": "ent_emb", "rel_id": "rel_emb"},
    "kg_embedding_size": 8,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
}

#: Options for single models, over those of their category.
BY_MODEL: dict[str, dict[str, Any]] = {
    "NeuMF": {"mf_embedding_size": 8, "mlp_embedding_size": 8},
    "ConvNCF": {
        "embedding_size": 16,
        "cnn_channels": [1, 4, 4],
        "cnn_kernels": [4, 4],
        "cnn_strides": [4, 4],
    },
    "DMF": {"user_hidden_size_list": [16, 8], "item_hidden_size_list": [16, 8]},
    "SpectralCF": {"n_layers": 2},
    "GCMC": {"gcn_output_dim": 12},
    "NGCF": {"hidden_size_list": [8, 8]},
    "DGCF": {"n_factors": 2, "n_iterations": 1, "n_layers": 1},
    "MultiDAE": {"latent_dimension": 8},
    "MultiVAE": {"latent_dimension": 8},
    "RaCT": {
        "latent_dimension": 8,
        "critic_layers": [8, 8, 4],
        "metrics_k": 10,
        "pretrain_epochs": 1,
        "save_step": 1,
    },
    "MacridVAE": {"encoder_hidden_size": [16], "kfac": 3},
    "RecVAE": {"hidden_dimension": 16, "latent_dimension": 8},
    "NNCF": {
        "ui_embedding_size": 8,
        "neigh_embedding_size": 8,
        "num_conv_kernel": 4,
        "conv_kernel_size": 3,
        "pool_kernel_size": 3,
    },
    "NCL": {"num_clusters": 5, "warm_up_step": 0, "n_layers": 2},
    "DiffRec": {"dims_dnn": [12]},
    "LDiffRec": {"dims_dnn": [8], "in_dims": [8], "n_cate": 1},
    "AFM": {"attention_size": 4},
    "xDeepFM": {"cin_layer_size": [8]},
    "AutoInt": {"attention_size": 8},
    "FiGNN": {"attention_size": 4},
    "KD_DAGFM": {"t_cin": [8], "depth": 2, "t_depth": 2},
    "EulerNet": {"order_list": [8]},
    "DIN": _BEHAVIOUR,
    "DIEN": _BEHAVIOUR,
    "FPMC": _PAIRWISE,
    "TransRec": _PAIRWISE,
    "SINE": {"prototype_size": 6, "interest_size": 2},
    "NextItNet": {"block_num": 1, "dilations": [1, 2]},
    "GRU4RecF": {**_WITH_ITEM_CLASS, "selected_features": ["class"]},
    "SASRecF": {**_WITH_ITEM_CLASS, "selected_features": ["class"]},
    "FDSA": {**_WITH_ITEM_CLASS, "selected_features": ["class"]},
    "S3Rec": {**_WITH_ITEM_CLASS, "train_stage": "pretrain", "pretrain_epochs": 1, "save_step": 1},
    "GRU4RecCPR": {"reranker_CAN_NUM": 20},
    "SASRecCPR": {"reranker_CAN_NUM": 20},
    "LightSANs": {"k_interests": 3},
    "GRU4RecKG": {**_ENTITY_VECTORS, "freeze_kg": False},
    "KSR": _ENTITY_VECTORS,
    "KGAT": {"layers": [8]},
    "KGCN": {"neighbor_sample_size": 3, "n_iter": 1},
    "KGNNLS": {"neighbor_sample_size": 3, "n_iter": 1},
    "RippleNet": {"n_memory": 6},
    "MKR": {"low_layers_num": 1, "high_layers_num": 1},
    "CKE": {"kg_embedding_size": 8},
    "KGIN": {"n_factors": 2, "context_hops": 2},
    "MCCLK": {"n_hops": 1, "item_agg_layer": 1, "k": 4},
}


def preset(model: str, category: str | None = None) -> dict[str, Any]:
    """The options for one model.

    model: the backbone's name; one that is neither RecBole's nor burnish's gets the options of `category`
        ("general" where None).
    """
    from burnish.enhancers.zoo import list_backbones

    known = list_backbones().get(model, category or "general")
    return {**COMMON, **BY_CATEGORY.get(category or known, {}), **BY_MODEL.get(model, {})}
