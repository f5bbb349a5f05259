"""A language model tuned with LoRA to score users (extra `llm-local`): docs/guided-lora.md."""

from .foresight import Lessons, lessons
from .objective import BaseVectors
from .options import LoraOptions
from .scorer import LocalUserScorer
from .state import Epoch
from .tuner import Progress
from .tuning import LoraResult, tune

__all__ = [
    "BaseVectors",
    "Epoch",
    "Lessons",
    "LocalUserScorer",
    "LoraOptions",
    "LoraResult",
    "Progress",
    "lessons",
    "tune",
]
