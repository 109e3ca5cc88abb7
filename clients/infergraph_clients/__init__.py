"""Clients of served pipelines. Nothing here imports mlserver: tritonclient's gRPC half cannot share
a process with it."""
