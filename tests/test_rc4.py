import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire import rc4 as module
from peerwire.rc4 import PurePythonRC4, rc4, warn_if_slow

#: Key and the first 16 bytes of keystream after 1024 (RFC 6229).
DROP1024 = [
    ("0102030405", "30abbcc7c20b01609f23ee2d5f6bb7df"),
    ("0102030405060708090a0b0c0d0e0f10", "bdf0324e6083dcc6d3cedd3ca8c53c16"),
]


@pytest.fixture
def anew():
    """Lets the implementation be chosen again, before and after."""
    for choice in (module._implementation, module.warn_if_slow):
        choice.cache_clear()
    yield
    for choice in (module._implementation, module.warn_if_slow):
        choice.cache_clear()


def keystream(cipher, count):
    data = bytearray(count)
    cipher.apply(data)
    return data.hex()


@pytest.mark.parametrize(("key", "expected"), DROP1024)
def test_published_keystream(key, expected):
    assert keystream(rc4(bytes.fromhex(key), drop=1024), 16) == expected


@pytest.mark.parametrize(("key", "expected"), DROP1024)
def test_published_keystream_in_pure_python(key, expected):
    assert keystream(PurePythonRC4(bytes.fromhex(key)), 1040)[2048:] == expected


@given(st.binary(min_size=16, max_size=16), st.lists(st.binary(max_size=100), max_size=5))
def test_both_implementations_agree_in_any_chunks(key, chunks):
    pure, fast = PurePythonRC4(key), rc4(key)
    for chunk in chunks:
        a, b = bytearray(chunk), bytearray(chunk)
        pure.apply(a)
        fast.apply(memoryview(b))
        assert a == b


def test_without_cryptography_one_warning_names_the_extra(anew, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with caplog.at_level(logging.WARNING, "peerwire"):
        assert isinstance(rc4(bytes(16)), PurePythonRC4)
        assert not caplog.records  # a handshake is no reason to warn
        warn_if_slow()
        warn_if_slow()
    assert len(caplog.records) == 1
    assert "pip install peerwire[crypto]" in caplog.text


def test_an_openssl_that_lacks_rc4_is_found_out(anew, monkeypatch, caplog):
    ciphers = pytest.importorskip("cryptography.hazmat.primitives.ciphers")

    def refuse(*_args, **_kwargs):
        raise RuntimeError("ARC4 is not supported by this backend")

    monkeypatch.setattr(ciphers, "Cipher", refuse)
    assert isinstance(rc4(bytes(16)), PurePythonRC4)
    warn_if_slow()
    assert "not supported" in caplog.text


def test_with_cryptography_it_is_used_and_nothing_said(anew, caplog):
    pytest.importorskip("cryptography")
    assert not isinstance(rc4(bytes(16)), PurePythonRC4)
    warn_if_slow()
    assert not caplog.records
