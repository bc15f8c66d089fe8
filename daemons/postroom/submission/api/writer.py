"""From a checked request to what is stored: From domain, template, octets. Pure but for the templates it holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from postroom.mail.addresses import Mailbox
from postroom.mail.ids import message_id
from postroom.senders.table import SenderIdentity, SendersTable
from postroom.store.outbox.messages import StoredMessage
from postroom.submission.api.compose import Image, MailParts, PartsInvalid, compose
from postroom.submission.api.problem import ApiProblem, FieldError
from postroom.submission.api.request import MessageRequest, TemplateChoice, invalid
from postroom.templating.catalogue import Catalogue, TemplateUnknown
from postroom.templating.render import Rendered, RenderFailed
from postroom.templating.variables import VariablesInvalid


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """A message ready to be stored."""

    message: StoredMessage
    recipients: tuple[str, ...]
    octets: bytes


class Writer:
    """Writes messages.

    Args:
        catalogue: the templates in effect.
        return_paths: for each From domain that is ours, the envelope sender with '*' where the token goes.
        senders: which client may use which of them.
    """

    def __init__(self, catalogue: Catalogue, return_paths: Mapping[str, str], senders: SendersTable) -> None:
        self._catalogue = catalogue
        self._return_paths = return_paths
        self._senders = senders

    def write(
        self, request: MessageRequest, faults: list[FieldError], message: str, client: str, now: float
    ) -> WrittenMessage:
        """Render and compose.

        Args:
            faults:  what was found wrong with the request already; it is refused with all there are.
            message: its id.
            now:     Unix seconds; the Date of the mail.

        Raises:
            ApiProblem: 422 with every fault; 500 when the template itself fails.
        """
        faults = list(faults)
        return_path = self._return_path(request.from_, client, faults)
        rendered = self._rendered(request.template, faults)
        if faults or request.from_ is None or return_path is None:
            raise invalid(faults)
        name = message_id(message, request.from_.domain)
        try:
            octets = compose(
                MailParts(
                    from_=request.from_,
                    to=request.to,
                    cc=request.cc,
                    reply_to=request.reply_to,
                    subject=request.subject or "" if rendered is None else rendered.subject,
                    text=request.text if rendered is None else rendered.text,
                    html=request.html if rendered is None else rendered.html,
                    message_id=name,
                    date=now,
                    auto_submitted=True,
                    images=() if rendered is None else images_of(rendered),
                )
            )
        except PartsInvalid as refused:
            pointer = "/template/data" if rendered is not None else f"/{refused.part}"
            raise invalid([FieldError(pointer, "cannot_be_sent", refused.reason)]) from None
        return WrittenMessage(
            StoredMessage(
                id=message,
                client=client,
                message_id=name,
                return_path=return_path,
                accepted_at=now,
                template=None if rendered is None else rendered.name,
                template_version=None if rendered is None else rendered.version,
                stream=request.stream or ("" if rendered is None else rendered.stream),
            ),
            request.recipients,
            octets,
        )

    def _return_path(self, sender: Mailbox | None, client: str, faults: list[FieldError]) -> str | None:
        if sender is None:
            return None
        return_path = self._return_paths.get(sender.domain)
        if return_path is None:
            detail = f"{sender.domain} is not one of our domains; mend: use one that is, or add it under domains"
            faults.append(FieldError("/from", "domain_not_ours", detail))
        elif not self._senders.may_use(SenderIdentity(client=client), sender.address):
            detail = (
                f"client {client} may not write From this address of {sender.domain}; "
                "mend: name the client and the domain, or the address, under senders.allow"
            )
            faults.append(FieldError("/from", "domain_not_yours", detail))
        return return_path

    def _rendered(self, chosen: TemplateChoice | None, faults: list[FieldError]) -> Rendered | None:
        if chosen is None:
            return None
        try:
            return self._catalogue.get(chosen.name).render(chosen.locale, chosen.data)
        except TemplateUnknown as unknown:
            faults.append(FieldError("/template/name", "unknown", str(unknown)))
        except VariablesInvalid as wrong:
            faults.extend(
                FieldError(f"/template/data{problem.pointer}", problem.code, problem.detail)
                for problem in wrong.problems
            )
        except RenderFailed as failed:
            raise ApiProblem(500, "fault", f"the template failed: {failed}; mend the template") from None
        return None


def images_of(rendered: Rendered) -> tuple[Image, ...]:
    """What the HTML shows by "cid:" and has to travel with it."""
    logo = rendered.logo
    return () if logo is None else (Image(logo.cid, logo.kind, logo.octets),)
