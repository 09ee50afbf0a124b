"""What `make bench` runs: peerwire beside the clients that are installed here."""
