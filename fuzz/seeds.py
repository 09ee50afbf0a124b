"""Writes the first inputs of each target: ``python -m fuzz.seeds [CAPTURE.pcap ...]``.

What real peers have said to each other is taken from captures of plain connections (Ethernet,
IPv4, TCP), with their blocks left out; a corpus made before stays. The rest is written here, an
input for each thing that a target can do.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import struct
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from peerwire.bencode import decode_prefix, encode
from peerwire.framing import Framing
from peerwire.handshake import HANDSHAKE_LENGTH, PROTOCOL, Handshake
from peerwire.hashes import HashRange
from peerwire.messages import Extended, Hashes, HashReject, HashRequest, Message, Piece, Request

from .harness import INFO_HASH, PEER_ID
from .targets import hashes, magnet, metainfo, mse, wire
from .torrents import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parent / "corpus"
#: Messages of one kind that are taken of one side of a connection: the next are like them.
ALIKE = 4


def main(captures: list[str]) -> None:
    """Writes all of them."""
    for target, seeds in itertools.groupby(sorted(_by_hand(), key=_first), key=_first):
        for number, (_, seed) in enumerate(seeds):
            _write(target, f"made-{number:03}", seed)
    for path in map(Path, captures):
        for side, stream in enumerate(_streams(path.read_bytes())):
            if stream.startswith(PROTOCOL):
                for number, (target, seed) in enumerate(_captured(stream)):
                    _write(target, f"{path.stem}-{side}-{number:03}", seed)


def _first(item: tuple[str, bytes]) -> str:
    return item[0]


def _write(target: str, name: str, seed: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(seed)


# From captures


def _streams(capture: bytes) -> list[bytes]:
    """What each side of each TCP connection has said, from a pcap file of a loss-free session."""
    said: defaultdict[tuple[bytes, bytes], dict[int, bytes]] = defaultdict(dict)
    at = 24
    while at < len(capture):
        (length,) = struct.unpack_from("<I", capture, at + 8)
        packet = capture[at + 16 + 14 : at + 16 + length]  # after the Ethernet header
        at += 16 + length
        header = (packet[0] & 15) * 4
        tcp = packet[header : int.from_bytes(packet[2:4])]
        payload = tcp[(tcp[12] >> 4) * 4 :]
        if payload:
            said[packet[12:20], tcp[:4]].setdefault(int.from_bytes(tcp[4:8]), payload)
    return [b"".join(parts[number] for number in sorted(parts)) for parts in said.values()]


def _captured(stream: bytes) -> Iterator[tuple[str, bytes]]:
    """The inputs that one side of a connection makes."""
    yield "handshake", b"\0\0\0" + stream[:HANDSHAKE_LENGTH]
    messages = []
    seen: dict[str, int] = {}
    for message in Framing(1 << 20).receive(stream[HANDSHAKE_LENGTH:]):
        if isinstance(message, Piece):
            message.block = bytes(message.block[:8])
        seen[message.name] = seen.get(message.name, 0) + 1
        if seen[message.name] <= ALIKE:
            messages.append(message)
    yield "framing", b"\5\7" + b"".join(message.encode() for message in messages)
    # Both sides of a third's connection say the same, in turns.
    both = b"".join(bytes((12 | n % 2,)) + _plain_step(m) for n, m in enumerate(messages))
    yield "observe", bytes((9, 0xE0)) + both
    for options in (0b0110, 0b1110):
        unchoke = bytes((5, 1))
        yield "wire", bytes((11, options, 0)) + unchoke + b"".join(map(_wire_step, messages))
        yield (
            "wire",
            bytes((0, options, 0)) + unchoke + b"\14\17" + b"".join(map(_wire_step, messages)),
        )
    for message in messages:
        if isinstance(message, Extended):
            yield from _captured_extended(message)
    ranged = [m for m in messages if isinstance(m, HashRequest | Hashes | HashReject)]
    if ranged:
        yield "hashes", b"\0" + b"".join(_hash_step(message) for message in ranged)


def _wire_step(message: Message) -> bytes:
    """The steps of a script that come to the same as a message that was captured."""
    said = b"\1" + _plain_step(message)
    if isinstance(message, Piece):  # asked for, then answered
        return bytes((6, message.index & 255, message.begin // 16384 & 3, 0, 1, 3, 0, 0))
    if isinstance(message, Request):  # then served
        return said + bytes((8, 1))
    return said


def _plain_step(message: Message) -> bytes:
    frame = message.encode()
    return bytes((frame[4], min(255, len(frame) - 5))) + frame[5 : 5 + 255]


def _hash_step(message: Message) -> bytes:
    payload = message.encode()[5:]
    return bytes((4, message.id - 21)) + _text(payload)


def _captured_extended(message: Extended) -> Iterator[tuple[str, bytes]]:
    payload = message.payload
    if message.extended_id == 0:
        yield "extended_handshake", b"\0\5" + _text(payload) + b"\1"
        yield "bencode", payload
    elif payload.startswith(b"d8:msg_type"):
        yield "ut_metadata", b"\1\1\0" + _text(payload)
        _, end = decode_prefix(payload)
        info = payload[end:]
        yield "bencode", payload
        if info:
            yield "metainfo", b"\xffd4:info" + info + b"e"
    else:
        yield "upload_only", bytes((0, len(payload))) + payload


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(2) + data


# Written here


def _by_hand() -> Iterator[tuple[str, bytes]]:
    values: tuple[object, ...] = (
        0,
        -1,
        10**20 - 1,
        b"",
        b"spam",
        [],
        {},
        [[[]]],
        {"a": [1, {"b": b"c"}]},
    )
    for value in values:
        yield "bencode", encode(value)
    yield from (("bencode", bad) for bad in (b"i-0e", b"d1:b0:1:a0:e", b"01:a", b"l" * 200))
    for choice in range(12):
        yield "handshake", bytes((choice, 20, 48)) + bytes(30)
    for step, bits in itertools.product(range(len(wire.STEPS)), (0b00000, 0b01111)):
        busy = bytes((5, 1, 1, 1, 0, 6, 0, 0, 1, 1, 6, 1, 0, 0, 1))  # unchoked, two requests
        yield "wire", bytes((3, bits, 5)) + busy + bytes((step, 1, 1, 1, 1, 1))
    for role, field, how in itertools.product(range(2), range(len(mse.FIELDS) + 1), range(4)):
        methods = 1 + role  # RC4 is selected, or both are offered
        last = {"verification": 7, "req1": 19, "req2": 19}.get(("", *mse.FIELDS)[field], 95)
        head = bytes((1 + field % 2, role, 0, methods, 0, field, how, 0, 3))
        yield "mse", head + _text(b"\1\2") + bytes((9, 9, 1))
        yield "mse", head[:-1] + bytes((last,)) + _text(b"\1\2") + bytes((9, 9, 1))
    plain = Handshake(INFO_HASH, PEER_ID).encode()
    for policy, role in itertools.product(range(3), range(2)):  # a key that is none
        yield "mse", bytes((policy, role, 7, 1, 0, 1, 3, 0, 0)) + _text(plain) + b"\0"
    for policy, setting, early in itertools.product((1, 2), (3, 4, 5, 7), range(2)):
        yield (
            "mse",
            bytes((policy, setting, 0, 1, 0, 0, 0, 0, 0)) + _text(b"") + bytes((9, 9, early)),
        )
    advice = b"".join(bytes((2, kind, n)) for kind in (13, 17) for n in range(4))
    yield "wire", bytes((0, 0b0011, 5)) + advice
    yield "wire", bytes((7, 0b0011, 5, 12, 8)) + advice
    asked = b"".join(bytes((2, 6, n, 0)) for n in range(6))
    yield "wire", bytes((0, 0b0011, 8, 5, 1)) + asked
    for bits, kind in itertools.product((0b0010, 0b0011, 0b0000), (4, 6, 8)):
        run = b"".join(bytes((2, kind, n % 7, n % 3)[: 3 + (kind > 4)]) for n in range(14))
        yield "wire", bytes((9, bits, 8, 5, 1, 12, 14)) + run
    given_up = b"".join(bytes((6, n, 0, 0, 0, 7, 0)) for n in range(6))
    yield "wire", bytes((0, 0b0011, 8, 1, 1, 0)) + given_up
    many = encode({"m": {f"x{n}": n % 256 for n in range(300)}, "v": "x" * 500})
    wrong = encode({"m": {"xx_chat": 300, "b": -1}, "p": 0, "reqq": 1 << 32, "yourip": b"abc"})
    yield "extended_handshake", b"\0\0" + _text(many) + b"\1" + _text(wrong) + b"\1"
    yield "ut_metadata", b"\0\0" + bytes((5, 0, 1, 0, 1, 1, 5, 2, 1, 2, 1, 1, 3, 0))
    yield "metadata", bytes((0, 0, 0, 0)) + bytes((1, 0, 2)) + bytes((2, 0)) * 3
    yield "metadata", bytes((2, 0, 0, 0, 0, 1, 1)) + bytes((1, 0, 2, 1, 1, 2, 3, 0, 2, 1, 2, 1))
    contacts = bytes((192, 0, 2, 1, 0x1A, 0xE1))
    pex = {
        "added": contacts,
        "added.f": b"\2",
        "dropped": contacts,
        "added6": bytes(15) + b"\1\0\1",
    }
    yield "ut_pex", b"\0\0" + _text(encode(pex)) + b"\74" + _text(encode({"added": contacts * 2}))
    yield "ut_pex", b"\0" + (b"\0" + _text(b"de")) * 7
    yield "lt_donthave", b"\12\4\0\0\0\5\4\0\0\0\12"
    yield "upload_only", bytes((0, 1, 1, 1, 1, 1, 0, 1, 0))
    for kind in range(3):
        yield "ut_holepunch", bytes((0, 12, kind, 0)) + contacts + bytes((0, 0, 0, 1))
    yield "compact", bytes((0, 0)) + _text(b"192.0.2.1") + contacts * 2
    yield "compact", bytes((0, 1)) + _text(b"2001:db8::1") + bytes(range(18)) * 2
    for n, change in itertools.product(range(4), range(5)):
        yield (
            "hashes",
            bytes((n & 1, 0, 0, n, 1, 0, change, 0, 0, 3, 1, 7, n, 0, 2, 0, 1)),
        )
    yield "hashes", b"\0" + b"".join(bytes((3, 0, 1, 0, 2 * n, 2, 4, 0, 0)) for n in range(5))
    real = HashRange(hashes.WHOLE.root, 0, 0, 2, 4)
    yield "hashes", b"\0" + bytes((4, 0)) + _text(real.encode())
    yield from (("metainfo", bytes((n,))) for n in range(len(SAMPLES)))
    yield from (("metainfo", b"\xff" + sample) for sample in SAMPLES)
    for path in (["a"], ["a", "b"]):  # where another file is
        files = [{"path": ["a"], "length": 1}, {"path": path, "length": 1}]
        info = {"files": files, "name": "n", "piece length": 16384, "pieces": bytes(20)}
        yield "metainfo", b"\xff" + encode({"info": info})
    for n in range(len(metainfo.VALUES)):
        yield "metainfo", bytes((n % len(SAMPLES), 6, n, n, n, 1, n))
    for step in range(16):
        yield "observe", bytes((3, 0xE5, step, 0, 4, 1, 2, 3, 4, 10, 11, 12, 4, 4, 0, 0, 0, 1))
        yield "observe", bytes((0, 0, step, 0, 200)) + random.Random(step).randbytes(200)
    syn = (0x82, 2, 0, 0, 0, 0, 0x83, 18, 0, 0, 0, 1)  # both sides open
    yield "packets", bytes((0, 1, *syn, 0, 16, 0, 50, 1, 0, 0, 16, 99, 20, 1, 0, 0, 16, 50, 49, 1))
    yield "packets", bytes((0, 0, *syn, 0, 16, 9, 9, 1, 0, 1, 17, 0, 0, 1, 9, 0, 20, 0, 0, 0, 0))
    tcp = bytes((0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 16, *bytes(6))) + b"data"
    ip = bytes((0x45, 0, 0, 44, 0, 0, 0, 0, 9, 6, 0, 0, *range(8))) + tcp
    ipv6 = bytes((0x60, 0, 0, 0, 0, 24, 6, 9, *range(32))) + tcp
    yield from (("packets", bytes((1, 4, 0, 60)) + packet) for packet in (ip, ipv6))
    yield "packets", bytes((1, 1, 0, 60, *bytes(12), 8, 0)) + ip
    for link, at in itertools.product(range(4), range(8)):
        yield "paths", bytes((link, at, 0, 1, 1, 23, 2, 1, 1, 0, 22, 1, 2))
    yield from (("magnet", b"\0" + str(link).encode()) for link in _magnets())
    yield "magnet", bytes((1, 0, 2, 3, 1, 9, 23, 1, 10, 12, 1, 13, 14, 1, 17, 18, 1, 5, 6, 7))
    yield from (("magnet", bytes((1, 0, 2, 3, 1, n))) for n in range(len(magnet.WORDS)))


def _magnets() -> Iterator[str]:
    v1, v2 = hashlib.sha1(b"").hexdigest(), hashlib.sha256(b"").hexdigest()
    yield f"magnet:?xt=urn:btih:{v1}&dn=a+name&tr=http%3A%2F%2Ftracker.test%2F&x.pe=192.0.2.1:6881"
    yield f"magnet:?xt=urn:btih:{v1}&so=0-1,2-3,5&tr=udp%3A%2F%2Fa%0d%0ab&x.pe=a..b:1"
    yield f"magnet:?xt=urn:btmh:1220{v2}&xt=urn:btih:{v1}&so=0,2,4-6&x.pe=[2001:db8::1]:1"


if __name__ == "__main__":
    main(sys.argv[1:])
