"""`burnish.improve`: the best way to train a model that can be found in a given time, and whether it is any better."""

from __future__ import annotations

import hashlib
import math
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.benchmarks.harness.first_look import look_at_runs
from burnish.benchmarks.harness.floors import label_of
from burnish.benchmarks.harness.grid import divided_threads
from burnish.benchmarks.harness.plan import PLAIN, check_names
from burnish.benchmarks.harness.runs import remove_stale
from burnish.benchmarks.harness.same_cases import comparable_options
from burnish.benchmarks.harness.specs import RunSpec
from burnish.checks import whole_number
from burnish.errors import BurnishError, ConfigurationError, DataError, UnsupportedError, warn
from burnish.files.lock import lock_of, locked
from burnish.files.refusals import make_folder
from burnish.files.whole import read_json, write_json
from burnish.files.yamls import read_yaml
from burnish.telling import counted
from burnish.training.beside import stem_of
from burnish.training.identity import computing, digest
from burnish.training.inputs.arguments import listed_files, options_of
from burnish.training.request import make_config

from .crew import Alone, Crew, Hands, why_alone
from .families import Family, families_for
from .final import plan_of, tested
from .outcome import Improvement, in_plain_types, note, nothing_helped
from .rungs import halve
from .search import MOST_SEEDS, Search
from .tried import Clock, News

#: Runs at a time at most, where nothing is said.
MOST_WORKERS = 4
#: Epochs of a run at most, and validations without a gain that end it, where nothing is said.
EPOCHS, PATIENCE = 500, 10
_ANEW = "remove the folder to begin anew"
_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)\s*(hours?|h|minutes?|min|m|seconds?|sec|s)\s*)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def improve(
    model: str | type,
    dataset: str,
    *,
    budget: str | float = "30m",
    folder: Path | str = "improved",
    config: Mapping[str, Any] | Path | str | None = None,
    config_files: Sequence[str | Path] | Path | str = (),
    seed: int = 2020,
    threads: int | None = None,
    workers: int | None = None,
    on_news: Callable[[News], None] | None = None,
) -> Improvement:
    """Try floors, enhancers and their combinations within a budget, and test the best one against plain.

    Everything is chosen on validation, by successive halving (`search`); the plain backbone has as many settings as any
    enhancement.  The test set is looked at once, for the winner, the plain backbone and the best floor, on seeds that
    the search has not used.  A search that was interrupted goes on when it is called again with the same arguments; a
    larger budget lengthens one that is done.

    Parameters
    ----------
    model : str or type
        A backbone's name, a RecBole model class or where it is (`"mine.py:Tower"`).
    dataset : str
        "ml-100k", or a folder of atomic files under RecBole's `data_path`.
    budget : str or float
        Wall-clock time, such as "90s", "15m" or "1h30m"; or seconds.  What is under way when it ends is completed.
    folder : path
        Receives everything.  One folder for each model and data set.
    config, config_files
        RecBole's options, and its YAML files.  A `learning_rate` is where the search begins; all else stays as given.
    seed : int
        Of the search; the test has the seeds after it.
    threads : int, optional
        Torch threads of each run; by default those of all cores, divided by `workers`.
    workers : int, optional
        Runs at a time, each in a process of its own; 1 trains in this one.  By default as many as there are cores, four
        at most; 1 on a GPU, and for a class of a script or notebook, which another process cannot import.  A run's
        figures do not depend on it, as long as its threads are the same.
    on_news : callable, optional
        Called with every `News`.

    Returns
    -------
    Improvement
        Whether it helped, the winner with its settings, and the comparison on the test set.

    Raises
    ------
    BurnishError
        For a name, an option or data that cannot be used; for a folder of another search; for a backbone that is not
        judged by a ranking; for several workers where the class cannot be imported elsewhere.

    Examples
    --------
    >>> found = burnish.improve("BPR", "ml-100k", budget="15m", folder="better")  # doctest: +SKIP
    >>> print(found)  # doctest: +SKIP
    >>> burnish.recommend("better/winner", ["196"], k=5)  # doctest: +SKIP
    """
    seconds = seconds_of(budget)
    if whole_number("seed", seed, 0) + MOST_SEEDS >= 2**32:
        raise ConfigurationError(
            f"seed = {seed}: the test has the {MOST_SEEDS} seeds after it, and no generator takes one above "
            f"4294967295; give a smaller one"
        )
    options = _options(config, config_files)
    whole_number("epochs", options["epochs"])
    if workers is not None:
        whole_number("workers", workers, least=1)
    place = Path(folder)
    plain = RunSpec(dataset, _name(model), _label(model), PLAIN, seed, {}, options)
    plan = plan_of(plain, [plain.seed], place, threads)
    check_names(plan)
    look_at_runs(plan)
    metric, own, device = _measured_by(plain)
    how = _how(plain, workers, threads, device)
    make_folder(place)
    with locked(
        lock_of(place / "improve.json"),
        waiting=lambda who: warn(f"waiting for {who}, which works at {place}"),
    ):
        return _improve(plain, metric, own, place, seconds, how, on_news or (lambda news: None))


def seconds_of(budget: str | float) -> float:
    """Seconds of "90s", "15m", "1h30m", or of a number of seconds.  `ConfigurationError` for anything else."""
    if isinstance(budget, int | float) and not isinstance(budget, bool):
        seconds = float(budget)
    else:
        text = str(budget).strip().lower()
        parts = _PARTS.findall(text)
        if not parts or _PARTS.sub("", text).strip():
            raise ConfigurationError(
                f"budget = {budget!r}: write a time with its unit, such as 90s, 15m or 1h30m"
            )
        seconds = sum(float(number) * _SECONDS[unit[0]] for number, unit in parts)
    if not 0 < seconds < math.inf:
        raise ConfigurationError(f"budget = {budget!r}: give a time above 0, such as 15m")
    return seconds


# ---------------------------------------------------------------------- what was asked for


def _options(config: Any, config_files: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for file in listed_files(config_files):
        options |= read_yaml(file)
    options |= options_of(config, "config")
    for name, why in (
        ("enhancers", "improve chooses them"),
        ("model", "it is an argument"),
        ("dataset", "it is an argument"),
        ("seed", "it is an argument"),
    ):
        if name in options:
            raise ConfigurationError(f"option {name} has no place here, since {why}; leave it out")
    return {"epochs": EPOCHS, "stopping_step": PATIENCE, **options}


def _name(model: str | type) -> str:
    from burnish.benchmarks.harness.floors import plain_class
    from burnish.own.classes import is_place
    from burnish.training.classes import class_name

    return class_name(plain_class(model)) if isinstance(model, type) or is_place(model) else str(model)


def _label(model: str | type) -> str:
    return model.__name__ if isinstance(model, type) else label_of(model)


def _measured_by(plain: RunSpec) -> tuple[str, float | None, str]:
    """The validation metric, in lower case, the backbone's own weight of regularisation, and the kind of device.

    The weight is None where it has none.
    """
    from burnish.benchmarks.harness.same_cases import check_ranked
    from burnish.enhancers.zoo import find_backbone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it
        config = make_config(find_backbone(plain.backbone), plain.dataset, {}, dict(plain.options))
    try:
        check_ranked(config)
    except BurnishError as error:
        raise UnsupportedError(f"{plain.label}: {error}; improve is for models that rank") from error
    if config["MODEL_TYPE"].name == "TRADITIONAL":
        raise UnsupportedError(
            f"{plain.label} has no epochs: what improve tries, rates, objectives and enhancers, trains a backbone's "
            f"embeddings, and there is nothing to train. Take one that has some, such as BPR or LightGCN: popularity, "
            f"ItemKNN and EASE are tuned beside it as floors. Of {plain.label} alone `burnish bench` tunes the options"
        )
    own = config["reg_weight"]
    return (
        str(config["valid_metric"]).lower(),
        own if isinstance(own, float) else None,
        str(config["device"]).partition(":")[0],
    )


@dataclass(frozen=True)
class _How:
    """How runs are carried out: how many at a time, each with how many threads, and a word on that, where needed."""

    workers: int
    threads: int | None
    word: str = ""


def _how(plain: RunSpec, workers: int | None, threads: int | None, device: str) -> _How:
    """As asked for; by default what suits the machine, and the run.  device: its kind."""
    why = None if workers == 1 else why_alone(plain)
    asked, word = workers is not None, ""
    threads = threads or plain.options.get("threads")
    if workers is None:
        cores = (os.cpu_count() or 1) // (threads or 1)
        workers = max(1, min(MOST_WORKERS, cores)) if device == "cpu" else 1
    if workers > 1 and why is not None:
        if asked:
            raise ConfigurationError(f"workers = {workers}: {why}")
        workers, word = 1, f"one run at a time: {why.partition(';')[0]}"
    if workers > 1:
        threads = threads or divided_threads(workers)
        word = f"{workers} runs at a time, each with {counted(threads, 'thread')}"
    return _How(workers, threads, word)


# ---------------------------------------------------------------------- the work


def _improve(
    plain: RunSpec,
    metric: str,
    own: float | None,
    place: Path,
    budget: float,
    how: _How,
    tell: Callable[[News], None],
) -> Improvement:
    """own: as `families_for` takes it."""
    families = families_for(plain.options, own)
    _check_same(plain, place, families)
    runs = place / "search"
    remove_stale(runs)
    with ExitStack() as stack:
        hands: Hands = Alone(runs, how.threads)
        if how.workers > 1:
            hands = stack.enter_context(Crew(how.workers, runs, how.threads))
        most = int(plain.options["epochs"])
        search = Search(plain, families, hands, Clock(budget), metric, most, place / "state.json", tell)
        search.lengthen(budget)
        if how.word:
            search.say("workers", how.word)
        floors, remarks = _floor_options(plain, place, how.threads)
        if floors is None:
            search.say("left out", f"floors: {remarks}")
        else:
            search.look_at_floors(floors)
        halve(search)
        winner = search.winner()
    best_plain = search.best_of(PLAIN)
    if best_plain is None:
        raise BurnishError(
            f"{plain.label} has no value on validation: {search.left_out.get(PLAIN, 'every setting failed')}"
        )
    if winner is None or (winner.value or -math.inf) <= (best_plain.value or -math.inf):
        found = nothing_helped(search, winner, best_plain, place)
    else:
        found = tested(search, winner, best_plain, plain, place)
    note(search, found, place)
    return found


def _check_same(plain: RunSpec, place: Path, families: list[Family]) -> None:
    """Refuse the folder of another search, and note whose it is."""
    own: dict[str, Any] = {
        "model": plain.backbone,
        "dataset": plain.dataset,
        "seed": plain.seed,
        "options": computing(dict(plain.options)),
        "data": _data_digest(plain),
        "ways": digest([family.digest() for family in families]),
    }
    own = in_plain_types(own)  # as the file has them
    file = place / "asked.json"
    if not file.is_file():
        others = sorted(one.name for one in place.iterdir() if not one.name.startswith("."))
        if others:
            raise ConfigurationError(
                f"{place} holds other files ({', '.join(others[:3])}); give a new folder (--output)"
            )
        write_json(file, own)
        return
    kept = read_json(file, _ANEW)
    if not isinstance(kept, dict):
        raise DataError(f"{file} is damaged (it holds no mapping); {_ANEW}")
    words = {
        "ways": "is of an earlier burnish",
        "data": f"was made with other data: the files of {plain.dataset!r} have changed since",
    }
    noted = "data" in kept  # an earlier burnish did not
    for name, value in own.items():
        if kept.get(name) != value and (noted or name != "data"):
            shown = words.get(name, f"was made with {name} = {kept.get(name)!r}")
            if name == "options" and isinstance(kept.get(name), dict):
                shown = f"was made with options {_differing(kept[name], value)}"
            raise ConfigurationError(
                f"{place} {shown}; give another folder (--output), or remove it to begin anew"
            )
    if not noted:
        write_json(file, own)


def _differing(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The options that are others now, as they were."""
    names = [
        name for name in {**kept, **now} if (name in kept, kept.get(name)) != (name in now, now.get(name))
    ]
    return ", ".join(f"{name} = {kept[name]!r}" if name in kept else f"without {name}" for name in names)


def _data_digest(plain: RunSpec) -> str:
    """That of the files which all runs read: the interactions, and columns of users and items where they are loaded.

    What some ways read beside, such as a graph, is in the names of their runs.
    """
    stem, options = stem_of(plain.dataset, plain.options), plain.options
    parts = [f".{part}" for part in options.get("benchmark_filename") or []] or [""]
    columns = options.get("load_col", {})
    kinds = [kind for kind in ("user", "item") if columns is None or kind in columns]
    found = hashlib.blake2b(digest_size=16)
    for end in [*(f"{part}.inter" for part in parts), *(f".{kind}" for kind in kinds)]:
        file = stem.with_name(f"{stem.name}{end}")
        if file.is_file():
            found.update(f"{end} {file.stat().st_size}\n".encode())
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    found.update(block)
    return found.hexdigest()


def _floor_options(plain: RunSpec, place: Path, threads: int | None) -> tuple[dict[str, Any] | None, str]:
    """The options of floors beside the backbone; None with the reason where they do not go together."""
    plan = plan_of(plain, [plain.seed], place, threads, floors=["Pop"])
    try:
        options, _ = comparable_options(plan, plan.backbones[0])
        return options, ""
    except BurnishError as error:
        return None, str(error)
