"""One torrent and the peers it is exchanged with."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from typing import TYPE_CHECKING

from ..asyncio.client import connect
from ..asyncio.server import ServedTorrent
from ..encryption import Encryption
from ..errors import ConnectionClosed, DownloadFailed
from ..extensions.handshake import ExtendedHandshake
from ..extensions.lt_donthave import DontHave, LtDontHave
from ..extensions.upload_only import UploadOnly, UploadOnlyMessage
from ..extensions.ut_metadata import UtMetadata
from ..extensions.ut_pex import PexMessage
from ..handshake import generate_peer_id
from ..limits import DEFAULT_LIMITS, Limits
from ..pieces import PieceSet
from ..state import Role
from ..torrent.padding import Padding
from .admission import DEFAULT_SWARM_LIMITS, Admission, Sender, SwarmLimits, household
from .chatter import Chatter
from .choker import DEFAULT_SLOTS, RECHOKE_SECONDS, Candidate, Choker
from .dialling import Dialling, Redial, Unwanted
from .disguise import Disguise
from .download import Download
from .events import (
    DiskFailed,
    PeerBanned,
    PeerJoined,
    PeerLeft,
    PieceVerified,
    SwarmEvent,
    why,
    written,
)
from .exchange import NOTHING_LEFT, exchange
from .pex import PeerExchange
from .picker import Picker
from .proofs import Proofs
from .upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from ..asyncio.inbox import Received
    from ..asyncio.peer import Peer
    from ..errors import StorageError
    from ..extensions.base import Extension
    from ..state import Trace
    from ..torrent.disk import Disk
    from ..torrent.metainfo import Metainfo
    from ..torrent.metainfo_v2 import MetainfoV2

__all__ = ["Redial", "Swarm"]

#: How often in a round of choking a peer may have it decided anew at once, by changing its
#: interest. After that it waits for the next round like everybody.
MAX_CHANGES = 100

#: Reasons told of a download that failed; there may be thousands of addresses.
LISTED = 20


class Swarm:
    """Exchanges one torrent with any number of peers, those dialled and those that come.

    Used as an async context manager; peers that come are given to `welcome`, which is a handler
    for `serve`. A seed is a swarm that has everything.

    Args:
        metainfo: The torrent.
        disk: Its content.
        have: The pieces that are on disk and verified. It is kept up to date.
        wanted: The pieces to fetch; all of them if None.
        peer_id: Our peer id; made up when left out.
        encryption: How those are dialled whom we dial, as `connect` has it.
        limits: The bounds to hold them to.
        swarm_limits: The bounds to hold all peers together to.
        slots: How many interested peers are unchoked at once.
        super_seed: Whether to seed so that each piece is given about once (BEP 16): to pass for
            a peer with nothing, and show each peer a piece at a time. For first seeds only.
        redial: How often to dial an address.
        timeout: Seconds without a verified piece after which a download is given up, whatever its
            peers promise; None for never.
        v2: The v2 side of the same torrent, if it is a hybrid: those whom we dial are offered it,
            and hash requests are answered (BEP 52).
        pex: Whether to tell peers of each other, and to dial those that they tell of (BEP 11);
            never done in a private torrent (BEP 27).
        port: TCP port at which `welcome` is served, told to those whom we dial so that they can
            tell others; None if there is none. May be set later.
        on_event: Told of what happens.
        trace: Called with (mark, what, now) for everything that happens on any wire we dial.

    Raises:
        ValueError: It is to super-seed, and not every piece is here; or the v2 side is another's.
    """

    def __init__(
        self,
        metainfo: Metainfo,
        disk: Disk,
        have: PieceSet,
        *,
        wanted: PieceSet | None = None,
        peer_id: bytes | None = None,
        encryption: Encryption | str = Encryption.PREFER,
        limits: Limits = DEFAULT_LIMITS,
        swarm_limits: SwarmLimits = DEFAULT_SWARM_LIMITS,
        slots: int = DEFAULT_SLOTS,
        super_seed: bool = False,
        redial: Redial | None = None,
        timeout: float | None = None,
        v2: MetainfoV2 | None = None,
        pex: bool = True,
        port: int | None = None,
        on_event: Callable[[SwarmEvent], None] = lambda event: None,
        trace: Trace | None = None,
    ) -> None:
        if super_seed and not have.complete:
            raise ValueError(f"{have!r} is not every piece: only who has all of them super-seeds")
        if v2 is not None and v2.info != metainfo.info:
            raise ValueError(f"{v2.name!r} is not the v2 side of {metainfo.name!r}")
        self.metainfo = metainfo
        self.disk = disk
        self.have = have
        self.wanted = PieceSet.full(metainfo.num_pieces) if wanted is None else wanted
        self.peer_id = generate_peer_id() if peer_id is None else peer_id
        self.port = port
        self.peers: dict[Peer, float] = {}  #: Those connected, and since when.
        self._padding = Padding(metainfo)
        self.picker: Picker[Peer] = Picker(
            metainfo.num_pieces, self._padding.content_size, have=have, wanted=self.wanted
        )
        self.download = Download(
            metainfo,
            disk,
            self.picker,
            on_verified=self._verified,
            on_corrupt=on_event,
            on_liar=self._ban,
            on_useless=lambda peer, reason: self._do(peer.close(reason)),
            on_failure=self._fail,
        )
        self._encryption = Encryption(encryption)
        self._limits = limits
        self._dialling = Dialling(
            self._connect,
            self._exchange,
            redial or Redial(),
            self._encryption,
            enough=lambda: self.done,
            on_failed=on_event,
            on_end=self._dial_ended,
        )
        self._v2 = v2
        self._proofs = None if v2 is None else Proofs(v2, disk)
        self._timeout = timeout
        self._progress_at = 0.0  # when a piece was verified last
        self._tell = on_event
        self._trace = trace
        self._choker: Choker[Peer] = Choker(slots)
        self._disguise = Disguise(metainfo.num_pieces) if super_seed else None
        self._uploads: dict[Peer, Upload] = {}
        self._swarm_limits = swarm_limits
        self._admission = Admission(swarm_limits, self.peer_id, self.peers)
        self._chatter = Chatter()
        self._chores: set[asyncio.Task[None]] = set()
        self._rechoking: asyncio.Handle | None = None  # there once it is to be decided anew
        self._changes: Counter[Peer] = Counter()  # of interest, in this round
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._pex: PeerExchange | None = None
        if pex and not metainfo.private:
            self._pex = PeerExchange(
                self.peers,
                dialled=lambda: self._dialling.addresses,
                dial=lambda address: self._dialling.dial(address, hearsay=True),
                port=lambda: self.port,
                clock=self._loop.time,
            )
        self._complete: asyncio.Future[None] = self._loop.create_future()
        if self.done:
            self._complete.set_result(None)

    @property
    def done(self) -> bool:
        """Whether every piece that is wanted is on disk and verified, or was once."""
        return self.picker.done

    @property
    def torrents(self) -> dict[bytes, ServedTorrent]:
        """What it is served as: a hybrid by both of its info-hashes, for `serve`."""
        v2 = None if self._v2 is None else self._v2.info_hash
        served = ServedTorrent(self.metainfo.num_pieces, v2)
        named = (self.metainfo.info_hash, *([] if v2 is None else [v2[:20]]))
        return dict.fromkeys(named, served)

    @property
    def extensions(self) -> list[Callable[[], Extension]]:
        """What makes the extensions that its connections speak, for `serve`."""
        make: list[Callable[[], Extension]] = []
        if not self.metainfo.private:
            # Whose metadata is not for everybody: libtorrent gives it to nobody, either.
            make.append(functools.partial(UtMetadata, self.metainfo.info, limits=self._limits))
        if self._pex is not None:
            make.append(self._pex.extension)
        make.append(functools.partial(LtDontHave, self.metainfo.num_pieces))
        # Who seems to have little and wants nothing is let go, so who super-seeds does not say it.
        make.append(lambda: UploadOnly(self.done and self._disguise is None))
        return make

    def dial(self, host: str, port: int) -> None:
        """Connects to a peer, again and again while it is worth it."""
        self._dialling.dial((host, port))

    async def welcome(self, peer: Peer) -> None:
        """Takes in a peer that came to us: a handler for `serve`."""
        try:
            await self._exchange(peer, invited=False)
        except Unwanted as error:
            await peer.close(str(error))

    async def wait_complete(self) -> None:
        """Waits until every piece that is wanted is on disk and verified.

        Raises:
            DownloadFailed: Every address that was dialled has been given up, and nobody else is
                here; or nothing has come for too long. The message tells why, for each.
            StorageError: The disk does not do what it should.
            MetainfoError: The torrent says of a piece that is all padding that it is not zeros.
        """
        await asyncio.shield(self._complete)
        await self.download.settle()

    def rechoke(self) -> None:
        """Decides anew whom to unchoke."""
        if self._rechoking is not None:
            self._rechoking.cancel()
            self._rechoking = None
        candidates = [
            Candidate(
                peer,
                interested=peer.peer_interested,
                download_rate=peer.download_rate,
                upload_rate=peer.upload_rate,
                connected_at=joined,
                unchoked=not peer.am_choking,
                home=household(peer.address[0]),
            )
            for peer, joined in self.peers.items()
            if peer.closed is None
        ]
        chosen = self._choker.rechoke(self._loop.time(), candidates, seeding=self.done)
        for candidate in candidates:
            peer = candidate.key
            if peer in chosen:
                peer.unchoke()
            else:
                peer.choke()
                self._uploads[peer].allowance.offer()

    async def __aenter__(self) -> Swarm:
        self._do(self._rechoke_forever())
        self._progress_at = self._loop.time()
        if self._timeout is not None:
            self._do(self._give_up_after(self._timeout))
        self._do(
            self.download.take_padding(
                index
                for index in self._padding.pieces()
                if index in self.wanted and index not in self.have
            )
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops dialling, closes every peer, and waits for the last pieces to be written."""
        self._closing = True
        # The peers first, lest a dial that is cancelled closes its own and gives no reason.
        reason = "done" if self.done else "the swarm is closing"
        closing = asyncio.gather(*(peer.close(reason) for peer in self.peers))
        tasks = {*self._dialling.cancel(), *self._chores}
        for task in self._chores:
            task.cancel()
        await closing
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.download.settle()
        if not self._complete.done():
            self._complete.cancel()

    # Connections

    async def _connect(self, host: str, port: int) -> Peer:
        return await connect(
            host,
            port,
            self.metainfo.info_hash,
            info_hash_v2=None if self._v2 is None else self._v2.info_hash,
            peer_id=self.peer_id,
            num_pieces=self.metainfo.num_pieces,
            encryption=self._encryption,
            extensions=self.extensions,
            limits=self._limits,
            trace=self._trace,
        )

    def _dial_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self._fail(error)
        self._dial_more()
        self._fail_if_alone()

    def _dial_more(self) -> None:
        """Dials those that peers have told of, where there is room for them again."""
        if self._pex is not None and not self.done and not self._closing:
            self._pex.dial_more()

    async def _exchange(self, peer: Peer, invited: bool) -> None:
        """Exchanges pieces with a peer until one side closes the connection.

        Args:
            peer: The peer.
            invited: Whether our own side asked for its address, and not some other peer.

        Raises:
            Unwanted: Not with this one.
        """
        if self._closing:
            raise Unwanted("the swarm is closing")
        for other, reason in self._admission.admit(peer, self._loop.time(), invited=invited):
            self._do(other.close(reason))
        peer.set_num_pieces(self.metainfo.num_pieces)
        disguise = self._disguise
        have = self.have if disguise is None else disguise.meet(peer)
        upload = Upload(
            peer,
            self.metainfo,
            self.disk,
            have,
            on_failure=self._unreadable,
            proofs=self._proofs,
        )
        self.peers[peer] = self._loop.time()
        self._uploads[peer] = upload
        self._tell(PeerJoined(peer, dialled=peer.wire.role is Role.INITIATOR))
        try:
            await exchange(
                peer,
                have=have,
                download=self.download,
                upload=upload,
                rechoke=functools.partial(self._interest_changed, peer),
                heard=functools.partial(self._heard, peer),
            )
        except ConnectionClosed:
            pass  # PeerLeft tells it
        finally:
            del self.peers[peer], self._uploads[peer]
            self._chatter.part(peer)
            if disguise is not None:
                disguise.part(peer)
            self._rechoke_soon()
            await peer.close()
            assert peer.closed is not None
            self._tell(PeerLeft(peer, peer.closed))
            self._dial_more()
            self._fail_if_alone()
        self._admission.check(peer)

    # What comes of it

    def _heard(self, peer: Peer, message: Received) -> None:
        if self._disguise is not None:
            self._disguise.heard(peer, message)
        match message:
            case DontHave(index):
                self.download.peer_lost(peer, index)
            case ExtendedHandshake() | UploadOnlyMessage():
                self.download.update_interest(peer)
            case PexMessage() if self._pex is not None and not self.done:
                self._pex.heard(peer, message)

    def _verified(self, event: PieceVerified) -> None:
        self.have.add(event.index)
        self._progress_at = self._loop.time()
        self._tell(event)
        for peer in self.peers:
            if peer.closed is not None:
                continue
            peer.have(event.index)  # who has it, too, learns from this that we become complete
            self._uploads[peer].allowance.offer()
            self.download.update_interest(peer)
            if self.done:
                self._want_nothing(peer)
        if self.done and not self._complete.done():
            self._complete.set_result(None)

    def _want_nothing(self, peer: Peer) -> None:
        upload_only = peer.wire.extensions.find(UploadOnly)
        if upload_only is not None:
            upload_only.switch(True)
        if peer.peer_pieces.complete:
            self._do(peer.close(NOTHING_LEFT))

    def _ban(self, who: Sender, reason: str) -> None:
        self._tell(PeerBanned(who.address, reason))
        for peer in self._admission.ban(who, reason):
            self._do(peer.close(reason))

    def _silence(self) -> None:
        """Bans those who do nothing but keep us busy."""
        for peer in self.peers:
            chatter = self._chatter.since_last(peer)
            if chatter > self._swarm_limits.max_chatter and peer.closed is None:
                seconds = f"{RECHOKE_SECONDS:g} s"
                self._ban(
                    Sender.of(peer), f"it sent {chatter} messages in {seconds} that move nothing"
                )

    def _unreadable(self, index: int, error: StorageError) -> None:
        self.have.discard(index)
        if self._disguise is not None:
            self._disguise.withdraw(index)
        if self.done:
            self._tell(DiskFailed(index, error))
            self._disown(index)
        else:
            self._fail(error)

    def _disown(self, index: int) -> None:
        for peer in self.peers:
            extension = peer.wire.extensions.find(LtDontHave)
            if peer.closed is None and extension is not None and extension.supported:
                extension.dont_have(index)

    def _fail(self, error: BaseException) -> None:
        if not self._complete.done():
            self._complete.set_exception(error)
            self._complete.exception()  # who does not wait for it is not to be warned of it

    def _fail_if_alone(self) -> None:
        """Gives the download up once nobody is left to have the rest from, nor to be dialled."""
        dialling, failures = self._dialling.addresses, self._dialling.failures
        if not (dialling or self.peers or not failures or self.done):
            self._fail_because("and no peer left")

    async def _give_up_after(self, timeout: float) -> None:
        """Gives the download up once nothing has come for so many seconds."""
        while not self.done:
            left = self._progress_at + timeout - self._loop.time()
            if left <= 0:
                self._fail_because(f"and none has come for {timeout:g} s")
                return
            await asyncio.sleep(left)

    def _fail_because(self, reason: str) -> None:
        reasons = {a: why(error) for a, error in self._dialling.failures.items()}
        reasons |= {peer.address: self.download.complaint(peer) for peer in self.peers}
        told = [f"{written(address)}: {reason}" for address, reason in reasons.items()]
        more = f"; and {len(told) - LISTED} more" if len(told) > LISTED else ""
        missing = f"{self.picker.remaining} of {self.metainfo.num_pieces} pieces missing"
        listed = "; ".join(told[:LISTED]) or "nobody was there"
        self._fail(DownloadFailed(f"{missing} {reason}: {listed}{more}"))

    def _interest_changed(self, peer: Peer) -> None:
        self._changes[peer] += 1
        if self._changes[peer] <= MAX_CHANGES:
            self._rechoke_soon()

    def _rechoke_soon(self) -> None:
        """Rechokes once for all who change their mind at the same time."""
        if self._rechoking is None:
            self._rechoking = self._loop.call_soon(self.rechoke)

    async def _rechoke_forever(self) -> None:
        while True:
            self._silence()
            self._changes.clear()
            self.rechoke()
            if self._disguise is not None:
                self._disguise.tick()
            if self._pex is not None:
                self._pex.tell()
            self.download.tick()
            await asyncio.sleep(RECHOKE_SECONDS)

    def _do(self, chore: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chore_done)

    def _chore_done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)  # a mistake of ours: who waits for the download is to know
