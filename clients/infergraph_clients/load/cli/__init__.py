"""The command `infergraph-load`. A module per command, which imports what is heavy when it runs."""
