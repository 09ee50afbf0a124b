"""Somebody in the middle of a connection, who passes on what both sides say, and can read it.

What is plain passes as it is. Message stream encryption (see ``mse.py``) hides from whoever
overhears it, but not from whoever knows the torrent and answers in the other side's place. So of a
torrent that is known there are two encrypted handshakes, and each step of one waits for the same
step of the other::

    A ──► Ya, PadA ──────► us ──► Yx, PadX ────────────────► B
    A ◄── Yy, PadY ─────── us ◄── Yb, PadB ───────────────── B
    A ──► torrent, provide, IA ► us ──► torrent, provide, IA ► B
    A ◄── select ───────── us ◄── select ─────────────────── B

A is offered nothing that B would not have, B nothing that A would not, and neither hears from us
what the other would not have said: a B that closes on noise closes before A was answered, so A does
what it does then. Only keys, pads and ciphertext are other ones; what is inside stays as it is.

Of a torrent that is not known, nothing can be read: without any, all bytes pass as they are. With
some, it is found out too late that a connection is about another one, and it can't go on.
"""

from __future__ import annotations

from hashlib import sha1
from typing import TYPE_CHECKING, Final

from .errors import EncryptionError
from .handshake import PROTOCOL
from .mse import (
    KEY_LENGTH,
    MAX_PAD,
    RULE,
    VERIFICATION,
    CryptoMethod,
    Initiator,
    Responder,
    random_bits,
    random_pad,
)
from .state import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .messages import Buffer
    from .mse import MseHandshake
    from .rc4 import StreamCipher

__all__ = ["Interception", "UnknownTorrent", "other"]

#: Bytes held of a side during the encrypted handshakes: the longest initial payload (its length has
#: two bytes), and what comes with it.
MAX_HELD: Final = 64 * 1024 + 2048

_BOTH: Final = CryptoMethod.RC4 | CryptoMethod.PLAINTEXT


def other(role: Role) -> Role:
    """Returns the side that a side talks to."""
    return Role.RESPONDER if role is Role.INITIATOR else Role.INITIATOR


class UnknownTorrent(EncryptionError):
    """An encrypted connection is about a torrent that whoever is in the middle does not know."""


class _Near(Responder):
    """Answers the initiator, and lets it know what the responder selects once that is known."""

    def __init__(
        self, torrents: Callable[[bytes], bytes | None], random: Callable[[int], bytes]
    ) -> None:
        self.offered: CryptoMethod | None = None
        self._selected: CryptoMethod | None = None
        super().__init__(torrents, _BOTH, random)

    def select(self, method: CryptoMethod) -> None:
        """Goes on, with what was selected of what it offered."""
        self._selected = method
        self.receive_data(b"")

    def _run(self) -> Generator[None, None, None]:
        # As in `Responder`, but for three things: the initial payload may have any length, as the
        # responder is to judge it; the torrent has a reason of its own to be unknown; and the
        # selection is not ours.
        yield
        secret = yield from self._receive_secret()
        self._send_public_key()
        yield from self._synchronize(sha1(b"req1" + secret).digest(), "HASH(req1 S)")
        masked, mask = (yield from self._take(20)), sha1(b"req3" + secret).digest()
        info_hash = self._torrents(bytes(a ^ b for a, b in zip(masked, mask, strict=True)))
        if info_hash is None:
            raise UnknownTorrent(
                "the encrypted connection is about another torrent than those that were named; "
                "name its info-hash, too, or none: then it passes, unread",
                rule="MSE: SKEY is the info-hash",
            )
        self._start_ciphers(secret, info_hash, b"keyB", b"keyA")
        if (yield from self._take_decrypted(8)) != VERIFICATION:
            raise EncryptionError("the verification is not eight zero bytes", rule=RULE)
        provided = int.from_bytes((yield from self._take_decrypted(4)))
        if not provided & _BOTH:
            raise EncryptionError(f"crypto_provide {provided:#x} offers nothing known", rule=RULE)
        yield from self._take_pad()
        length = int.from_bytes((yield from self._take_decrypted(2)))
        self.rest += yield from self._take_decrypted(length)
        self.offered = CryptoMethod(provided & _BOTH)
        while self._selected is None:
            yield
        pad = random_pad(self._random)
        method = self._selected.to_bytes(4)
        self._send_encrypted(VERIFICATION + method + len(pad).to_bytes(2) + pad)
        self._finish(self._selected)


class _Far(Initiator):
    """Begins with the responder, and tells it which torrent this is about once that is known."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        super().__init__(b"", _BOTH, random=random)
        self._came = bytearray()
        self._asked = False

    @property
    def answered(self) -> bool:
        """Whether its key has come."""
        return self._asked or len(self._came) >= KEY_LENGTH

    def ask(self, info_hash: bytes, methods: CryptoMethod, payload: bytes) -> None:
        """Goes on, with what the initiator asks for."""
        self._skey, self.methods, self._initial_payload = info_hash, methods, payload
        self._asked = True

    def receive_data(self, data: Buffer) -> None:
        self._came += data
        if self._asked:
            came, self._came = self._came, bytearray()
            super().receive_data(came)
        elif len(self._came) > KEY_LENGTH + MAX_PAD:
            raise EncryptionError(
                f"{len(self._came)} bytes before it was told the torrent; a key and a pad are at "
                f"most {KEY_LENGTH + MAX_PAD}",
                rule=RULE,
            )


class Interception:
    """Passes on what both sides of one connection say, in chunks of any size, and reads it.

    Args:
        torrents: Finds the info-hash for a `mse.skey_hash`, of torrents that are known; None to
            let all bytes pass as they are.
        random: Returns so many random bytes; injected by tests.

    Attributes:
        info_hash: The torrent of an encrypted connection; None while it is not known.
        offered: What the initiator of one offered to speak.
        method: What its responder selected; None before, and of what passes as it is.
        broken_by: Who broke a rule of the encrypted handshake.
    """

    def __init__(
        self,
        torrents: Callable[[bytes], bytes | None] | None = None,
        random: Callable[[int], bytes] = random_bits,
    ) -> None:
        self.info_hash: bytes | None = None
        self.offered: CryptoMethod | None = None
        self.method: CryptoMethod | None = None
        self.broken_by: Role | None = None
        self._torrents = torrents
        self._random = random
        self._passing = torrents is None
        self._first = bytearray()  # what can't yet be told from a plain handshake
        self._near: _Near | None = None
        self._far: _Far | None = None
        self._decrypt: dict[Role, StreamCipher] = {}  # what a side says
        self._encrypt: dict[Role, StreamCipher] = {}  # what a side hears
        self._out: dict[Role, list[Buffer]] = {role: [] for role in Role}
        self._heard: list[tuple[Role, Buffer]] = []

    @property
    def shaking(self) -> bool:
        """Whether an encrypted handshake has begun and not come to its end."""
        return self._near is not None

    def receive_data(self, sender: Role, data: Buffer) -> list[tuple[Role, Buffer]]:
        """Takes in what one side says.

        Args:
            sender: Which side; the initiator is the one that opened the connection.
            data: The bytes. They are kept as they are until they are handed out.

        Returns:
            What that, and what was held before, makes known of what was said: who, and the bytes
            in clear.

        Raises:
            EncryptionError: A side broke a rule of the encrypted handshake (see `broken_by`), or,
                as `UnknownTorrent`, it is not about a torrent that is known. The connection can't
                go on.
        """
        if self._passing:
            self._pass(sender, data)
        elif self._near is None or self._far is None:
            self._tell_apart(sender, data)
        else:
            self._shake(self._near, self._far, sender, data)
        return self._take_heard()

    def receive_eof(self, sender: Role) -> list[tuple[Role, Buffer]]:
        """Takes in that one side says nothing more; returns the same."""
        if sender is Role.INITIATOR and self._near is None and not self._passing:
            self._pass_first()
        return self._take_heard()

    def data_to_send(self, receiver: Role) -> list[Buffer]:
        """Hands out what is to be sent to one side since the last call."""
        out, self._out[receiver] = self._out[receiver], []
        return out

    def _take_heard(self) -> list[tuple[Role, Buffer]]:
        heard, self._heard = self._heard, []
        return heard

    # Once it is clear what is spoken

    def _pass(self, sender: Role, data: Buffer) -> None:
        cipher = self._decrypt.get(sender)
        if cipher is not None:
            data = bytearray(data)
            cipher.apply(data)
        self._pass_clear(sender, data)

    def _pass_clear(self, sender: Role, data: Buffer) -> None:
        if not data:
            return
        self._heard.append((sender, data))
        receiver = other(sender)
        cipher = self._encrypt.get(receiver)
        if cipher is not None:
            data = bytearray(data)
            cipher.apply(data)
        self._out[receiver].append(data)

    # How it begins

    def _tell_apart(self, sender: Role, data: Buffer) -> None:
        """Looks whether a plain handshake begins."""
        if sender is Role.RESPONDER:  # in BitTorrent it does not speak first
            self._pass_first()
            self._pass(sender, data)
            return
        self._first += data
        start = self._first[: len(PROTOCOL)]
        if not PROTOCOL.startswith(start):
            self._begin()
        elif len(start) == len(PROTOCOL):
            self._pass_first()

    def _pass_first(self) -> None:
        first, self._first = self._first, bytearray()
        self._passing = True
        self._pass(Role.INITIATOR, bytes(first))

    def _begin(self) -> None:
        assert self._torrents is not None, "without torrents, all passes"
        first, self._first = self._first, bytearray()
        self._near = _Near(self._torrents, self._random)
        self._far = _Far(self._random)
        self._shake(self._near, self._far, Role.INITIATOR, first)

    def _shake(self, near: _Near, far: _Far, sender: Role, data: Buffer) -> None:
        """Takes both encrypted handshakes as far as they go."""
        side = near if sender is Role.INITIATOR else far
        self._feed(sender, side, data)
        if near.held > MAX_HELD:
            self.broken_by = Role.INITIATOR
            text = f"{near.held} bytes before it was told how to go on; {MAX_HELD} are the most"
            raise EncryptionError(text, rule="MSE: the initiator waits for the selection")
        if near.offered is not None and self.offered is None:
            self._ask(near, far)
        self._send(Role.RESPONDER, far)
        if far.method is not None:
            near.select(far.method)
        if far.answered:
            self._send(Role.INITIATOR, near)
        if far.method is not None:
            self._go_on(near, far, far.method)

    def _ask(self, near: _Near, far: _Far) -> None:
        assert near.info_hash is not None, "it is what was offered for"
        assert near.offered is not None, "it is what to ask for"
        self.info_hash, self.offered = near.info_hash, near.offered
        payload, near.rest = bytes(near.rest), bytearray()
        if payload:
            self._heard.append((Role.INITIATOR, payload))
        far.ask(near.info_hash, near.offered, payload)
        self._feed(Role.RESPONDER, far, b"")

    def _go_on(self, near: _Near, far: _Far, method: CryptoMethod) -> None:
        self.method = method
        self._passing = True
        for role, side in ((Role.INITIATOR, near), (Role.RESPONDER, far)):
            decrypt, encrypt = side.decryptor(), side.encryptor()
            if decrypt is not None and encrypt is not None:
                self._decrypt[role], self._encrypt[role] = decrypt, encrypt
        self._pass_clear(Role.INITIATOR, near.rest)
        self._pass_clear(Role.RESPONDER, far.rest)
        self._near = self._far = None

    def _feed(self, role: Role, side: MseHandshake, data: Buffer) -> None:
        try:
            side.receive_data(data)
        except UnknownTorrent:
            raise  # nobody's fault
        except EncryptionError:
            self.broken_by = role
            raise

    def _send(self, receiver: Role, side: MseHandshake) -> None:
        data = side.data_to_send()
        if data:
            self._out[receiver].append(data)
