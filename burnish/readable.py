"""Texts from data as people may see them: a title must not clear a screen, colour it, or turn the line around it."""

from __future__ import annotations

from html import escape

#: Control characters but tab and line feed, each with the picture that Unicode has for it, or else its sign for
#: what cannot be shown; this also for what changes the direction of the text behind it.
_SHOWN = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}
_SHOWN |= dict.fromkeys([*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F], 0xFFFD)
_SHOWN |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)


def readable(text: str) -> str:
    """The text with a sign in the place of each character that a terminal or a browser would obey and not show.

    Everything that is shown to people goes through this: the console of the command line, sentences, pages, pictures
    and notebooks.  Data files keep texts as they are.
    """
    return text.translate(_SHOWN)


def readable_html(text: str) -> str:
    """The same, escaped for HTML and SVG, in attributes too."""
    return escape(readable(text))
