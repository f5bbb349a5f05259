"""`burnish.explain_eval`: whether the reasons from users' histories are those that a trained model goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from burnish.benchmarks.harness.faithful import OURS
from burnish.checks import short, whole_number
from burnish.enhancers.attach import split_enhanced
from burnish.enhancers.host import Host
from burnish.errors import BurnishError, ConfigurationError, DataError, UnsupportedError, unknown_name, warn
from burnish.trained.folded_users import FoldedUsers
from burnish.trained.history_reasons import HistoryReasons
from burnish.trained.masked_histories import reads_histories
from burnish.trained.open import open_trained
from burnish.trained.recommend import Recommender
from burnish.training.record import FREE
from burnish.training.result import plain

from .checks import agreement_of, rows_of_agreement, with_fresh_parameters
from .evidence import EvidenceGames, EvidenceStudy
from .measures import in_order, rows_of
from .other_reasons import AttributeGames, path_reference
from .references import REFERENCES, references
from .report import Faithfulness
from .retraining import REMOVED, epochs_of, retrained
from .review_reasons import KeywordGames, ReviewGames, SentenceGames
from .standing import Recommendation

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult
    from burnish.training.trained_model import TrainedModel

    Source = TrainedModel | TrainingResult | Path | str

#: Users that are sampled, unless told otherwise.
USERS = 200
#: Reasons of other kinds than a history's, each where a model has such.
EVIDENCE: tuple[type[EvidenceGames], ...] = (AttributeGames, KeywordGames, ReviewGames, SentenceGames)


def explain_eval(
    runs: Source | Sequence[Source],
    *,
    users: int = USERS,
    seed: int = 0,
    budget: int | None = None,
    of: str | None = None,
    reference_reasons: Sequence[str] | None = None,
    retrain: bool = False,
    retrain_k: int = REMOVED,
    retrain_epochs: int | None = None,
    state: str = "latest",
    model: str | type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
    tell: Callable[[str, int, int], None] | None = None,
) -> Faithfulness:
    """Measure whether the interaction reasons of trained models are faithful to them.

    Each sampled user's first recommendation is explained once (`HistoryReasons`), before anything is scored.  Then the
    model, or the game that stands in for one that reads no history, is asked again without the reasons.  Attribute
    reasons of `guided` are measured beside it (attributes set to their mean), path reasons of `paths` as reasons
    over the history (the items that paths begin with), and of models that read reviews the reasons that they give
    themselves: DReX's words, the reviews that NARRE and HRDR attend to, the words that PESI's sentences are made with.

    Parameters
    ----------
    runs : run or sequence of runs
        Folders of runs (or what `burnish.load_run` or `burnish.run` returned), of the same data.  Runs of one model and
        the same enhancers are its seeds.
    users : int, default 200
        How many users are sampled, of those that every run has a recommendation and a history for.
    seed : int, default 0
        Of the sample, of the explanations, of random references and of ties.
    budget : int, optional
        Coalitions a user, where contributions are estimated.
    of : {"score", "standing"}, optional
        What ours, leave-one-out and the gradient are of, as for `burnish.explain`; the measures are of the standing.
    reference_reasons : sequence of str, optional
        Of "random", "popularity", "similarity", "gradient", "leave-one-out"; by default all of them.
    retrain : bool, default False
        Also train each model anew without the `retrain_k` strongest reasons of all these users, and without as many of
        each reference's (not for sequential models).
    retrain_k, retrain_epochs : int, optional
        How many interactions a user loses; epochs of a training, by default up to the run's best one.
    state, model, data_path, trust
        As for `burnish.recommend`.
    tell : callable, optional
        Called with (what is done, number of steps done, number of steps).

    Returns
    -------
    Faithfulness
        Figures a user, and tables of means and differences with 95% intervals over users, and over seeds where there
        are several.

    Raises
    ------
    BurnishError
        For an unknown reference, a run that cannot be read or has no users with a history, and runs of several data.

    Examples
    --------
    >>> found = burnish.explain_eval("out", users=100)  # doctest: +SKIP
    >>> print(found.markdown())  # doctest: +SKIP
    """
    whole_number("users", users)
    whole_number("seed", seed, 0)
    whole_number("retrain_k", retrain_k)
    if retrain_epochs is not None:
        whole_number("retrain_epochs", retrain_epochs)
    if not retrain:
        _warn_of_no_training(retrain_k, retrain_epochs)
    if isinstance(reference_reasons, str):
        reference_reasons = [reference_reasons]
    names = list(REFERENCES) if reference_reasons is None else list(dict.fromkeys(reference_reasons))
    for name in names:
        if name not in REFERENCES:
            raise unknown_name("reference", name, REFERENCES)
    sources = [runs] if isinstance(runs, str | Path) or not isinstance(runs, Sequence) else list(runs)
    if not sources:
        raise ConfigurationError("no run is given; give the folder of one (burnish run --output)")
    opened = [
        _Opened(source, open_trained(source, model=model, data_path=data_path, trust=trust), state)
        for source in sources
    ]
    _check_same_data(opened)
    sample = _sample(opened, users, seed)
    found = Faithfulness(users=len(sample), asked=users, seed=seed)
    for line in _unlike_seeds(opened):
        found.note(line)
    _warn_of_budget(opened, budget)
    _Study(found, names, seed, budget, of, retrain, retrain_k, retrain_epochs, tell).run(opened, sample)
    return found


@dataclass(eq=False)
class _Opened:
    """A run, ready to be asked."""

    source: Any
    trained: TrainedModel
    state: str
    recommender: Recommender = field(init=False)

    def __post_init__(self) -> None:
        self.recommender = Recommender(self.trained, k=1, state=self.state)

    @property
    def name(self) -> str:
        """What the run is of: runs of the same are seeds of each other."""
        model = self.trained.model
        host = getattr(model, "enhancers", None)
        names = [one.name for one in host.enhancers()] if isinstance(host, Host) else []
        own = split_enhanced(type(model))[0].__name__
        return f"{own}[{', '.join(names)}]" if names else own

    @property
    def path(self) -> str:
        return str(self.source) if isinstance(self.source, str | Path) else self.name


def _check_same_data(opened: Sequence[_Opened]) -> None:
    first = opened[0]
    seen: dict[tuple[str, int], str] = {}
    for one in opened:
        if one.trained.config["dataset"] != first.trained.config["dataset"]:
            raise ConfigurationError(
                f"{one.path} was trained on {one.trained.config['dataset']} and {first.path} on "
                f"{first.trained.config['dataset']}; give runs of one data set"
            )
        key = (one.name, int(one.trained.config["seed"]))
        if key in seen:
            raise ConfigurationError(
                f"{one.path} and {seen[key]} are both {one.name} of seed {key[1]}; give each once"
            )
        seen[key] = one.path


def _warn_of_no_training(k: int, epochs: int | None) -> None:
    given = [("retrain_k", k, REMOVED), ("retrain_epochs", epochs, None)]
    for name, value, default in given:
        if value != default:
            warn(f"{name} = {value} has no effect without retrain (--retrain)")


def _warn_of_budget(opened: Sequence[_Opened], budget: int | None) -> None:
    if budget is None:
        return
    whole_number("budget", budget)
    if not any(reads_histories(one.recommender) for one in opened):
        warn(
            f"budget = {budget} has no effect: reasons from histories of {opened[0].name} are exact, and no histories "
            f"are drawn"
        )


def _unlike_seeds(opened: Sequence[_Opened]) -> Iterator[str]:
    """Remarks on runs that count as seeds of one model and differ in more."""
    first: dict[str, tuple[_Opened, dict[str, Any]]] = {}
    for one in opened:
        options = plain(one.trained.config.final_config_dict)
        before, of_before = first.setdefault(one.name, (one, options))
        differ = [
            name
            for name in sorted(of_before.keys() | options.keys())
            if name not in FREE and name != "seed" and of_before.get(name) != options.get(name)
        ]
        if differ:
            shown = ", ".join(
                f"{name} ({short(of_before.get(name))}, {short(options.get(name))})" for name in differ[:3]
            )
            more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
            yield (
                f"{before.path} and {one.path} count as seeds of one {one.name}, though they differ in {shown}{more}: "
                f"means and intervals are over both; ask for each alone to compare them"
            )


def _sample(opened: Sequence[_Opened], most: int, seed: int) -> list[str]:
    """Original ids of users with a prediction and a history in every run, drawn at random."""
    shared: list[str] | None = None
    for one in opened:
        tokens = one.recommender.all_users()
        statuses = one.recommender.statuses(range(1, len(tokens) + 1))
        there = {token for token, status in zip(tokens, statuses, strict=True) if status == "ok"}
        shared = [token for token in (tokens if shared is None else shared) if token in there]
    drawn = np.random.default_rng(seed).permutation(np.array(shared, dtype=object))
    games = [HistoryReasons(one.recommender) for one in opened]
    chosen: list[str] = []
    for token in drawn.tolist():
        if len(chosen) == most:
            break
        if all(
            len(game.history(_user(one, token), 0)) for one, game in zip(opened, games, strict=True)
        ) and not any(one.recommender.nothing_left(_user(one, token)) for one in opened):
            chosen.append(token)
    if not chosen:
        raise DataError(
            f"no user has a history and a recommendation in {', '.join(one.path for one in opened)}, so there are no "
            f"interaction reasons to measure; train on data with several interactions a user"
        )
    return sorted(chosen, key=lambda token: (len(token), token))


def _user(one: _Opened, token: str) -> int:
    data = one.trained.dataset
    return int(data.field2token_id[data.uid_field][token])


@dataclass
class _Study:
    """What is done to each run, and where its figures go."""

    found: Faithfulness
    names: list[str]
    seed: int
    budget: int | None
    of: str | None
    retrain: bool
    retrain_k: int
    retrain_epochs: int | None
    tell: Callable[[str, int, int], None] | None

    def run(self, opened: Sequence[_Opened], sample: Sequence[str]) -> None:
        steps = len(opened) * len(sample)
        done = 0
        for one in opened:
            for rows in self._of_run(one, sample):
                done += 1
                if self.tell is not None:
                    self.tell(one.name, done, steps)
                self.found.rows.extend(rows)

    def _of_run(self, one: _Opened, sample: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        ours = HistoryReasons(one.recommender, budget=self.budget, seed=self.seed, of=self.of)
        again = HistoryReasons(one.recommender, budget=self.budget, seed=self.seed + 1, of=self.of)
        fresh = self._fresh(one)
        made, lacking = references(one.recommender, self.names, self.seed)
        paths = path_reference(one.recommender)
        evidence = [
            EvidenceStudy(games, None if fresh is None or not kind.learned else kind.of(fresh.recommender))
            for kind in EVIDENCE
            if (games := kind.of(one.recommender)) is not None
        ]
        made += [] if paths is None else [paths]
        self._remark(one, ours, lacking)
        explained: list[Recommendation] = []
        tokens: list[str] = []
        orders: dict[str, list[Any]] = {name: [] for name in (OURS, *(other.name for other in made))}
        items = dict(zip(sample, _first_items(one, sample), strict=True))
        for token, item in items.items():
            user = _user(one, token)
            recommendation = Recommendation(ours, user, item, one.recommender.candidates(user))
            # Chosen before anything is scored: one explanation of each kind, and its one order.
            (contributions,) = ours.contributions(user, [item])
            if contributions is None:
                raise UnsupportedError(f"{one.path}: user {token!r} has no history to explain item {item} by")
            values = {OURS: contributions.values}
            values |= {other.name: other.values(recommendation) for other in made}
            ranked = {name: in_order(each, (self.seed, user, 2)) for name, each in values.items()}
            head = {
                "run": one.path,
                "model": one.name,
                "run_seed": int(one.trained.config["seed"]),
                "user": token,
                "item": str(one.trained.tokens(one.trained.dataset.iid_field, [item])[0]),
                "history": len(recommendation),
            }
            rows = rows_of(recommendation, ranked, head, self.seed)
            for check, others in (("stability", again), ("sanity", fresh)):
                if others is not None:
                    other = others.contributions(user, [item])[0]
                    rows += rows_of_agreement(check, agreement_of(contributions, other), head)
            for each in evidence:
                rows += each.rows(recommendation, head, self.names, self.seed, self.found)
            explained.append(recommendation)
            tokens.append(token)
            for name, order in ranked.items():
                orders[name].append(order)
            yield rows
        for each in evidence:
            each.tell(one.name, one.path, self.found)
        if self.retrain:
            self._retrain(one, explained, tokens, orders)

    def _fresh(self, one: _Opened) -> HistoryReasons | None:
        try:
            other = with_fresh_parameters(one.trained, self.seed)
            return HistoryReasons(
                Recommender(other, k=1, state=one.state), budget=self.budget, seed=self.seed, of=self.of
            )
        except BurnishError as error:
            self.found.note(f"{one.name}: no check by fresh parameters: {error}")
            return None

    def _remark(self, one: _Opened, ours: HistoryReasons, lacking: dict[str, str]) -> None:
        self.found.methods[one.name] = f"{ours.method}, of the {ours.valued}"
        for name, why in lacking.items():
            self.found.note(f"{one.name}: no reference {name}: {why}")
        if isinstance(ours.scorer, FoldedUsers):
            self.found.note(
                f"{one.name} reads no history, so the game that is asked again is that of its {ours.method}, and a sum "
                f"over the history: gradient and leave-one-out give the same reasons as ours there, by arithmetic. "
                f"Whether reasons are the model's own is for retraining to say (--retrain)."
            )

    def _retrain(
        self, one: _Opened, explained: list[Recommendation], tokens: list[str], orders: dict[str, list[Any]]
    ) -> None:
        epochs = epochs_of(one.source, one.trained, self.retrain_epochs)
        # What orders a history as ours do would be trained for the same again.
        distinct = {
            name: each
            for name, each in orders.items()
            if name == OURS
            or not all(
                set(mine[: self.retrain_k]) == set(other[: self.retrain_k])
                for mine, other in zip(orders[OURS], each, strict=True)
            )
        }

        def tell(what: str) -> None:
            if self.tell is not None:
                self.tell(f"{one.name}, {what}", 0, 0)

        try:
            after = retrained(one.trained, explained, distinct, k=self.retrain_k, epochs=epochs, tell=tell)
        except UnsupportedError as error:
            self.found.note(f"{one.name}: {error}")
            return
        token_of = {
            recommendation.user: token for recommendation, token in zip(explained, tokens, strict=True)
        }
        for result in after:
            head = {
                "run": one.path,
                "model": one.name,
                "run_seed": int(one.trained.config["seed"]),
                "user": token_of[result.user],
                "reasons": result.arm,
                "k": self.retrain_k,
            }
            for which, value in (
                ("retrained: gone", float(result.left)),
                ("retrained: standing", result.standing),
            ):
                self.found.rows.append({**head, "measure": which, "value": value})


def _first_items(one: _Opened, sample: Sequence[str]) -> list[int]:
    """Internal ids of the first recommendations of users."""
    frame = pd.concat(list(one.recommender.chunks(list(sample))), ignore_index=True)
    known = one.trained.dataset.field2token_id[one.trained.dataset.iid_field]
    first = dict(zip(frame["user"], frame["item"], strict=True))
    return [int(known[first[token]]) for token in sample]
