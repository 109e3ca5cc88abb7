"""The storm: a flood of requests, most of them bad, beside callers who must get their answers.

    python -m tests.storm [--requests N] [--seed N] [--only INDEX]

A request is made from the seed and its index alone, so that any of them can be sent again.
"""
