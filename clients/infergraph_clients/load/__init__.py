"""A load tester for servers of the V2 (Open Inference) protocol: the command `infergraph-load`.

Arrivals say when requests are meant to be sent, before the first one is; the engine sends them, in
one process or several; the statistics judge latency from the intended time on, so that a server
that stalls cannot hide it. Imports point one way: `cli -> evaluate -> profile -> search, reports ->
engine -> statistics, transports, corpus, arrivals -> configuration -> errors`.
"""
