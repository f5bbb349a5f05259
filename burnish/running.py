"""`burnish.run`: train and test one model, enhanced or not, the way RecBole does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.benchmarks.harness.training import TrainingResult
    from burnish.enhancers.registry import Spec


def run(
    model: str | type,
    dataset: str,
    *,
    enhancers: Spec = None,
    config_files: Sequence[str | Path] = (),
    config: Mapping[str, Any] | None = None,
    seed: int | None = None,
    folder: Path | str | None = None,
    show_progress: bool = True,
) -> TrainingResult:
    """Train a model with early stopping on validation data, then test the best epoch.

    model: a backbone's name, a RecBole model class, or a class made by `enhance`.
    dataset: "ml-100k" (comes with RecBole) or a folder of atomic files under RecBole's `data_path`.
    enhancers: what to attach, as in a YAML block: `{"rvrec": {"weight": 0.1}}`, "rvrec", or enhancers.
    config_files, config: RecBole's own options, in files and as a dictionary (which wins).
    seed: RecBole's `seed`.  folder: where the log and the checkpoint go; by default only the checkpoint is kept,
        in RecBole's `checkpoint_dir`.

    Random numbers, order and metrics are those of RecBole's `run_recbole`.  The result holds unrounded metrics
    (`test_result["ndcg@10"]`), one row a user (`per_user`), the trained `model` and its data set.
    Raises a `BurnishError` for a name, an option or a data set that cannot be used.
    """
    from burnish.benchmarks.harness.training import train

    return train(
        model,
        dataset,
        enhancers=enhancers,
        config_files=config_files,
        options=config,
        seed=seed,
        folder=Path(folder) if folder is not None else None,
        show_progress=show_progress,
    )
