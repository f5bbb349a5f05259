"""The packages of the extra `llm-local`, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from burnish.errors import ConfigurationError


def require(package: str) -> Any:
    """The imported package.  Raises `ConfigurationError` with the cure where it is missing."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigurationError(
            f"tuning a language model needs the package {package!r} ({error}); pip install 'burnish[llm-local]'"
        ) from error
