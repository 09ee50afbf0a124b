"""Many peers, one torrent: which block to ask of whom, whom to unchoke, where peers come from."""
