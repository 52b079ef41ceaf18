"""Send the words of the command line as one datagram, and print what comes back.

Nobody promises that it arrives, or that the answer does: give up after some seconds.
"""

from __future__ import annotations

import socket
import sys

HOST, PORT = "localhost", 9999
data = " ".join(sys.argv[1:])

# A datagram socket of the internet family: UDP.
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(10)
    # It connects to nobody; whom it is for stands on each datagram.
    sock.sendto(bytes(data + "\n", "utf-8"), (HOST, PORT))
    received = str(sock.recv(1024), "utf-8")

print("Sent:    ", data)
print("Received:", received)
