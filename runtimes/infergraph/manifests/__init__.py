"""Manifests: what a cluster, or another machine, needs to run pipelines, and checks of it.

Everything is computed from a pipeline's graph, its models' settings and checkpoints. Neither
MLServer nor torch is imported.
"""
