"""Benchmarks: ``make bench`` measures against named references in the same run and writes ``docs/benchmarks.md``."""
