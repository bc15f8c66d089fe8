"""Rules of words: what a reply says of the sender, of what it sent, and of how fast. Pure data.

Asked before the rules of recipients, because such replies often go on to name the recipient; and asked again before a
recipient is suppressed at once, as a doubt (classify.py). They see the reply without links and addresses.
"""

from postroom.bounces.rule import rule

SENDER_RULES = (
    rule(
        "sender.null",
        "policy",
        "RFC 5321 §4.5.5, the null reverse-path; Coremail bounce codes",
        r"(?:null|empty) (?:envelope )?(?:sender|reverse|return)",
    ),
    rule(
        "sender.verify",
        "policy",
        "Exim sender verification, Postfix reject_unverified_sender",
        r"sender (?:verif|callout|callback)",
        r"(?:verif|validat)\w{1,8} (?:the )?sender",
        "callout verification fail",
        "could not verify sender",
        r"sender address (?:rejected: )?(?:unverif|undeliver)",
    ),
    rule(
        "sender.domain",
        "policy",
        "RFC 3463 X.1.8, sendmail check_mail",
        r"domain of sender",
        r"\b(?:sender|sending \w{3,10})(?: is)? (?:unknown|invalid|does not exist|doesn't exist|not found|not known)",
        (
            r"sender(?:'s)? (?:address|domain|e-?mail|host)[^.;]{0,60}(?:not exist|doesn't exist|not resolve|"
            r"not found|invalid|unknown)"
        ),
        r"sender address rejected: (?:domain|access|unknown|user|need)",
        (
            "(?:unresolvable|unknown|invalid|illegal|bad|blocked|fake|forged) (?:address )?(?:sender|"
            "mail from|envelope from|return path)"
        ),
        r"\bin (?:the )?mail from\b",
        r"mail from (?:domain )?(?:invalid|must|is not|does not|not)",
        r"\bfrom(?: header)?:? address[^.;]{0,40}(?:not exist|doesn't exist|not found|not valid|invalid|unknown)",
        version=2,
    ),
    rule(
        "sender.rejected",
        "policy",
        "RFC 3463 X.1.7 and X.1.8",
        r"sender (?:address )?(?:is |was )?(?:rejected|denied|refused|not (?:allowed|permitted|accepted|authorized))",
        r"(?:denies|denied|refuses|rejects) (?:the |your )?sender",
        r"sender is (?:unvalidated|not (?:a )?(?:valid|verified|known))",
        r"you (?:are not|aren't|must be) (?:an? )?(?:member|subscriber|subscribed|allowed|permitted)",
        r"(?:e|é)metteur invalide",
        r"exp(?:e|é)diteur (?:invalide|refus|inconnu)",
        r"absender(?:adresse)? (?:abgelehnt|unbekannt|nicht)",
        version=2,
    ),
    rule(
        "sender.codes",
        "policy",
        "RFC 3463 X.1.7 and X.1.8: the address of the sender",
        "^",
        code=r"\S{0,3} [45]\.1\.[78]$",
    ),
    rule(
        "sender.account",
        "policy",
        "submission servers: the account that sends",
        (
            r"your (?:e-?mail )?(?:account|mailbox|domain|ip|access)[^.;]{0,40}"
            r"(?:suspend|disabled|blocked|restricted|locked|denied)"
        ),
        (
            r"(?:account|user)[^.;]{0,30} "
            r"(?:suspended|disabled|blocked|not (?:allowed|permitted)|restricted) (?:from|to) send"
        ),
        r"\bsend(?:er|ing)(?:'s)? (?:account|mailbox|is over|over) ?",
        r"(?:account|mailbox|quota) of (?:the |your )?sender|for sender ip\b",
        version=2,
    ),
    rule(
        "sender.login",
        "policy",
        "RFC 4954 §6, the account we log in with",
        r"authentication (?:failed|failure|unsuccessful|credentials)",
        r"(?:login|password)[^.;]{0,20}(?:invalid|fail|incorrect)",
        r"(?:smtp )?auth(?:entication)? (?:is )?required|username and password",
        code="53[0458]|55[04]",
    ),
    rule(
        "content.header",
        "content",
        "RFC 5322 §3.6",
        r"(?:invalid|bad|malformed|missing|duplicate|multiple) headers?\b",
        r"headers? (?:field )?(?:is |are )?(?:invalid|malformed|missing)",
    ),
    rule(
        "protocol.syntax",
        "protocol",
        "RFC 5321 §4.2.2, reply 500 to 504",
        r"syntax error",
        r"(?:parameter|argument|command)s? (?:not recogni[sz]ed|unrecogni[sz]ed|not implemented)",
        code="50[0-4]",
    ),
    rule(
        "sender.greeting",
        "protocol",
        "RFC 5321 §4.1.1.1, the name in HELO or EHLO; Exchange and Postfix answer 501 5.5.x",
        r"(?:invalid|bad|illegal) (?:domain|host) ?name",
        r"(?:domain|host) ?name (?:is )?(?:invalid|malformed)",
        code=r"50\d 5\.5\.",
    ),
    rule(
        "rate.too-many",
        "rate_limit",
        "RFC 3463 X.5.3, RFC 5248 X.7.28; Postfix anvil(8)",
        r"too many (?:\w{1,15} ){0,2}(?:connections|messages|mails|e-?mails|recipients|sessions|rcpts?|requests|"
        r"senders|bounces|errors|logins?|deliveries|invalid|unknown|bad|spam|concurrent|simultaneous|login attempts)",
        r"too much (?:mail|traffic|e-?mail|spam)",
        r"(?:concurrent|simultaneous) (?:\w{1,20} )?(?:connections|sessions)",
        r"excessive (?:unknown|invalid|number|connection|message|rate|volume)",
    ),
    rule(
        "rate.limit",
        "rate_limit",
        "wordings of sending limits",
        r"rate[- ]?limit",
        "throttl",
        (
            r"(?:daily|hourly|weekly|sending|relay|message|connection|outgoing|sender) (?:relay |sending |"
            r"message )?(?:quota|limits?)\b"
        ),
        (
            r"exceed\w{0,3} [^.;]{0,30}(?:limit|number|rate|maximum) [^.;]{0,30}(?:messages|mails|emails|"
            r"recipients|connections|per |an hour|a day)"
        ),
        (
            r"(?:max(?:imum)?|limit)[^.;]{0,20} (?:messages?|recipients?|connections?|mails?|"
            r"emails?)[^.;]{0,20} (?:per|in) "
        ),
        r"slow(?:er| down)",
        r"(?:connection|message|sending) (?:rate|frequency)",
        "sending (?:too )?(?:fast|quickly|many)",
        r"max messages? per connection",
        "frequency (?:limit|exceed)",
    ),
    rule(
        "greylist.words",
        "greylist",
        "greylisting, RFC 6647",
        r"gr[ea]y[- ]?list",
        r"(?:try again|retry|come back|wait) [^.;]{0,20}\d{1,5} ?(?:s\b|sec|min)",
        r"temporarily (?:rejected|deferred)[^.;]{0,40}(?:first|new|unknown) (?:time|sender|triplet)",
        "postgrey|sqlgrey|milter-greylist",
        r"verification (?:is )?in progress",
    ),
    rule(
        "relay.words",
        "relay_denied",
        "RFC 3463 X.7.1; Postfix reject_unauth_destination, qmail rcpthosts",
        r"not (?:configured|set up|able|willing|going) to relay",
        (
            r"relay(?:ing)?[^.;]{0,30}(?:denied|not (?:permitted|allowed|authori[sz]ed)|prohibited|refused|"
            r"disallowed|disabled|forbidden|rejected|restricted)"
        ),
        (
            r"(?:unable|not (?:allowed|permitted|authori[sz]ed)|cannot|can't|refuse|refuses|denie[sd]|won't|"
            r"don't|do not|does not|no|open|insecure|unauthori[sz]ed) (?:to )?(?:mail )?relay"
        ),
        r"rcpthosts",
        r"not (?:a )?(?:local|hosted|our) domain",
        r"domain (?:is )?not (?:hosted|local|served) (?:here|on)",
        "relay check",
    ),
    rule(
        "auth.codes",
        "auth",
        "RFC 7372, RFC 8616: codes that are used for nothing else",
        "^",
        code=r"\S{0,3} [45]\.7\.(?:2[0-7]|29)$",
    ),
    rule(
        "auth.words",
        "auth",
        "RFC 7208, RFC 6376, RFC 7489, RFC 7372",
        r"\bspf\b|sender policy framework",
        r"\bdkim\b|domainkeys",
        r"\bdmarc\b",
        r"unauthenticated (?:mail|e-?mail|message|sender)",
        r"sender(?:\W{1,3}is|) unauthenticated",
        r"authentication (?:checks?|information|results?|requirements?) ",
        r"\bsender[- ]?id\b (?:check|fail|not)",
        r"authentication (?:failed|checks failed)[^.;]{0,20}(?:domain|sender|message)",
        r"(?:does not|doesn't|fails?) (?:to )?pass (?:the )?authentication",
    ),
    rule(
        "auth.reverse-dns",
        "auth",
        "RFC 5248 X.7.25, Postfix reject_unknown_client_hostname",
        r"reverse[- ](?:dns|lookup|hostname|mapping|resolution)",
        r"\br-?dns\b|\bfcrdns\b",
        r"\bptr\b",
        r"(?:\bip|client|address) name lookup (?:failed|failure)",
        r"cannot find your (?:reverse )?(?:hostname|address|name)",
        r"client (?:host ?)?(?:name|address)[^.;]{0,20}(?:not found|unknown|invalid)",
        r"(?:helo|ehlo)[^.;]{0,40}(?:not resolve|unresolvable|does not|mismatch|invalid|not found|not match)",
        r"mismatch\w{0,2} (?:the )?(?:client|sender|sending|connecting) ?ip",
        r"unverif(?:i|y)able (?:sending |sender |client )?(?:ip|host|address|hostname)",
        r"(?:ip|host)[^.;]{0,30} (?:does not|doesn't|not) (?:resolve|match)",
        version=2,
    ),
    rule(
        "sender.client",
        "policy",
        "Postfix check_client_access",
        r"client host rejected",
        r"your (?:ip|server|mail server|host|network)\b[^.;]{0,40} (?:not|isn't|unknown)\b",
        r"(?:host ?name|name|address) of (?:your|the) (?:client|server)",
    ),
    rule(
        "virus.words",
        "virus",
        "RFC 3463 X.7.1, anti-virus gateways",
        r"\bvir(?:us|uses|ii)\b",
        r"malware|\btrojan\b|\bworm\b|clam-?av|\binfected\b",
        r"phish",
        r"bv:[\w.]{0,20}|\bviren",
    ),
    rule(
        "blocklist.words",
        "blocklist",
        "DNS blocklists, RFC 5782",
        r"(?:black|block|deny|reject)[- ]?list",
        r"\brbls?\b|\bdnsbls?\b|\brhsbl\b",
        r"(?<!not )listed (?:in|at|on|by) (?!public|your|our (?:directory|address))",
        "reputation",
        r"\bbanned\b(?! (?:content|file|attach))",
        r"blocked using",
        (
            r"(?:ip|host|client|server|network|domain|connection|connections|mails?|emails?|"
            r"messages) [^;]{0,60}\b(?:is|are|been|was|were|be|address|ip)?,? ?(?:temporarily |"
            r"permanently )?blocked"
        ),
        r"blocked (?:ip|address|host|server|sender|domain|by (?:our|the|\w{0,20}))",
        r"(?:invalid|black|bad|denied|rejected) ip\b",
        r"block(?:ed)? for (?:spam|abuse)",
        (
            r"(?:your|the|this) (?:ip|host|server|mail server)[^.;]{0,40}(?:rejected|denied|refused|"
            r"not (?:allowed|accepted|welcome))"
        ),
        r"connections? (?:will )?not (?:be )?accepted from",
        r"spam (?:source|sender|server|host)",
        r"open (?:relay|proxy)\b",
    ),
    rule(
        "spam.words",
        "spam",
        "RFC 3463 X.7.1, content filters",
        r"\bspam",
        r"\bjunk\b|\bunsolicited\b|\bbulk (?:e-?)?mail\b|\buce\b|\bube\b",
        r"spamassassin|rspamd|bogofilter|bayes",
    ),
)
