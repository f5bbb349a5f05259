"""`burnish.card`: what a finished run is, in words that its users understand, from the files that it left.

`read` finds the facts, `words` says what is optimised and what decides a recommendation, `slices` where the run is
weak, and `card` puts the sections together and writes them as Markdown, HTML or JSON.
"""

from .card import ModelCard, Section, card

__all__ = ["ModelCard", "Section", "card"]
