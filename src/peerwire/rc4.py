"""RC4, in place: from `cryptography` where that has it, in pure Python otherwise.

RC4 is broken as a cipher. Message stream encryption uses it all the same, to be unrecognizable
and not to be secret.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PurePythonRC4", "StreamCipher", "rc4", "warn_if_slow"]


class StreamCipher(Protocol):
    """One direction of an encrypted stream; encrypting and decrypting are the same."""

    def apply(self, data: bytearray | memoryview) -> None:
        """Encrypts or decrypts `data` where it is, and goes on from there the next time."""


class PurePythonRC4:
    """RC4 without dependencies: right, and slow.

    Args:
        key: 5 to 256 bytes.
    """

    __slots__ = ("_i", "_j", "_state")

    def __init__(self, key: bytes) -> None:
        state = list(range(256))
        j = 0
        for i in range(256):
            j = (j + state[i] + key[i % len(key)]) & 255
            state[i], state[j] = state[j], state[i]
        self._state = state
        self._i = 0
        self._j = 0

    def apply(self, data: bytearray | memoryview) -> None:
        """Encrypts or decrypts `data` where it is, and goes on from there the next time."""
        state, i, j = self._state, self._i, self._j
        for position, byte in enumerate(data):
            i = (i + 1) & 255
            a = state[i]
            j = (j + a) & 255
            b = state[j]
            state[i] = b
            state[j] = a
            data[position] = byte ^ state[(a + b) & 255]
        self._i, self._j = i, j


def rc4(key: bytes, *, drop: int = 0) -> StreamCipher:
    """Returns an RC4 stream.

    Args:
        key: 16 or 20 bytes, as the protocols that use it have.
        drop: Bytes of keystream to discard first.
    """
    cipher = _implementation().make(key)
    if drop:
        cipher.apply(bytearray(drop))
    return cipher


@functools.cache
def warn_if_slow() -> None:
    """Logs, once, that RC4 is slow here: for whoever is about to send more than a handshake."""
    why = _implementation().why_slow
    if why:
        import logging  # 2 ms that hardly anybody needs

        logging.getLogger("peerwire").warning(
            "RC4 runs in pure Python, at a hundredth of the speed (%s); "
            "pip install peerwire[crypto] for a fast one",
            why,
        )


class _Implementation(NamedTuple):
    make: Callable[[bytes], StreamCipher]
    why_slow: str = ""


@functools.cache
def _implementation() -> _Implementation:
    """Returns what makes a stream; tried once, since OpenSSL may lack RC4 where it is installed."""
    try:
        from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
        from cryptography.hazmat.primitives.ciphers import Cipher

        class OpenSSLRC4:
            __slots__ = ("_update_into",)

            def __init__(self, key: bytes) -> None:
                self._update_into = Cipher(ARC4(key), mode=None).encryptor().update_into

            def apply(self, data: bytearray | memoryview) -> None:
                self._update_into(data, data)

        OpenSSLRC4(bytes(16)).apply(bytearray(1))
    except Exception as error:  # missing, too old, or without RC4: whatever it raises for that
        return _Implementation(PurePythonRC4, str(error))
    return _Implementation(OpenSSLRC4)
