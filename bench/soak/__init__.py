"""Thousands of peers on one server for a while, some of them hostile: what breaks, what grows?

    python -m bench.soak [--peers 2000] [--seconds 60] [--hostile 0.1] [--seed N] [--json]

One `peerwire.serve` in a process of its own; its peers in others, TCP on loopback. Well-behaved
peers are `peerwire.connect`; each says and asks at random whatever the protocol allows, compares
what it gets with what is right, leaves and comes back. Hostile ones are raw sockets, and each kind
of them dials from a loopback address of its own, so that the server's account of how connections
ended can be held against what every kind has coming to it. The seed decides who does what, in what
order; when, is up to the machine. Needs Linux: /proc, and all of 127.0.0.0/8.
"""
