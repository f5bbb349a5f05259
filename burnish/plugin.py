"""RecBole's side of the attachment: an `enhancers:` block in any config, and epochs announced to enhancers.

Registered by `import burnish` and applied when RecBole is imported.  After that, RecBole's own `run_recbole`,
`load_data_and_model` and trainers work with enhanced models; nothing changes for plain ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .compat import after_import


def install() -> None:
    """Register the four changes below; each is made once, when its module is loaded."""
    after_import("recbole.config.configurator", accept_enhancers_block)
    after_import("recbole.quick_start.quick_start", build_configured_class)
    after_import("recbole.trainer.trainer", announce_epochs)
    after_import("recbole.trainer.trainer", optimise_enhancers)


def accept_enhancers_block(module: ModuleType) -> None:
    """Let `Config` read `enhancers:` from a file, a dictionary or the command line, and put it on the model class.

    The class is then `config.model_class`, and `config["enhancers"]` holds the options that were used.
    """
    config_class = module.Config
    find, initialise = config_class._get_model_and_dataset, config_class.__init__

    @functools.wraps(find)
    def _get_model_and_dataset(self: Any, model: Any, dataset: Any) -> Any:
        from burnish.enhancers.attach import enhance
        from burnish.enhancers.registry import make_enhancers
        from burnish.enhancers.zoo import find_backbone

        if model is None:
            model = self.external_config_dict.get("model")
        if isinstance(model, str):
            model = find_backbone(model)  # names the nearest model where RecBole only says no
        name, cls, dataset = find(self, model, dataset)
        block = self.external_config_dict.get("enhancers")
        return name, enhance(cls, *make_enhancers(block)) if block else cls, dataset

    @functools.wraps(initialise)
    def initialise_and_record(self: Any, *args: Any, **kwargs: Any) -> None:
        from burnish.enhancers.attach import enhancer_options

        initialise(self, *args, **kwargs)
        options = enhancer_options(self.model_class)
        if options:
            self.final_config_dict["enhancers"] = options

    config_class._get_model_and_dataset = _get_model_and_dataset
    config_class.__init__ = initialise_and_record


def build_configured_class(module: ModuleType) -> None:
    """Let quick start build the class that the config holds, where it would look the plain one up by name."""

    def get_model(name: str) -> Callable[[Any, Any], Any]:
        def build(config: Any, dataset: Any) -> Any:
            return config.model_class(config, dataset)

        return build

    module.get_model = get_model  # type: ignore[attr-defined]


def announce_epochs(module: ModuleType) -> None:
    """Let every trainer tell an enhanced model which epoch begins, through `begin_epoch`."""
    for trainer in vars(module).values():
        if isinstance(trainer, type) and "_train_epoch" in vars(trainer):
            trainer._train_epoch = _announcing(trainer._train_epoch)  # type: ignore[attr-defined]


def optimise_enhancers(module: ModuleType) -> None:
    """Let optimizers that a trainer makes from parts of its model have the enhancers' parameters too.

    RecVAE's trainer makes one from the encoder's and one from the decoder's parameters.
    """
    for trainer in list(vars(module).values()):
        if (
            isinstance(trainer, type)
            and trainer.__module__ == module.__name__
            and "__init__" in vars(trainer)
        ):
            trainer.__init__ = _completing(trainer.__init__)  # type: ignore[misc]


def _completing(initialise: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(initialise)
    def initialise_completely(self: Any, config: Any, model: Any, *args: Any, **kwargs: Any) -> None:
        from torch.optim import Optimizer

        initialise(self, config, model, *args, **kwargs)
        host = getattr(model, "enhancers", None)
        if not hasattr(model, "begin_epoch") or host is None:
            return
        for optimizer in [value for value in vars(self).values() if isinstance(value, Optimizer)]:
            known = {id(p) for group in optimizer.param_groups for p in group["params"]}
            missing = [p for p in host.parameters() if id(p) not in known]
            if missing:
                optimizer.add_param_group({"params": missing})

    return initialise_completely


def _announcing(train_epoch: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(train_epoch)
    def _train_epoch(self: Any, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        begin = getattr(self.model, "begin_epoch", None)
        # Trainers call their parent's _train_epoch, some of them twice: one epoch is announced once.
        if begin is not None and self.__dict__.get("_burnish_epoch") != epoch_idx:
            self.__dict__["_burnish_epoch"] = epoch_idx
            begin(epoch_idx)
        host = getattr(self.model, "enhancers", None)
        if begin is None or host is None:
            return train_epoch(self, train_data, epoch_idx, *args, **kwargs)
        from burnish.enhancers.weights.loss import NoPlaceForWeightsError

        host.state.optimizer = getattr(self, "optimizer", None)
        try:
            try:
                with host.training_epoch(train_data, epoch_idx):
                    return train_epoch(self, train_data, epoch_idx, *args, **kwargs)
            except NoPlaceForWeightsError as error:
                if not host.falls_back(error):
                    raise
            with host.training_epoch(train_data, epoch_idx):
                return train_epoch(self, train_data, epoch_idx, *args, **kwargs)
        finally:
            host.state.optimizer = None

    return _train_epoch
