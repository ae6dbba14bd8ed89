"""Checks what callers were told against itself, whoever was killed meanwhile: the history of each key has to make sense.

After a 202 with a request id has been received, every request that begins later gets that answer, or none: not another request id, and not
that the outcome is unknown. Only where the gateway says itself that the store has not confirmed the record (`Gateway-Deduplication: pending`)
may the request id be lost with its process; another one would be a second message all the same. Nothing here asks Amazon.
"""

import collections


Event = collections.namedtuple("Event", "began ended status request_id is_pending")


class History:
    def __init__(self):
        # By message: when the request began and ended, its status and request id, and whether its record was confirmed.
        self.events = collections.defaultdict(list)

    def add(self, message, began, ended, status, request_id, is_pending=False):
        if status in (202, 504):
            self.events[message].append(Event(began, ended, status, request_id, is_pending))

    def broken(self):
        """Messages with another request id, and with 504, after a 202 was known."""
        other_ids, forgotten = [], []
        for message, events in self.events.items():
            accepted = [event for event in events if event.status == 202]
            # What was accepted by a receipt has no request id until Amazon's answer comes.
            named = [event for event in accepted if event.request_id != "receipt"]
            confirmed = [event for event in accepted if not event.is_pending]
            if len({event.request_id for event in named}) > 1 or any(
                    event.request_id == "receipt" for event in after_first_of(set(named) & set(confirmed), accepted)):
                other_ids.append(message)
            if any(event.status == 504 for event in after_first_of(confirmed, events)):
                forgotten.append(message)
        return other_ids, forgotten


def after_first_of(known, events):
    """Those of `events` that began after the first of `known` had ended."""
    first = min((event.ended for event in known), default=float("inf"))
    return [event for event in events if event.began > first]
