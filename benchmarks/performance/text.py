"""The token store: how long texts take to encode, to open again and to take from.

    OMP_WAIT_POLICY=PASSIVE python -m burnish.benchmarks.performance.text NAME.reviews.tsv.gz --threads 2

Texts are the column `review` of a tab-separated file.  With --folder the cache is kept, and what it already holds is
not encoded; without, it is made in a temporary folder.  Prints the seconds of the first opening, its tokens a second
and its processor time (of all threads together, which other programs change less), the seconds of the second opening,
and what `take` gives for batches of texts drawn at random: through the memory maps, then from memory (`hold`).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from burnish.backbones.text.store import TokenStore, open_store

console = Console()


def review_texts(file: Path) -> list[str]:
    """The texts of a tab-separated file of reviews."""
    table = pd.read_csv(file, sep="\t", quoting=3, dtype=str, keep_default_na=False)
    return [str(text) for text in table["review"]]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and what it gives."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def take_seconds(store: TokenStore, batch: int, repeats: int) -> tuple[float, int]:
    """Median seconds of taking a batch of texts drawn at random, and the median number of its tokens."""
    generator = torch.Generator().manual_seed(0)
    seconds, tokens = [], []
    for _ in range(repeats):
        texts = torch.randint(len(store), (batch,), generator=generator)
        duration, embeddings = timed(partial(store.take, texts))
        seconds.append(duration)
        tokens.append(len(embeddings))
    return statistics.median(seconds), int(statistics.median(tokens))


def report(store: TokenStore, batch: int, repeats: int, where: str) -> None:
    """Print what `take` does."""
    seconds, tokens = take_seconds(store, batch, repeats)
    console.print(
        f"take, {where}: {batch} texts with {tokens} tokens in {1e3 * seconds:.1f} ms, "
        f"{tokens / seconds / 1e6:.2f} million tokens/s"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="reviews, tab-separated, with a column called review")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where caches are kept (a temporary folder)"
    )
    parser.add_argument("--encoder", default=None, help="folder or name of an encoder (the packaged MiniLM)")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--first", type=int, default=None, help="only so many texts")
    parser.add_argument("--batch", type=int, default=1000, help="texts that are taken at a time")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    texts = review_texts(chosen.file)[: chosen.first]
    with tempfile.TemporaryDirectory() as temporary:

        def opened() -> TokenStore:
            return open_store(
                texts,
                encoder=chosen.encoder,
                folder=chosen.folder or temporary,
                max_tokens=chosen.max_tokens,
            )

        busy = time.process_time()
        first, store = timed(opened)
        busy = time.process_time() - busy
        second, store = timed(opened)
        n_tokens = int(store.offsets[-1])
        console.print(
            f"{len(store)} texts, {n_tokens} tokens of {store.width} numbers, {len(store.vocabulary)} words, "
            f"{store.n_cut} cut; {chosen.threads} threads"
        )
        console.print(
            f"first opening {first:.1f} s ({n_tokens / first:.0f} tokens/s; {busy:.1f} s of processor time), "
            f"second {second:.2f} s"
        )
        report(store, chosen.batch, chosen.repeats, "memory map")
        report(store.hold(), chosen.batch, chosen.repeats, "held in memory")


if __name__ == "__main__":
    main()
