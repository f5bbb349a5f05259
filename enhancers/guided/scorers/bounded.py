"""Responses of bounded size, decompressed too: what an endpoint sends cannot fill the memory.

The client reads a whole body before anybody can look at it, and decompresses 64 KiB to 64 MiB at a time.  So a hook
of the client under it reads the body first, piece by piece, and hands on what is there in plain bytes.
"""

from __future__ import annotations

import sys
import zlib
from typing import Any

#: Bytes of an answer, decompressed: twenty times what a hundred items and much prose around them take.
MOST_BYTES = 4 * 2**20
#: Bytes of a refusal: its first words are enough, so it is cut there.
MOST_OF_A_REFUSAL = 64 * 2**10
#: What is asked for; anything else is not understood.
ENCODINGS = "gzip, deflate"


class UnusableBodyError(Exception):
    """A body that is too large, or cannot be decompressed; the message says which."""


async def read_bounded(response: Any) -> None:
    """Put the plain bytes of a response in the place of its stream; a hook for httpx's clients.

    Raises `UnusableBodyError` for an answer of more than `MOST_BYTES`; a refusal or a redirection is cut instead.
    """
    is_answer = 200 <= response.status_code < 300
    most = MOST_BYTES if is_answer else MOST_OF_A_REFUSAL
    stream, raw = response.stream, bytearray()
    try:
        async for chunk in stream:
            raw += chunk
            if len(raw) > most:
                break
    finally:
        await stream.aclose()
    content = bytes(raw)
    try:
        # the last encoding named is the outermost
        for name in reversed(response.headers.get("content-encoding", "").split(",")):
            content = _decoded(content[:most] if not is_answer else content, name.strip().lower(), most)
        if len(content) > most:
            raise UnusableBodyError(f"the response has more than {most:,} bytes")
    except UnusableBodyError:
        if is_answer:
            raise
        content = content[:most] if "content-encoding" not in response.headers else b""
    http = sys.modules[type(response).__module__.partition(".")[0]]  # httpx, or its successor
    response.stream = http.ByteStream(content[:most])
    response.headers.pop("content-encoding", None)
    # JSON is UTF-8, whatever the header says
    response.headers["content-type"] = "application/json; charset=utf-8"


def _decoded(content: bytes, encoding: str, most: int) -> bytes:
    """At most `most + 1` bytes of what `content` holds.  Raises `UnusableBodyError` for what is not so encoded."""
    if encoding in ("", "identity"):
        return content
    if len(content) > most:
        raise UnusableBodyError(f"the response has more than {most:,} bytes")
    ways: tuple[int, ...]
    if encoding in ("gzip", "x-gzip"):
        ways = (31,)
    elif encoding == "deflate":
        ways = (15, -15)  # with zlib's frame, as the standard says, or without
    else:
        raise UnusableBodyError(f"the response is encoded by {encoding[:40]!r}; {ENCODINGS} were asked for")
    reason = ""
    for bits in ways:
        decoder, plain = zlib.decompressobj(bits), b""
        try:
            while content and len(plain) <= most:
                plain += decoder.decompress(content, most + 1 - len(plain))
                if not decoder.eof or not decoder.unused_data:
                    break
                content, decoder = decoder.unused_data, zlib.decompressobj(bits)  # another member follows
        except zlib.error as error:
            reason = str(error)
            continue
        if len(plain) <= most and not decoder.eof:
            reason = "it ends too early"
            continue
        return plain
    raise UnusableBodyError(f"the response is not what its encoding {encoding!r} says: {reason}")
