"""What being attached costs: an epoch with an enhancer over one of the plain backbone.

    python -m burnish.benchmarks.performance.attached --backbones LightGCN SASRec

`identity` gives back the rows of every table as they are; `silent` is rvrec with its loss at weight 0; `guided` and
`guided-reduced` are guided in one stage and with a reduced base, on the scores shipped for ml-100k.  Plain and
attached models live in one process and their epochs take turns.  The epochs' losses are equal where the enhancer
is the identity, which the command checks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from rich.console import Console
from rich.table import Table as Columns
from torch import Tensor

from burnish.enhancers.anatomy.table import Table
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig

from .epoch import SMALL_SEQUENTIAL
from .timed import TimedModel

KINDS = ("identity", "silent", "guided", "guided-reduced")


class Identity(Enhancer[EnhancerConfig]):
    """Refines every table into itself: what is left is the cost of the attachment."""

    name: ClassVar[str] = "identity"

    def refines(self, table: Table) -> bool:
        """Every table."""
        return True

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """The rows."""
        return rows


def enhanced(backbone: str, kind: str) -> Any:
    """The class to train: plain, or with the enhancer of one of `KINDS`."""
    from burnish.enhancers.attach import enhance
    from burnish.enhancers.guided.guided import Guided
    from burnish.enhancers.wasserstein.rvrec import RVRec
    from burnish.enhancers.zoo import find_backbone

    if kind == "plain":
        return find_backbone(backbone)
    makers: dict[str, Callable[[], Enhancer[Any]]] = {
        "identity": Identity,
        "silent": lambda: RVRec(weight=0.0),
        "guided": Guided,
        "guided-reduced": lambda: Guided(base="model"),
    }
    return enhance(backbone, makers[kind]())


def compare(
    backbone: str, kind: str, dataset: str, options: dict[str, Any], repeats: int
) -> tuple[list[float], bool]:
    """Attached over plain seconds of every pair of epochs, and whether all losses are equal."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        options = {"checkpoint_dir": folder, **options}
        plain, attached = (TimedModel(enhanced(backbone, arm), dataset, options) for arm in ("plain", kind))
        ratios, equal = [], True
        for number in range(repeats + 1):
            seconds: dict[TimedModel, float] = {}
            for timed in (plain, attached) if number % 2 == 0 else (attached, plain):
                np.random.seed(number)  # both arms share the streams of negative samples
                torch.manual_seed(number)  # and of dropout
                seconds[timed] = timed.epoch()
            ratios.append(seconds[attached] / seconds[plain])
            equal &= plain.loss == attached.loss
    return ratios[1:], equal  # the first epoch of a model warms it up


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a backbone and enhancer; exit with 1 where the identity changes a loss."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["LightGCN", "SASRec"])
    parser.add_argument("--kinds", nargs="+", default=["identity", "silent"], choices=KINDS)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--repeats", type=int, default=5, help="counted pairs of epochs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--options", type=json.loads, default={}, help="RecBole options as JSON")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    table = Columns(title=f"an epoch attached / plain, {chosen.dataset}, {chosen.threads} thread(s)")
    for column in ("backbone", "enhancer", "ratio (median)", "ratio (min - max)", "losses"):
        table.add_column(column)
    agreed = True
    for backbone in chosen.backbones:
        for kind in chosen.kinds:
            options = {**(SMALL_SEQUENTIAL if backbone == "SASRec" else {}), **chosen.options}
            ratios, equal = compare(backbone, kind, chosen.dataset, options, chosen.repeats)
            spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
            table.add_row(
                backbone, kind, f"{statistics.median(ratios):.3f}", spread, "equal" if equal else "differ"
            )
            agreed &= equal or kind != "identity"
    Console(width=100).print(table)
    if not agreed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
