"""The former place of `burnish.enhancers.saving.plain_checkpoint`; it goes with the next release."""

import warnings

from burnish.enhancers.saving.plain_checkpoint import *  # noqa: F403

warnings.warn(
    "burnish.enhancers.plain_checkpoint is now burnish.enhancers.saving.plain_checkpoint",
    DeprecationWarning,
    stacklevel=2,
)
