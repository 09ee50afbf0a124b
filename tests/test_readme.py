"""The README's library example runs as it stands, against a real seeder."""

import asyncio
import re
from pathlib import Path

import peerwire

README = Path(__file__).parent.parent / "README.md"
INFO_HASH = bytes(range(20))
NUM_PIECES = 3


async def seed(peer: peerwire.Peer) -> None:
    peer.have_all()
    async for message in peer:
        match message:
            case peerwire.Interested():
                peer.unchoke()
            case peerwire.Request():
                await peer.respond(message, bytes(message.length))
                return


async def test_the_example_fetches_a_block(capsys):
    (source,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    async with peerwire.serve(seed, "127.0.0.1", 0, torrents={INFO_HASH: NUM_PIECES}) as server:
        source = source.replace("6881", str(server.port)).replace("asyncio.run(main())", "")
        names = {"INFO_HASH": INFO_HASH, "NUM_PIECES": NUM_PIECES}
        exec(compile(source, str(README), "exec"), names)
        async with asyncio.timeout(10):
            await names["main"]()
    assert "16384 bytes of piece 0" in capsys.readouterr().out
