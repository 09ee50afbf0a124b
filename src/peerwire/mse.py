"""Message stream encryption: the handshake that hides a wire, in both roles.

No BEP defines it; this is what Azureus, uTorrent, libtorrent, Transmission and aria2 speak. A is
the side that opened the connection::

    A ──► Ya, PadA                                          Y: a public key, 96 bytes
    A ◄── Yb, PadB                                          pads: 0 to 512 random bytes
    A ──► HASH(req1 S), HASH(req2 SKEY) xor HASH(req3 S),   S: the shared secret
          ENCRYPT(VC, provide, len PadC, PadC, len IA), ENCRYPT(IA)
    A ◄── ENCRYPT(VC, select, len PadD, PadD), payload      VC: eight zero bytes
    A ──► payload

SKEY is the info-hash. Both streams are RC4, each with 1024 bytes of keystream discarded; the
payload after the handshake is RC4 still, or plain, as `select` says. It obfuscates and does not
authenticate: anyone who knows the info-hash can be in the middle.
"""

from __future__ import annotations

import enum
import os
from hashlib import sha1
from typing import TYPE_CHECKING

from .errors import EncryptionError
from .rc4 import rc4, warn_if_slow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from .rc4 import StreamCipher

__all__ = [
    "CryptoMethod",
    "Initiator",
    "MseHandshake",
    "Responder",
    "SkeyTable",
    "random_bits",
    "skey_hash",
]

PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A63A36210000000000090563",
    16,
)
GENERATOR = 2
KEY_LENGTH = 96
PRIVATE_KEY_LENGTH = 20

#: The longest pad the protocol knows, in bytes.
MAX_PAD = 512

#: The longest initial payload accepted, in bytes: one handshake. Its length field could say 65,535;
#: no client is known to put in more.
MAX_INITIAL_PAYLOAD = 68

VERIFICATION = bytes(8)

RULE = "MSE"


class CryptoMethod(enum.IntFlag):
    """What can follow the handshake; `crypto_provide` and `crypto_select` on the wire."""

    PLAINTEXT = 1
    RC4 = 2


def skey_hash(info_hash: bytes) -> bytes:
    """Returns what a responder finds a torrent by: HASH("req2" SKEY), worth computing once."""
    return sha1(b"req2" + info_hash).digest()


def random_bits(count: int) -> bytes:
    """Returns `count` bytes of the operating system's randomness."""
    return os.urandom(count)


def random_pad(random: Callable[[int], bytes]) -> bytes:
    """Returns 0 to 512 random bytes, every length as likely as the other, near enough."""
    length = int.from_bytes(random(4), "big") % (MAX_PAD + 1)
    return random(length)


class MseHandshake:
    """One side of the handshake: bytes in, bytes out.

    Args:
        methods: What may follow, of this side's will.
        random: Returns so many random bytes; injected by tests.

    Attributes:
        method: What follows; None until the handshake is done.
        info_hash: The torrent that it is about; None in a responder before it is known.
        rest: What came after the peer's part of the handshake, decrypted: payload.
    """

    def __init__(self, methods: CryptoMethod, random: Callable[[int], bytes] = random_bits) -> None:
        if not methods:
            raise ValueError("no method is allowed; allow RC4, plaintext, or both")
        self.methods = methods
        self.method: CryptoMethod | None = None
        self.info_hash: bytes | None = None
        self.rest = bytearray()
        self._random = random
        self._private = int.from_bytes(random(PRIVATE_KEY_LENGTH), "big")
        self._held = bytearray()
        self._out: list[bytes] = []
        self._encrypt: StreamCipher | None = None
        self._decrypt: StreamCipher | None = None
        self._steps = self._run()
        next(self._steps)

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Takes in what came from the peer until a method is known, in chunks of any size.

        Raises:
            EncryptionError: The peer does not speak this, or breaks its rules. What else it has
                said, and what comes after, is dropped.
        """
        self._held += data
        try:
            next(self._steps)
        except StopIteration:
            if self.method is not None:
                self.rest += self._held
            self._held = bytearray()
        except EncryptionError:
            self._held = bytearray()
            raise

    def data_to_send(self) -> bytes:
        """Hands out the bytes to be sent since the last call."""
        out, self._out = self._out, []
        return b"".join(out)

    @property
    def held(self) -> int:
        """Bytes kept of an incomplete handshake."""
        return len(self._held)

    def encryptor(self) -> StreamCipher | None:
        """Returns what encrypts the payload from here on; None if it is plain."""
        return self._encrypt if self.method is CryptoMethod.RC4 else None

    def decryptor(self) -> StreamCipher | None:
        """Returns what decrypts the payload from here on; None if it is plain."""
        return self._decrypt if self.method is CryptoMethod.RC4 else None

    def _run(self) -> Generator[None, None, None]:
        raise NotImplementedError

    # Steps that both roles have

    def _send_public_key(self) -> None:
        public = pow(GENERATOR, self._private, PRIME)
        self._out.append(public.to_bytes(KEY_LENGTH, "big") + random_pad(self._random))

    def _receive_secret(self) -> Generator[None, None, bytes]:
        """Reads the peer's public key and returns the shared secret."""
        their_key = int.from_bytes((yield from self._take(KEY_LENGTH)), "big")
        if not 2 <= their_key <= PRIME - 2:
            raise EncryptionError(
                "the peer's public key is one of those that make every secret known", rule=RULE
            )
        return pow(their_key, self._private, PRIME).to_bytes(KEY_LENGTH, "big")

    def _take(self, count: int) -> Generator[None, None, bytearray]:
        """Waits for so many bytes and returns them."""
        while len(self._held) < count:
            yield
        taken = self._held[:count]
        del self._held[:count]
        return taken

    def _take_decrypted(self, count: int) -> Generator[None, None, bytearray]:
        taken = yield from self._take(count)
        assert self._decrypt is not None
        self._decrypt.apply(taken)
        return taken

    def _synchronize(self, pattern: bytes, what: str) -> Generator[None, None, None]:
        """Drops the peer's pad: all that comes before `pattern`, which is dropped, too."""
        searched = 0
        while (found := self._held.find(pattern, searched)) < 0:
            if len(self._held) >= MAX_PAD + len(pattern):
                raise EncryptionError(
                    f"no {what} within {MAX_PAD} bytes of padding: "
                    "it does not know the torrent, or does not speak encryption",
                    rule=RULE,
                )
            searched = max(0, len(self._held) - len(pattern) + 1)
            yield
        if found > MAX_PAD:
            raise EncryptionError(f"a pad of {found} bytes; {MAX_PAD} is the most", rule=RULE)
        del self._held[: found + len(pattern)]

    def _take_pad(self) -> Generator[None, None, None]:
        length = int.from_bytes((yield from self._take_decrypted(2)), "big")
        if length > MAX_PAD:
            raise EncryptionError(f"a pad of {length} bytes; {MAX_PAD} is the most", rule=RULE)
        yield from self._take_decrypted(length)

    def _start_ciphers(self, secret: bytes, info_hash: bytes, ours: bytes, theirs: bytes) -> None:
        self.info_hash = info_hash
        self._encrypt = rc4(sha1(ours + secret + info_hash).digest(), drop=1024)
        self._decrypt = rc4(sha1(theirs + secret + info_hash).digest(), drop=1024)

    def _send_encrypted(self, data: bytes) -> None:
        assert self._encrypt is not None
        buffer = bytearray(data)
        self._encrypt.apply(buffer)
        self._out.append(bytes(buffer))

    def _finish(self, method: CryptoMethod) -> None:
        self.method = method
        if method is CryptoMethod.RC4:
            warn_if_slow()
            assert self._decrypt is not None
            self._decrypt.apply(self._held)


class Initiator(MseHandshake):
    """The side that opened the connection.

    Args:
        info_hash: The torrent, 20 bytes.
        methods: What is offered to follow.
        initial_payload: What is to be sent along, encrypted: a BitTorrent handshake.
        random: Returns so many random bytes; injected by tests.
    """

    def __init__(
        self,
        info_hash: bytes,
        methods: CryptoMethod,
        initial_payload: bytes = b"",
        random: Callable[[int], bytes] = random_bits,
    ) -> None:
        self._skey = info_hash
        self._initial_payload = initial_payload
        super().__init__(methods, random)

    def _run(self) -> Generator[None, None, None]:
        self._send_public_key()
        yield
        secret = yield from self._receive_secret()
        self._start_ciphers(secret, self._skey, b"keyA", b"keyB")
        req2, req3 = skey_hash(self._skey), sha1(b"req3" + secret).digest()
        self._out.append(sha1(b"req1" + secret).digest() + _xor(req2, req3))
        pad = random_pad(self._random)
        offer = VERIFICATION + self.methods.to_bytes(4, "big") + _with_length(pad)
        self._send_encrypted(offer + _with_length(self._initial_payload))

        # What B's verification looks like encrypted is known before it comes: that finds it.
        pattern = bytearray(VERIFICATION)
        assert self._decrypt is not None
        self._decrypt.apply(pattern)
        yield from self._synchronize(bytes(pattern), "verification")
        selected = int.from_bytes((yield from self._take_decrypted(4)), "big")
        if selected not in (CryptoMethod.PLAINTEXT, CryptoMethod.RC4):
            raise EncryptionError(
                f"crypto_select {selected:#x}; it is exactly one method", rule=RULE
            )
        if not selected & self.methods:
            raise EncryptionError(
                f"the peer selected {CryptoMethod(selected).name}, which was not offered",
                rule=RULE,
            )
        yield from self._take_pad()
        self._finish(CryptoMethod(selected))


class Responder(MseHandshake):
    """The side that was connected to.

    Args:
        torrents: Finds the info-hash for a `skey_hash`.
        methods: What is accepted to follow.
        random: Returns so many random bytes; injected by tests.
        prefer: What is selected where both are offered and accepted.
    """

    def __init__(
        self,
        torrents: Callable[[bytes], bytes | None],
        methods: CryptoMethod,
        random: Callable[[int], bytes] = random_bits,
        *,
        prefer: CryptoMethod = CryptoMethod.RC4,
    ) -> None:
        self._torrents = torrents
        self._prefer = prefer
        super().__init__(methods, random)

    def _run(self) -> Generator[None, None, None]:
        yield  # says nothing before it was spoken to: it may be a plain handshake that comes
        secret = yield from self._receive_secret()
        self._send_public_key()
        yield from self._synchronize(sha1(b"req1" + secret).digest(), "HASH(req1 S)")
        masked = yield from self._take(20)
        info_hash = self._torrents(_xor(masked, sha1(b"req3" + secret).digest()))
        if info_hash is None:
            raise EncryptionError("the torrent that it asks for is not served here", rule=RULE)
        self._start_ciphers(secret, info_hash, b"keyB", b"keyA")
        if (yield from self._take_decrypted(8)) != VERIFICATION:
            raise EncryptionError("the verification is not eight zero bytes", rule=RULE)
        offered = CryptoMethod(int.from_bytes((yield from self._take_decrypted(4)), "big") & 3)
        common = offered & self.methods
        if not common:
            raise EncryptionError(
                f"the peer offers {offered!r}, where {self.methods!r} is accepted", rule=RULE
            )
        yield from self._take_pad()
        length = int.from_bytes((yield from self._take_decrypted(2)), "big")
        if length > MAX_INITIAL_PAYLOAD:
            raise EncryptionError(
                f"an initial payload of {length} bytes; {MAX_INITIAL_PAYLOAD} is the most",
                rule=RULE,
            )
        self.rest += yield from self._take_decrypted(length)  # RC4, whatever is selected
        method = self._prefer if self._prefer in common else common
        pad = random_pad(self._random)
        self._send_encrypted(VERIFICATION + method.to_bytes(4, "big") + _with_length(pad))
        self._finish(method)


class SkeyTable:
    """Finds the torrent that an encrypted handshake is about, at constant cost.

    A torrent that is not there costs a look at all of them, lest it has just come: 10 µs for a
    thousand, where the key exchange before it costs 500.

    Args:
        info_hashes: The torrents, 20 bytes each. They may come and go: each is hashed once, when
            it is first looked for.
    """

    __slots__ = ("_by_hash", "_hashed", "_info_hashes")

    def __init__(self, info_hashes: Collection[bytes] = ()) -> None:
        self._info_hashes = info_hashes
        self._hashed: set[bytes] = set()
        self._by_hash: dict[bytes, bytes] = {}

    def __call__(self, req2: bytes) -> bytes | None:
        """Returns the info-hash whose `skey_hash` this is; None when it is not among them."""
        if req2 not in self._by_hash and not self._hashed.issuperset(self._info_hashes):
            self._hash_newcomers()
        found = self._by_hash.get(req2)
        return found if found in self._info_hashes else None

    def _hash_newcomers(self) -> None:
        known = {info_hash: req2 for req2, info_hash in self._by_hash.items()}
        self._hashed = set(self._info_hashes)  # those that went are forgotten
        self._by_hash = {
            known.get(info_hash) or skey_hash(info_hash): info_hash for info_hash in self._hashed
        }


def _with_length(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _xor(a: bytes | bytearray, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
