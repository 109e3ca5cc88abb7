"""REST and gRPC servers of the V2 protocol on MLServer's settings, repository and models."""
