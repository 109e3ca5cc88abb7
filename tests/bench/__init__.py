"""Benchmarks: `make bench`. They print tables; nothing here is a timed test."""
