"""The suites of launch/bench.py: each module measures one part of the library beside its peers."""
