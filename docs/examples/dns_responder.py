"""Answer questions about one zone, with dnspython reading and writing the messages.

Run ``python dns_responder.py``, then ask it: ``dig @localhost -p 9999 www.zone.test``.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import trio

import trioserver

ZONE = {
    ("www.zone.test.", "A"): "192.0.2.80",
    ("www.zone.test.", "AAAA"): "2001:db8::80",
    ("zone.test.", "TXT"): '"hello from trioserver"',
}
NAMES = {name for name, _ in ZONE}


class DNSHandler(trioserver.DatagramRequestHandler):
    async def handle(self) -> None:
        try:
            query = dns.message.from_wire(self.packet)
        except dns.exception.DNSException:
            return  # To answer what is no question is how servers come to loop.
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return
        self.wfile.write(answer(query).to_wire(max_size=512))


def answer(query: dns.message.Message) -> dns.message.Message:
    """Return what this zone has to say."""
    (question,) = query.question
    name, kind = question.name.to_text().lower(), question.rdtype.name
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA
    if name not in NAMES:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif (name, kind) in ZONE:
        record = dns.rrset.from_text(question.name, 300, "IN", kind, ZONE[name, kind])
        response.answer.append(record)
    return response


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9999
    server = trioserver.UDPServer(("localhost", port), DNSHandler)
    print("DNS on {}:{}".format(*server.server_address), flush=True)
    with suppress(KeyboardInterrupt):
        trio.run(server.serve)
