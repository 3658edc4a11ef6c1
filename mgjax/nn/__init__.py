"""Layers that know arrays, not datasets."""
