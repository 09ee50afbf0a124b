"""The BitTorrent peer wire protocol for Python: the public names, nothing else."""

from .version import __version__ as __version__
