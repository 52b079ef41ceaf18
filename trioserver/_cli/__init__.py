"""The command line: arguments in, server running, exit code out."""
