"""What `peerwire bench` measures: programs in processes of their own, and who takes turns."""
