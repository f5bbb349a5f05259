"""Explanations as one self-contained HTML page."""

from .page import to_page

__all__ = ["to_page"]
