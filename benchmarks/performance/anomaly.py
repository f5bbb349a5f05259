"""What autograd's anomaly detection costs, which RecBole's SINE leaves on for every sequential model.

    python -m burnish.benchmarks.performance.anomaly

One training step with it and one without take turns; the figure is the median of the pairwise ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence

import torch

from .timed import TimedModel

OPTIONS = {"MAX_ITEM_LIST_LENGTH": 20, "n_layers": 1, "train_neg_sample_args": None}


def ratios(model: str, repeats: int) -> list[float]:
    """Seconds of a step with anomaly detection over seconds of one without, for every pair."""
    with tempfile.TemporaryDirectory() as folder:
        timed = TimedModel(model, "ml-100k", {**OPTIONS, "checkpoint_dir": folder})
    batch = timed.first_batch()
    optimizer = torch.optim.Adam(timed.model.parameters())

    def step(detect: bool) -> float:
        with torch.autograd.set_detect_anomaly(detect):
            start = time.perf_counter()
            optimizer.zero_grad()
            timed.model.calculate_loss(batch).backward()
            optimizer.step()
            return time.perf_counter() - start

    step(False)
    pairwise = []
    for _ in range(repeats):
        without = step(False)
        pairwise.append(step(True) / without)
    return pairwise


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["SASRec", "GRU4Rec"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    for backbone in chosen.backbones:
        print(f"{backbone}: {statistics.median(ratios(backbone, chosen.repeats)):.2f} times as long")


if __name__ == "__main__":
    main()
