"""Checks what callers were told against itself, whoever was killed meanwhile: the history of each key has to make sense.

After a 202 with a request id has been received, every request that begins later gets that answer, or none: not another request id, and not
that the outcome is unknown. Nothing here asks Amazon.
"""

import collections


class History:
    def __init__(self):
        # By message: when the request began and ended, its status and request id.
        self.events = collections.defaultdict(list)

    def add(self, message, began, ended, status, request_id):
        if status in (202, 504):
            self.events[message].append((began, ended, status, request_id))

    def broken(self):
        """Messages with another request id, and with 504, after a 202 was known."""
        other_ids, forgotten = [], []
        for message, events in self.events.items():
            # What was accepted by a receipt has no request id until Amazon's answer comes.
            accepted = min((event for event in events if event[2] == 202), key=lambda event: event[1], default=None)
            if accepted is None:
                continue
            later = [event for event in events if event[0] > accepted[1]]
            named = min(
                (event for event in events if event[2] == 202 and event[3] != "receipt"), key=lambda event: event[1],
                default=None)
            if named and any(event[2] == 202 and event[3] != named[3] for event in events if event[0] > named[1]):
                other_ids.append(message)
            if any(event[2] == 504 for event in later):
                forgotten.append(message)
        return other_ids, forgotten
