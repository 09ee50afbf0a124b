"""What encryption costs: RC4 in both implementations, and a transfer under each policy.

    python bench/encryption.py [--size 512MiB] [--runs 5]

The transfers are `peerwire demo`, which has both sides in one thread: each byte is encrypted and
decrypted there. The policies take turns, another one first each time, so that a busy machine is
so for all of them; only the ratios count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import timeit
from typing import TYPE_CHECKING

from peerwire.rc4 import PurePythonRC4, rc4

if TYPE_CHECKING:
    from peerwire.rc4 import StreamCipher

POLICIES = ["off", "prefer", "require"]
KEY = bytes(range(16))


def speed(cipher: StreamCipher, size: int) -> float:
    """Returns the bytes a second that a cipher encrypts in place, at its best of five."""
    data = bytearray(size)
    return size / min(timeit.repeat(lambda: cipher.apply(data), number=1, repeat=5))


def transfer(policy: str, size: str) -> tuple[str, float]:
    """Returns what was spoken in a transfer, and its bytes a second."""
    command = [sys.executable, "-m", "peerwire", "demo", "--json"]
    command += ["--size", size, "--encryption", policy]
    done = subprocess.run(command, check=True, capture_output=True)
    record = json.loads(done.stdout)
    return record["encryption"], record["bytes_per_second"]


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="512MiB", help="how much each transfer moves")
    parser.add_argument("--runs", type=int, default=5, help="transfers of each policy")
    args = parser.parse_args()

    fast, pure = speed(rc4(KEY), 1 << 20), speed(PurePythonRC4(KEY), 1 << 17)
    print(f"RC4 in place     {fast / 1e6:6.0f} MB/s   {type(rc4(KEY)).__name__}")
    print(f"                 {pure / 1e6:6.1f} MB/s   PurePythonRC4, 1 to {fast / pure:.0f}")

    spoken: dict[str, str] = {}
    speeds: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for run in range(args.runs):
        first = run % len(POLICIES)
        for policy in POLICIES[first:] + POLICIES[:first]:
            spoken[policy], bytes_per_second = transfer(policy, args.size)
            speeds[policy].append(bytes_per_second / 1e6)
    print(f"\n--encryption  spoken     median of {args.runs}  ratio  all, in MB/s")
    plain = statistics.median(speeds["off"])
    for policy in POLICIES:
        median = statistics.median(speeds[policy])
        each = " ".join(f"{speed:.0f}" for speed in sorted(speeds[policy]))
        print(f"{policy:13} {spoken[policy]:9} {median:7.0f} MB/s   {median / plain:5.2f}  {each}")


if __name__ == "__main__":
    main()
