"""What a session asks at the sendmail door: is it Postfix that connects, and what becomes of the mail?"""

from collections.abc import Callable
from dataclasses import dataclass

from postroom.identity.socket_owner import End
from postroom.milter.door_limits import DoorDecision, DoorMail


@dataclass(frozen=True, slots=True)
class Entrance:
    """The door as the sessions of one process see it.

    Attributes:
        owner_of:    uid of a connection's client, by its own end and the far one; None is unknown.
        postfix_uid: the one that is believed; None is nobody.
        groups_of:   gids of a uid.
        count:       blocks until the mail is counted.
    """

    owner_of: Callable[[End, End], int | None]
    postfix_uid: int | None
    groups_of: Callable[[int], frozenset[int]]
    count: Callable[[DoorMail], DoorDecision]
