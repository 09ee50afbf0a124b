"""The extension protocol (BEP 10) and what is built on it, a file for each extension."""
