"""Options of tuning a language model with LoRA."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from burnish.strict import Strict


class LoraOptions(Strict):
    """How a language model is tuned.  The defaults are ours: neither rank nor rates of the paper are known."""

    rank: int = Field(default=8, ge=1, description="rank of the adapters")
    lora_alpha: float = Field(default=16.0, gt=0.0, description="adapters count lora_alpha / rank")
    dropout: float = Field(default=0.05, ge=0.0, lt=1.0, description="dropout at the adapters' input")
    target_modules: tuple[str, ...] | None = Field(
        default=None,
        description="names of the linear layers that get an adapter, or 'all-linear'; null: those that peft knows "
        "for the architecture",
    )
    loss: Literal["softmax", "bpr"] = Field(
        default="softmax", description="recommendation loss: over sampled items, or over pairs of items"
    )
    positives: int = Field(default=8, ge=1, description="interactions of a user in a step, at most")
    negatives: int = Field(default=64, ge=1, description="items sampled against them, for each user")
    format_weight: float = Field(default=0.1, ge=0.0, description="factor of the format loss")
    anchor_weight: float = Field(
        default=0.0,
        ge=0.0,
        description="factor of the squared distance between tuned and untuned scores, in standard deviations",
    )
    guided_weight: float | None = Field(
        default=None,
        gt=0.0,
        description="alpha, by which normalised scores are multiplied; null: equal size with the base vectors",
    )
    learning_rate: float = Field(default=1e-4, gt=0.0, description="of AdamW")
    weight_decay: float = Field(default=0.0, ge=0.0, description="of AdamW")
    clip: float = Field(default=1.0, gt=0.0, description="largest norm of a gradient")
    epochs: int = Field(default=3, ge=0, description="passes over the users, at most")
    patience: int = Field(default=1, ge=1, description="epochs without a better held-out loss before the end")
    batch_users: int = Field(default=4, ge=1, description="users in one forward pass")
    accumulate: int = Field(default=4, ge=1, description="forward passes in one step")
    held_out: float = Field(
        default=0.1,
        ge=0.0,
        le=0.5,
        description="share of the training interactions that judge; 0: none, and the last epoch is kept",
    )
    held_out_users: int = Field(default=256, ge=1, description="users who judge, at most")
    max_tokens: int = Field(
        default=2048, ge=32, description="longest prompt and answer; old history is left out"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the frozen model; adapters are float32"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory for a third more time")
    device: str = Field(default="auto", description="auto: cuda where there is one")
    save_every: int = Field(default=50, ge=1, description="steps from one saved state to the next")
    report_every: int = Field(default=10, ge=1, description="steps from one report of progress to the next")
    seed: int = Field(default=0, ge=0, description="of adapters, order, samples and dropout")

    @field_validator("target_modules", mode="before")
    @classmethod
    def _one_name(cls, modules: Any) -> Any:
        return (modules,) if isinstance(modules, str) else modules

    def idle(self) -> dict[str, str]:
        """Options that were given and have no effect beside the others, with the reason."""
        given = [name for name in ("patience", "held_out_users") if getattr(self, name) != _default(name)]
        return dict.fromkeys(given, "with held_out: 0, as nobody judges") if self.held_out == 0 else {}


def _default(name: str) -> Any:
    return LoraOptions.model_fields[name].default
