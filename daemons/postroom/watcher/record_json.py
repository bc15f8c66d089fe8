"""A line as one JSON object: where it comes from, its kind, and the fields of that kind, by Postfix's words. Pure.

Numbers are numbers (pid, delay in seconds, size in octets); `delays` is a list of four. A line that nothing
follows from is of kind `other`.
"""

import re
from typing import Any

from postroom.watcher.lines import Line, NoLine
from postroom.watcher.records import types
from postroom.watcher.records.parse import parse_record

Fields = dict[str, Any]

_RELAY = re.compile(r"(?P<host>[^\[\]]*)\[(?P<address>[^\]]*)\](?::(?P<port>[0-9]{1,5}))?")
_CLIENT = re.compile(r"(?P<name>[^\[\]]*)\[(?P<address>[^\]]*)\](?::(?P<port>[0-9]{1,5}))?")


def line_to_json(line: Line | NoLine) -> Fields:
    """The JSON object of a line."""
    if isinstance(line, NoLine):
        return {"kind": line.value}
    fields = _fields(parse_record(line))
    if fields["kind"] == NoLine.MALFORMED:
        return fields
    origin: Fields = {"syslog_name": line.syslog_name, "daemon": line.daemon}
    where = {"pid": line.pid, "host": line.host, "timestamp": line.stamp}
    return origin | fields | {name: value for name, value in where.items() if value}


def _fields(found: types.Record | None) -> Fields:
    match found:
        case types.Delivery():
            return _of_delivery(found)
        case types.Received():
            return _of_client(found)
        case types.Acted(queue_id, action) | types.PutOnHold(queue_id, action):
            return _id(queue_id) | {"kind": "action", "action": action}
        case None:
            return {"kind": "other"}
    kind, names = _SHAPES[type(found)]
    values = {name: getattr(found, attribute) for name, attribute in names.items()}
    if isinstance(found, types.Logged):
        kind += found.severity
    return {"kind": kind} | {name: value for name, value in values.items() if value is not None}


_ID = {"queue_id": "queue_id"}
_SHAPES: dict[type, tuple[str, dict[str, str]]] = {
    types.Active: ("queue_active", {**_ID, "from": "sender", "size": "size", "nrcpt": "recipients"}),
    types.Expired: ("expired", {**_ID, "from": "sender", "status": "status"}),
    types.Removed: ("removed", _ID),
    types.Skipped: ("skipped", _ID),
    types.Operated: ("postsuper", {**_ID, "action": "action"}),
    types.PickedUp: ("pickup", {**_ID, "uid": "uid", "from": "sender", "orig_id": "orig_queue_id"}),
    types.MessageId: ("message_id", {**_ID, "message_id": "message_id"}),
    types.Notified: ("notification", {**_ID, "role": "to", "notification": "kind", "new_queue_id": "notice"}),
    types.AttemptFailed: ("attempt_failed_not_final", _ID),
    types.Logged: ("log_", _ID),
    types.Connected: ("connect", {}),
    types.Disconnected: ("disconnect", {}),
    types.ConnectionLost: ("lost_connection", {}),
    types.ConnectFailed: ("connect_error", {}),
    types.TlsEstablished: ("tls", {}),
    types.Statistics: ("statistics", {}),
    types.Started: ("other", {}),
    types.Stopping: ("other", {}),
    types.CutOff: (NoLine.MALFORMED, {}),
}
"""The kind of each record, and of each field its name and the record's attribute."""


def _of_delivery(delivery: types.Delivery) -> Fields:
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


def _of_client(received: types.Received) -> Fields:
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
