"""What a backbone is made of: its tables of users and items, and what else an enhancer may use."""

from .describe import Anatomy, Fields, describe, is_output, propagation
from .table import Side, Table

__all__ = ["Anatomy", "Fields", "Side", "Table", "describe", "is_output", "propagation"]
