"""The command `infergraph-infer`: one request to any V2 server, and its answer to read."""
