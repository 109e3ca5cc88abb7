"""Profiles: latency and throughput of a model or pipeline by batch size and concurrency."""
