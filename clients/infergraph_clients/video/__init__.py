"""The command `infergraph-video`: a video or a folder of pictures through any V2 server."""
