"""What is spoken where our policies of encryption meet those of other clients."""

from __future__ import annotations

POLICIES = ("off", "prefer", "require")

#: A client, what it wants of encryption and what it does, to what is spoken with our policies in
#: their order; None where they do not meet.
GRID = {
    ("libtorrent", "require", "seeds"): (None, "rc4", "rc4"),
    ("libtorrent", "require", "leeches"): (None, "rc4", "rc4"),
    ("libtorrent", "plaintext", "seeds"): (None, "plaintext", None),
    ("libtorrent", "plaintext", "leeches"): (None, "plaintext", None),
    ("libtorrent", "off", "seeds"): ("off", "off", None),
    ("libtorrent", "off", "leeches"): ("off", "off", None),
    ("libtorrent", "default", "seeds"): ("off", "plaintext", "rc4"),
    # It dials plainly first, and encrypted once that was refused.
    ("libtorrent", "default", "leeches"): ("off", "off", "rc4"),
    ("transmission", "require", "seeds"): (None, "rc4", "rc4"),
    ("transmission", "require", "leeches"): (None, "rc4", "rc4"),
    # It offers RC4 only, and dials again plainly.
    ("transmission", "prefer", "seeds"): ("off", "rc4", "rc4"),
    ("transmission", "prefer", "leeches"): ("off", "rc4", "rc4"),
    # It selects plaintext, but then takes the initial payload for plain, too, which is RC4 always,
    # and closes: so we dial again.
    ("transmission", "off", "seeds"): ("off", "off", "rc4"),
    # It dials plainly, and that is it.
    ("transmission", "off", "leeches"): ("off", "off", None),
    ("aria2", "require", "seeds"): (None, "rc4", "rc4"),
    ("aria2", "require", "leeches"): (None, "rc4", "rc4"),
    # It can't be told to do without: it dials with encryption first.
    ("aria2", "off", "seeds"): ("off", "plaintext", "rc4"),
    ("aria2", "off", "leeches"): ("off", "plaintext", "rc4"),
    # It takes plain peers whatever it is told.
    ("bittorrent-protocol", "require", "seeds"): ("off", "rc4", "rc4"),
    ("bittorrent-protocol", "require", "leeches"): (None, "rc4", "rc4"),
    ("bittorrent-protocol", "prefer", "seeds"): ("off", "plaintext", "rc4"),
    # Dialling again would be the application's.
    ("bittorrent-protocol", "prefer", "leeches"): (None, "plaintext", "rc4"),
    ("bittorrent-protocol", "off", "seeds"): ("off", "off", None),
    ("bittorrent-protocol", "off", "leeches"): ("off", "off", None),
}
