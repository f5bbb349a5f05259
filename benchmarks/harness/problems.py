"""Errors that are gathered and told together, so that a plan is mended once and not once for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from burnish.errors import BurnishError, ConfigurationError


@dataclass
class Problems:
    """Errors, each once, with the places where they were met."""

    places: dict[str, list[str]] = field(default_factory=dict)
    errors: list[BurnishError] = field(default_factory=list)

    @contextmanager
    def noted(self, place: str = "") -> Iterator[None]:
        """Note an error of burnish's within, and go on after it.  place: where, in words; empty where errors say so."""
        try:
            yield
        except BurnishError as error:
            self.note(error, place)

    def note(self, error: BurnishError, place: str = "") -> None:
        """Note an error, and what it has beside it (`others`)."""
        for one in (error, *error.others):
            if str(one) not in self.places:
                self.errors.append(one)
            self.places.setdefault(str(one), []).append(place)

    def raise_if_any(self, origin: str = "") -> None:
        """Raise what was noted: a single error with its own class, several as one `ConfigurationError`.

        origin: what is wrong, such as a file, before the words.
        """
        if not self.errors:
            return
        before = f"{origin}: " if origin else ""
        if len(self.errors) == 1:
            error = self.errors[0]
            text = before + self._told(error)
            if text == str(error):
                raise error
            raise type(error)(text) from error
        lines = "\n".join(f"- {self._told(error)}" for error in self.errors)
        raise ConfigurationError(
            f"{before}{len(self.errors)} things are wrong, and nothing was trained:\n{lines}"
        )

    def _told(self, error: BurnishError) -> str:
        places = [place for place in dict.fromkeys(self.places[str(error)]) if place]
        where = ", ".join(places[:4]) + (f" and {len(places) - 4} more" if len(places) > 4 else "")
        return f"{where}: {error}" if where else str(error)
