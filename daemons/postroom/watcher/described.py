"""A line as one JSON object: where it comes from, its kind, and the fields of that kind, by Postfix's words. Pure.

Numbers are numbers (pid, delay in seconds, size in octets); `delays` is a list of four. A line that nothing
follows from is of kind `other`.
"""

import re
from typing import Any

from postroom.watcher.lines import Line, NoLine
from postroom.watcher.records import kinds
from postroom.watcher.records.reading import record

Fields = dict[str, Any]

_RELAY = re.compile(r"(?P<host>[^\[\]]*)\[(?P<address>[^\]]*)\](?::(?P<port>[0-9]{1,5}))?")
_CLIENT = re.compile(r"(?P<name>[^\[\]]*)\[(?P<address>[^\]]*)\](?::(?P<port>[0-9]{1,5}))?")


def described(line: Line | NoLine) -> Fields:
    """The JSON object of a line."""
    if isinstance(line, NoLine):
        return {"kind": line.value}
    fields = _fields(record(line))
    if fields["kind"] == NoLine.MALFORMED:
        return fields
    origin: Fields = {"syslog_name": line.syslog_name, "daemon": line.daemon}
    where = {"pid": line.pid, "host": line.host, "timestamp": line.stamp}
    return origin | fields | {name: value for name, value in where.items() if value}


def _fields(found: kinds.Record | None) -> Fields:
    match found:
        case kinds.Delivery():
            return _of_delivery(found)
        case kinds.Received():
            return _of_client(found)
        case kinds.Acted(queue_id, action) | kinds.Held(queue_id, action):
            return _id(queue_id) | {"kind": "action", "action": action}
        case None:
            return {"kind": "other"}
    kind, names = _SHAPES[type(found)]
    values = {name: getattr(found, attribute) for name, attribute in names.items()}
    if isinstance(found, kinds.Logged):
        kind += found.severity
    return {"kind": kind} | {name: value for name, value in values.items() if value is not None}


_ID = {"queue_id": "queue_id"}
_SHAPES: dict[type, tuple[str, dict[str, str]]] = {
    kinds.Active: ("queue_active", {**_ID, "from": "sender", "size": "size", "nrcpt": "recipients"}),
    kinds.Expired: ("expired", {**_ID, "from": "sender", "status": "status"}),
    kinds.Removed: ("removed", _ID),
    kinds.Skipped: ("skipped", _ID),
    kinds.Operated: ("postsuper", {**_ID, "action": "action"}),
    kinds.PickedUp: ("pickup", {**_ID, "uid": "uid", "from": "sender", "orig_id": "orig_queue_id"}),
    kinds.MessageId: ("message_id", {**_ID, "message_id": "message_id"}),
    kinds.Notified: ("notification", {**_ID, "role": "to", "notification": "kind", "new_queue_id": "notice"}),
    kinds.AttemptFailed: ("attempt_failed_not_final", _ID),
    kinds.Logged: ("log_", _ID),
    kinds.Connected: ("connect", {}),
    kinds.Disconnected: ("disconnect", {}),
    kinds.ConnectionLost: ("lost_connection", {}),
    kinds.ConnectFailed: ("connect_error", {}),
    kinds.TlsEstablished: ("tls", {}),
    kinds.Statistics: ("statistics", {}),
    kinds.Started: ("other", {}),
    kinds.Stopping: ("other", {}),
    kinds.Cut: (NoLine.MALFORMED, {}),
}
"""The kind of each record, and of each field its name and the record's attribute."""


def _of_delivery(delivery: kinds.Delivery) -> Fields:
    fields: Fields = {
        "queue_id": delivery.queue_id,
        "kind": "delivery",
        "truncated": not delivery.is_whole,
        "response": delivery.reason,
        "to": delivery.to,
        "relay": delivery.relay,
        "delay": _seconds(delivery.delay),
        "delays": [_seconds(part) for part in delivery.delays.split("/")],
        "dsn": delivery.dsn,
        "status": delivery.status,
        **_of_relay(delivery.relay),
    }
    if not delivery.is_bracketed:
        fields["no_angle_brackets"] = True
    if delivery.orig_to is not None:
        fields["orig_to"] = delivery.orig_to
    if delivery.conn_use:
        fields["conn_use"] = int(delivery.conn_use)
    if delivery.tls is not None:
        fields["tls"] = delivery.tls
    return fields


def _of_relay(relay: str) -> Fields:
    found = _RELAY.fullmatch(relay)
    if found is None:
        return {"relay_host": None if relay == "none" else relay, "relay_addr": None, "relay_port": None}
    port = found["port"]
    return {
        "relay_host": found["host"],
        "relay_addr": found["address"],
        "relay_port": None if port is None else int(port),
    }


def _of_client(received: kinds.Received) -> Fields:
    found = _CLIENT.fullmatch(received.client)
    client: Fields = {"client_name": received.client, "client_ip": None}
    if found is not None:
        client = {"client_name": found["name"], "client_ip": found["address"]}
        if found["port"] is not None:
            client["client_port"] = int(found["port"])
    return _id(received.queue_id) | {"kind": "client"} | client | received.attributes


def _id(queue_id: str | None) -> Fields:
    return {"queue_id": queue_id} if queue_id is not None else {"queue_id": None, "noqueue": True}


def _seconds(written: str) -> float | None:
    try:
        return float(written)
    except ValueError:
        return None
