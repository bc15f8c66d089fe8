"""What can never go out is refused when it is to be accepted.

That is a message whose recipients are all suppressed, one of which cannot be resolved, or that has more of them than a
limit ever holds. Recipients that are suppressed beside others become deliveries in that state. Whether a limit holds
the message now is asked at hand-over, and counted there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from postroom.recipients.check import SYNTAX_RULE, RecipientRefusal
from postroom.store.outbox.messages import StoredMessage, Unsent
from postroom.submission.api.problem import ApiProblem, FieldError
from postroom.submission.api.request import MessageRequest, invalid
from postroom.submission.api.writer import WrittenMessage
from postroom.submission.socket_door import SocketDoor


@dataclass(frozen=True, slots=True)
class AcceptableMessage:
    """A message that may be accepted, and those of its recipients that get nothing of it."""

    message: StoredMessage
    suppressed: Mapping[str, Unsent]


class MessageCheck:
    """Refuses, before anything is stored, what can never go out."""

    def __init__(self, door: SocketDoor) -> None:
        self._door = door

    async def check(self, request: MessageRequest, written: WrittenMessage) -> AcceptableMessage:
        """Let a message in, with the sender it will be counted under.

        Raises:
            ApiProblem: 422, it can never go out: no recipient is left, one cannot be resolved, or a limit is smaller.
        """
        suppressed = await self._door.refused(written.recipients, written.message.stream)
        if unresolved := {who: refusal for who, refusal in suppressed.items() if refusal.rule == SYNTAX_RULE}:
            raise invalid(_errors(request, unresolved, "address_invalid"))
        if len(suppressed) == len(written.recipients):
            raise ApiProblem(
                422,
                "suppressed",
                "no mail goes to any of the recipients; see errors",
                _errors(request, suppressed, "suppressed"),
            )
        assert request.from_ is not None, "what is written has a From"
        message = replace(written.message, sender=self._door.counted_sender(request.from_.address))
        left = [recipient for recipient in written.recipients if recipient not in suppressed]
        too_small = self._door.never_fitting(message.client, message.sender, left)
        if too_small is not None:
            raise ApiProblem(
                422,
                "never_fits",
                f"{len(left)} recipients are more than the limit {too_small.rule} ever holds at once; "
                "send to fewer in one message",
            )
        return AcceptableMessage(
            message,
            {recipient: Unsent(refusal.enhanced_status, refusal.text) for recipient, refusal in suppressed.items()},
        )


def _errors(request: MessageRequest, refused: Mapping[str, RecipientRefusal], code: str) -> list[FieldError]:
    return [
        FieldError(f"/{field}/{index}", code, refused[mailbox.address].text)
        for field, mailboxes in (("to", request.to), ("cc", request.cc), ("bcc", request.bcc))
        for index, mailbox in enumerate(mailboxes)
        if mailbox.address in refused
    ]
