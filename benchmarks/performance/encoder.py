"""Scoring by a sentence encoder: how long it takes, and how it agrees with the shipped scores of ml-100k.

    OMP_WAIT_POLICY=PASSIVE python -m burnish.benchmarks.performance.encoder --threads 2
    python -m burnish.benchmarks.performance.encoder --data my/ml-100k-plot     # other texts of the same films

Prints the seconds of loading and of scoring, and for each attribute Spearman's rank correlation with the shipped
scores, which a large language model gave.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from burnish.enhancers.guided.attributes import load_schema
from burnish.enhancers.guided.scorers.encoder import EncoderScorer
from burnish.enhancers.guided.scorers.protocol import Scores
from burnish.enhancers.guided.scorers.shipped import shipped_scores
from burnish.enhancers.guided.texts import item_texts

console = Console()


@dataclass(frozen=True)
class Measured:
    """Seconds of loading the packages and the encoder, and of scoring; the scores themselves."""

    loading: float
    scoring: float
    processor: float
    scores: Scores


def recbole_ml_100k() -> Path:
    """The folder of the data set in RecBole's wheel."""
    spec = find_spec("recbole")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "dataset_example" / "ml-100k"


def measure(data: Path, model: str | None = None) -> Measured:
    """Score the items of a data set on the schema of films."""
    texts, schema = item_texts(data), load_schema("films")
    scorer = EncoderScorer(model)
    start = time.perf_counter()
    assert scorer.encoder.width > 0
    loaded, busy = time.perf_counter(), time.process_time()
    scores = scorer.score(texts, schema)
    return Measured(loaded - start, time.perf_counter() - loaded, time.process_time() - busy, scores)


def agreement(scores: Scores, reference: Scores) -> dict[str, float]:
    """Spearman's correlation over the ids that both know, by attribute."""
    other = reference.only(scores.attributes).rows(scores.ids)
    correlations = {}
    for column, name in enumerate(scores.attributes):
        pair = np.column_stack([scores.values[:, column], other[:, column]])
        pair = pair[~np.isnan(pair).any(axis=1)]
        correlations[name] = float(spearmanr(pair[:, 0], pair[:, 1]).statistic)
    return correlations


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None, help="folder of a data set (ml-100k)")
    parser.add_argument("--model", default=None, help="folder or name of an encoder (the packaged MiniLM)")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    done = measure(chosen.data or recbole_ml_100k(), chosen.model)
    n, m = done.scores.values.shape
    console.print(
        f"{n} items by {m} attributes, {chosen.threads} threads: loading {done.loading:.1f} s, scoring "
        f"{done.scoring:.1f} s ({done.processor:.1f} s of processor time)"
    )
    correlations = agreement(done.scores, shipped_scores("ml-100k"))
    table = Table("attribute", "rank correlation with the shipped scores")
    for name, value in sorted(correlations.items(), key=lambda pair: -pair[1]):
        table.add_row(name, f"{value:.2f}")
    table.add_section()
    table.add_row("mean", f"{np.mean(list(correlations.values())):.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
