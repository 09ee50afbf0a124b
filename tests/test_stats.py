from peerwire import PieceSet, Wire
from peerwire.stats import WireStats

INFO_HASH = bytes(20)


def pair(num_pieces):
    ours = Wire("initiator", INFO_HASH, num_pieces=num_pieces)
    theirs = Wire("responder", INFO_HASH, num_pieces=num_pieces)
    for _ in range(2):
        theirs.receive_data(ours.data_to_send(), 0.0)
        ours.receive_data(theirs.data_to_send(), 0.0)
    return ours, theirs


def test_a_snapshot_tells_how_a_wire_stands_and_stays_as_it_is():
    ours, theirs = pair(4)
    theirs.announce(PieceSet(4, [1, 2]))
    theirs.send_unchoke()
    ours.receive_data(theirs.data_to_send(), 0.0)
    ours.send_interested()
    ours.send_request(1, 0, 10)
    ours.send_request(2, 0, 10)
    theirs.receive_data(ours.data_to_send(), 0.0)
    theirs.send_piece(1, 0, bytes(10))
    ours.receive_data(theirs.data_to_send(), 0.0)

    stats = WireStats.of(ours, upload_rate=1.5, download_rate=2.5)
    assert (stats.downloaded, stats.uploaded, stats.wasted) == (10, 0, 0)
    assert (stats.upload_rate, stats.download_rate) == (1.5, 2.5)
    assert (stats.requests, stats.peer_requests) == (1, 0)
    assert (stats.pieces, stats.num_pieces) == (2, 4)
    assert stats.messages_sent["request"] == 2
    assert stats.messages_received["piece"] == 1
    assert stats.am_interested
    assert stats.am_choking
    assert not stats.peer_choking
    assert not stats.peer_interested
    assert WireStats.of(theirs).uploaded == 10

    ours.send_request(1, 0, 10)
    assert stats.messages_sent["request"] == 2
    assert stats != WireStats.of(ours)


def test_all_of_an_unknown_number_of_pieces_is_no_number():
    ours, theirs = pair(None)
    theirs.send_have_all()
    ours.receive_data(theirs.data_to_send(), 0.0)
    assert WireStats.of(ours).pieces is None
    ours.set_num_pieces(9)
    assert WireStats.of(ours).pieces == 9
