import functools

import pytest

from peerwire.errors import LocalProtocolError
from peerwire.extensions.base import Extension
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.registry import Extensions


class Quiet(Extension):
    """What is there without overriding anything."""

    name = "xx_quiet"


class Greeter(Extension):
    name = "xx_greeter"

    def __init__(self, greeting=b"hello"):
        super().__init__()
        self.greeting = greeting

    def greet(self):
        self.send(self.greeting)


class Outbox:
    """Takes down what is to be transmitted."""

    def __init__(self):
        self.sent = []

    def __call__(self, extension, payload):
        self.sent.append((extension, payload))


def at_home(make, peer=None):
    """An extension in its registry, after this handshake of the peer; and the outbox."""
    outbox = Outbox()
    extensions = Extensions([make], outbox, ExtendedHandshake())
    if peer is not None:
        extensions.receive_handshake(peer.encode())
    (extension,) = extensions
    return extension, outbox


def test_one_that_overrides_nothing_adds_its_name_only():
    extension = Quiet()
    assert extension.handshake() == {}
    assert extension.receive(b"whatever") is None
    extension.handshake_received(ExtendedHandshake())
    assert extension.enabled
    assert not extension.supported
    assert extension.peer_handshake is None


def test_it_sends_once_the_peer_has_announced_it():
    extension, outbox = at_home(Greeter, ExtendedHandshake(m={"xx_greeter": 9}))
    extension.greet()
    assert outbox.sent == [(extension, b"hello")]


def test_one_with_arguments_is_made_by_a_function():
    extension, outbox = at_home(
        functools.partial(Greeter, b"salut"), ExtendedHandshake(m={"xx_greeter": 9})
    )
    extension.greet()
    assert outbox.sent == [(extension, b"salut")]


@pytest.mark.parametrize(
    "peer",
    [
        None,
        ExtendedHandshake(),
        ExtendedHandshake(m={"xx_other": 1}),
        ExtendedHandshake(m={"xx_greeter": 0}),
    ],
)
def test_it_sends_nothing_to_a_peer_that_has_not_announced_it(peer):
    extension, outbox = at_home(Greeter, peer)
    with pytest.raises(LocalProtocolError, match="not announced xx_greeter; wait for") as error:
        extension.greet()
    assert error.value.rule.startswith("BEP 10")
    assert outbox.sent == []


def test_it_sends_nothing_without_a_wire():
    extension = Greeter()
    extension.supported = True
    with pytest.raises(LocalProtocolError, match="xx_greeter"):
        extension.greet()


def test_it_sees_what_the_peer_told():
    extension, _ = at_home(Greeter)
    assert extension.peer_handshake is None
    extension, _ = at_home(Greeter, ExtendedHandshake(p=5))
    assert extension.peer_handshake == ExtendedHandshake(p=5)
