"""Torrents and the content they describe: metainfo, its making, and the disk."""
