"""The drill: what each target does with a folder that `infergraph manifests` rendered, done here.

Containers are processes on loopback, each with an address of its own, so that ports stay those of
the manifests. What a cluster does to them is imitated: see `image`, `pod`, and a module a target.
"""
