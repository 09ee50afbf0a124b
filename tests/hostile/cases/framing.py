"""Length prefixes."""

from __future__ import annotations

from peerwire import Limits, MessageTooBig

from ..case import Case, Ended, Scene
from ..torrent import greeting, said

__all__ = ["CASES"]


def too_big(name: str, *script: bytes, scene: Scene = Scene(), says: str) -> Case:  # noqa: B008
    return Case(
        id=f"framing/{name}",
        script=(said(greeting()), *script),
        expect=Ended(MessageTooBig, "Limits.max_message", says),
        scene=scene,
    )


TINY = Scene(limits=Limits(max_message=20_000))

CASES = (
    too_big("length-prefix-4GiB", b"\xff\xff\xff\xff", says="4294967295"),
    too_big("length-prefix-2GiB", b"\x80\x00\x00\x00", says="2147483648"),
    too_big("one-over", (1024 * 1024 + 1).to_bytes(4), says="1048577 bytes is announced"),
    too_big("with-its-payload", (1 << 21).to_bytes(4) + bytes(1 << 21), says="2097152"),
    too_big("in-two-parts", b"\xff\xff", b"\xff\xff", says="4294967295"),
    too_big("own-limit", (20_001).to_bytes(4), scene=TINY, says="20000 is the most"),
)
