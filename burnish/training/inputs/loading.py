"""RecBole's data set, read under watch, with what was dropped and filled in said aloud."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from pathlib import Path
from typing import Any

from burnish.errors import ConfigurationError, DataError
from burnish.telling import teller

from .cells import watched_reading
from .heads import read_heads
from .journal import Journal, journal_of
from .needs import check_needs
from .refusals import explained

logger = logging.getLogger(__name__)


def tell(config: Any, line: str) -> None:
    """A line for whoever watches: into the log, and to `summaries_told_to`; else to stderr where progress is shown."""
    logger.info(line)
    say = teller()
    if say is not None:
        say(line)
    elif config["show_progress"]:
        print(line, file=sys.stderr)


def check_inputs(config: Any) -> None:
    """Raise for files whose first lines do not suit the model and the options; nothing but those lines is read."""
    check_needs(config, read_heads(config))


def read_dataset(config: Any) -> tuple[Any, Journal]:
    """RecBole's `create_dataset`, and what its filters did.

    Logs one line that sums up what was read and dropped (see `summaries_told_to`; else it is printed to stderr where
    progress is shown), and warns where
    more than 5% of the interactions are gone, of cells that are filled in, and of names that look like missing values.

    Raises
    ------
    DataError
        For cells that cannot be read, ids that match nothing, and filters that leave nothing.
    ConfigurationError
        For options that the data do not suit.
    """
    from recbole.data import create_dataset

    with watched_reading(config) as readings, journal_of(config) as journal:
        try:
            with explained(config, "reading the data set"):
                dataset = create_dataset(config)
        except ConfigurationError as error:
            # RecBole's own words, dataset.py: "Some feat is empty, please check the filtering settings."
            if journal.read and ("feat is empty" in str(error) or journal.lost == journal.read):
                raise _nothing_left(config, journal) from error
            raise
        finally:
            for reading in readings:
                for text in reading.warnings:
                    warnings.warn(text, stacklevel=2)
    _sum_up(journal, dataset)
    if not journal.kept:
        raise _nothing_left(config, journal)
    _check_labels(config, dataset, journal)
    return dataset, journal


def _nothing_left(config: Any, journal: Journal) -> DataError:
    return DataError(
        f"{_file(config)}: no interaction is left after filtering: of {journal.read:,} read, "
        f"{journal.reasons()}; loosen user_inter_num_interval, item_inter_num_interval, val_interval or "
        f"filter_inter_by_user_or_item, or complete the files"
    )


def _sum_up(journal: Journal, dataset: Any) -> None:
    frame = dataset.inter_feat
    journal.kept = len(frame)
    journal.read = journal.read or journal.kept
    for name, counted in ((dataset.uid_field, "users"), (dataset.iid_field, "items")):
        if name is not None and name in frame:
            setattr(journal, counted, int(frame[name].nunique()))
    tell(dataset.config, journal.line())
    for text in journal.warnings():
        warnings.warn(text, stacklevel=3)


def _check_labels(config: Any, dataset: Any, journal: Journal) -> None:
    """Models that learn by cross-entropy from a label need 0 and 1."""
    label = config["LABEL_FIELD"]
    frame = dataset.inter_feat
    if config["MODEL_TYPE"].name not in ("CONTEXT", "DECISIONTREE") or label not in frame:
        return
    other = frame[label][~frame[label].isin((0, 1))]
    if len(other):
        raise DataError(
            f"{_file(config)}: column {label!r} (LABEL_FIELD) holds {other.iloc[0]:g} "
            f"(row {other.index[0] + 1} of data), and {config['model']} learns from 0 and 1; say threshold: "
            f"{{{label}: 4}} to make labels of ratings"
        )
    if frame[label].nunique() == 1:
        made = f"threshold = {config['threshold']!r}" if config["threshold"] else f"LABEL_FIELD = {label!r}"
        raise DataError(
            f"{_file(config)}: every row has the label {frame[label].iloc[0]:g} ({made}; of {journal.read:,} read, "
            f"{journal.reasons()}), so there is nothing to tell apart; give a threshold that lies among the values, "
            f"or rows of both kinds"
        )


def _file(config: Any) -> Path:
    return Path(config["data_path"]) / f"{config['dataset']}.inter"


def check_topk(config: Any, dataset: Any, journal: Journal) -> None:
    """Raise `ConfigurationError` where more items are to be listed, or drawn for a case, than there are."""
    items = dataset.item_num - 1 if dataset.iid_field is not None else 0
    # RecBole lists the padding item last, so that one more than there are items does no harm.
    if config["eval_type"].name == "RANKING" and max(config["topk"]) > items + 1:
        gone = f" (interactions: {journal.reasons()})" if journal.lost else ""
        raise ConfigurationError(
            f"topk = {config['topk']}: {_file(config)} has {items} items{gone}, so {max(config['topk'])} cannot be "
            f"listed; give {items} at most (valid_metric, too)"
        )
    for part, mode in config["eval_args"]["mode"].items():
        drawn = re.fullmatch(r"(?:uni|pop)(\d+)", str(mode))
        if drawn is not None and items and int(drawn[1]) > items:
            raise ConfigurationError(
                f"eval_args.mode: {part} = {mode!r}: {_file(config)} has {items} items, so {drawn[1]} cannot be "
                f"drawn of them; give {items} at most, or full, which ranks all"
            )
