"""The key of an endpoint: read from the environment, and kept out of whatever is written or shown."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from burnish.errors import ConfigurationError

_PLACEHOLDER = "none"  # what local servers get, which ask for no key; the client insists on one
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Secret:
    """The key in an environment variable; its representation does not show it.

    Raises `ConfigurationError` where it is unset and `optional` is false, or cannot be sent in a header.
    """

    def __init__(self, variable: str, *, optional: bool) -> None:
        self.variable = variable
        value = os.environ.get(variable, "").strip()
        self.is_set = bool(value)
        if not value and not optional:
            raise ConfigurationError(
                f"api_key_env = {variable!r}: this environment variable is not set; put the endpoint's key into it "
                f"(export {variable}=...), name another one, or give base_url for a local endpoint that needs no key"
            )
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ConfigurationError(
                f"api_key_env = {variable!r}: the value of this environment variable is not a key (it holds blanks or "
                f"characters that are not ASCII); set it again"
            )
        self._value = value or _PLACEHOLDER

    def reveal(self) -> str:
        """The key itself, for the client only."""
        return self._value

    def scrub(self, text: str) -> str:
        """`text` without the key, and without words that begin as it does (endpoints like to quote half a key)."""
        if not self.is_set or len(self._value) < 4:
            return text
        text = text.replace(self._value, "***")
        if len(self._value) > 12:
            text = re.sub(re.escape(self._value[:8]) + r"[^\s\"'\\,}]*", "***", text)
        return text

    def shown(self, text: str, most: int = 300) -> str:
        """`text` for an error message: scrubbed, on one line, cut."""
        text = _CONTROL.sub(" ", self.scrub(text)).strip()
        return text if len(text) <= most else text[: most - 3] + "..."

    def __repr__(self) -> str:
        return f"Secret({self.variable!r})"


def shown_address(base_url: str | None) -> str:
    """The endpoint's address for ledgers and messages: without user, password and query."""
    if base_url is None:
        return "https://api.openai.com/v1"
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
