"""Files that an earlier burnish wrote, and what a later one makes of them.

    python tests/tools/earlier.py write FOLDER             # in a checkout of the earlier burnish
    python tests/tools/earlier.py read FOLDER REPORT.json  # in either, each on a copy of that folder

On one machine the reports of two versions agree in every bit; from processor to processor training differs in its
last digits.  `tests/data/earlier.tar.xz` and its report are of commit de2a3a5; `tests/test_earlier.py` reads them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import burnish

DATASET = "conformance"
OPTIONS: dict[str, Any] = {
    "epochs": 3,
    "seed": 2020,
    "use_gpu": False,
    "learning_rate": 0.01,
    "train_batch_size": 128,
    "eval_batch_size": 4096,
    "embedding_size": 4,
    "hidden_size": 8,
    "inner_size": 16,
    "n_layers": 1,
    "n_heads": 2,
    "MAX_ITEM_LIST_LENGTH": 6,
    "stopping_step": 10,
    "metrics": ["NDCG", "Recall"],
    "topk": [5],
    "valid_metric": "NDCG@5",
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    "benchmark_filename": None,
    "threads": 1,
}
#: folder -> model, enhancers, RecBole's options
RUNS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "rvrec": ("BPR", {"rvrec": {"weight": 0.1}}, {}),
    "shapley": ("LightGCN", {"shapley": {"warmup_epochs": 1}}, {}),
    "guided": ("BPR", {"guided": {"scores": "scores.tsv", "base": "auto"}}, {}),
    "sequence": ("SASRec", {"euclid2d": {}}, {"train_neg_sample_args": None, "sequence_training": "auto"}),
    "plain": ("BPR", {}, {}),
}
PLAN = """\
name: earlier
dataset: conformance
backbones: [BPR]
arms:
  rvrec: rvrec
seeds: [1, 2]
options: {options}
tune:
  trials: 2
  metric: ndcg@5
  seed: 7
  space: {{}}
  arms:
    plain: {{learning_rate: [0.005, 0.02]}}
    rvrec: {{learning_rate: [0.005, 0.02]}}
runs: bench
threads: 1
"""


@contextmanager
def interrupted(calls: int) -> Iterator[None]:
    """Ctrl-C when BPR's loss is asked for the n-th time."""
    from recbole.model.general_recommender import BPR

    inner, count = BPR.calculate_loss, 0

    def loss(self: Any, batch: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            raise KeyboardInterrupt
        return inner(self, batch)

    BPR.calculate_loss = loss
    try:
        yield
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError(f"the loss was asked {count} times only: nothing was interrupted")
    finally:
        BPR.calculate_loss = inner


def train(name: str, **more: Any) -> Any:
    model, enhancers, options = RUNS[name]
    return burnish.run(
        model,
        DATASET,
        enhancers=enhancers,
        config={**OPTIONS, "data_path": "data", **options, **more},
        folder=Path("runs") / name,
        show_progress=False,
    )


def bench(plan: str) -> None:
    from burnish.cli.main import main

    with silent():
        sys.argv = ["burnish", "bench", plan]
        try:
            main()
        except SystemExit as ended:
            if ended.code == 130:
                raise KeyboardInterrupt from None
            if ended.code:
                raise


@contextmanager
def silent() -> Iterator[None]:
    before = sys.stdout, sys.stderr, sys.argv
    sys.stdout = sys.stderr = io.StringIO()  # never closed: loggers made meanwhile keep it
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.argv = before


def write(folder: Path) -> None:
    """Everything, in an empty folder."""
    from recbole.quick_start import run_recbole

    from burnish.enhancers.conformance.data import write_data, write_scores

    write_data(folder / "data")
    write_scores(folder)
    os.chdir(folder)
    for name in RUNS:
        if name == "rvrec":
            with interrupted(11):
                train(name, epochs=5)
        else:
            train(name)
    trained = burnish.load_run("runs/rvrec")
    burnish.save_pretrained(trained.model, "pretrained", trained.dataset)
    with silent():
        run_recbole(
            model=burnish.enhance("BPR", burnish.RVRec(weight=0.1)),
            dataset=DATASET,
            config_dict={**OPTIONS, "data_path": "data", "checkpoint_dir": "saved", "show_progress": False},
        )
    (checkpoint,) = Path("saved").glob("*.pth")
    checkpoint.rename("recbole.pth")
    Path("saved").rmdir()
    Path("plan.yaml").write_text(PLAN.format(options=json.dumps({**OPTIONS, "data_path": "data"})))
    with interrupted(70):
        bench("plan.yaml")
    for logs in ("log", "log_tensorboard"):
        shutil.rmtree(logs, ignore_errors=True)


def digest(value: Any) -> str:
    """Sixteen digits that depend on every bit of a state dict, a tensor, an array or a table."""
    import numpy as np
    import pandas as pd
    import torch

    found = hashlib.blake2b(digest_size=8)
    if isinstance(value, pd.DataFrame):
        value = {str(name): value[name].to_numpy() for name in value}
    if not hasattr(value, "items"):
        value = {"": value}
    for name, part in value.items():
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().coalesce().values() if part.is_sparse else part.detach().cpu()
            part = part.numpy()
        array = np.asarray(part)
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(str(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return found.hexdigest()


def outcome(result: Any) -> dict[str, Any]:
    return {
        "losses": result.losses,
        "valid": result.valid_result,
        "test": result.test_result,
        "per_user": digest(result.per_user),
        "state": digest(result.model.state_dict()),
    }


def read(folder: Path) -> dict[str, Any]:
    """What is made of the files: numbers, and digests of every bit.  The folder is changed."""
    import pandas as pd
    import torch
    from recbole.quick_start import load_data_and_model

    os.chdir(folder)
    options = {"data_path": "data"}
    report: dict[str, Any] = {}
    for name in RUNS:
        loaded = burnish.load_run(f"runs/{name}", options=options)
        items = burnish.recommend(f"runs/{name}", users=["u1", "u2"], k=5, data_path="data")
        report[f"loaded {name}"] = {
            "state": digest(loaded.model.state_dict()),
            "items": [str(item) for item in items["item"]],
        }
    with silent():
        model = load_data_and_model("recbole.pth")[1]
        report["checkpoint"] = {"state": digest(model.state_dict()), "class": type(model).__name__}
    fresh = burnish.load_run("runs/plain", options=options)
    torch.manual_seed(0)
    attached = burnish.from_pretrained("pretrained", fresh.model, fresh.dataset)
    report["pretrained"] = {"state": digest(attached.state_dict())}
    for name in RUNS:
        more = {"epochs": 5, **options}
        result = burnish.run(resume=f"runs/{name}", config=more, show_progress=False)
        report[f"resumed {name}"] = outcome(result)
    bench("plan.yaml")
    for file in sorted(Path("bench").rglob("metrics.json")):
        metrics = json.loads(file.read_text(encoding="utf-8"))
        rows = file.with_name("per_user.parquet")
        report[f"bench {file.parent.relative_to('bench')}"] = {
            "valid": metrics["valid_result"],
            "test": metrics["test_result"],
            "losses": metrics["losses"],
            **({"per_user": digest(pd.read_parquet(rows))} if rows.is_file() else {}),
        }
    return report


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    verb, place = sys.argv[1], Path(sys.argv[2]).resolve()
    if verb == "write":
        place.mkdir(parents=True)
        write(place)
    else:
        target = Path(sys.argv[3]).resolve()
        target.write_text(json.dumps(read(place), indent=1, sort_keys=True) + "\n", encoding="utf-8")
