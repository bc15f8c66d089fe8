"""Postroom's part of main.cf and master.cf, inserted at many sites and removed again."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.setup.main_cf_edits import RETURN_PATH_REGIONS, own_networks, wired_queue_readers, wired_return_domains
from postroom.setup.marks import MarksBroken, lines_of
from postroom.setup.master_cf_edits import CannotEdit
from postroom.setup.postfix_edits import PIECES, EditedFiles, EditOptions, edited_files, restored
from postroom.setup.postfix_files import parameters, services

FOLDER = Path(__file__).parents[2] / "postfix-conf"
TEXTS = {name: (FOLDER / name).read_text(encoding="ascii") for name in PIECES}
LOCAL = "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128"

DEBIAN = """\
# See /usr/share/postfix/main.cf.dist for a commented, more complete version
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.org
mydestination = $myhostname, localhost
"""
PICKUP = "pickup    unix  n       -       y       60      1       pickup\n"
MASTER = f"smtp      inet  n       -       y       -       -       smtpd\n{PICKUP}"
SUBMISSION = """\
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
# a comment in between
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject

"""


def edited(
    main: str = DEBIAN,
    master: str = MASTER,
    networks: str = LOCAL,
    door: bool = True,
    return_domains: tuple[str, ...] = (),
    queue_readers: tuple[str, ...] | None = None,
) -> EditedFiles:
    """Both files with our part; both give back what they were."""
    options = EditOptions(networks, door, return_domains, queue_readers)
    made = edited_files(main, master, TEXTS, options)
    assert restored(made.main).text == main
    assert restored(made.master).text == master
    # Anew from what is left, which is what a second run of set-up does.
    assert edited_files(restored(made.main).text, restored(made.master).text, TEXTS, options) == made
    return made


def in_force(text: str) -> dict[str, str]:
    return {name: parameter.value for name, parameter in parameters(lines_of(text)).items()}


def options(made: EditedFiles, name: str) -> dict[str, str]:
    return next(service.options for service in services(lines_of(made.master)) if service.name == name)


def test_a_plain_debian_gets_a_block_and_no_edit() -> None:
    """The lists of the piece, as they stand there."""
    made = edited()
    assert made.main.startswith(DEBIAN + "# BEGIN postroom settings ")
    assert "#|" not in made.main + made.master
    set_now = in_force(made.main)
    assert set_now["smtpd_milters"] == "$postroom_milter"
    assert set_now["smtpd_end_of_data_restrictions"] == (
        "$postroom_logged_in, $postroom_world_ends, $postroom_policy_smtp"
    )
    assert set_now["smtpd_restriction_classes"] == "postroom_of_login"
    assert made.notices == ()


LISTS = """\
smtpd_recipient_restrictions =
\tpermit_mynetworks,
# why
   reject_unauth_destination
smtpd_milters=inet:127.0.0.1:8891 , unix:other
milter_default_action = accept
"""


def test_lists_of_the_site_are_edited_in_their_place() -> None:
    """Ours first where a permit would end the list, ours last among milters; the original stands above, whole."""
    made = edited(main=LISTS)
    set_now = in_force(made.main)
    assert set_now["smtpd_recipient_restrictions"] == "$postroom_ask, permit_mynetworks, reject_unauth_destination"
    assert set_now["smtpd_milters"] == "inet:127.0.0.1:8891 , unix:other, $postroom_milter"
    assert set_now["smtpd_end_of_data_restrictions"] == "$postroom_ask"
    assert set_now["milter_default_action"] == "accept"
    assert "default_action=tempfail" in set_now["postroom_milter"]
    assert (
        "#|smtpd_recipient_restrictions =\n#|\tpermit_mynetworks,\n#|# why\n#|   reject_unauth_destination\n"
        in made.main
    )
    assert len(re.findall(r"^smtpd_recipient_restrictions", made.main, re.MULTILINE)) == 1
    assert any("DKIM signer" in notice for notice in made.notices)


def test_an_edit_of_the_operator_outlives_us() -> None:
    """What was added to a list of ours since stays; our words go, wherever they stand."""
    made = edited(main=LISTS)
    later = made.main.replace(
        "permit_mynetworks, reject_unauth", "permit_mynetworks, reject_rbl_client x.example, reject_unauth"
    )
    left_over = restored(later)
    left = in_force(left_over.text)
    assert (
        left["smtpd_recipient_restrictions"]
        == "permit_mynetworks, reject_rbl_client x.example, reject_unauth_destination"
    )
    assert left["smtpd_milters"] == "inet:127.0.0.1:8891 , unix:other"
    assert "postroom" not in left_over.text
    assert left_over.edited == ("list smtpd_recipient_restrictions",)


@pytest.mark.parametrize(
    "list_here", ["smtpd_milters =\n", "smtpd_recipient_restrictions =\n", "smtpd_end_of_data_restrictions=\n"]
)
def test_an_empty_list_is_filled_in_its_place(list_here: str) -> None:
    """A second line of the same name would make Postfix warn at each call."""
    made = edited(main=list_here)
    name = list_here.split("=", maxsplit=1)[0].strip()
    assert len(re.findall(rf"^{name}", made.main, re.MULTILINE)) == 1
    assert in_force(made.main)[name].startswith("$postroom_")


def test_the_milter_is_told_its_port() -> None:
    """Set where a site has no list of macros, added where its own lacks one, left where it has all; a listener's own
    list is the site's to mend."""
    assert in_force(edited().main)["milter_connect_macros"] == "j {daemon_name} {daemon_addr} {daemon_port} v _"
    own = in_force(edited(main="milter_connect_macros = j, {daemon_name} {daemon_addr}\n").main)
    assert own["milter_connect_macros"] == "j, {daemon_name} {daemon_addr}, $postroom_macros"
    assert own["postroom_macros"] == "{daemon_name} {daemon_addr} {daemon_port}"
    has_all = "milter_connect_macros = j {daemon_port} {daemon_addr} {daemon_name}\n"
    made = edited(main=has_all)
    assert made.main.startswith(has_all)
    assert "postroom_macros" not in made.main
    master = f"10.0.0.1:25 inet n - y - - smtpd\n  -o {{ milter_connect_macros = j {{daemon_name}} }}\n{PICKUP}"
    (notice,) = [notice for notice in edited(master=master).notices if "milter_connect_macros" in notice]
    assert notice.startswith("master.cf: 10.0.0.1:25 sets milter_connect_macros without ")
    master = master.replace("j {", "j {daemon_addr} {daemon_port} {")
    assert not [notice for notice in edited(master=master).notices if "milter_connect_macros" in notice]


def test_classes_of_the_site_stay() -> None:
    """smtpd_restriction_classes names ours beside them."""
    made = edited(main="smtpd_restriction_classes = greylist\nsmtpd_recipient_restrictions = greylist\n")
    assert in_force(made.main)["smtpd_restriction_classes"] == "greylist, postroom_own"


def test_where_people_log_in_at_port_25_they_are_counted_there() -> None:
    """Wherever they are: without the class the list would end before the count."""
    made = edited(main="smtpd_sasl_auth_enable = yes\n")
    assert in_force(made.main)["smtpd_recipient_restrictions"] == "$postroom_ask"
    assert "check_sasl_access static:postroom_own" in in_force(made.main)["postroom_ask"]


def test_the_networks_of_the_site_are_counted() -> None:
    """A table cannot be put there, and that is said."""
    made = edited(networks="192.0.2.0/24, 127.0.0.1 [2001:db8::]/32 hash:/etc/postfix/nets")
    ends = in_force(made.main)["postroom_world_ends"]
    assert "{ 192.0.2.0/24 DUNNO }, { 127.0.0.1/32 DUNNO }, { [2001:db8::]/32 DUNNO }, { 0.0.0.0/0 permit }" in ends
    assert [notice for notice in made.notices if "hash:/etc/postfix/nets" in notice]


def test_own_networks_of_nothing_usable_are_loopback() -> None:
    """A list without a network would count nobody's mail."""
    assert own_networks("hash:/x !192.0.2.1 $mydomain") == ("127.0.0.0/8", "[::1]/128")
    assert own_networks(LOCAL) == ("127.0.0.0/8", "[::1]/128")


def test_a_submission_service_with_lists_of_its_own_is_asked_too() -> None:
    """main.cf's list does not reach it; the options written later win."""
    made = edited(master=MASTER + SUBMISSION)
    found = options(made, "submission")
    assert found["smtpd_recipient_restrictions"] == "$postroom_policy_smtp, permit_sasl_authenticated,reject"
    assert found["smtpd_end_of_data_restrictions"] == "$postroom_policy_smtp"
    assert "smtpd_milters" not in found
    assert found["syslog_name"] == "postfix/submission"


def test_a_submission_service_without_lists_gets_the_ones_of_main_cf_behind_ours() -> None:
    """Else it would follow port 25's, which lets the world pass uncounted, and its people come from the world."""
    made = edited(main="smtpd_recipient_restrictions = reject_x\n", master=MASTER + "587 inet n - n - - smtpd\n")
    assert options(made, "587")["smtpd_recipient_restrictions"] == "$postroom_policy_smtp, reject_x"


def test_braces_blanks_and_glued_options_are_read() -> None:
    """-oNAME=VALUE, -o { NAME = VALUE }, several on a line, milters of its own, an address in front of the port."""
    line = "[::1]:465 inet n - y - - smtpd -oa=b -o { smtpd_milters = { inet:h:1, protocol = 6 }, unix:x }"
    line += " -o smtpd_tls_wrappermode=yes\n"
    found = options(edited(master=MASTER + line), "[::1]:465")
    assert found["smtpd_milters"] == "{ inet:h:1, protocol = 6 }, unix:x, $postroom_milter"
    assert found["a"] == "b"
    assert found["smtpd_recipient_restrictions"] == "$postroom_policy_smtp"


@pytest.mark.parametrize(
    "pickup",
    [
        PICKUP,
        PICKUP.replace(" y ", " n "),
        PICKUP.replace(" ", "\t"),
        PICKUP.replace("pickup\n", "pickup -v\n"),
        f"{PICKUP}  -o max_use=5\n#\n\t-o syslog_name=x\n",
        PICKUP.removesuffix("\n"),
    ],
)
def test_pickup_leads_to_the_door_whatever_its_line_looks_like(pickup: str) -> None:
    """Chroot or not, tabs, options, comments between them, the end of the file."""
    made = edited(master=MASTER.replace(PICKUP, "") + pickup)
    found = options(made, "pickup")
    assert found["content_filter"] == "postroom-door:[127.0.0.1]:10587"
    assert found["receive_override_options"].startswith("no_milters")
    assert options(made, "127.0.0.1:10587")["smtpd_milters"] == "$postroom_milter"
    assert options(made, "postroom-in")["smtpd_milters"] == "$postroom_milter"


def test_without_the_door_pickup_is_left_alone() -> None:
    """And its services and setting are not there."""
    made = edited(door=False)
    assert options(made, "pickup") == {}
    assert "postroom-door" not in made.main + made.master
    assert "postroom-in" in made.master


def test_the_entrance_can_be_taken_out_by_itself() -> None:
    """Uninstalling: no mail comes to the door any more, and what waits there still finds it."""
    made = edited()
    shut = restored(made.master, ("entrance",)).text
    assert PICKUP + "# BEGIN postroom services" in shut
    assert restored(shut).text == MASTER


def test_a_filter_of_the_site_is_passed_by_mail_of_sendmail_too() -> None:
    """pickup's own filter overrides main.cf's, so the listener of the door hands on to it."""
    made = edited(main="content_filter = amavis:[127.0.0.1]:10024\n")
    assert options(made, "127.0.0.1:10587")["content_filter"] == "amavis:[127.0.0.1]:10024"
    assert options(made, "postroom-in")["content_filter"] == ""
    assert any("content_filter" in notice for notice in made.notices)


def test_a_pickup_that_leads_elsewhere_is_refused() -> None:
    """Its mail would miss what the site wants done to it."""
    with pytest.raises(CannotEdit, match=r"pickup has content_filter of its own; mend: .*--no-sendmail-door"):
        edited(master=f"{PICKUP}  -o content_filter=x:y\n")


def test_a_set_up_by_hand_is_refused() -> None:
    """Two services of one name would keep Postfix from starting."""
    with pytest.raises(CannotEdit, match=r"master\.cf: line 3 .*; mend: "):
        edited(master=MASTER + "postroom-in unix n - n - - smtpd\n")


def test_a_site_of_that_name_is_none_of_ours() -> None:
    """A domain, a host or a folder may be called so."""
    edited(main="myhostname = postroom.example.org\nalias_maps = hash:/etc/postroom/aliases\n")


def test_other_listeners_are_named() -> None:
    """One behind a content filter would count and sign mail a second time."""
    made = edited(master=MASTER + "127.0.0.1:10025 inet n - n - - smtpd\n  -o smtpd_milters=\n")
    assert [notice for notice in made.notices if "127.0.0.1:10025" in notice]
    made = edited(master=MASTER.replace("smtpd\n", "smtpd -o smtpd_milters=\n"))
    assert [notice for notice in made.notices if "smtp sets smtpd_milters itself" in notice]


RETURN_DOMAINS = ("bounces.example.org", "returns.example.com")
INLINE = "inline:{ { bounces.example.org = postroom-return:unix:postroom/lmtp.sock } }"
BOTH = "inline:{ { bounces.example.org = postroom-return:unix:postroom/lmtp.sock }, "
BOTH += "{ returns.example.com = postroom-return:unix:postroom/lmtp.sock } }"


def test_without_a_return_path_nothing_of_it_is_inserted() -> None:
    """relay_domains and transport_maps stay a site's own."""
    made = edited(main="relay_domains = a.test\n")
    assert "return" not in made.main
    assert in_force(made.main)["relay_domains"] == "a.test"
    assert wired_return_domains(made.main) == frozenset()


def test_the_return_path_domains_are_taken_and_brought_to_the_watcher() -> None:
    """One, or several; at level 2 Postfix relays for nobody else by itself."""
    made = edited(main=f"compatibility_level = 3.6\n{DEBIAN}", return_domains=RETURN_DOMAINS[:1])
    set_now = in_force(made.main)
    assert set_now["postroom_return_domains"] == "bounces.example.org"
    assert set_now["relay_domains"] == "$postroom_return_domains"
    assert set_now["postroom_return_way"] == INLINE
    assert set_now["transport_maps"] == "$postroom_return_way"
    assert "relay_recipient_maps" not in set_now
    set_now = in_force(edited(return_domains=RETURN_DOMAINS).main)
    assert set_now["postroom_return_domains"] == "bounces.example.org, returns.example.com"
    assert set_now["postroom_return_way"] == BOTH
    assert wired_return_domains(edited(return_domains=RETURN_DOMAINS).main) == set(RETURN_DOMAINS)


@pytest.mark.parametrize("level", ["", "compatibility_level = 0\n", "compatibility_level = 1\n"])
def test_what_postfix_relays_for_by_itself_it_relays_for_still(level: str) -> None:
    """Below level 2 relay_domains is $mydestination where nobody sets it: names below those are relayed for."""
    set_now = in_force(edited(main=level, return_domains=RETURN_DOMAINS[:1]).main)
    assert set_now["relay_domains"] == "$postroom_return_domains, $mydestination"


RELAYING = """\
relay_domains = a.test,
# why
\tb.test
transport_maps = hash:/etc/postfix/transport
relay_recipient_maps = hash:/etc/postfix/relayed
"""


def test_what_a_site_relays_and_routes_it_goes_on_to() -> None:
    """Ours stand first, so that a table of the site that is away does not keep bounces; the originals stand above."""
    made = edited(main=RELAYING, return_domains=RETURN_DOMAINS)
    set_now = in_force(made.main)
    assert set_now["relay_domains"] == "$postroom_return_domains, a.test, b.test"
    assert set_now["transport_maps"] == "$postroom_return_way, hash:/etc/postfix/transport"
    assert set_now["relay_recipient_maps"] == "$postroom_return_recipients, hash:/etc/postfix/relayed"
    assert set_now["postroom_return_recipients"] == (
        "inline:{ { @bounces.example.org = any }, { @returns.example.com = any } }"
    )
    assert "#|relay_domains = a.test,\n#|# why\n#|\tb.test\n" in made.main
    # Taken out of a list that was edited since, all of ours goes and nothing else.
    later = made.main.replace("a.test, b.test\n", "a.test, b.test, c.test\n")
    assert in_force(restored(later).text)["relay_domains"] == "a.test, b.test, c.test"
    assert "postroom" not in restored(later).text


@pytest.mark.parametrize("main", [DEBIAN, RELAYING, "relay_domains =\ntransport_maps=\n", "myhostname = x.test"])
def test_the_world_can_be_shut_out_before_the_way_goes(main: str) -> None:
    """Uninstalling: nothing more comes in, and what waits still finds the watcher."""
    made = edited(main=main, return_domains=RETURN_DOMAINS)
    shut = restored(made.main, RETURN_PATH_REGIONS).text
    was = in_force(main).get("relay_domains")
    assert in_force(shut).get("relay_domains") == was
    assert in_force(shut)["transport_maps"].startswith("$postroom_return_way")
    assert wired_return_domains(shut) == set(RETURN_DOMAINS)
    assert restored(shut).text == main


def test_the_world_is_asked_about_at_a_return_path_also_where_a_site_has_lists() -> None:
    """An address that is no token is refused at RCPT, before anything of the site's permits it."""
    set_now = in_force(edited(main=LISTS, return_domains=RETURN_DOMAINS).main)
    asked = "$postroom_policy_inbound, $postroom_ask, permit_mynetworks, reject_unauth_destination"
    assert set_now["smtpd_recipient_restrictions"] == asked
    assert set_now["postroom_policy_inbound"].startswith("check_policy_service")
    assert "postroom_policy_inbound" not in in_force(edited(main=LISTS).main)


def test_a_return_path_wired_by_hand_is_refused() -> None:
    """As docs/operating.md has it for other hosts: which domain it is for would be guessed."""
    with pytest.raises(CannotEdit, match=r"main\.cf: line 1 .*; mend: "):
        edited(main=f"transport_maps = {INLINE}\n", return_domains=RETURN_DOMAINS)


LINES = st.sampled_from(
    [
        *(
            "a = b",
            "smtpd_milters = x,",
            "  y",
            "\tz",
            "",
            " ",
            "# c",
            "  # d",
            "smtpd_recipient_restrictions=",
            "junk",
        ),
        *("smtpd_end_of_data_restrictions = { a b }", "smtpd_sasl_auth_enable = yes", "smtpd_milters", "\xff = \x00"),
        *("submission inet n - - - - smtpd", "  -o smtpd_milters=", "  -o { a = { b } }", "-o", "  -o", "x inet n"),
        *(
            "smtps inet n - y - - smtpd -o smtpd_recipient_restrictions=reject",
            "content_filter = f:g\r",
            "postroom_own = x",
            "relay_domains = x",
            "transport_maps=",
            "relay_recipient_maps = y",
        ),
    ]
)
FILES = st.builds(lambda lines, end: "\n".join(lines) + end, st.lists(LINES, max_size=12), st.sampled_from(["", "\n"]))


@given(FILES, FILES, st.booleans(), st.sampled_from([(), ("bounces.example.org",), ("a.test", "b.test")]))
def test_files_of_any_shape_are_edited_and_restored_or_are_refused(
    main: str, master: str, door: bool, return_domains: tuple[str, ...]
) -> None:
    """Every octet, and a second edit is the first."""
    try:
        edited(main, f"{PICKUP}{master}", door=door, return_domains=return_domains)
    except CannotEdit:
        assert any(line[:1] != "#" and "postroom" in line for line in (main + "\n" + master).split("\n"))


@given(FILES.filter(lambda text: "postroom" not in text), st.integers(0, 3000))
def test_a_file_cut_within_a_region_is_refused(main: str, back: int) -> None:
    """An interrupted write, or a careless editor: what is ours is not guessed."""
    made = edited_files(main, PICKUP, TEXTS, EditOptions(LOCAL)).main
    begin, end = made.rindex("# BEGIN postroom"), made.rindex("# END postroom")
    with pytest.raises(MarksBroken, match="mend: "):
        restored(made[: max(begin + len("# BEGIN postroom "), end - back)])


def test_bounce_mails_have_a_transport_that_tells_where_they_came_from() -> None:
    """Only where there is a return-path domain."""
    assert options(edited(return_domains=("bounces.example.org",)), "postroom-return")[
        "lmtp_send_xforward_command"
    ] == ("yes")
    assert "postroom-return" not in edited().master


@pytest.mark.parametrize("site", ["", "authorized_mailq_users =\n static:anyone\n"])
def test_who_lists_the_queue_is_left_to_the_site_unless_it_is_asked_for(site: str) -> None:
    """In place of the site's list, for all of its people might; a later run finds what was chosen."""
    plain = edited(main=site)
    assert wired_queue_readers(plain.main) is None
    assert in_force(plain.main).get("authorized_mailq_users") == ("static:anyone" if site else None)
    chosen = edited(main=site, queue_readers=("root", "anna"))
    assert in_force(chosen.main)["authorized_mailq_users"] == "root, anna"
    assert len(re.findall("^authorized_mailq_users", chosen.main, re.MULTILINE)) == 1
    assert wired_queue_readers(chosen.main) == ("root", "anna")
