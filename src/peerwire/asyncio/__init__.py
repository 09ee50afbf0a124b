"""Peers on asyncio: `connect`, `serve`, and the `Peer` that both give."""
