"""What drawings in SVG share: the frame, lines, texts, scales and round ticks; written without any library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from burnish.errors import ConfigurationError
from burnish.readable import readable_html

from .whole import write_text

DARK, LIGHT, GREY = "#1f2328", "#e5e7eb", "#6b7280"


def svg_path(path: Path | str, instead: str = "") -> Path:
    """The path; `ConfigurationError` for another suffix than .svg.

    instead: what else could be done, for the end of the message.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise ConfigurationError(
            f"plot: {str(path)!r}: the picture is an SVG; give a file name that ends in .svg{instead}"
        )
    return path


def svg_text(parts: Sequence[str], *, width: float, height: float, title: str, font_size: int) -> str:
    """A drawing on white, as the text of a file."""
    style = f"font-family='system-ui, DejaVu Sans, sans-serif' font-size='{font_size}' fill='{DARK}'"
    body = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' "
        f"width='{width}' height='{height}'>\n<title>{readable_html(title)}</title>\n"
        f"<rect width='{width}' height='{height}' fill='#ffffff'/>\n<g {style}>\n{body}\n</g>\n</svg>\n"
    )


def write_svg(
    path: Path, parts: Sequence[str], *, width: int, height: int, title: str, font_size: int
) -> Path:
    """Write a drawing on white, whole or not at all.  Returns the path."""
    write_text(path, svg_text(parts, width=width, height=height, title=title, font_size=font_size))
    return path


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Where values stand in the drawing: `low` at `start`, `high` at `end`, to a tenth of a unit."""
    room = (high - low) or 1.0
    return lambda value: round(start + (end - start) * (value - low) / room, 1)


def with_margin(low: float, high: float) -> tuple[float, float]:
    """The range with 8% more at either end, or a little where it is a point."""
    margin = 0.08 * (high - low) or 0.01
    return low - margin, high + margin


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about so many, zero among them when it lies between."""
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def line(x: tuple[float, float], y: tuple[float, float], stroke: str, more: str = "") -> str:
    """A straight line over `x` and `y`; more: further attributes."""
    return f"<line x1='{x[0]}' x2='{x[1]}' y1='{y[0]}' y2='{y[1]}' stroke='{stroke}'{more}/>"


def label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    """A small text, such as the number at a tick."""
    return f"<text x='{x}' y='{y}' text-anchor='{anchor}' font-size='11'>{text}</text>"


def heading(x: float, y: float, text: str, font_size: int, room: float = math.inf) -> str:
    """The bold text over a panel.  room: how wide it may be."""
    shown = fitted(text, room / _BOLD, font_size)
    return f"<text x='{x}' y='{y}' font-size='{font_size}' font-weight='600'>{shown}</text>"


#: Letters of about one width in DejaVu Sans, the widest font of a drawing, in parts of the font size; others are
#: of `_MIDDLE`, those beyond ASCII of 1.
_WIDTHS = {
    **dict.fromkeys(" !'(),-./:;I[J\\]fijlrt|", 0.41),
    **dict.fromkeys("#&+<=>ABCDGHKNOQRUVXZ^w~", 0.86),
    **dict.fromkeys("%@MWm", 1.0),
}
_MIDDLE, _BOLD = 0.64, 1.12


def text_width(text: str, font_size: float) -> float:
    """How wide a text is at most, as far as its letters tell."""
    return font_size * sum(_WIDTHS.get(letter, _MIDDLE if letter.isascii() else 1.0) for letter in text)


def fitted(text: str, room: float, font_size: float) -> str:
    """What stands in a text element: where the text is wider than `room`, both ends of it and the whole as a title."""
    if text_width(text, font_size) <= room:
        return readable_html(text)
    for kept in range(len(text) - 1, -1, -1):
        first = (kept + 1) // 2
        short = f"{text[:first]}…{text[len(text) - (kept - first) :]}"
        if text_width(short, font_size) <= room:
            break
    return f"<title>{readable_html(text)}</title>{readable_html(short)}"


def folded(text: str, room: float, font_size: float) -> list[str]:
    """A text as lines that are no wider than `room`, broken between words."""
    found: list[str] = []
    for word in text.split():
        longer = f"{found[-1]} {word}" if found else word
        if found and text_width(longer, font_size) <= room:
            found[-1] = longer
        else:
            found.append(word)
    return found
