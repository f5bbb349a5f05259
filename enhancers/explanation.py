"""The former place of `burnish.explanation`; it goes with the next release."""

import warnings

from burnish.explanation import *  # noqa: F403

warnings.warn("burnish.enhancers.explanation is now burnish.explanation", DeprecationWarning, stacklevel=2)
