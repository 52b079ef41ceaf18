"""The server under load and abuse: does it keep its promises for minutes on end?

Run it with ``nox -s soak``, or from the root of the checkout with
``PYTHONPATH=tests python -m soak --help``. Everything stays on this machine, and ends
by itself.
"""
