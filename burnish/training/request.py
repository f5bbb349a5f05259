"""What `train` was asked for, put together from files, arguments and the command line; and its RecBole config."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.compat.habits import command_line
from burnish.errors import BurnishError, ConfigurationError
from burnish.files.yamls import check_names, read_yaml
from burnish.own.classes import named_by
from burnish.settled import settled_in, within_burnish

from .cold import cold_limit
from .data import check_files
from .few_steps import WRITTEN
from .inputs.arguments import listed_files, options_of
from .inputs.evaluation import check_computed
from .inputs.options import checked_options
from .inputs.own_models import check_asked_of, no_input_type
from .options import warn_idle, warn_unknown
from .session import literal_options
from .trust import refuse_saved_data


@dataclass
class Request:
    """The arguments of `train`, put together: which class, with which options from which source.

    given: options of RecBole's.  written: of the enhancers, as `softmax.users`, at their defaults too.
    """

    model: type
    dataset: str
    files: list[str]
    options: dict[str, Any]
    given: set[str]
    written: frozenset[str] = frozenset()

    def given_options(self, config: Any) -> dict[str, Any]:
        """The options in files, arguments and the command line, as the config took them; and what was settled."""
        own = {"show_progress", "checkpoint_dir"} - self.given
        given = {key: value for key, value in config.external_config_dict.items() if key not in own}
        return {**settled_in(config), **given}

    @classmethod
    def gather(
        cls,
        model: str | type,
        dataset: str,
        enhancers: Any,
        config_files: Sequence[str | Path] | Path | str | None,
        options: Mapping[str, Any] | Path | str | None,
        seed: int | None,
        show_progress: bool,
    ) -> Request:
        settings: dict[str, Any] = {}
        files = listed_files(config_files)
        for file in files:
            settings.update(read_yaml(file))
        own = options_of(options, "options")
        check_names(own, "options")
        settings.update(own)
        block = settings.get("enhancers") if enhancers is None else enhancers
        of_file = enhancers is None and "enhancers" not in own and files
        # Config attaches any block that it finds; the class below has it already.
        own["enhancers"] = {}
        if seed is not None:
            own["seed"] = seed
        own.setdefault("show_progress", show_progress)
        with named_by(files[-1] if of_file else None):
            made, written = _attach(model, block)
        return cls(made, dataset, files, own, set(settings), written)


def _attach(model: str | type, block: Any) -> tuple[type, frozenset[str]]:
    """The class to train, and which options of enhancers were written for it."""
    from burnish.enhancers.attach import enhance
    from burnish.enhancers.registry import make_enhancers
    from burnish.enhancers.zoo import find_backbone

    cls = find_backbone(model)
    enhancers = make_enhancers(block) if block else []
    written = {f"{one.name}.{name}" for one in enhancers for name in one.config.model_fields_set}
    return enhance(cls, *enhancers) if block else cls, frozenset(written)


def make_config(
    cls: type, dataset: str, enhancers: Any, options: Mapping[str, Any], *, files: bool = True
) -> Any:
    """The RecBole config of a model class with these enhancers and options, checked as `train` checks it.

    files: as for `config_of`.
    """
    return config_of(Request.gather(cls, dataset, enhancers, (), options, None, False), files=files)


def config_of(request: Request, *, visible: bool = False, files: bool = True) -> Any:
    """The checked RecBole config of a request.

    visible: let `--option=value` of `sys.argv` win over everything.  files: False does not look at the data's files.
    """
    from recbole.config import Config

    with command_line(visible), literal_options(), _our_yaml(), checked_options(), within_burnish():
        try:
            config = Config(
                model=request.model,
                dataset=request.dataset,
                config_file_list=request.files or None,
                config_dict=copy.deepcopy(request.options),  # Config completes nested values in place
            )
        except BurnishError:
            raise
        except (ValueError, TypeError, NotImplementedError, RuntimeError, KeyError) as error:
            if "attr 'input_type'" in str(error):
                raise no_input_type(request.model) from error
            # Config checks values with these built-in errors; its words name the option.
            cure = (
                "; where eval_args.mode is full, metrics rank items, as in metrics: [NDCG], valid_metric: NDCG@10; "
                "RMSE, MAE, AUC and LogLoss go with eval_args: {mode: labeled}"
                if "Full sort evaluation" in str(error)
                else ""
            )
            raise ConfigurationError(f"RecBole refuses the configuration: {error}{cure}") from error
    config.__dict__[WRITTEN] = request.written
    check_asked_of(config)
    warn_unknown(sorted(request.given | set(config.cmd_config_dict)), request.model)
    refuse_saved_data(config)
    check_computed("valid_metric", config["valid_metric"], config["metrics"], config["topk"])
    warn_idle(
        config, sorted(set(config.external_config_dict) & (request.given | set(config.cmd_config_dict)))
    )
    cold_limit(config)
    if files:
        check_files(config)
    return config


@contextmanager
def _our_yaml() -> Iterator[None]:
    """While this is open, RecBole's Config reads its files as `read_yaml` does, which takes an empty one, too."""
    from recbole.config import Config

    def read(_: Any, files: Sequence[str] | None) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for file in files or ():
            merged |= read_yaml(file)
        return merged

    before = Config._load_config_files
    Config._load_config_files = read
    try:
        yield
    finally:
        Config._load_config_files = before
