"""A causal language model on this machine that scores users: loading, adapters, the pass that reads the scores."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.errors import ConfigurationError
from burnish.files.jsons import parse_json

from ..attributes import AttributeSchema
from ..scorers.protocol import FloatArray
from .answers import make_form
from .digits import expected_scores
from .options import LoraOptions
from .prompts import Prompts, Tokens, question_fingerprint

#: Beside peft's own files in the folder of an adapter: the schema that it was tuned for.
SCHEMA_FILE = "schema.json"


class LocalModel:
    """A language model, its tokenizer, and the prompts and answers of one schema.

    network: the model, with adapters or without.  form: the answer's tokens.  prompts: encodes histories.
    """

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Any,
        schema: AttributeSchema,
        max_tokens: int,
        device: torch.device,
    ) -> None:
        form = make_form(tokenizer, schema)
        self.schema = schema
        self.prompts = Prompts(tokenizer, schema, form, max_tokens)
        self.network = network.to(device)
        self.form = form.to(device)
        self.device = device
        self._accepts = set(inspect.signature(_plain(network).forward).parameters)

    def answer_logits(self, prompts: Sequence[Tokens]) -> Tensor:
        """Logits `[B, L, V]` of the next token before each token of the answer."""
        ids, mask = self.prompts.pad(prompts, self.device)
        length = len(self.form)
        extra: dict[str, Any] = {}
        if "position_ids" in self._accepts:
            extra["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)
        if "logits_to_keep" in self._accepts:  # the prompt's logits would take V numbers a token
            extra["logits_to_keep"] = length
        logits = self.network(input_ids=ids, attention_mask=mask, use_cache=False, **extra).logits
        return logits[:, -length:]

    def encode(self, histories: Sequence[str]) -> list[Tokens]:
        """The prompts of histories, as tokens."""
        return [self.prompts.encode(history) for history in histories]

    @torch.no_grad()
    def score(self, prompts: Sequence[Tokens], batch: int) -> tuple[FloatArray, FloatArray]:
        """Expected scores and their standard deviations, `[n, m]` each, without dropout."""
        width = len(self.schema.names)
        means, spreads = np.empty((len(prompts), width)), np.empty((len(prompts), width))
        training = self.network.training
        self.network.eval()
        try:
            # prompts of like length together: less padding
            order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                mean, spread = expected_scores(self.answer_logits([prompts[row] for row in rows]), self.form)
                means[rows], spreads[rows] = mean.double().cpu().numpy(), spread.double().cpu().numpy()
        finally:
            self.network.train(training)
        return means, spreads


def require(package: str) -> Any:
    """A package of the extra `llm-local`.  Raises `ConfigurationError` with the cure where it is missing."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigurationError(
            f"tuning a language model needs the package {package!r} ({error}); pip install 'burnish[llm-local]'"
        ) from error


def _plain(network: nn.Module) -> nn.Module:
    """The model under its adapters."""
    base = getattr(network, "get_base_model", None)
    return base() if base is not None else network


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is cuda where there is one.  Raises `ConfigurationError` for a bad name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(
            f"device = {name!r} cannot be used ({error}); take 'auto', 'cpu' or 'cuda'"
        ) from error
    return device


def load_language_model(source: str | Path, precision: str = "float32") -> tuple[nn.Module, Any]:
    """A causal language model and its tokenizer: a folder, or a name that has been downloaded before.

    Reads safetensors and JSON only, runs no code of the model's repository, and asks no server.
    Raises `ConfigurationError` where there is no such model here.
    """
    transformers = require("transformers")
    numbers = torch.bfloat16 if precision == "bfloat16" else torch.float32
    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    kind = {"dtype" if version >= (4, 56) else "torch_dtype": numbers}
    only = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(source), **only)
        network = transformers.AutoModelForCausalLM.from_pretrained(
            str(source), use_safetensors=True, **only, **kind
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"model = {str(source)!r}: no causal language model that can be read here ({_first_line(error)}). Give a "
            f"folder with config.json, the tokenizer's files and *.safetensors, or the name of a model that has been "
            f"downloaded (hf download NAME)"
        ) from error
    network.requires_grad_(False)
    return network, tokenizer


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def add_adapters(network: nn.Module, options: LoraOptions) -> nn.Module:
    """The model with LoRA adapters, which do nothing yet; they alone are trainable.

    Raises `ConfigurationError` where target modules are not in the model, or peft knows none for its architecture.
    """
    peft = require("peft")
    modules: Any = options.target_modules
    if modules == ("all-linear",):
        modules = "all-linear"
    elif modules is not None:
        modules = list(modules)
    settings = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.dropout,
        target_modules=modules,
        task_type="CAUSAL_LM",
    )
    try:
        return peft.get_peft_model(network, settings)
    except ValueError as error:
        raise ConfigurationError(
            f"target_modules = {modules!r} cannot be tuned here ({_first_line(error)}). This model's linear layers "
            f"are named {', '.join(_linear_names(network))}; or take 'all-linear'"
        ) from error


def recompute_activations(network: nn.Module) -> None:
    """Keep layers' inputs only, and compute the rest again for the gradient."""
    # transformers 5 has a new name for it, and warns of the old one
    newer = getattr(network, "activation_checkpointing_enable", None)
    enable: Any = newer or network.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _linear_names(network: nn.Module) -> list[str]:
    """Last parts of the names of linear layers, without the output layer."""
    linear = [
        n for n, m in network.named_modules() if isinstance(m, nn.Linear) or type(m).__name__ == "Conv1D"
    ]
    return sorted({name.rsplit(".", 1)[-1] for name in linear} - {"lm_head"})


def save_adapter(network: nn.Module, folder: Path, schema: AttributeSchema, split: str | None = None) -> None:
    """Write adapters as peft does (safetensors, JSON), and beside them the schema, and the split that tuned them.

    The folder must not exist.
    """
    network.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)  # type: ignore[operator]
    content = {
        "question": question_fingerprint(schema),
        "schema": schema.model_dump(mode="json"),
        "split": split,
    }
    (folder / SCHEMA_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def load_adapter(network: nn.Module, folder: Path, schema: AttributeSchema) -> nn.Module:
    """The model with saved adapters, not trainable.

    Raises `ConfigurationError` where the folder holds none, they do not fit, or were tuned for another schema.
    """
    peft = require("peft")
    note = folder / SCHEMA_FILE
    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise ConfigurationError(
            f"adapter = {str(folder)!r} has no adapter_config.json and adapter_model.safetensors; give the folder "
            f"`adapter` that tuning wrote"
        )
    if note.is_file():
        tuned = _note(note)
        if tuned.get("question") != question_fingerprint(schema):
            told = tuned.get("schema")
            names = told.get("attributes") if isinstance(told, dict) else None
            raise ConfigurationError(
                f"adapter = {str(folder)!r} was tuned for another schema (attributes "
                f"{', '.join(map(str, names or ['unknown']))}); give that schema, or tune again"
            )
    try:
        return peft.PeftModel.from_pretrained(network, str(folder), is_trainable=False)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise ConfigurationError(
            f"adapter = {str(folder)!r} does not fit this model ({_first_line(error)}); give the model that it was "
            f"tuned on"
        ) from error


def adapter_split(folder: Path) -> str | None:
    """The fingerprint of the split that adapters were tuned on; None where it is not known."""
    note = folder / SCHEMA_FILE
    found = _note(note).get("split") if note.is_file() else None
    return found if isinstance(found, str) else None


def _note(path: Path) -> dict[str, Any]:
    """What stands beside adapters.  Raises `ConfigurationError` where it cannot be read."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read ({_first_line(error)}); tune again") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} holds no object of JSON; tune again")
    return content
