"""Packet captures: what TCP carried in them, in order; and captures of what a program carried."""
