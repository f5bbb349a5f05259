"""The former place of `burnish.enhancers.weights.loss`; it goes with the next release."""

import warnings

from burnish.enhancers.weights.loss import *  # noqa: F403

warnings.warn(
    "burnish.enhancers.weighting is now burnish.enhancers.weights.loss", DeprecationWarning, stacklevel=2
)
