"""Pages as one HTML file that needs nothing else: no network, no other files, and no script to be read."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from burnish.readable import readable

_BASE = Path(__file__).parent / "templates" / "base.css"


def render(
    folder: Path,
    *,
    more_style: str = "",
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **content: Any,
) -> str:
    """The text of a page from `page.html`, `page.css` and, where there is one, `page.js` in a folder.

    What all pages share (colours, also on a dark screen, sizes, phone and paper) comes before `page.css`, and
    `more_style` after it.  All texts are escaped, and `readable`.  The template gets `style`, `script` and `policy`, a
    Content-Security-Policy that allows these two by their digests and nothing else, beside `content`.
    """
    import jinja2
    from markupsafe import Markup

    style = _BASE.read_text(encoding="utf-8") + (folder / "page.css").read_text(encoding="utf-8") + more_style
    file = folder / "page.js"
    script = file.read_text(encoding="utf-8") if file.is_file() else ""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_readable,
    )
    environment.filters |= dict(filters or {})
    # Both are files of burnish, and no text of anybody's.
    texts = {"style": Markup(style), "script": Markup(script), "policy": policy(style, script)}
    return environment.get_template("page.html").render(**texts, **content)


def _readable(value: Any) -> Any:
    """What the template shows; what is HTML already is ours."""
    return readable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def policy(style: str, script: str) -> str:
    """Nothing from elsewhere; the style and the script that are inside, by their digests."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    scripts = f"script-src 'sha256-{digests[1]}'; " if script else ""
    return f"default-src 'none'; style-src 'sha256-{digests[0]}'; {scripts}base-uri 'none'"


def minus(text: str) -> str:
    """Figures with the sign of minus, which is as wide as plus."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)
