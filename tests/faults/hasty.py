"""The command line with little patience, so that what would take minutes is over in seconds.

It has no options for that, as nobody needs them.
"""

import sys

from peerwire.asyncio import connection
from peerwire.cli import main, output
from peerwire.limits import DEFAULT_LIMITS
from peerwire.swarm.dialling import Redial

for name, seconds in {"handshake_timeout": 2, "request_timeout": 1, "idle_timeout": 5}.items():
    object.__setattr__(DEFAULT_LIMITS, name, float(seconds))

connection.CLOSE_TIMEOUT = 1.0
Redial.__init__.__defaults__ = (2, 0.01, 0.01)
output.PLAIN_INTERVAL = 0.0

if __name__ == "__main__":
    sys.exit(main())
