"""A language model tuned with LoRA to score users (extra `llm-local`): docs/guided-lora.md."""

from .foresight import Lessons, lessons
from .options import LoraOptions
from .recommendation_loss import BaseVectors
from .scorer import LocalUserScorer
from .state import TuningEpoch
from .tuner import Progress
from .tuning import LoraResult, tune

__all__ = [
    "BaseVectors",
    "Lessons",
    "LocalUserScorer",
    "LoraOptions",
    "LoraResult",
    "Progress",
    "TuningEpoch",
    "lessons",
    "tune",
]
