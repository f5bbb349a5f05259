"""The state of a tuning in one safetensors file: it is there whole or not at all, and an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from burnish.errors import ConfigurationError
from burnish.files.jsons import parse_json
from burnish.files.whole import save_tensors, written_whole

STATE_FILE = "state.safetensors"


@dataclass(frozen=True)
class TuningEpoch:
    """What one epoch was like.

    number: 0 is the model as it came.  recommendation, form: mean losses in training (NaN in epoch 0).
    held_out, auc: the recommendation loss and the share of well-ordered pairs on held-out training interactions, NaN
    where none were held out.
    """

    number: int
    recommendation: float
    form: float
    held_out: float
    auc: float


@dataclass
class Position:
    """How far a tuning has come: `step` steps of epoch `epoch` are done (epochs count from 1)."""

    epoch: int = 1
    step: int = 0
    best: int = 0
    curve: list[TuningEpoch] = field(default_factory=list)

    def to_json(self) -> str:
        """As text; NaN as JSON writers of Python write it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Position:
        """From `to_json`."""
        content = parse_json(text)
        return cls(
            content["epoch"], content["step"], content["best"], [TuningEpoch(**e) for e in content["curve"]]
        )


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters that learn."""
    return {name: parameter.detach().clone() for name, parameter in trainable(network).items()}


def restore(network: nn.Module, values: dict[str, Tensor]) -> None:
    """Put a snapshot back."""
    with torch.no_grad():
        for name, parameter in trainable(network).items():
            parameter.copy_(values[name])


def write_state(
    folder: Path,
    fingerprint: str,
    position: Position,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    sums: Tensor,
) -> None:
    """Write everything that going on needs; the earlier state is replaced at the end, in one move."""
    tensors = {"sums": sums}
    for name, parameter in trainable(network).items():
        tensors[f"now/{name}"] = parameter.detach()
        tensors[f"best/{name}"] = best[name]
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = value
    tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    with written_whole(folder / STATE_FILE) as beside:
        save_tensors(beside, tensors, {"fingerprint": fingerprint, "position": position.to_json()})


def read_state(
    folder: Path, fingerprint: str, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Position, dict[str, Tensor], Tensor] | None:
    """Put a saved state into model and optimizer; position, best adapters and sums.  None where there is none.

    Raises `ConfigurationError` where the state belongs to another tuning or cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); remove it to start anew") from error
    if notes.get("fingerprint") != fingerprint:
        raise ConfigurationError(
            f"folder = {str(folder)!r} holds the state of another tuning (other model, schema, scores, histories, "
            f"interactions or options); give another folder, or remove {STATE_FILE} to start anew"
        )
    learning = trainable(network)
    restore(network, {name: tensors[f"now/{name}"] for name in learning})
    best = {name: tensors[f"best/{name}"].to(parameter.device) for name, parameter in learning.items()}
    for name, parameter in learning.items():
        for key in tensors:
            if key.startswith("optimizer/") and key.endswith(f"/{name}"):
                what = key.split("/")[1]
                # AdamW counts its steps on the host
                value = tensors[key]
                optimizer.state[parameter][what] = value if what == "step" else value.to(parameter.device)
    return Position.from_json(notes["position"]), best, tensors["sums"]


def fingerprint_of(parts: Iterable[Any]) -> str:
    """A hash of texts, numbers and arrays, in order."""
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else json.dumps(part, ensure_ascii=False).encode()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


def model_fingerprint(network: nn.Module) -> bytes:
    """Tells models apart by a few numbers of each parameter; reading all of a large one would take minutes."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(parameter.detach().flatten()[:64].float().cpu().numpy().tobytes())
    return digest.digest()
