"""Judging embeddings: probes and metrics are functions of arrays, `probe` and `embed` run them
on stores.
"""
