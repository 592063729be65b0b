"""The study: the paper's claims and our own metric, tested by training. README.md says how to run it."""
