"""Magnet links: what it takes to find a torrent, without the torrent (BEP 9, BEP 53)."""

from __future__ import annotations

import binascii
import bisect
import dataclasses
import ipaddress
import re
import string
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import quote, unquote, unquote_plus

from ..errors import LocalProtocolError, MetainfoError
from ..handshake import parse_hash20

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_MAGNET", "Magnet"]

#: Characters of a link. Hundreds of trackers and a selection among thousands of files fit; as
#: everything in a link takes characters, this bounds its peers and ranges as well.
MAX_MAGNET = 64 * 1024

_SCHEME = "magnet:?"
_V1 = "urn:btih:"
_V2 = "urn:btmh:"
#: Multihash: 0x12 is SHA-256, 0x20 its length (BEP 9, magnet URI format).
_SHA256 = "1220"

#: Parameters may be numbered, as in "tr.1"; the numbers mean nothing.
_NUMBER = re.compile(r"\.[0-9]+\Z")
#: Visible ASCII (RFC 3986), as in a .torrent: no space, no line break that would end a header.
_URL = re.compile(r"[!-~]+\Z")
#: A host name's labels have 1 to 63 characters; others make resolvers raise what is no OSError.
_LABEL = r"[0-9A-Za-z_-]{1,63}"
_PEER = re.compile(
    rf"(?:\[([0-9A-Fa-f:.]{{2,45}})\]|(?=[^:]{{1,253}}:)({_LABEL}(?:\.{_LABEL})*)):([0-9]{{1,5}})\Z"
)
#: Ten digits are more than any index has, and less than int() is slow at.
_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?\Z")

_Peer: TypeAlias = "tuple[str, int]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Magnet:
    """A magnet link (BEP 9, magnet URI format; BEP 53).

    Attributes:
        info_hash: The v1 info-hash, 20 bytes (``xt=urn:btih:``).
        info_hash_v2: The v2 info-hash, 32 bytes (``xt=urn:btmh:``). A hybrid torrent has both.
        name: For display while the metadata is fetched (``dn``). A stranger's text: never a path,
            and with any character in it.
        trackers: URLs in their order (``tr``).
        peers: Host and port of peers to begin with (``x.pe``). A host is a name or an address;
            IPv6 stands without the brackets it has in the link.
        select_only: The files to download, as ranges of their indices (``so``), sorted and apart;
            empty for all of them. Ranges may go beyond the torrent's last file.
        extra: Every other parameter as ``(key, value)``, percent-encoded as in the link.

    Raises:
        MetainfoError: There is no info-hash, or one is not of its length.
    """

    info_hash: bytes | None = None
    info_hash_v2: bytes | None = None
    name: str = ""
    trackers: tuple[str, ...] = ()
    peers: tuple[_Peer, ...] = ()
    select_only: tuple[range, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.info_hash is None and self.info_hash_v2 is None:
            raise MetainfoError(
                f"the magnet link names no torrent: it needs xt={_V1}... or xt={_V2}... (BEP 9)"
            )
        for value, length in ((self.info_hash, 20), (self.info_hash_v2, 32)):
            if value is not None and len(value) != length:
                raise MetainfoError(f"an info-hash of {len(value)} bytes where {length} belong")

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a link (BEP 9, magnet URI format).

        What names the torrent or its files has to be right. What only helps to find peers, a
        tracker or a peer, is left out if it is malformed: the others may do.

        Raises:
            MetainfoError: It is no magnet link, too long, names no torrent or two, or its ``so``
                is malformed.
        """
        if len(uri) > MAX_MAGNET:
            raise MetainfoError(f"a magnet link has at most {MAX_MAGNET} characters: {len(uri)}")
        uri = uri.strip()
        if uri[: len(_SCHEME)].lower() != _SCHEME:
            raise MetainfoError(f"a magnet link begins with {_SCHEME!r}, not {uri[:80]!r}")
        found = _Found()
        for parameter in uri[len(_SCHEME) :].split("&"):
            key, _, value = parameter.partition("=")
            if parameter and not found.take(_NUMBER.sub("", key.lower()), value):
                found.extra.append((_visible(key), _visible(value)))
        return cls(
            info_hash=found.info_hash,
            info_hash_v2=found.info_hash_v2,
            name=found.name,
            trackers=tuple(found.trackers),
            peers=tuple(found.peers),
            select_only=_merged(found.ranges),
            extra=tuple(found.extra),
        )

    @property
    def wire_info_hash(self) -> bytes:
        """The 20 bytes for handshakes and trackers: v1's, or else the first of v2's (BEP 52)."""
        return self.info_hash or (self.info_hash_v2 or b"")[:20]

    def selects(self, index: int) -> bool:
        """Tells whether a file is to be downloaded, by its index from 0 (BEP 53)."""
        if not self.select_only:
            return True
        at = bisect.bisect_right(self.select_only, index, key=lambda files: files.start)
        return at > 0 and index in self.select_only[at - 1]

    def __str__(self) -> str:
        parameters = []
        if self.info_hash is not None:
            parameters.append(("xt", _V1 + self.info_hash.hex()))
        if self.info_hash_v2 is not None:
            parameters.append(("xt", _V2 + _SHA256 + self.info_hash_v2.hex()))
        if self.name:
            parameters.append(("dn", _quoted(self.name)))
        parameters += [("tr", _quoted(url)) for url in self.trackers]
        # libtorrent takes x.pe and so as they stand, so what is plain in them has to be.
        parameters += [("x.pe", _quoted(_endpoint(peer), safe=":[]")) for peer in self.peers]
        if self.select_only:
            parameters.append(("so", ",".join(map(_range_text, self.select_only))))
        parameters += self.extra
        return _SCHEME + "&".join(f"{key}={value}" for key, value in parameters)


@dataclasses.dataclass(slots=True)
class _Found:
    """What a link has said so far."""

    info_hash: bytes | None = None
    info_hash_v2: bytes | None = None
    name: str = ""
    trackers: list[str] = dataclasses.field(default_factory=list)
    peers: list[_Peer] = dataclasses.field(default_factory=list)
    ranges: list[range] = dataclasses.field(default_factory=list)
    extra: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def take(self, key: str, raw: str) -> bool:
        """Take a parameter in; False if it is none that this library knows."""
        match key:
            case "xt":
                return self._take_topic(unquote(raw))
            case "dn":
                # "replace", here and below: half a surrogate pair could never be written again.
                self.name = unquote_plus(raw).encode(errors="replace").decode()
            case "tr":
                url = unquote(raw)
                self.trackers += [url] if _URL.match(url) else []
            case "x.pe":
                self.peers += _peers(unquote(raw))
            case "so":
                self.ranges += map(_range, filter(None, unquote(raw).split(",")))
            case _:
                return False
        return True

    def _take_topic(self, topic: str) -> bool:
        prefix, value = topic[: len(_V1)].lower(), topic[len(_V1) :]
        if prefix == _V1:
            self.info_hash = _same(self.info_hash, _btih(value))
        elif prefix == _V2:
            self.info_hash_v2 = _same(self.info_hash_v2, _btmh(value))
        else:
            return False
        return True


def _btih(value: str) -> bytes:
    try:
        return parse_hash20(value)
    except LocalProtocolError as error:
        raise MetainfoError(
            f"{_V1}{value[:80]!r} is neither 40 hex digits nor 32 base32 characters (BEP 9)"
        ) from error


def _btmh(value: str) -> bytes:
    try:
        if value.startswith(_SHA256) and len(value) == 68:
            return binascii.unhexlify(value[4:])
    except ValueError:
        pass
    raise MetainfoError(
        f"{_V2}{value[:80]!r} is no SHA-256 as a multihash, {_SHA256} and 64 hex digits (BEP 9)"
    )


def _same(known: bytes | None, found: bytes) -> bytes:
    if known not in (None, found):
        raise MetainfoError("the magnet link names two torrents: its info-hashes differ (BEP 9)")
    return found


def _peers(text: str) -> list[_Peer]:
    """The peer, if it is one."""
    match = _PEER.match(text)
    if match is None:
        return []
    ipv6, host, port = match.group(1), match.group(2), int(match.group(3))
    if not 1 <= port <= 0xFFFF or (ipv6 and not _is_ipv6(ipv6)):
        return []
    return [(ipv6 or host, port)]


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _endpoint(peer: _Peer) -> str:
    host, port = peer
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _range(text: str) -> range:
    """A part of ``so``. To guess what a malformed one selects could fetch what nobody asked for."""
    match = _RANGE.match(text)
    if match is None:
        raise MetainfoError(
            f"{text[:80]!r} in a magnet link's 'so' is no file index or range like 6-8 (BEP 53)"
        )
    first = int(match.group(1))
    last = first if match.group(2) is None else int(match.group(2))
    if last < first:
        raise MetainfoError(f"{text!r} in a magnet link's 'so' runs backwards (BEP 53)")
    return range(first, last + 1)


def _merged(ranges: Iterable[range]) -> tuple[range, ...]:
    """The same indices in the fewest ranges, sorted."""
    merged: list[range] = []
    for files in sorted(ranges, key=lambda files: files.start):
        if merged and files.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, files.stop))
        else:
            merged.append(files)
    return tuple(merged)


def _range_text(files: range) -> str:
    return f"{files.start}-{files.stop - 1}" if len(files) > 1 else str(files.start)


def _visible(raw: str) -> str:
    """What is encoded already stays as it is; what a URI can't hold is encoded."""
    return _quoted(raw, safe=string.punctuation)


def _quoted(text: str, safe: str = "") -> str:
    return quote(text, safe=safe, errors="replace")
