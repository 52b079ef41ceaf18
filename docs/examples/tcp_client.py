"""Send the words of the command line to a server, and print what it answers.

A client knows nothing of how its server is made: this one needs no trioserver.
"""

from __future__ import annotations

import socket
import sys

HOST, PORT = "localhost", 9999
data = " ".join(sys.argv[1:])

# A stream socket of the internet family: TCP.
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    # The server waits for the end of the line.
    sock.connect((HOST, PORT))
    sock.sendall(bytes(data, "utf-8"))
    sock.sendall(b"\n")

    # A short answer comes in one piece.
    received = str(sock.recv(1024), "utf-8")

print("Sent:    ", data)
print("Received:", received)
