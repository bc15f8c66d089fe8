"""Rules of words: what a reply says of the recipient, its mailbox and its domain. Pure data.

They see the reply without links, each address as @. A subject and what is said of it must stand in one clause, with no
other subject between: "@: connection closed" is not said of an account.
"""

from postroom.bounces.rule import rule

# An address of something else, and an account of ours, are not meant.
_ADDRESS = r"(?<!ip )(?<!sender )(?<!client )(?<!from )(?<!return )(?<!source )(?<!host )address"
WHO = (
    r"(?:user|users|recipient|recipients|mailbox|mail ?box|(?<!your )account|addressee|alias|local part|"
    rf"e-?mail(?: address)?|username|userid|login|{_ADDRESS}|mail-?drop|@)"
)
_ACCOUNT = rf"(?:user|recipient|mailbox|mail ?box|(?<!your )account|{_ADDRESS}|e-?mail|@)"
# Between whom and what: never past words of another subject, or "@: connection closed" would speak of a person.
_GAP = (
    r"(?:(?!\b(?:senders?|connection|connect|session|host|hostname|domain|server|command|helo|ehlo|header|certificate|"
    r"transport|protocol|message|attachment|ptr|record|relay|client|ip|from|queue|argument|syntax|"
    r"parameter|reply|envelope)\b)"
    r"[^.;]){0,60}"
)

RECIPIENT_RULES = (
    rule(
        "mailbox.full",
        "mailbox_full",
        "RFC 3463 X.2.2; RFC 5321 reply 552",
        r"(?:over|exceed\w{0,3}|out of|beyond|above|at) [^.;]{0,30}\bquota",
        r"\bover-?quota",
        r"\bquota[^.;]{0,40}(?:exceed|full|reached|violation|limit|used)",
        rf"{WHO}[^.;]{{0,40}} (?:is |are |was |has )?(?:already |currently |too |almost )?full\b",
        r"(?:mail ?folder|in-?box|mail ?drop|maildir)[^.;]{0,30}full",
        r"full (?:mailbox|inbox|mail box)",
        r"exceeded storage",
        r"mailbox [^;]{0,80}file too large",
        (
            r"(?:mailbox|account|user|storage)[^.;]{0,60}(?:exceed|no space|over (?:its |the )?(?:size|limit|"
            r"storage|maximum)|(?:size|storage|space) limit|space exhausted|not enough (?:space|storage|room))"
        ),
        (
            r"(?:not enough|insufficient|no|out of) (?:disk |storage |mailbox |mail )?(?:space|storage|"
            r"room) (?:left )?(?:for|in|on|available)[^.;]{0,20}(?:user|mailbox|account|recipient|@)"
        ),
        r"would (?:exceed|be over)[^.;]{0,30}(?:quota|mailbox|space|storage)",
        r"(?:not enough|insufficient) (?:storage|disk) space",
        r"mailbox (?:size )?limit exceeded",
    ),
    rule(
        "size.words",
        "too_large",
        "RFC 1870, RFC 3463 X.2.3 and X.3.4",
        (
            r"(?:message|mail|e-?mail|content|attachment|body|header|"
            r"data)(?![^.;]{0,40}queue too)[^.;]{0,40}(?:too (?:large|big|long)|larger than|"
            r"exceed\w{0,3}[^.;]{0,30}(?:size|limit|maximum|length))"
        ),
        r"(?:message|mail|fixed|maximum|max)[^.;]{0,20} size[^.;]{0,30}(?:exceed|limit|too)",
        (
            r"(?:exceed\w{0,3}|over|above)[^.;]{0,30}(?:message|mail|maximum|allowed|fixed|"
            r"permitted)[^.;]{0,20} (?:size|length)"
        ),
        r"size (?:limit )?exceed",
        r"oversize",
    ),
    rule(
        "inactive.words",
        "inactive",
        "RFC 3463 X.2.1, RFC 5248 X.7.13",
        (
            rf"{WHO}{_GAP}\b(?:disabled|inactive|suspend(?:ed)?|deactivated|de-activated|frozen|locked|"
            rf"terminated|dormant|discontinued|cancell?ed|not active|not activated|no longer (?:active|in use|"
            rf"used|working|employed|monitored|accept\w{{0,5}}|available)|not in use|on hold|retired|abandoned|"
            rf"has left|left the)"
        ),
        rf"{_ACCOUNT} (?:has |is |was |has been )?(?:closed|expired)",
        (
            rf"\b(?:disabled|inactive|suspended|deactivated|frozen|locked|closed|expired|dormant) (?:mail ?|"
            rf"e-?mail ?)?{_ACCOUNT}"
        ),
        (
            r"(?:mailbox|account|user|recipient|address|@)[^.;]{0,30} (?:is |"
            r"does )?not (?:currently )?accept(?:ing)? (?:any )?(?:new |more )?(?:mail|messages|e-?mail)"
        ),
        r"no longer (?:accepts|accepting|receives?|work|employ|with (?:us|the|this))",
        r"(?:has|is) (?:left|no longer (?:with|at|part))",
        r"no longer on server",
        r"(?:due to|because of|for) inactivity",
        version=2,
    ),
    # Who blocked whom is left open: the account by its provider, or us by its owner.
    rule(
        "inactive.blocked",
        "inactive",
        "RFC 3463 X.2.1",
        r"(?:account|mailbox|mail ?box) (?:is |has been |was )?(?:temporarily )?(?:blocked|hangup)",
        r"user (?:is |has been )?(?:blocked|hangup|locked)",
        r"blocked (?:account|mailbox)",
        suppress="after",
    ),
    # What our own resolver says. A domain that lapsed for a day says the same; the next try tells.
    rule(
        "routing.resolver",
        "routing",
        "Postfix smtp(8), DNS look-up of the next hop: no answer, not no such name",
        r"name service error for [^;]{0,300}\bhost not found, try again",
        r"(?:temporary failure in name resolution|temporary (?:dns|resolver) (?:error|failure))",
    ),
    rule(
        "domain.resolver",
        "invalid_domain",
        "Postfix smtp(8), DNS look-up of the next hop",
        r"host or domain name not found",
        r"name service error for (?:name|domain)",
        suppress="after",
    ),
    rule(
        "domain.no-mail",
        "invalid_domain",
        "RFC 7505, null MX",
        r"null mx",
        r"(?:host|domain)[^.;]{0,40} (?:does not|doesn't|do not|never) accepts? (?:e-?)?mail",
        r"(?:domain|host) [^.;]{0,20}(?:has )?no (?:valid )?mx\b",
        r"no mx (?:records? )?found for",
        r"mx or srv record indicated no smtp service",
        version=2,
    ),
    rule(
        "domain.words",
        "invalid_domain",
        "RFC 3463 X.1.2",
        (
            r"(?:unknown|no such|invalid|bad|nonexistent|non-existent|unresolvable|illegal) (?:host|domain|"
            r"destination (?:host|domain)|recipient domain|recipient's domain|mail domain)"
        ),
        (
            r"(?:host|domain)(?: name)?[^.;]{0,40} (?:not found|unknown|does not exist|doesn't exist|"
            r"not exist|may not exist|non-?exist\w{0,3}|could(?: not|n't) be found|cannot be (?:found|"
            r"resolved)|does not resolve|not known|invalid)\b"
        ),
        r"\bno-domain\b|name or service not known|nodename nor servname",
        r"nxdomain",
        r"account or domain may not exist",
        "bad destination system",
        r"unrouteable mail domain|mx records point to non-existent hosts",
        version=2,
    ),
    rule(
        "recipient.unknown",
        "invalid_recipient",
        "RFC 3463 X.1.1; RFC 5321 reply 550",
        (
            rf"(?:unknown|unkown|undefined|unrecogni[sz]ed|invalid|illegal|incorrect|wrong|bad|non-?existent|"
            rf"non-?existing|inexistent|nonexist|not a valid|no valid|undeliverable|"
            rf"obsolete)(?: or \w{{2,15}})? (?:local |virtual |mail |e-?mail |destination |final |to |rcpt |"
            rf"delivery |or |pop |target )?(?:{WHO}|recipient|destination|rcpt|person|name|local-part|"
            rf"subscriber)\b"
        ),
        (
            rf"no such (?:local |virtual |mail |e-?mail |known )?(?:{WHO}|person|id|name|rcpt|subscriber|"
            rf"customer|employee|member|destination|object|contact|pop|one|directory entry)"
        ),
        (
            rf"{WHO}{_GAP}\b(?:(?:unknown|unkown)(?! (?:error|reason|command|host|domain|mailer|status|"
            rf"protocol|response|problem|mail transport))|not known|is unknown|not (?:be )?found|not exists?|"
            rf"no exist|doesn't exists?|don't exist|doesnt exist|never existed|cannot be found|invalid|"
            rf"not (?:a )?valid|no longer (?:valid|exists?)|not recogni[sz]ed|not listed|not in (?:recipient|"
            rf"our|the|local|user)|not present|nonexist\w{{0,3}}|non-exist\w{{0,4}}|not local|not registered|"
            rf"not identified|not (?:a )?(?:member|customer|subscriber)|nicht gefunden|incorrect|undefined|"
            rf"deleted|removed|has been moved|moved|replaced)\b"
        ),
        (
            r"(?:is )?not a (?:known|valid|local|registered|legal|deliverable) (?:user|recipient|mailbox|"
            r"account|address|e-?mail|customer|member)"
        ),
        (
            r"\bno (?:mailbox|mail ?box|user|account|recipient|person|one|e-?mail account|matching|"
            r"local mailbox|valid recipients?)(?: \w{1,12}){0,3} (?:here|by (?:that|this)|with (?:that|this)|"
            r"found|for this|exists?|available for|named|has that|at this)"
        ),
        r"(?:rcpt|recipient|user|address|@|to) (?:does not|doesn't|doesnt|do not|not|doesn 't) exist",
        r"(?:doesn't|does not) have (?:an?|any) (?:\S{1,60} )?(?:account|mailbox)",
        (
            r"(?:can(?:not|'t)|could(?: not|n't)|unable to) (?:find|locate|verify|"
            r"deliver to)[^.;]{0,20}(?:user|recipient|mailbox|account|address|alias)"
        ),
        r"mailbox (?:name )?(?:not allowed|missing|unknown)",
        r"address(?:ee)? (?:unknown|not found|does not)",
        (
            r"not (?:listed|found) in (?:public |our |the |domino |local |address )?(?:name|address|directory|"
            r"user|recipient)"
        ),
        r"(?:recipient|address) (?:verification|verify) fail",
        r"unrout(?:e)?able (?:mail )?(?:address|recipient)",
        r"validrcptto|(?:nobody|no one) (?:here )?(?:by|with) th(?:at|is) name|(?:doesn't|does not) live here",
        r"user unknown|unknown user|vuser|nosuchuser|usernotfound|user_unknown|unknown_user",
        r"(?:misspelled|mistyped|typo)",
        r"check (?:the |your )?(?:recipient|spelling|address)[^.;]{0,30}(?:spelling|address|and try|again|correct)",
        r"recipient not (?:found|on|in)",
        r"no (?:such|valid) (?:recipients?|address)",
        r"mailbox does ?n[o']t exist",
        r"(?:bad|invalid) destination (?:mailbox|user|address|e-?mail)",
        r"not our (?:user|customer)|\bno such user",
        r"does ?n[o']t exist (?:here|on this|in (?:this|our))",
        r"not exist in (?:active )?directory",
        r"recipients? (?:cannot|can't|could not) be verified",
        rf"{WHO} (?:is |was )?(?:rejected|refused): no (?:such )?(?:mailbox|user|account)",
        version=2,
    ),
)
