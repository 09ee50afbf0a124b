"""Whom the peers of a swarm tell of, and who of those told of is dialled. Nobody is, here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire import PieceSet, Role
from peerwire.extensions.compact import is_usable
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.registry import Extensions
from peerwire.extensions.ut_pex import PERIOD, PexFlags, PexMessage, PexPeer
from peerwire.priority import peer_priority
from peerwire.swarm.pex import (
    MAX_CONNECTIONS,
    MAX_KNOWN,
    MAX_OF_ONE,
    MAX_REMEMBERED,
    MAX_TOLD,
    AddressBook,
    PeerExchange,
    Reach,
    contact,
    makes_sense,
    rank,
    reach,
)

OURS = ("80.0.0.1", 6881)
TELLER = "80.0.0.9"


def world(numbers, port=6881):
    """Peers somewhere, each in a network of its own."""
    return [PexPeer(f"81.{n // 256}.{n % 256}.7", port) for n in numbers]


def local(*ports):
    return [PexPeer("127.0.0.1", port) for port in ports]


def drained(book, *args):
    """Takes all that there is, in order."""
    return [book.take(*args) for _ in range(len(book))]


# What makes sense


@pytest.mark.parametrize(
    ("ip", "where"),
    [
        ("127.0.0.1", Reach.MACHINE),
        ("127.4.5.6", Reach.MACHINE),
        ("::1", Reach.MACHINE),
        ("10.1.2.3", Reach.NETWORK),
        ("192.168.0.1", Reach.NETWORK),
        ("100.64.0.1", Reach.NETWORK),
        ("198.51.100.1", Reach.NETWORK),
        ("fd00::1", Reach.NETWORK),
        ("80.4.4.200", Reach.WORLD),
        ("2a00:1450::1", Reach.WORLD),
    ],
)
def test_from_where_an_address_is_reached(ip, where):
    assert reach(ip) is where


@pytest.mark.parametrize(
    ("place", "abouts"),
    [
        (Reach.MACHINE, {Reach.MACHINE}),
        (Reach.NETWORK, {Reach.NETWORK, Reach.WORLD}),
        (Reach.WORLD, {Reach.WORLD}),
    ],
)
def test_nobody_knows_of_who_is_nearer_and_this_machine_keeps_to_itself(place, abouts):
    assert {about for about in Reach if makes_sense(about, place)} == abouts


def test_the_rank_is_that_of_bep_40_among_addresses_of_a_family():
    ours = [("2a00:1450::1", 1), OURS, ("80.0.0.2", 2)]
    assert rank(("98.76.54.32", 5), ours) == peer_priority(OURS, ("98.76.54.32", 5))
    assert rank(("2a00::5", 5), ours) == peer_priority(ours[0], ("2a00::5", 5))
    assert rank(("2a00::5", 5), [OURS]) == 0
    assert rank(("98.76.54.32", 5), []) == 0


# The address book


def test_the_best_comes_first():
    book = AddressBook()
    book.learn(TELLER, PexMessage(world(range(10))), ours=[OURS])
    assert len(book) == 10
    taken = drained(book, [OURS])
    assert taken == sorted((peer.endpoint for peer in world(range(10))), key=by_rank, reverse=True)
    assert book.take([OURS]) is None


def by_rank(endpoint):
    return peer_priority(OURS, endpoint)


def test_on_this_machine_ports_make_the_difference():
    book = AddressBook()
    ours = ("127.0.0.1", 6881)
    book.learn("127.0.0.1", PexMessage(local(*range(1, 9))), ours=[ours])
    taken = drained(book, [ours])
    assert taken == sorted(taken, key=lambda at: peer_priority(ours, at), reverse=True)
    assert len(taken) == 8


def test_too_many_from_one_are_not_taken():
    book = AddressBook()
    book.learn(TELLER, PexMessage(world(range(MAX_OF_ONE - 1))))
    book.learn(TELLER, PexMessage(world(range(100, 200))))
    assert len(book) == MAX_OF_ONE
    assert world([100])[0].endpoint in drained(book)


def test_of_too_many_the_best_are_kept():
    book = AddressBook()
    told = world(range(4 * MAX_OF_ONE))
    for number in range(4):
        some = told[number * MAX_OF_ONE : (number + 1) * MAX_OF_ONE]
        book.learn(f"80.0.1.{number}", PexMessage(some), ours=[OURS])
        assert len(book) <= MAX_KNOWN
    ranked = sorted((peer.endpoint for peer in told), key=by_rank, reverse=True)
    assert drained(book, [OURS]) == ranked[:MAX_KNOWN]


def test_who_is_here_or_is_us_is_not_taken():
    a, b, c = local(1, 2, 3)
    book = AddressBook()
    book.learn("127.0.0.1", PexMessage([a, b, c]), ours=[a.endpoint], here=[b.endpoint])
    assert drained(book) == [c.endpoint]


def test_who_has_come_meanwhile_is_passed_over():
    a, b = local(1, 2)
    book = AddressBook()
    book.learn("127.0.0.1", PexMessage([a, b]))
    assert book.take(here=[a.endpoint]) == b.endpoint
    assert book.take() is None
    book.learn("127.0.0.1", PexMessage([a]))
    assert book.take(here=[a.endpoint]) is None


def test_who_was_dialled_is_not_dialled_again_for_being_told_of_again():
    book = AddressBook()
    for _ in range(3):
        book.learn("127.0.0.1", PexMessage(local(1)))
        drained(book)
    assert len(book) == 0
    for port in range(2, 2 + MAX_REMEMBERED):
        book.learn("127.0.0.1", PexMessage(local(port)))
        assert book.take() == ("127.0.0.1", port)
    book.learn("127.0.0.1", PexMessage(local(1)))
    assert len(book) == 1  # forgotten by now


def test_who_is_dropped_before_it_is_dialled_is_not_dialled():
    a, b = local(1, 2)
    book = AddressBook()
    book.learn("127.0.0.1", PexMessage([a, b]))
    book.learn("127.0.0.1", PexMessage(dropped=[a]))
    assert drained(book) == [b.endpoint]


def test_but_only_who_told_of_it_can_take_it_back():
    book = AddressBook()
    (a,) = world([1])
    book.learn(TELLER, PexMessage([a]))
    book.learn("80.0.0.10", PexMessage(dropped=[a]))
    assert drained(book) == [a.endpoint]


def test_one_host_with_many_ports_is_dialled_once():
    book = AddressBook()
    victims = [PexPeer("81.0.0.1", port) for port in range(1, 20)]
    book.learn(TELLER, PexMessage(victims))
    assert len(book) == 1
    book.learn("80.0.0.10", PexMessage(victims), here=[("82.0.0.2", 1)])
    book.learn("80.0.0.10", PexMessage([PexPeer("82.0.0.2", 2)]), here=[("82.0.0.2", 1)])
    assert drained(book) == [("81.0.0.1", 1)]


@pytest.mark.parametrize(
    ("teller", "ip"),
    [
        ("80.0.0.9", "127.0.0.1"),
        ("80.0.0.9", "::1"),
        ("80.0.0.9", "192.168.1.1"),
        ("192.168.1.5", "127.0.0.1"),
        ("127.0.0.1", "192.168.1.1"),
        ("127.0.0.1", "80.4.4.200"),
        ("::1", "2a00:1450::1"),
    ],
)
def test_what_makes_no_sense_is_not_taken(teller, ip):
    book = AddressBook()
    book.learn(teller, PexMessage([PexPeer(ip, 22)]))
    assert len(book) == 0


endpoints = st.tuples(
    st.one_of(st.ip_addresses().map(str), st.sampled_from(["127.0.0.1", "::1", "10.0.0.1"])),
    st.integers(1, 65535),
).filter(lambda endpoint: is_usable(*endpoint))
told = st.lists(endpoints.map(lambda endpoint: PexPeer(*endpoint)), max_size=40)


@given(st.lists(st.tuples(endpoints, told, told), max_size=8), st.lists(endpoints, max_size=2))
def test_whatever_is_told_the_book_is_small_and_nobody_comes_twice(messages, ours):
    book = AddressBook()
    taken = []
    for (teller, _), added, dropped in messages:
        book.learn(teller, PexMessage(added, dropped), ours=ours)
        assert len(book) <= MAX_KNOWN
        taken.append(book.take(ours))
    taken += drained(book, ours)
    taken = [endpoint for endpoint in taken if endpoint is not None]
    assert len(taken) == len(set(taken))
    assert not set(taken) & set(ours)
    everyone = {peer.endpoint: teller for (teller, _), added, _ in messages for peer in added}
    assert set(taken) <= everyone.keys()


# Contacts


class Peer:
    """What peer exchange looks at of a peer."""

    def __init__(self, ip, port=6881, *, came=False, pieces=(), told=None, make=None):
        self.address = (ip, port)
        self.wire = SimpleNamespace(
            role=Role.RESPONDER if came else Role.INITIATOR,
            extensions=Extensions([] if make is None else [make], self.send, ExtendedHandshake()),
        )
        self.peer_pieces = PieceSet(2, pieces)
        self.extended_handshake = told
        self.closed = None
        self.sent = []
        if told is not None:
            self.wire.extensions.receive_handshake(told.encode())

    def send(self, extension, payload):
        self.sent.append(PexMessage.decode(payload))

    def heard(self):
        """The messages it was sent since the last look."""
        sent, self.sent = self.sent, []
        return sent


def test_one_that_we_dialled_is_reached_where_we_dialled_it():
    assert contact(Peer("80.0.0.5", 1234)) == PexPeer("80.0.0.5", 1234, PexFlags.OUTGOING)
    told = ExtendedHandshake(p=99)  # it need not say, and may be behind a forwarded port
    assert contact(Peer("80.0.0.5", 1234, told=told)).port == 1234


def test_one_that_came_is_reached_where_it_says_it_listens():
    assert contact(Peer("80.0.0.5", 50000, came=True)) is None
    assert contact(Peer("80.0.0.5", 50000, came=True, told=ExtendedHandshake())) is None
    told = ExtendedHandshake(p=6881)
    assert contact(Peer("80.0.0.5", 50000, came=True, told=told)) == PexPeer("80.0.0.5", 6881)


@pytest.mark.parametrize(
    ("peer", "flags"),
    [
        ({}, PexFlags.OUTGOING),
        ({"pieces": [0, 1]}, PexFlags.OUTGOING | PexFlags.UPLOAD_ONLY),
        ({"told": ExtendedHandshake(upload_only=True)}, PexFlags.OUTGOING | PexFlags.UPLOAD_ONLY),
        (
            {"told": ExtendedHandshake(unknown={b"e": 1})},
            PexFlags.OUTGOING | PexFlags.PREFERS_ENCRYPTION,
        ),
        ({"told": ExtendedHandshake(unknown={b"e": 0})}, PexFlags.OUTGOING),
        (
            {"told": ExtendedHandshake(m={"ut_holepunch": 4})},
            PexFlags.OUTGOING | PexFlags.HOLEPUNCH,
        ),
        ({"told": ExtendedHandshake(m={"ut_holepunch": 0})}, PexFlags.OUTGOING),
    ],
)
def test_flags_say_what_it_is_like(peer, flags):
    assert contact(Peer("80.0.0.5", **peer)).flags == flags


@pytest.mark.parametrize(
    ("ip", "plain"),
    [
        ("::ffff:80.0.0.5", "80.0.0.5"),
        ("2A00::0005", "2a00::5"),
        ("fe80::1%eth0", None),
        ("", None),
    ],
)
def test_addresses_are_plain_ones(ip, plain):
    found = contact(Peer(ip))
    assert (found and found.ip) == plain


# The exchange


class Exchange(PeerExchange):
    """One of a swarm that has these peers and dials nobody, but notes whom it would."""

    def __init__(self, *peers, port=None):
        self.peers = list(peers)
        self.now = 1000.0
        self.dialled = [peer.address for peer in peers if peer.wire.role is Role.INITIATOR]
        super().__init__(
            self.peers,
            dialled=lambda: self.dialled,
            dial=self.dialled.append,
            port=lambda: port,
            clock=lambda: self.now,
        )

    def meet(self, *args, **options):
        """A peer that speaks ut_pex."""
        told = options.pop("told", None) or ExtendedHandshake(m={"ut_pex": 5})
        peer = Peer(*args, told=told, make=self.extension, **options)
        self.peers.append(peer)
        return peer


def test_each_is_told_of_the_others():
    exchange = Exchange(Peer("80.0.0.5"))
    silent = exchange.peers[0]
    a, b = exchange.meet("80.0.0.6"), exchange.meet("80.0.0.7", came=True)
    exchange.tell()
    assert a.heard() == [PexMessage([contact(silent)])]
    assert b.heard() == [PexMessage([contact(silent), contact(a)])]
    assert silent.heard() == []
    c = exchange.meet("80.0.0.8")
    exchange.peers.remove(silent)
    exchange.now += PERIOD
    exchange.tell()
    gone = [PexPeer("80.0.0.5", 6881)]
    assert a.heard() == [PexMessage([contact(c)], gone)]
    assert b.heard() == [PexMessage([contact(c)], gone)]
    assert c.heard() == [PexMessage([contact(a)])]
    exchange.tell()
    assert [peer.heard() for peer in (a, b, c)] == [[], [], []]


def test_a_peer_that_is_closed_is_neither_told_nor_told_of():
    exchange = Exchange(Peer("80.0.0.5"))
    a = exchange.meet("80.0.0.6")
    b = exchange.meet("80.0.0.7")
    a.closed = object()
    exchange.tell()
    assert a.heard() == []
    assert b.heard() == [PexMessage([PexPeer("80.0.0.5", 6881, PexFlags.OUTGOING)])]


def test_nobody_is_told_of_who_is_nearer_to_us():
    exchange = Exchange(Peer("127.0.0.1", 5), Peer("10.0.0.1"), Peer("80.0.0.5"))
    there, here = exchange.meet("80.0.0.6"), exchange.meet("127.0.0.1", 7)
    exchange.tell()
    assert [[p.ip for p in m.added] for m in there.heard()] == [["80.0.0.5"]]
    assert [[p.port for p in m.added] for m in here.heard()] == [[5]]


def test_of_thousands_some_are_told_of():
    exchange = Exchange(*(Peer(peer.ip, peer.port) for peer in world(range(2000))))
    a = exchange.meet("80.0.0.6")
    for _ in range(5):
        exchange.tell()
        exchange.now += PERIOD
    known = [peer.endpoint for message in a.heard() for peer in message.added]
    assert MAX_TOLD <= len(known) == len(set(known)) <= MAX_TOLD + 1


def test_who_is_told_of_is_dialled():
    exchange = Exchange(Peer("127.0.0.1", 1), port=6881)
    told = ExtendedHandshake(m={"ut_pex": 5}, yourip="127.0.0.1")
    teller = exchange.meet("127.0.0.1", 50_000, came=True, told=told)
    exchange.heard(teller, PexMessage(local(1, 2, 3, 6881)))
    # Neither the one that is here, nor ourselves.
    assert set(exchange.dialled) == {("127.0.0.1", 1), ("127.0.0.1", 2), ("127.0.0.1", 3)}


def test_a_teller_on_a_socket_for_both_families_is_what_it_is():
    exchange = Exchange()
    teller = exchange.meet("::ffff:127.0.0.1", came=True)
    exchange.heard(teller, PexMessage([PexPeer("127.0.0.1", 7), PexPeer("80.0.0.5", 7)]))
    assert exchange.dialled == [("127.0.0.1", 7)]


def test_there_is_an_end_to_connections_and_others_are_kept_for_later():
    came = [Peer("127.0.0.1", 40_000 + n, came=True) for n in range(10)]
    exchange = Exchange(*came, *(Peer("127.0.0.1", n) for n in range(1, 15)))
    teller = exchange.meet("127.0.0.1", 15, came=True)
    exchange.heard(teller, PexMessage(local(*range(100, 120))))
    assert len(exchange.dialled) == 14 + 5 == MAX_CONNECTIONS - 11
    exchange.dial_more()
    assert len(exchange.dialled) == 19
    exchange.peers.pop(0)
    exchange.dial_more()
    assert len(exchange.dialled) == 20


def test_those_who_rank_best_are_dialled_as_most_peers_see_us():
    liar = Peer("80.0.0.2", told=ExtendedHandshake(yourip="1.1.1.1"))
    honest = [Peer(f"80.0.0.{n}", told=ExtendedHandshake(yourip=OURS[0])) for n in (3, 4)]
    others = [Peer(f"80.1.0.{n}") for n in range(MAX_CONNECTIONS - 5)]
    exchange = Exchange(liar, *honest, *others, port=OURS[1])
    teller = exchange.meet(TELLER, came=True)
    exchange.heard(teller, PexMessage(world(range(20))))
    best = max((peer.endpoint for peer in world(range(20))), key=by_rank)
    assert exchange.dialled[MAX_CONNECTIONS - 2 :] == [best]


def test_those_who_came_meanwhile_are_not_dialled():
    exchange = Exchange(*(Peer("127.0.0.1", n) for n in range(1, MAX_CONNECTIONS)))
    teller = exchange.meet("127.0.0.1", 500, came=True)
    exchange.heard(teller, PexMessage(local(600)))
    exchange.peers[0] = Peer("127.0.0.1", 50_000, came=True, told=ExtendedHandshake(p=600))
    exchange.dialled[:] = []
    exchange.dial_more()
    assert exchange.dialled == []
