"""Who is let into a swarm, and who never again."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from peerwire import Role
from peerwire.swarm import admission
from peerwire.swarm.admission import Admission, Sender, SwarmLimits, household
from peerwire.swarm.dialling import Unwanted

OURS = b"-PW0001-mmmmmmmmmmmm"
NOW = 1000.0


class Someone(SimpleNamespace):
    """Compares as peers do, and not by value."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def someone(ip="192.0.2.1", name="x", *, role=Role.RESPONDER, port=1, **state):
    state = {"peer_interested": False, "am_interested": False, "closed": None} | state
    return Someone(
        address=(ip, port),
        peer_id=name.encode().ljust(20, b"-"),
        wire=SimpleNamespace(role=role),
        **state,
    )


class Swarm:
    """Those connected, each since a second after the one before."""

    def __init__(self, **limits):
        self.peers = {}
        self.admission = Admission(SwarmLimits(**limits), OURS, self.peers)

    def join(self, peer, *, since=0.0, invited=False, now=NOW):
        going = self.admission.admit(peer, now, invited=invited)
        for other, _ in going:
            del self.peers[other]
        self.peers[peer] = since
        return going


# Addresses


@pytest.mark.parametrize(
    ("ip", "home"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(ip, home):
    assert household(ip) == home


def test_a_limit_is_above_zero():
    for field in dataclasses.fields(SwarmLimits):
        with pytest.raises(ValueError, match=f"SwarmLimits.{field.name} is 0"):
            SwarmLimits(**{field.name: 0})


# How many


def test_no_more_come_from_one_address_than_the_bound():
    swarm = Swarm(max_per_address=2)
    swarm.join(someone(name="a", am_interested=True))
    swarm.join(someone(name="b", peer_interested=True))
    with pytest.raises(Unwanted, match="2 are here from its address, the most that are let in"):
        swarm.join(someone(name="c"))
    swarm.join(someone("192.0.2.2", "d"))  # another address has places of its own
    assert len(swarm.peers) == 3


def test_an_ipv6_network_is_one_address():
    swarm = Swarm(max_per_address=1)
    swarm.join(someone("2001:db8::1", "a", am_interested=True))
    with pytest.raises(Unwanted, match="1 are here from its address"):
        swarm.join(someone("2001:db8::ffff:2", "b"))
    swarm.join(someone("2001:db8:0:1::1", "c"))


def test_no_more_come_in_all_than_the_bound():
    swarm = Swarm(max_peers=3)
    for number in range(3):
        swarm.join(someone(f"192.0.2.{number}", am_interested=True))
    with pytest.raises(Unwanted, match="3 peers are here, the most that are let in"):
        swarm.join(someone("192.0.2.9"))


def test_whom_our_own_side_asked_for_is_always_let_in():
    swarm = Swarm(max_peers=1, max_per_address=1)
    swarm.join(someone(name="a", am_interested=True))
    assert swarm.join(someone(name="b"), invited=True) == []


def test_who_is_of_no_use_makes_room():
    swarm = Swarm(max_peers=3, grace=10.0)
    swarm.join(someone("192.0.2.1", am_interested=True), since=0.0)
    silent = someone("192.0.2.2")
    swarm.join(silent, since=1.0)
    swarm.join(someone("192.0.2.3"), since=2.0)
    newcomer = someone("192.0.2.4")
    assert swarm.join(newcomer, since=10.0, now=11.0) == [
        (silent, "3 peers are here, and neither side wants anything of the other")
    ]
    # The next one is not here long enough for anybody to say that it is of no use.
    with pytest.raises(Unwanted):
        swarm.join(someone("192.0.2.5"), now=11.5)
    assert swarm.join(someone("192.0.2.5"), now=12.0)


def test_of_an_address_that_is_full_one_of_its_own_makes_room():
    swarm = Swarm(max_per_address=1)
    other = someone("192.0.2.1")
    swarm.join(other)
    swarm.join(someone("192.0.2.2", "a"))
    ((gone, _),) = swarm.join(someone("192.0.2.2", "b"))
    assert gone.address == ("192.0.2.2", 1)
    assert other in swarm.peers


def test_who_is_closed_takes_no_place():
    swarm = Swarm(max_peers=1)
    swarm.join(someone(closed="it is"))
    assert swarm.join(someone("192.0.2.2")) == []


# The same twice


def test_a_peer_id_at_another_address_takes_nobodys_place():
    swarm = Swarm()
    victim = someone("192.0.2.1", "z", role=Role.INITIATOR)
    swarm.join(victim)
    assert swarm.join(someone("192.0.2.2", "z")) == []
    assert victim in swarm.peers


@pytest.mark.parametrize(("name", "kept"), [("a", Role.RESPONDER), ("-A", Role.INITIATOR)])
def test_of_two_that_cross_the_side_with_the_higher_id_has_dialled(name, kept):
    theirs = Role.RESPONDER if kept is Role.INITIATOR else Role.INITIATOR
    swarm = Swarm()
    swarm.join(someone(name=name, role=theirs, port=1))
    ((gone, reason),) = swarm.join(someone(name=name, role=kept, port=2))
    assert gone.wire.role is theirs
    assert reason == "it is connected already, as 192.0.2.1:1"
    with pytest.raises(Unwanted, match=r"connected already, as 192\.0\.2\.1:2"):
        swarm.join(someone(name=name, role=theirs, port=3))


def test_it_does_not_dial_twice_either():
    swarm = Swarm()
    swarm.join(someone(role=Role.INITIATOR, port=1))
    with pytest.raises(Unwanted, match="connected already"):
        swarm.join(someone(role=Role.INITIATOR, port=2), invited=True)


# Liars


def liar(name, ip="192.0.2.1"):
    return Sender.of(someone(ip, name))


def test_a_liar_may_not_come_again_from_whatever_port():
    swarm = Swarm()
    swarm.join(someone(name="liar", port=1))
    (found,) = swarm.admission.ban(liar("liar"), "it lied")
    swarm.peers.clear()
    assert found.address == ("192.0.2.1", 1)
    with pytest.raises(Unwanted, match="it lied"):
        swarm.join(someone(name="liar", port=2), invited=True)
    swarm.join(someone("192.0.2.2", "liar"))  # anybody can take its name
    swarm.join(someone(name="honest"))


def test_after_some_liars_an_address_is_closed_to_newcomers():
    swarm = Swarm(max_banned=2)
    honest = someone(name="honest")
    swarm.join(honest)
    swarm.admission.ban(liar("one"), "it lied")
    swarm.admission.ban(liar("one"), 1)  # the same once more
    swarm.join(someone(name="later"))
    swarm.admission.ban(liar("two"), "it lied")
    with pytest.raises(Unwanted, match="2 peers at its address were banned"):
        swarm.join(someone(name="three"))
    assert honest in swarm.peers  # who is here stays
    swarm.join(someone(name="four"), invited=True)  # and our own side knows whom it dials
    swarm.join(someone("192.0.2.2", "five"))


def test_an_ipv6_network_does_not_give_a_liar_more_chances():
    swarm = Swarm(max_banned=2)
    for number in range(2):
        swarm.admission.ban(liar(f"{number}", f"2001:db8::{number}"), "it lied")
    with pytest.raises(Unwanted, match="2 peers at its address"):
        swarm.join(someone("2001:db8::9", "x"))


def test_no_more_are_remembered_than_the_bound(monkeypatch):
    monkeypatch.setattr(admission, "MAX_BANNED", 2)
    swarm = Swarm(max_banned=1)
    for number in range(3):
        swarm.admission.ban(liar("liar", f"192.0.2.{number}"), "it lied")
    swarm.join(someone("192.0.2.0", "liar"))
    for number in (1, 2):
        with pytest.raises(Unwanted):
            swarm.join(someone(f"192.0.2.{number}", "other"))
