"""The contenders: each is a server in a module of its own, named like the contender.

A module has `SERVICES`: by the name of a service, what serves it until SIGTERM. Each
handler is written as its library's documentation shows it, and does the same: it
splits the stream into lines, and answers each line by itself. Where a library leaves
Nagle's algorithm on, it is turned off in the documented way, and where it has a short
listen queue, that is lengthened; nothing else is tuned.
"""
