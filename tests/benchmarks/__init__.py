"""How fast it is beside others: `nox -s benchmarks`, or `python -m benchmarks --help`.

A server is a process of its own on one core, its clients are another one, written in C,
on another core. What counts is the CPU time of the server's process for each request,
and the ratio of two such figures in one round: both hold on a machine that is busy
otherwise, where a rate does not.
"""
