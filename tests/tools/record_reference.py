"""Measure RecBole on small runs; run as a script on an old stack, it records what RecBole is meant to give.

The regression test (tests/burnish/compat/test_compat_reference.py) calls `measure` under burnish's mends and
compares with tests/data/recbole_reference.json, which this script wrote on a stack that RecBole 1.2.1 suits:

    python3.11 -m venv old && old/bin/pip install torch==2.13.0 numpy==1.26.4 pandas==2.2.3 scipy==1.11.4 \
        colorlog==4.7.2 colorama==0.4.4 scikit-learn tensorboard thop tabulate texttable psutil tqdm pyyaml
    old/bin/pip install --no-deps recbole==1.2.1
    OMP_NUM_THREADS=1 old/bin/python tests/tools/record_reference.py tests/data/recbole_reference.json

The script never uses burnish.  On the old stack RecBole lacks two things only, and `main` stands in for them
independently: ray (imported, never called here), and for KGAT a dgl older than any Python 3.11 wheel of it.
So KGAT's numbers rest on the ten lines of `OldGraph` below; RecBole does the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

# What every run has in common: small, on the CPU, ranked over all items, nothing written but logs.
COMMON: dict[str, Any] = {
    "seed": 2020,
    "reproducibility": True,
    "use_gpu": False,
    "epochs": 1,
    "learning_rate": 0.01,
    "train_batch_size": 2048,
    "eval_batch_size": 400_000,
    "embedding_size": 16,
    "metric_decimal_place": 8,
    "show_progress": False,
    "worker": 0,
}
_KG_COLUMNS = {"inter": ["user_id", "item_id", "rating", "timestamp"], "kg": "*", "link": "*"}
_USERS = [str(n) for n in range(1, 201)]

CASES: dict[str, dict[str, Any]] = {
    "bpr": {"model": "BPR", "epochs": 2},
    "lightgcn": {"model": "LightGCN", "n_layers": 2},
    "sasrec": {
        "model": "SASRec",
        "MAX_ITEM_LIST_LENGTH": 20,
        "n_layers": 1,
        "n_heads": 1,
        "hidden_size": 16,
        "inner_size": 32,
        "train_neg_sample_args": None,
        "val_interval": {"user_id": _USERS},
    },
    "deepfm": {
        "model": "DeepFM",
        "load_col": {
            "inter": ["user_id", "item_id", "rating"],
            "user": ["user_id", "age", "gender", "occupation"],
            "item": ["item_id", "release_year", "class"],
        },
        "threshold": {"rating": 4},
        "mlp_hidden_size": [16],
        "metrics": ["AUC", "LogLoss"],
        "valid_metric": "AUC",
        "eval_args": {
            "split": {"RS": [0.8, 0.1, 0.1]},
            "order": "RO",
            "group_by": "none",
            "mode": "labeled",
        },
    },
    "kgat": {
        "model": "KGAT",
        "kg_embedding_size": 16,
        "layers": [16],
        "load_col": _KG_COLUMNS,
        "val_interval": {"user_id": _USERS},
        "kg_reverse_r": False,
        "entity_kg_num_interval": "[5,inf)",
        "relation_kg_num_interval": "[5,inf)",
    },
    "blanks": {"model": "FM", "dataset": "blanks", "threshold": {"rating": 3}, "train_batch_size": 8},
}
CASES["blanks"] |= {
    "load_col": {"inter": "*", "user": "*", "item": "*"},
    "numerical_features": ["age", "price"],
    **{key: CASES["deepfm"][key] for key in ("metrics", "valid_metric", "eval_args")},
}

_BLANK_USERS = "user_id:token\tage:float\tjob:token\tlikes:token_seq\n"
_BLANK_ITEMS = "item_id:token\tprice:float\tmaker:token\ttags:token_seq\tvector:float_seq\n"


def write_blanks(folder: Path) -> None:
    """Write a data set of 6 users and 8 items with blank cells of every type into `folder/blanks`."""
    target = folder / "blanks"
    target.mkdir(parents=True, exist_ok=True)
    users = ["u1\t20\tcook\tred blue", "u2\t\tcook\tred", "u3\t40\t\t", "u4\t\t\tblue", "u5\t33\tsmith\t"]
    items = [
        "i1\t1.5\tacme\tx y\t0.1 0.2",
        "i2\t\tacme\tx\t0.3 0.4",
        "i3\t2.5\t\t\t0.5 0.6",
        "i4\t\t\ty z\t",
        "i5\t9.0\tzeta\t\t0.7 0.8",
        "i6\t4.0\tzeta\tz\t",
    ]
    pairs = [(user, item) for user in range(1, 7) for item in range(1, 9) if (user * 3 + item) % 4]
    inter = [
        "\t".join([f"u{user}", f"i{item}", _rating(user, item), ["", "p1", "p2"][(user - item) % 3]])
        for user, item in pairs
    ]
    (target / "blanks.user").write_text(_BLANK_USERS + "\n".join(users) + "\n")
    (target / "blanks.item").write_text(_BLANK_ITEMS + "\n".join(items) + "\n")
    head = "user_id:token\titem_id:token\trating:float\tplace:token\n"
    (target / "blanks.inter").write_text(head + "\n".join(inter) + "\n")


def _rating(user: int, item: int) -> str:
    return "" if (user + item) % 7 == 0 else str((user * item) % 5 + 1)


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Run one case in `folder`: hashes of its data by table and column, training losses and test metrics."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    options = {**COMMON, **CASES[name], "checkpoint_dir": str(folder)}
    model_name, dataset_name = options.pop("model"), options.pop("dataset", "ml-100k")
    if dataset_name == "blanks":
        write_blanks(folder)
        options["data_path"] = str(folder)
    argv, cwd = sys.argv, os.getcwd()
    sys.argv = sys.argv[:1]  # RecBole reads options from the command line
    os.chdir(folder)  # and writes its logs where it is started
    try:
        config = Config(model=model_name, dataset=dataset_name, config_dict=options)
        init_seed(config["seed"], config["reproducibility"])
        dataset = create_dataset(config)
        train, valid, test = data_preparation(config, dataset)
        init_seed(config["seed"], config["reproducibility"])
        model = get_model(model_name)(config, train._dataset).to(config["device"])
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        trainer.fit(train, valid, saved=False, show_progress=False)
        metrics = trainer.evaluate(test, load_best_model=False, show_progress=False)
    finally:
        sys.argv = argv
        os.chdir(cwd)
    return {
        "data": hash_dataset(train._dataset),
        "losses": [float(loss) for _, loss in sorted(trainer.train_loss_dict.items())],
        "metrics": {metric: float(value) for metric, value in metrics.items()},
    }


def hash_dataset(dataset: Any) -> dict[str, str]:
    """A short hash for every column of every table, and for the tokens behind every field of ids."""
    hashes = {}
    for table in sorted({*dataset.feat_name_list, "inter_feat"}):
        for column, values in getattr(dataset, table).interaction.items():
            hashes[f"{table}.{column}"] = _hash_tensor(values)
    for field, tokens in dataset.field2id_token.items():
        hashes[f"tokens.{field}"] = _short("\n".join(map(str, tokens)).encode())
    return dict(sorted(hashes.items()))


def _hash_tensor(values: Any) -> str:
    array = values.numpy()
    if array.dtype.kind == "f":  # a mean may differ in its last bit from one processor to the next
        array = array.astype("float64").round(4) + 0.0
    return _short(f"{values.dtype}{array.shape}".encode() + array.tobytes())


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


class OldGraph:
    """dgl < 1.0 for KGAT: edges, their relation, and one relation's edges as a matrix."""

    def __init__(self, ends: Any, size: int | None = None) -> None:
        self.ends = ends
        self.edata: dict[str, Any] = {}
        self.size = size or int(max(map(max, ends))) + 1

    def filter_edges(self, wanted: Any) -> Any:
        return wanted(types.SimpleNamespace(data=self.edata)).nonzero().squeeze(1)

    def adjacency_matrix(self, transpose: bool, scipy_fmt: str) -> Any:
        import scipy.sparse

        assert not transpose
        ones = [1.0] * len(self.ends[0])
        ends = [end.tolist() for end in self.ends]
        return scipy.sparse.coo_matrix((ones, ends), (self.size, self.size)).asformat(scipy_fmt)


def _stand_ins() -> None:
    ray, tune, dgl = (types.ModuleType(name) for name in ("ray", "ray.tune", "dgl"))
    vars(ray)["tune"] = tune
    vars(dgl)["graph"] = OldGraph
    vars(dgl)["edge_subgraph"] = lambda graph, edges, preserve_nodes: OldGraph(
        tuple(end[edges] for end in graph.ends), graph.size
    )
    sys.modules.update({"ray": ray, "ray.tune": tune, "dgl": dgl})


def main(target: str) -> None:
    import numpy
    import pandas
    import scipy
    import torch

    _stand_ins()
    torch.set_num_threads(1)
    recorded: dict[str, Any] = {
        "stack": {
            "python": platform.python_version(),
            **{module.__name__: module.__version__ for module in (numpy, pandas, scipy, torch)},
        }
    }
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            recorded[name] = measure(name, Path(folder))
        print(name, recorded[name]["losses"], recorded[name]["metrics"])
    Path(target).write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
