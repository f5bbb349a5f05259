"""What an enhancer costs: seconds of a training epoch with and without it, side by side in one process.

    python -m burnish.benchmarks.performance.epoch --backbones BPR LightGCN SASRec --enhancers rvrec

Both models are built once; their epochs then take turns, so that a machine whose speed drifts slows both.  The
figure is the median of the pairwise ratios; "run" is the ratio of all seconds, for enhancers that work in some epochs
only (`shapley`: take --repeats a multiple of its `refresh`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from .timed import TimedModel

#: RecBole's default SASRec (two layers, length 50) costs minutes an epoch on a processor; --default-sizes takes it.
SMALL_SEQUENTIAL = {"MAX_ITEM_LIST_LENGTH": 20, "n_layers": 1, "train_neg_sample_args": None}


def compare(
    model: str, dataset: str, enhancers: Any, options: dict[str, Any], repeats: int
) -> tuple[float, float, list[float], float]:
    """Median seconds of a plain epoch, of an enhanced one, the ratio of every pair, and that of all together."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"checkpoint_dir": folder, **options}
        plain = TimedModel(model, dataset, options)
        enhanced = TimedModel(model, dataset, {**options, "enhancers": enhancers})
        for warm_up in (plain, enhanced):
            warm_up.epoch()
        pairs = [(plain.epoch(), enhanced.epoch()) for _ in range(repeats)]
    ratios = [other / one for one, other in pairs]
    run = sum(other for _, other in pairs) / sum(one for one, _ in pairs)
    return statistics.median(p for p, _ in pairs), statistics.median(e for _, e in pairs), ratios, run


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a backbone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["BPR", "LightGCN", "SASRec"])
    parser.add_argument(
        "--enhancers", default="rvrec", help='names, or a JSON block {"rvrec": {"weight": 0.2}}'
    )
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--repeats", type=int, default=7, help="counted pairs of epochs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--options", type=json.loads, default={}, help="RecBole options as JSON")
    parser.add_argument(
        "--default-sizes", action="store_true", help="RecBole's default SASRec, minutes an epoch"
    )
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    enhancers = json.loads(chosen.enhancers) if chosen.enhancers.startswith("{") else chosen.enhancers
    table = Table(title=f"one training epoch on {chosen.dataset}, {chosen.threads} thread(s)")
    for column in ("backbone", "plain s", "enhanced s", "ratio (median)", "run", "ratio (min - max)"):
        table.add_column(column, justify="left" if column == "backbone" else "right")
    for backbone in chosen.backbones:
        small = {} if chosen.default_sizes or backbone != "SASRec" else SMALL_SEQUENTIAL
        options = {**small, **chosen.options}
        if backbone == "SASRec":
            options.setdefault("train_neg_sample_args", None)
        plain, enhanced, ratios, run = compare(backbone, chosen.dataset, enhancers, options, chosen.repeats)
        spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
        median = f"{statistics.median(ratios):.2f}"
        table.add_row(backbone, f"{plain:.2f}", f"{enhanced:.2f}", median, f"{run:.2f}", spread)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
