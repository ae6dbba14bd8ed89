"""A caller over HTTP/2, by Python's h2.

Usage: http2_caller.py PORT KEY KIND
"""

import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings


class Caller:
    """One connection."""

    def __init__(self, port, key):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(60)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.key = key
        self.statuses = {}
        self.contents = {}
        self.ended = set()
        self.resets = {}
        self.flush()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def send(self, user, parts=(b'{"data":{"a":"canary-value"}}',), fields=(), end=True):
        stream = self.connection.get_next_available_stream_id()
        self.connection.send_headers(
            stream,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "localhost"),
                (":path", f"/v1/skillmessages/users/amzn1.ask.account.{user}"),
                ("authorization", f"Bearer {self.key}"),
                ("gateway-region", "NA"),
                *fields,
            ],
        )
        for place, part in enumerate(parts):
            self.connection.send_data(stream, part, end_stream=end and place == len(parts) - 1)
        return stream

    def receive(self):
        """One read; false at the end of the connection."""
        self.flush()
        data = self.socket.recv(65536)
        if not data:
            return False
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.statuses[event.stream_id] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.contents[event.stream_id] = self.contents.get(event.stream_id, b"") + event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.resets[event.stream_id] = event.error_code
        return True

    def until(self, is_done):
        while not is_done():
            assert self.receive(), f"the connection ended: {self.statuses}, {self.resets}"
        self.flush()


def interleaved(caller):
    """Requests in three parts each, their parts mixed; every tenth is given up."""
    content = [b'{"data":', b'{"a":', b'"canary-value"}}']
    streams = [caller.send(f"NA-{number}", content[:1], end=False) for number in range(90)]
    for part in content[1:]:
        for stream in reversed(streams):
            caller.connection.send_data(stream, part, end_stream=part is content[-1])
        caller.flush()
    given_up = set(streams[::10])
    for stream in given_up:
        caller.connection.reset_stream(stream, error_code=8)
    rest = set(streams) - given_up
    caller.until(lambda: rest <= caller.ended)
    assert all(caller.statuses[stream] == 202 for stream in rest), caller.statuses


def windows(caller):
    """A client that takes one byte at a time, and changes its mind about it."""
    # Each response that has content comes in many pieces.
    caller.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1})
    caller.flush()
    streams = [caller.send(f"GONE-{number}") for number in range(10)]
    caller.until(lambda: len(caller.contents) == 10)
    caller.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 65535})
    caller.until(lambda: set(streams) <= caller.ended)
    assert all(caller.statuses[stream] == 404 for stream in streams), caller.statuses
    assert all(b'"message"' in caller.contents[stream] for stream in streams), caller.contents


def drain(caller):
    """Requests are in flight when the gateway is told to end: all of them get their responses, and only then is it said."""
    streams = [caller.send(f"NA-{number}") for number in range(20)]
    caller.flush()
    print("sent", flush=True)
    caller.until(lambda: set(streams) <= caller.ended)
    assert all(caller.statuses[stream] == 202 for stream in streams), caller.statuses
    # h2 takes nothing behind GOAWAY, not even PING.
    try:
        while caller.receive():
            pass
    except (h2.exceptions.ProtocolError, ConnectionResetError):
        pass
    assert caller.connection.state_machine.state == h2.connection.ConnectionState.CLOSED


kinds = {"interleaved": interleaved, "windows": windows, "drain": drain}
kinds[sys.argv[3]](Caller(int(sys.argv[1]), sys.argv[2]))
print("ok")
