"""A wire behind message stream encryption, sans I/O."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from .errors import EncryptionError, PeerTimeout
from .handshake import PROTOCOL
from .mse import CryptoMethod, Initiator, MseHandshake, Responder, random_bits
from .state import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from .handshake import Handshake
    from .messages import Buffer
    from .rc4 import StreamCipher
    from .wire import Wire

__all__ = ["EncryptedWire", "Encryption"]


class Encryption(enum.StrEnum):
    """What is wanted of message stream encryption.

    `OFF` never starts it and refuses it when it comes. `PREFER` starts it, takes plain peers as
    well, and lets the payload be plain where the other side agrees: it hides the handshake, which
    is what gives a connection away, at no cost a byte. `REQUIRE` is RC4 throughout or nothing.
    """

    OFF = "off"
    PREFER = "prefer"
    REQUIRE = "require"

    @property
    def methods(self) -> CryptoMethod:
        """What may follow the encrypted handshake."""
        if self is Encryption.REQUIRE:
            return CryptoMethod.RC4
        return CryptoMethod.RC4 | CryptoMethod.PLAINTEXT


class EncryptedWire:
    """Stands between a wire and its transport, and speaks encryption where that is wanted.

    It has the methods of `Wire` that move bytes and time; all else is asked of the wire itself.

    Args:
        wire: The wire. An initiator's handshake is taken along in the encrypted one.
        policy: What is wanted. With `Encryption.OFF`, bytes pass through.
        torrents: Finds the info-hash for a `mse.skey_hash`: what a responder serves. None for a
            responder that knows no torrents, to which nobody can speak encrypted.
        random: Returns so many random bytes; injected by tests.

    Attributes:
        wire: As given.
        method: What is spoken after an encrypted handshake; None without one.
    """

    __slots__ = (
        "_decrypt",
        "_encrypt",
        "_first",
        "_info_hash",
        "_last_words",
        "_policy",
        "_random",
        "_shaking",
        "_torrents",
        "_undecided",
        "method",
        "wire",
    )

    def __init__(
        self,
        wire: Wire,
        policy: Encryption,
        *,
        torrents: Callable[[bytes], bytes | None] | None = None,
        random: Callable[[int], bytes] = random_bits,
    ) -> None:
        self.wire = wire
        self.method: CryptoMethod | None = None
        self._policy = policy
        self._torrents = torrents
        self._random = random
        self._first = b""  # what can't yet be told from a plain handshake
        self._undecided = wire.role is Role.RESPONDER and policy is not Encryption.OFF
        self._shaking: MseHandshake | None = None
        self._info_hash: bytes | None = None  # what a peer's encrypted handshake was about
        self._encrypt: StreamCipher | None = None
        self._decrypt: StreamCipher | None = None
        self._last_words = b""  # of our encrypted handshake, not yet handed out
        if wire.role is Role.INITIATOR and policy is not Encryption.OFF:
            assert wire.info_hash is not None, "an initiator has one"
            payload = wire.data_to_send()
            self._shaking = Initiator(wire.info_hash, policy.methods, payload, random)

    @property
    def is_opening(self) -> bool:
        """Whether an encrypted handshake is under way, or may come."""
        return self._undecided or self._shaking is not None

    def is_costly(self, data: Buffer) -> bool:
        """Says whether taking these bytes in may cost a key exchange: half a millisecond."""
        if self._undecided:
            start = self._first + data[: len(PROTOCOL)]
            return not PROTOCOL.startswith(start[: len(PROTOCOL)])
        return self._shaking is not None

    def receive_data(self, data: Buffer, now: float) -> None:
        """Takes in what came from the peer, in chunks of any size.

        Args:
            data: The bytes; writable ones may be decrypted where they are.
            now: What time it is, in seconds.

        Raises:
            RemoteProtocolError: The peer broke a rule of the wire; `EncryptionError` for one of
                the encryption. The wire is closed.
        """
        if self.wire.state is State.CLOSED:
            return
        try:
            if self._undecided:
                data = self._tell_apart(data)
            if self._shaking is not None:
                data = self._shake(self._shaking, data)
            elif self._decrypt is not None:
                if not isinstance(data, bytearray | memoryview):
                    data = bytearray(data)
                self._decrypt.apply(data)
        except EncryptionError as error:
            self.wire._violated(error)
            raise
        self.wire.receive_data(data, now)
        if self._info_hash is not None and self.wire.peer_handshake is not None:
            self._check_inside(self.wire.peer_handshake)

    def data_to_send(self) -> bytes | bytearray:
        """Hands out the bytes to be sent since the last call; they are the caller's."""
        if self._shaking is not None:
            return self._shaking.data_to_send()
        head, self._last_words = self._last_words, b""
        if self._encrypt is None:
            data = self.wire.data_to_send()
            return head + data if head else data
        # Joined in memory that can be encrypted: another copy would cost half as much as RC4.
        buffer = bytearray().join(self.wire.buffers_to_send())
        self._encrypt.apply(buffer)
        return head + buffer if head else buffer

    def next_timer(self) -> float | None:
        """Says when `handle_timer` is to be called; None for never."""
        return self.wire.next_timer()

    def handle_timer(self, now: float) -> None:
        """Does what is due.

        Args:
            now: What time it is, in seconds.

        Raises:
            PeerTimeout: The peer was silent for too long, or the encrypted handshake never came to
                its end. The wire is closed.
        """
        due = self.wire.next_timer()
        if self._shaking is not None and due is not None and now >= due:
            error = PeerTimeout(
                "the encrypted handshake did not end within "
                f"{self.wire.limits.handshake_timeout:g} s",
                rule="Limits.handshake_timeout",
            )
            self.wire._violated(error)
            raise error
        self.wire.handle_timer(now)

    # Inside

    def _tell_apart(self, data: Buffer) -> Buffer:
        """Looks whether a plain handshake begins; returns the bytes once that is known."""
        self._first += data
        if len(self._first) < len(PROTOCOL) and PROTOCOL.startswith(self._first):
            return b""
        data, self._first = self._first, b""
        self._undecided = False
        if not data.startswith(PROTOCOL):
            self._shaking = self._respond()
        elif self._policy is Encryption.REQUIRE:
            raise EncryptionError("a plain handshake, where encryption is required", rule="MSE")
        return data

    def _respond(self) -> Responder:
        if self._torrents is None:
            raise EncryptionError(
                "no plain handshake, and without knowing torrents nothing to decrypt it with",
                rule="MSE: SKEY is the info-hash",
            )
        # As libtorrent does by default: what hides a connection is its handshake.
        prefer = CryptoMethod.PLAINTEXT & self._policy.methods or CryptoMethod.RC4
        return Responder(self._torrents, self._policy.methods, self._random, prefer=prefer)

    def _shake(self, handshake: MseHandshake, data: Buffer) -> Buffer:
        """Goes on with the encrypted handshake; returns the payload that came after it."""
        handshake.receive_data(data)
        if handshake.method is None:
            return b""
        self.method = handshake.method
        self._encrypt = handshake.encryptor()
        self._decrypt = handshake.decryptor()
        self._info_hash = handshake.info_hash
        self._last_words = handshake.data_to_send()
        self._shaking = None
        self.wire._note("=", f"encrypted handshake done, {self.method.name} from here on")
        return handshake.rest

    def _check_inside(self, handshake: Handshake) -> None:
        """Compares the torrent that was named inside with that of the encrypted handshake."""
        outside, self._info_hash = self._info_hash, None
        if self.wire.role is Role.INITIATOR or handshake.info_hash == outside:
            return
        error = EncryptionError(
            "the handshake inside names another torrent than the encrypted one",
            rule="MSE: SKEY is the info-hash",
        )
        self.wire._violated(error)
        raise error
