"""Sequential backbones trained on whole histories: every prefix of a history is a target, one pass encodes them all.

RecBole makes each prefix of a history a row, and encodes each from its beginning.  With `sequence_training: whole`
(or `auto`) in any config, rows of one history come in one batch, and a backbone whose state at a position depends
on nothing that comes later encodes them once.  The batch, the loss, the negatives and the weights stay row by row
what they were.  docs/sequences.md says which backbones that is, and what changes; `burnish.plugin` puts it into
RecBole.
"""

from __future__ import annotations

from .options import EXACT, MODES

__all__ = ["EXACT", "MODES"]
