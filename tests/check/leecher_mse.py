"""How a leecher begins with encryption, rightly or not."""

from __future__ import annotations

from peerwire.errors import EncryptionError
from peerwire.handshake import PROTOCOL
from peerwire.mse import CryptoMethod, Initiator
from peerwire.rc4 import rc4

BOTH = CryptoMethod.RC4 | CryptoMethod.PLAINTEXT


class Padded(Initiator):
    """Pads for too long."""

    def _send_public_key(self):
        super()._send_public_key()
        self._out.append(bytes(600))


class Generous(Initiator):
    """Offers what nobody knows."""

    def _send_encrypted(self, data):
        super()._send_encrypted(data[:8] + (0xFF).to_bytes(4) + data[12:])


class Garbled(Initiator):
    """Says something else than the verification."""

    def _send_encrypted(self, data):
        super()._send_encrypted(b"\1" * 8 + data[8:])


class Impatient(Initiator):
    """Looks for the end of a pad within 100 bytes."""

    def _synchronize(self, pattern, what):
        if self._held.find(pattern) < 0 and len(self._held) > 100:
            raise EncryptionError("no end of it", rule="MSE")
        yield from super()._synchronize(pattern, what)


async def begin(
    connection,
    methods=BOTH,
    kind=Initiator,
    *,
    early=True,
    again=False,
    forgets=False,
    waits=False,
    careless=False,
    hasty=False,
    wrongly=False,
):
    """Begins, and returns the handshake once it is done.

    Args:
        connection: On which.
        methods: What is offered.
        kind: What says it.
        early: Whether our handshake is in the initial payload.
        again: Whether it is said after it, too.
        forgets: Whether what comes in the answer's segment is lost.
        waits: Whether a wrong answer is waited after.
        careless: Whether it goes on after a wrong answer.
        hasty: Whether it looks for a plain handshake in the answer.
        wrongly: Whether the payload is encrypted where it is not to be, and the other way round.
    """
    hello = connection.handshake()
    mse = kind(hello.info_hash, CryptoMethod(methods), hello.encode() if early else b"")
    connection.writer.write(mse.data_to_send())
    while mse.method is None:
        data = await connection.reader.read(1 << 16) or connection.gone()
        if hasty and data.startswith(PROTOCOL):
            connection.gone()
        try:
            mse.receive_data(data)
        except EncryptionError:
            if careless:
                connection.writer.write(b"more")
            if careless or waits:
                await connection.reader.read()
            raise
        connection.writer.write(mse.data_to_send())
    connection.encrypt, connection.decrypt = mse.encryptor(), mse.decryptor()
    if wrongly:
        connection.encrypt = None if connection.encrypt else rc4(bytes(16))
    if not early or again:
        connection.say(hello)
    if forgets:
        mse.rest.clear()
    return mse
