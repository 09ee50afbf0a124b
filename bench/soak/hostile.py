"""Hostile peers: raw sockets, and for each kind of them what a server has to make of it."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import peerwire
from peerwire import Extended, Handshake, HashRequest, Reserved
from peerwire.handshake import HANDSHAKE_LENGTH, PROTOCOL
from peerwire.mse import GENERATOR, PRIME, skey_hash
from peerwire.rc4 import rc4

from .plan import HOST, Plan
from .server import SERVER_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .tally import Tally
    from .torrent import Torrent

__all__ = ["ATTACKS", "attack_all"]

#: Seconds beyond its own that a server may take to end a connection: the machine may be busy.
PATIENCE = 15.0

#: Messages of a flood.
FLOOD = 1000

#: The server's ids of extensions, as `server.extensions` lists them.
UT_PEX, UT_METADATA, LT_DONTHAVE = 1, 2, 3

BOTH = Reserved.FAST | Reserved.EXTENSION


class Raw:
    """A socket, and somebody at it who knows how messages are written, and no manners.

    Args:
        sock: Connected, and not blocking.
        torrent: What it speaks of.
        rng: Decides.
        wait: Seconds of silence that the server puts up with.
    """

    def __init__(
        self, sock: socket.socket, torrent: Torrent, rng: random.Random, wait: float
    ) -> None:
        self.sock = sock
        self.torrent = torrent
        self.rng = rng
        self.wait = wait
        self._loop = asyncio.get_running_loop()

    async def say(self, *what: bytes | peerwire.Message | Handshake) -> None:
        """Sends all of it."""
        data = b"".join(each if isinstance(each, bytes) else each.encode() for each in what)
        await self._loop.sock_sendall(self.sock, data)

    async def hear(self, count: int) -> bytes:
        """Returns the next bytes, so many.

        Raises:
            ConnectionResetError: The connection ended before.
        """
        data = b""
        while len(data) < count:
            more = await self._loop.sock_recv(self.sock, count - len(data))
            if not more:
                raise ConnectionResetError("ended")
            data += more
        return data

    async def greet(
        self,
        reserved: Reserved = BOTH,
        info_hash: bytes | None = None,
        peer_id: bytes | None = None,
    ) -> None:
        """Sends a handshake."""
        info_hash = self.torrent.info_hash if info_hash is None else info_hash
        peer_id = b"-HO0000-" + self.rng.randbytes(12) if peer_id is None else peer_id
        await self.say(Handshake(info_hash, peer_id, reserved))

    async def meet(self, reserved: Reserved = BOTH) -> None:
        """Does what every peer does first, and is nobody to be afraid of for a while."""
        await self.greet(reserved)
        await self.hear(HANDSHAKE_LENGTH)
        for _ in range(self.rng.randrange(5)):
            await self.say(peerwire.KeepAlive())
            await self.listen(self.rng.uniform(0, self.wait / 5))

    async def listen(self, seconds: float) -> bool:
        """Takes what comes for so long; returns whether the connection has ended."""
        try:
            async with asyncio.timeout(seconds):
                while await self._loop.sock_recv(self.sock, 65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    async def never_read(self) -> None:
        """Lets what comes lie until the connection has ended, and is not silent meanwhile.

        Raises:
            ConnectionError: It has.
        """
        for _ in range(int(PATIENCE)):
            await self.say(peerwire.KeepAlive())
            await asyncio.sleep(self.wait / 5)

    async def leave(self) -> None:
        """Ends the connection in good order."""
        self.sock.shutdown(socket.SHUT_WR)
        await self.listen(PATIENCE)

    def reset(self) -> None:
        """Ends the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Doing: TypeAlias = "Callable[[Raw], Awaitable[None]]"


class Attack(NamedTuple):
    """A kind of hostile peer.

    Attributes:
        name: What it does.
        do: Does it, from the first byte on.
        ends: How its connections end at the server, see `watch.how_it_ended`: the beginnings that
            are right.
        leaves: Whether it ends the connection itself.
    """

    name: str
    do: Doing
    ends: tuple[str, ...]
    leaves: bool = False


ATTACKS: list[Attack] = []


def attack(name: str, *ends: str, leaves: bool = False) -> Callable[[Doing], Doing]:
    """Lists a kind of hostile peer."""

    def listed(do: Doing) -> Doing:
        ATTACKS.append(Attack(name, do, ends, leaves))
        return do

    return listed


def says(
    name: str,
    *ends: str,
    what: Callable[[random.Random], bytes],
    reserved: Reserved = BOTH,
) -> None:
    """Lists one that says something it should not, after a handshake and a while."""

    @attack(name, *ends)
    async def say(raw: Raw) -> None:
        await raw.meet(reserved)
        await raw.say(what(raw.rng))


# Before there is a handshake


@attack("says nothing", "PeerTimeout: Limits.handshake_timeout")
async def _silent(_raw: Raw) -> None:
    pass


@attack("trickles its handshake", "PeerTimeout: Limits.handshake_timeout")
async def _trickle_handshake(raw: Raw) -> None:
    for byte in PROTOCOL + bytes(8):
        await raw.say(bytes((byte,)))
        if await raw.listen(raw.wait / 10):
            return


@attack("trickles an encrypted handshake", "PeerTimeout: Limits.handshake_timeout")
async def _trickle_mse(raw: Raw) -> None:
    for _ in range(30):
        await raw.say(b"\xaa")
        if await raw.listen(raw.wait / 10):
            return


@attack("garbage", "EncryptionError: MSE")
async def _garbage(raw: Raw) -> None:
    await raw.say(b"\xff" + raw.rng.randbytes(raw.rng.randint(628, 5000)))


@attack("names another torrent", "InfoHashMismatch: ")
async def _other_torrent(raw: Raw) -> None:
    await raw.greet(info_hash=raw.rng.randbytes(20))


@attack("has the server's own peer id", "InvalidHandshake: BEP 3, peer protocol: peer id")
async def _ourselves(raw: Raw) -> None:
    await raw.greet(peer_id=SERVER_ID)


@attack("leaves in its handshake", "closed by peer", leaves=True)
async def _leave_early(raw: Raw) -> None:
    await raw.say(PROTOCOL[: raw.rng.randint(1, 19)])
    await raw.listen(raw.rng.uniform(0, raw.wait / 4))
    await raw.leave()


@attack("sends a key that makes every secret known", "EncryptionError: MSE")
async def _weak_key(raw: Raw) -> None:
    key = raw.rng.choice((0, 1, PRIME - 1, PRIME, 2**768 - 1))
    await raw.say(key.to_bytes(96), raw.rng.randbytes(raw.rng.randrange(513)))


def encrypted(
    name: str,
    *,
    verification: bytes = bytes(8),
    provide: int = 3,
    pad: int = 0,
    payload: int = 0,
    served: bool = True,
) -> None:
    """Lists one that does the key exchange well, and gets one thing wrong after it."""

    @attack(name, "EncryptionError: MSE")
    async def exchange(raw: Raw) -> None:
        private = raw.rng.getrandbits(160)
        await raw.say(pow(GENERATOR, private, PRIME).to_bytes(96))
        theirs = int.from_bytes(await raw.hear(96))
        secret = pow(theirs, private, PRIME).to_bytes(96)
        torrent = raw.torrent.info_hash if served else raw.rng.randbytes(20)
        masked = zip(skey_hash(torrent), sha1(b"req3" + secret).digest(), strict=True)
        offer = bytearray(verification + struct.pack(">IH", provide, pad))
        offer += bytes(pad) + struct.pack(">H", payload) + bytes(payload)
        rc4(sha1(b"keyA" + secret + torrent).digest(), drop=1024).apply(offer)
        found = sha1(b"req1" + secret).digest() + bytes(a ^ b for a, b in masked)
        await raw.say(found, bytes(offer))


encrypted("is encrypted for a torrent that isn't served", served=False)
encrypted("is encrypted and fails to verify", verification=bytes(7) + b"\1")
encrypted("offers no method", provide=0)
encrypted("offers a method that is none", provide=4)
encrypted("pads too much", pad=513)
encrypted("has too long an initial payload", payload=69)


# What breaks a rule at once

says(
    "announces too long a message",
    "MessageTooBig: Limits.max_message",
    what=lambda rng: rng.randint(1024 * 1024 + 1, 2**32 - 1).to_bytes(4) + b"\7",
)
says(
    "sends payloads of the wrong length",
    "RemoteProtocolError: BEP 3, peer messages",
    "RemoteProtocolError: BEP 6, fast extension",
    "RemoteProtocolError: BEP 5",
    what=lambda rng: rng.choice(
        (
            b"\0\0\0\4\4\0\0\0",  # a HAVE of three bytes
            b"\0\0\0\2\0\0",  # a choke with a payload
            b"\0\0\0\x0e\6" + bytes(13),  # a request with one byte too many
            b"\0\0\0\5\7" + bytes(4),  # a piece without a begin
            b"\0\0\0\2\x0e\0",  # a have all with a payload
            b"\0\0\0\2\x09\0",  # half a port
        )
    ),
)
says(
    "sends a second handshake",
    "InvalidHandshake: BEP 3, peer protocol: after the handshake",
    what=lambda rng: Handshake(rng.randbytes(20), rng.randbytes(20)).encode(),
)
says(
    "sends a bitfield of the wrong length, or with spare bits",
    "RemoteProtocolError: BEP 3, peer messages: bitfield",
    what=lambda rng: peerwire.Bitfield(
        rng.choice((b"", bytes(62), bytes(64), bytes(62) + b"\1", bytes(100_000)))
    ).encode(),
)
says(
    "speaks of pieces that are not there",
    "RemoteProtocolError: BEP 3, peer messages: an index",
    what=lambda rng: rng.choice(
        (peerwire.Have(498), peerwire.Request(2**32 - 1, 0, 16384), peerwire.Suggest(498))
    ).encode(),
)
says(
    "sends blocks that nobody asked for",
    "RemoteProtocolError: BEP 6: a piece answers",
    what=lambda rng: peerwire.Piece(498, 5, rng.randbytes(16384)).encode(),
)
says(
    "rejects what nobody asked for",
    "RemoteProtocolError: BEP 6, reject",
    what=lambda _: peerwire.Reject(498, 5, 16384).encode(),
)
says(
    "speaks of fast without the fast extension",
    "RemoteProtocolError: BEP 6: the connection",
    reserved=Reserved.EXTENSION,
    what=lambda rng: rng.choice(
        (peerwire.HaveAll(), peerwire.HaveNone(), peerwire.Suggest(1), peerwire.AllowedFast(1))
    ).encode(),
)
says(
    "speaks of hashes on a v1 connection",
    "RemoteProtocolError: BEP 52, upgrade path",
    what=lambda rng: HashRequest(peerwire.HashRange(rng.randbytes(32), 0, 0, 2, 0)).encode(),
)
says(
    "extends without the extension protocol",
    "RemoteProtocolError: BEP 10",
    reserved=Reserved.FAST,
    what=lambda _: Extended(0, b"de").encode(),
)
says(
    "sends an extended handshake that is none",
    "RemoteProtocolError: BEP 10, handshake message",
    what=lambda rng: Extended(
        0, rng.choice((b"", b"i1e", b"d1:m", b"l" * 50_000, b"d1:" + b"9" * 1000 + b":"))
    ).encode(),
)
says(
    "sends too long an extended handshake",
    "RemoteProtocolError: Limits.max_extended_handshake",
    what=lambda rng: Extended(0, rng.randbytes(65 * 1024)).encode(),
)
says(
    "sends extended handshakes without end",
    "RemoteProtocolError: BEP 10, handshake message",
    what=lambda _: Extended(0, b"d1:v60000:" + b"x" * 60_000 + b"e").encode() * 20,
)
says(
    "tells of peers too often",
    "RemoteProtocolError: extension ut_pex",
    what=lambda _: Extended(UT_PEX, b"d5:added6:\x0a\0\0\1\x1a\xe1e").encode() * 10,
)
says(
    "tells of peers in half an address, or too long",
    "RemoteProtocolError: extension ut_pex",
    what=lambda rng: Extended(
        UT_PEX, rng.choice((b"d5:added5:12345e", b"le", b"d5:added600000:" + bytes(600_000) + b"e"))
    ).encode(),
)
says(
    "sends metadata that nobody asked for",
    "RemoteProtocolError: extension ut_metadata",
    what=lambda _: Extended(
        UT_METADATA, b"d8:msg_typei1e5:piecei0e10:total_sizei40000ee" + bytes(16384)
    ).encode(),
)
says(
    "asks for metadata before it says that it can take it",
    "RemoteProtocolError: extension ut_metadata",
    what=lambda _: Extended(UT_METADATA, b"d8:msg_typei0e5:piecei0ee").encode(),
)
says(
    "has a piece no more that was never there",
    "RemoteProtocolError: extension lt_donthave",
    what=lambda _: Extended(LT_DONTHAVE, b"\xff\xff\xff\xff").encode(),
)


# Silence, and what is as good as silence


@attack("says nothing after its handshake", "PeerTimeout: BEP 3, keepalives")
async def _mute(raw: Raw) -> None:
    await raw.meet()


@attack("trickles a message", "PeerTimeout: BEP 3, keepalives")
async def _trickle(raw: Raw) -> None:
    await raw.meet()
    for byte in peerwire.Piece(0, 0, bytes(100)).encode():
        await raw.say(bytes((byte,)))
        if await raw.listen(raw.wait / 10):
            return


@attack("asks for blocks and never reads", "PeerTimeout: ")
async def _never_read(raw: Raw) -> None:
    await raw.meet()
    await raw.say(peerwire.Interested())
    await asyncio.sleep(raw.wait / 10)
    for index in range(raw.torrent.num_pieces):
        await raw.say(peerwire.Request(index, 0, 16384), peerwire.Request(index, 16384, 16384))
    await raw.never_read()


@attack("asks for rejects and never reads", "PeerTimeout: ")
async def _never_read_rejects(raw: Raw) -> None:
    await raw.meet()
    flood = peerwire.Request(0, 0, 0).encode() * 500
    for _ in range(60):
        await raw.say(flood)
        await asyncio.sleep(raw.wait / 100)
    await raw.never_read()


# What breaks no rule and must cost little


def floods(name: str, what: Callable[[random.Random], bytes]) -> None:
    """Lists one that says so much that is allowed, reads the answers, and leaves."""

    @attack(name, "closed by peer", leaves=True)
    async def flood(raw: Raw) -> None:
        await raw.meet()
        listening = asyncio.create_task(raw.listen(raw.wait / 2))
        await raw.say(what(raw.rng))
        await listening
        await raw.leave()


def _flapping(_rng: random.Random) -> bytes:
    return (peerwire.Interested().encode() + peerwire.NotInterested().encode()) * (FLOOD // 2)


def _haves(rng: random.Random) -> bytes:
    return b"".join(peerwire.Have(rng.randrange(498)).encode() for _ in range(FLOOD))


def _bitfields(rng: random.Random) -> bytes:
    return b"".join(
        peerwire.Bitfield(rng.randbytes(62) + b"\xc0").encode() for _ in range(FLOOD // 10)
    )


def _advice(rng: random.Random) -> bytes:
    kinds = (peerwire.Suggest, peerwire.AllowedFast)
    return b"".join(rng.choice(kinds)(rng.randrange(498)).encode() for _ in range(FLOOD))


def _nonsense(rng: random.Random) -> bytes:
    return b"".join(
        peerwire.Unknown(rng.randint(24, 255), rng.randbytes(rng.randrange(100))).encode()
        for _ in range(FLOOD // 3)
    )


def _cancels(rng: random.Random) -> bytes:
    return b"".join(
        peerwire.Cancel(rng.randrange(498), 0, 16384).encode() for _ in range(FLOOD // 3)
    )


def _requests_while_choked(rng: random.Random) -> bytes:
    return b"".join(peerwire.Request(rng.randrange(498), 0, 16384).encode() for _ in range(FLOOD))


def _metadata_requests(_rng: random.Random) -> bytes:
    can_take = Extended(0, b"d1:md11:ut_metadatai2eee")
    request = Extended(UT_METADATA, b"d8:msg_typei0e5:piecei1ee")
    return can_take.encode() + request.encode() * 200


floods("sends keep-alives without end", lambda _: peerwire.KeepAlive().encode() * FLOOD)
floods("is interested and isn't", _flapping)
floods("has pieces without end", _haves)
floods("sends bitfields without end", _bitfields)
floods("suggests and allows without end", _advice)
floods("sends what has no meaning", _nonsense)
floods("takes back what it never asked for", _cancels)
floods("asks while it is choked", _requests_while_choked)
floods("asks for the metadata again and again", _metadata_requests)


# Endings


@attack("leaves in a message", "closed by peer", leaves=True)
async def _leave_in_message(raw: Raw) -> None:
    await raw.meet()
    await raw.say(peerwire.Piece(0, 0, bytes(16384)).encode()[: raw.rng.randint(1, 16000)])
    await raw.leave()


@attack("resets", "closed by network", leaves=True)
async def _reset(raw: Raw) -> None:
    await raw.meet()
    await raw.say(peerwire.Interested().encode()[: raw.rng.randint(1, 5)])
    await raw.listen(raw.rng.uniform(0, raw.wait / 10))
    raw.reset()


@attack("resets with blocks on their way", "closed by network", leaves=True)
async def _reset_served(raw: Raw) -> None:
    await raw.meet()
    await raw.say(peerwire.Interested())
    await raw.listen(raw.wait / 10)
    await raw.say(*(peerwire.Request(index, 0, 16384) for index in range(100)))
    await asyncio.sleep(raw.rng.uniform(0, 0.1))
    raw.reset()


def address(number: int) -> str:
    """Returns the loopback address that a kind of hostile peer dials from."""
    return f"127.0.1.{number + 1}"


async def _attack(
    plan: Plan, number: int, port: int, torrent: Torrent, rng: random.Random
) -> str | None:
    """Returns what was wrong with the end, as far as this side can tell."""
    attack = ATTACKS[number]
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        sock.bind((address(number), 0))
        await loop.sock_connect(sock, (HOST, port))
        raw = Raw(sock, torrent, rng, plan.patience)
        try:
            await attack.do(raw)
        except ConnectionError:
            return f"who {attack.name} was shown the door" if attack.leaves else None
        if attack.leaves or await raw.listen(plan.patience + PATIENCE):
            return None
        return f"who {attack.name} was not shown the door in time"


async def _attack_until(
    plan: Plan, number: int, port: int, torrent: Torrent, tally: Tally, until: float
) -> None:
    rng = random.Random(f"{plan.seed} hostile {number}")
    await asyncio.sleep(rng.uniform(0, plan.arriving))
    while asyncio.get_running_loop().time() < until:
        kind = rng.randrange(len(ATTACKS))
        problem = await _attack(plan, kind, port, torrent, rng)
        if problem is not None:
            tally.wrong(problem)
        tally.attacks[kind] += 1


async def attack_all(
    plan: Plan, process: int, port: int, torrent: Torrent, tally: Tally, until: float
) -> None:
    """Lets the hostile peers of one process come and go."""
    first = sum(plan.hostile_share(other) for other in range(process))
    async with asyncio.TaskGroup() as peers:
        for number in range(first, first + plan.hostile_share(process)):
            peers.create_task(_attack_until(plan, number, port, torrent, tally, until))
