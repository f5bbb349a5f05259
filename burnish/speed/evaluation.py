"""Evaluation with as many users a batch as a memory budget holds, where RecBole takes one or two.

RecBole's `eval_batch_size` counts user-item pairs.  Where nobody sets it, each evaluation begins with RecBole's
size and grows: see `batch_sizes.py`.  The option `eval_memory_mib` is the budget (256 by default; 0 keeps RecBole's
sizes).  An evaluation that runs out of memory goes on with half the users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from burnish.compat import after_import

from .batch_sizes import DEFAULT_MIB, BatchSizes, counted, out_of_memory
from .switches import enabled, replace_method


def install() -> None:
    """Register the changes to RecBole's trainers and to its loaders for evaluation."""
    after_import("recbole.data.dataloader.general_dataloader", _change_loaders)
    after_import("recbole.trainer.trainer", _change_trainers)


def _change_loaders(module: ModuleType) -> None:
    replace_method("evaluation", module.FullSortEvalDataLoader, "collate_fn", collate_users)


def _change_trainers(module: ModuleType) -> None:
    replace_method("evaluation", module.Trainer, "evaluate", evaluate)
    replace_method("evaluation", module.Trainer, "_full_sort_batch_eval", _scored("full"))
    replace_method("evaluation", module.Trainer, "_neg_sample_batch_eval", _scored("sampled"))
    bar = vars(module)["tqdm"]
    if not hasattr(bar, "_burnish_speed"):
        vars(module)["tqdm"] = _counting_users(bar)


def evaluate(original: Callable[..., Any], self: Any, eval_data: Any, *args: Any, **kwargs: Any) -> Any:
    """RecBole's `evaluate`, with batches of a size that fits."""
    sizes = batch_sizes_for(self.config, eval_data) if eval_data else None
    if sizes is None:
        return original(self, eval_data, *args, **kwargs)
    collector = self.eval_collector
    collect = collector.eval_batch_collect
    vars(eval_data)["_burnish_sizes"] = self._burnish_sizes = sizes
    collector.eval_batch_collect = lambda scores, *rest: _collect(self, collect, scores, *rest)
    try:
        return original(self, eval_data, *args, **kwargs)
    finally:
        del vars(eval_data)["_burnish_sizes"], collector.eval_batch_collect, self._burnish_sizes


def batch_sizes_for(config: Any, loader: Any) -> BatchSizes | None:
    """The sizes of one evaluation's batches, or None where RecBole's batches stay as they are.

    They stay where the user set `eval_batch_size`, where a batch is made of cases rather than users (sequential
    models, labelled data: those are large already), with worker processes and in distributed runs.
    Raises `ConfigurationError` for an `eval_memory_mib` that is not a number of 0 or more.
    """
    budget = budget_bytes(config)
    own = "eval_batch_size" in getattr(config, "external_config_dict", {})
    distributed = not config["single_spec"]
    if not budget or own or distributed or not enabled("loading"):
        return None
    counts_users = getattr(loader, "uid_list", None) is not None
    if not counts_users or loader.num_workers:
        return None
    return BatchSizes(loader.batch_sampler.batch_size, budget)


def budget_bytes(config: Any) -> int:
    """The option `eval_memory_mib` in bytes."""
    wanted = config["eval_memory_mib"]
    if wanted is None:
        wanted = DEFAULT_MIB
    if isinstance(wanted, bool) or not isinstance(wanted, (int, float)) or not wanted >= 0:
        from burnish.errors import ConfigurationError

        raise ConfigurationError(
            f"eval_memory_mib = {wanted!r}: give the MiB that a batch of users may take in evaluation, "
            f"or 0 for RecBole's own batches"
        )
    return int(wanted * 2**20)


def _scored(kind: str) -> Callable[..., Any]:
    """RecBole's scoring of a batch, watched until the size settles, and in halves where memory ends."""

    def score(original: Callable[..., Any], self: Any, batch: Any) -> Any:
        sizes = vars(self).get("_burnish_sizes")
        if sizes is None:
            return original(self, batch)
        from burnish.randomness import stream_positions

        users = n_users(batch)
        self._burnish_seen = None
        if not sizes.settled:
            before = stream_positions(self.device)
            with counted() as memory:
                result = _in_parts(original, self, batch, sizes, kind)
            self._burnish_seen = (users, memory.peak, stream_positions(self.device) != before)
            return result
        return _in_parts(original, self, batch, sizes, kind)

    return score


def _collect(trainer: Any, collect: Callable[..., Any], scores: Any, *rest: Any) -> Any:
    """RecBole's collection of a batch's results; what it takes beside the scores counts, too."""
    seen = vars(trainer).pop("_burnish_seen", None)
    if seen is None:
        return collect(scores, *rest)
    users, taken, drew = seen
    with counted() as memory:
        result = collect(scores, *rest)
    trainer._burnish_sizes.learn(users, max(taken, scores.nbytes + memory.peak), drew)
    return result


def n_users(batch: Any) -> int:
    """Users in a batch of either loader: its positive items name the last one's row."""
    return int(batch[2][-1]) + 1


def _in_parts(original: Callable[..., Any], trainer: Any, batch: Any, sizes: BatchSizes, kind: str) -> Any:
    """`original`, or the same from two halves when memory does not suffice for the whole."""
    try:
        return original(trainer, batch)
    except (RuntimeError, MemoryError) as error:
        users = n_users(batch)
        if kind != "full" or users <= sizes.first or users < 2 or not out_of_memory(error):
            raise
    sizes.shrink(users)
    import torch

    halves = [_in_parts(original, trainer, part, sizes, kind) for part in _halves(batch, users // 2, users)]
    return batch[0], torch.cat([half[1] for half in halves]), batch[2], batch[3]


def _halves(batch: Any, middle: int, users: int) -> Iterator[Any]:
    """A full-sort batch as two: users up to `middle`, and from there on."""
    import torch

    interaction, history, positive_u, positive_i = batch
    for start, stop in ((0, middle), (middle, users)):
        kept = (positive_u >= start) & (positive_u < stop)
        past = None
        if history is not None:
            mine = (history[0] >= start) & (history[0] < stop)
            past = (history[0][mine] - start, history[1][mine])
        rows = torch.arange(start, stop)
        yield interaction[rows], past, positive_u[kept] - start, positive_i[kept]


def collate_users(original: Callable[..., Any], self: Any, index: Any) -> Any:
    """A batch of users with what they know and what they should be recommended, without a loop over them."""
    import numpy as np
    import torch

    if self.is_sequential:
        return original(self, index)
    users = self.user_df[np.asarray(index)]
    ids = users[self.uid_field].numpy()
    history_u, history_i = _flat(self.uid2history_item[ids])
    positive_u, positive_i = _flat(self.uid2positive_item[ids])
    assert isinstance(history_i, torch.Tensor)
    return users, (history_u, history_i), positive_u, positive_i


def _flat(lists: Any) -> tuple[Any, Any]:
    """(row of each entry, entry) of a sequence of one-dimensional tensors."""
    import torch

    counts = torch.tensor([len(one) for one in lists])
    return torch.repeat_interleave(torch.arange(len(counts)), counts), torch.cat(list(lists))


def _counting_users(bar: type) -> type:
    """RecBole's progress bar, counting users where the number of batches is not known beforehand."""

    class UserBar(bar):
        _burnish_speed = "evaluation"

        def __init__(self, iterable: Any = None, *args: Any, **options: Any) -> None:
            self._by_user = vars(iterable).get("_burnish_sizes") is not None if _has_vars(iterable) else False
            if self._by_user:
                options.update(total=len(iterable.uid_list), unit="user")
            super().__init__(iterable, *args, **options)

        def __iter__(self) -> Iterator[Any]:
            if not self._by_user:
                yield from super().__iter__()
                return
            with _closing(self):
                for batch in self.iterable:
                    yield batch
                    self.update(n_users(batch))

    return UserBar


def _has_vars(thing: Any) -> bool:
    return hasattr(thing, "__dict__")


@contextmanager
def _closing(bar: Any) -> Iterator[None]:
    try:
        yield
    finally:
        bar.close()
