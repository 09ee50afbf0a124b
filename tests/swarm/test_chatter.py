"""What counts as talk that moves nothing."""

from __future__ import annotations

from types import SimpleNamespace

from peerwire.swarm.chatter import Chatter


class Someone:
    """A peer, as far as what was said counts."""

    def __init__(self):
        self.wire = SimpleNamespace(messages_received={}, messages_sent={})

    def says(self, **counts):
        for name, count in counts.items():
            received = self.wire.messages_received
            received[name] = received.get(name, 0) + count

    def is_served(self, count):
        self.wire.messages_sent["piece"] = self.wire.messages_sent.get("piece", 0) + count


def test_blocks_haves_and_what_is_served_do_not_count():
    chatter, one = Chatter(), Someone()
    one.says(piece=1000, have=500, request=100)
    one.is_served(100)
    assert chatter.since_last(one) == 0


def test_changes_of_mind_and_requests_that_are_refused_do():
    chatter, one = Chatter(), Someone()
    one.says(interested=10, request=100, choke=1)
    one.is_served(40)
    assert chatter.since_last(one) == 71


def test_it_counts_since_the_last_time_for_each():
    chatter, one, other = Chatter(), Someone(), Someone()
    one.says(interested=10)
    assert chatter.since_last(one) == 10
    assert chatter.since_last(one) == 0
    one.says(interested=5)
    other.says(extended=3)
    assert chatter.since_last(one) == 5
    assert chatter.since_last(other) == 3


def test_who_has_left_is_forgotten():
    chatter, one = Chatter(), Someone()
    one.says(interested=10)
    chatter.since_last(one)
    chatter.part(one)
    chatter.part(one)  # it may have left before it was counted
    assert chatter.since_last(one) == 10
