"""The recipients' servers and the DNS server of the bed: real programs, which answer as they are told."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import dkim
import pytest
from tests.milter.verifiers import records

from sandbox.maillog import deliveries
from sandbox.milter import rsa_pem
from sandbox.nameserver import NameServer, txt_setting
from sandbox.postfix import PrivatePostfix
from sandbox.process import BedError, until
from sandbox.recipient_servers import RecipientServers
from sandbox.sink import free_port
from sandbox.smtp import submit
from sandbox.verifiers import dkimpy_verdicts, dns_keys, opendkim_dns, opendkim_verdicts


def zone_line(selector: str, text: str) -> str:
    return f'{selector}._domainkey.example.org. IN TXT ( "{text[:255]}" "{text[255:]}" )'


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ('a.example.org. IN TXT "v=DKIM1; p=x,y"', 'txt-record=a.example.org,"v=DKIM1; p=x,y"'),
        ('a.example.org. IN TXT ( "one" "two" )\n', 'txt-record=a.example.org,"one","two"'),
    ],
)
def test_a_line_of_a_zone_file_becomes_a_setting(line: str, setting: str) -> None:
    """Every string of the record, in order."""
    assert txt_setting(line) == setting


@pytest.mark.parametrize("line", ["", "a. IN A 127.0.0.1", 'a IN TXT "relative"', 'a. IN TXT "open', "a. IN TXT words"])
def test_what_is_no_txt_record_is_told(line: str) -> None:
    """Not served as something else."""
    with pytest.raises(BedError, match="not a TXT record"):
        txt_setting(line)


@pytest.fixture
def signed() -> bytes:
    """A mail signed by dkimpy with the RSA key of sandbox.milter."""
    mail = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: x\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n"
    signature: bytes = dkim.sign(mail, b"2026a", b"example.org", rsa_pem(), include_headers=[b"from", b"subject"])
    return signature + mail


@pytest.mark.postfix
def test_both_verifiers_find_the_key_in_dns(bed: Path, signed: bytes) -> None:
    """A record of 2048 bits, in two strings; without it neither lets the signature pass."""
    record = records()["2026a._domainkey.example.org"]
    with NameServer(bed / "dns", [zone_line("2026a", record)]) as dns:
        assert dkimpy_verdicts(signed, dns_keys(dns.port)) == [True]
        assert opendkim_verdicts(bed, signed, opendkim_dns(dns.port)) == ["pass"]
        assert dkimpy_verdicts(signed.replace(b"hello", b"Hello"), dns_keys(dns.port)) == [False]
        assert dns.log.read_text().count("query[TXT] 2026a._domainkey.example.org from 127.0.0.1") == 3
    with NameServer(bed / "dns", [zone_line("2026b", record)]) as dns:
        assert dkimpy_verdicts(signed, dns_keys(dns.port)) == [False]
        assert opendkim_verdicts(bed, signed, opendkim_dns(dns.port)) != ["pass"]


@pytest.mark.postfix
def test_a_name_server_that_cannot_start_is_told(bed: Path) -> None:
    """With dnsmasq's own words."""
    with pytest.raises(BedError, match="bad TXT record"), NameServer(bed / "dns", [f'{"x" * 64}.org. IN TXT "a"']):
        pass


@pytest.fixture
def servers(bed: Path) -> Iterator[RecipientServers]:
    with RecipientServers(bed / "world") as servers:
        yield servers


@pytest.mark.postfix
def test_each_server_answers_as_the_local_part_says(bed: Path, servers: RecipientServers) -> None:
    """Whatever the domain; what is taken is kept, and nothing else."""
    port = free_port()
    expected = {
        "ada@example.net": ("sent", "2.0.0"),
        "busy@example.com": ("deferred", "4.3.0"),
        "gone@example.net": ("bounced", "5.1.1"),
        "shut@a.example": ("bounced", "5.7.1"),
        "busybody@example.net": ("sent", "2.0.0"),
    }
    letter = EmailMessage()
    letter["Subject"] = "x"
    with PrivatePostfix(
        bed / "postfix",
        servers.relay,
        handover=False,
        smtp_ports={port: {}},
        settings={"transport_maps": servers.transport_maps},
    ) as postfix:
        queue_ids = {name: submit(port, "me@example.org", name, letter).queue_id for name in expected}
        until(lambda: all(map(postfix.statuses, queue_ids.values())), 20, "all tried")
        told = {name: deliveries(postfix.log(), queue_id)[0] for name, queue_id in queue_ids.items()}
        until(lambda: len(servers.messages()) == 4, 20, "two mails, and a bounce of each that was refused for good")
    assert {name: (one.status, one.dsn) for name, one in told.items()} == expected
    taken = sorted(mail.recipients[0] for mail in servers.messages())
    assert taken == ["ada@example.net", "busybody@example.net", "me@example.org", "me@example.org"]


@pytest.mark.postfix
def test_stopped_together_none_of_them_answers(bed: Path) -> None:
    """Also those that refuse."""
    with RecipientServers(bed / "world") as servers:
        ports = [sink.port for sink in servers.sinks]
    assert len(set(ports)) == 4
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            smtplib.SMTP("127.0.0.1", port)


@pytest.mark.postfix
def test_a_reply_that_refuses_is_given_as_it_was(servers: RecipientServers) -> None:
    """By the SMTP client: code and text of the command that was refused, and no queue id."""
    busy = servers.sinks[1]
    reply = submit(busy.port, "me@example.org", "busy@example.net", EmailMessage())
    assert (reply.code, reply.text, reply.queue_id) == (451, "4.3.0 Come back later", "")


def test_a_server_that_is_not_there_is_told() -> None:
    """One line, with its port."""
    port = free_port()
    with pytest.raises(BedError, match=f"SMTP on 127.0.0.1:{port}"):
        submit(port, "me@example.org", "you@example.net", EmailMessage())
