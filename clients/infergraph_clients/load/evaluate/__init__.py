"""Evaluations: a pipeline served, measured in all ways, and one report about it."""
