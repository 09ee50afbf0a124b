"""An extension of your own: two peers on this machine chat, beside whatever else they would do."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass

import peerwire


@dataclass
class Said:
    """What iterating over a peer yields for a line of chat."""

    who: str
    text: str


class Chat(peerwire.Extension):
    """Carries lines of text. BEP 10 wants names with a prefix of their maker's; ours is xx."""

    name = "xx_chat"

    def __init__(self, nick: str) -> None:
        super().__init__()
        self.nick = nick

    def handshake(self) -> dict[str, bytes]:
        return {"xx_nick": self.nick.encode()}

    def receive(self, payload: bytes) -> Said:
        if len(payload) > 1000:
            raise ValueError(f"a line of {len(payload)} bytes, 1000 is the most")
        told = self.peer_handshake
        nick = None if told is None else told.unknown.get(b"xx_nick")
        return Said(nick.decode() if isinstance(nick, bytes) else "somebody", payload.decode())

    def say(self, text: str) -> None:
        self.send(text.encode())


async def answer(peer: peerwire.Peer) -> None:
    """Says something to everything: what `serve` calls for each peer that comes."""
    async for message in peer:
        if isinstance(message, Said):
            print(f"{message.who}: {message.text}")
            peer.extension(Chat).say(f"hello, {message.who}")


async def main() -> None:
    info_hash = bytes(20)  # peers meet about a torrent; these two have no use for one
    alice, bob = functools.partial(Chat, "Alice"), functools.partial(Chat, "Bob")
    async with (
        peerwire.serve(answer, "127.0.0.1", 0, extensions=[alice]) as server,
        peerwire.connect("127.0.0.1", server.port, info_hash, extensions=[bob]) as peer,
    ):
        chat = peer.extension(Chat)
        await peer.wait_until(lambda: chat.supported, timeout=10)  # it has to say so first
        chat.say("is anybody there?")
        async for message in peer:
            if isinstance(message, Said):
                print(f"{message.who}: {message.text}")
                break


if __name__ == "__main__":
    asyncio.run(main())
