"""Rules of words: content, policy, the ways between and the machines; at the end the vague words. Pure data.

Asked when nothing was said of sender or recipient. They see the reply without links and addresses.
"""

from postroom.bounces.rule import rule
from postroom.bounces.rules.recipients import WHO

OTHER_RULES = (
    rule(
        "expired.words",
        "expired",
        "RFC 3463 X.4.7",
        (
            r"(?:message|mail|delivery|queue|retry|time|envelope)[^.;]{0,30}(?:has )?(?:expired|"
            r"time(?:-| )?limit)"
        ),
        r"in (?:the |our )?queue too long",
        r"retry (?:timeout|time not reached|limit|count|period)",
        (
            r"(?:could not be delivered|not delivered|undeliverable|unable to deliver|undelivered|tried|"
            r"trying|attempt\w{0,3})[^;]{0,60}(?:for|in|after|within|since)[^;.]{0,25} \d{1,4} ?(?:hours?|"
            r"days?|minutes?|weeks?|attempts?|tries)"
        ),
        r"(?:gave|giving) up(?! on)",
        r"too old",
        r"long-?term failure|for a long time|maximum (?:retries|retry|time)",
    ),
    rule(
        "routing.loop",
        "routing",
        "RFC 3463 X.4.6, RFC 5321 §6.3",
        r"(?:mail|routing|relay|forwarding|message|relaying|bounce)? ?\bloop(?:s|ed|ing)?\b",
        r"too many (?:hops|received)",
        r"hop ?count|hops exceeded|maximum hops|too many .{0,10}received",
    ),
    rule(
        "tls.words",
        "tls",
        "RFC 3207, RFC 5248 X.7.10, RFC 8461, RFC 7672",
        r"\b(?:start)?tls\b",
        r"\bssl\b",
        r"certificate",
        r"encryption (?:needed|required|is required)|must be encrypted",
        r"cipher|\bdane\b|\bmta-sts\b|\bhandshake\b",
    ),
    rule(
        "content.words",
        "content",
        "RFC 3463 X.6.x, RFC 5322",
        r"rfc ?-?(?:2?822|5322|2045|2047)",
        (
            r"(?:banned|blocked|forbidden|prohibited|illegal|suspicious|dangerous|unacceptable|offensive|"
            r"inappropriate|disallowed) (?:content|attachment|file|subject|words?|text|url|links?)"
        ),
        (
            r"(?:content|attachment|subject|body|url|link|html|from: header|header|headers|message-id|date:?|"
            r"from header)[^.;]{0,60}(?:rejected|denied|not (?:allowed|accepted|permitted|valid|acceptable)|"
            r"missing|invalid|blocked|prohibited|required|refused|filter|fail|malformed|duplicate)"
        ),
        (
            r"(?:multiple|missing|invalid|malformed|duplicate|bad|no valid|illegal|without) (?:a )?(?:from|"
            r"subject|date|message-id|to|header|headers|mime|content)\b"
        ),
        r"content (?:filter|conversion|policy|type)|8-?bit|non-ascii|charset|character set|eight[- ]bit",
        r"attachment|executable|file ?(?:type|name|extension)",
        r"(?:message|mail)[^.;]{0,20}malformed",
        r"lines? (?:too long|longer)|bare (?:lf|cr|newline)|stray newline",
        "conversion (?:not|required|failed)",
        version=2,
    ),
    rule(
        "protocol.words",
        "protocol",
        "RFC 5321 §4.2.4, RFC 3463 X.5.x",
        r"syntax error",
        (
            r"(?:command|argument|parameter|verb|syntax)s?[^.;]{0,30}(?:unrecogni[sz]ed|not recogni[sz]ed|"
            r"not implemented|unknown|invalid|sequence|out of|error|unsupported|expected|disabled|"
            r"unimplemented|too long)"
        ),
        (
            r"(?:bad|improper|invalid|wrong|unexpected|unrecogni[sz]ed|unknown|unimplemented|"
            r"out of) (?:command|sequence|argument|parameter|protocol|order|pipelining)"
        ),
        r"(?:fully|full)[- ]qualified",
        r"(?:helo|ehlo|mail from|rcpt to|rcpt|data)(?: command)? (?:first|required|expected|needed|hostname|must)",
        r"protocol (?:error|violation|failure)",
        r"smtputf8|8bitmime|\bdsn\b (?:not|support)",
        r"improper use|need (?:mail|rcpt)|send (?:hello|helo) first|polite people say",
        "no valid cert|unexpected response|not (?:a )?valid smtp",
    ),
    rule(
        "system.internal",
        "system",
        "RFC 3463 X.3.0, RFC 5321 reply 451",
        r"internal (?:server |processing |system |software )?(?:error|failure|fault)",
        r"(?:temporary|transient) (?:server |system |internal |local )?(?:error|failure|problem)",
        r"service (?:is )?temporarily unavailable",
    ),
    rule(
        "policy.words",
        "policy",
        "RFC 3463 X.7.x",
        r"polic(?:y|ies)",
        r"access (?:is )?(?:denied|restricted|not allowed)",
        r"(?:not|isn't|aren't|un) ?(?:allowed|authori[sz]ed|permitted|accepted)\b",
        r"prohibited|forbidden|restricted",
        r"(?:administrative|administratively)",
        r"moderat(?:ed|or|ion)",
        r"(?:only|members?|subscribers?|internal) [^.;]{0,30}(?:can|may|allowed|post|send)",
        r"rejected (?:by|for|due|because|as)",
        r"permissions? to (?:post|send)|no tienes los permisos|n'avez pas l'autorisation|keine berechtigung",
        r"block-rcpt|\bdeny|(?<!permission )\bdenied\b",
        r"does not (?:like|want|accept|wish)",
        r"refus(?:e|ed|es) (?:to accept|by|your|this|mail|message|delivery)",
        (
            r"mail (?:rejete|rejeté|refus)|transaction (?:failed|rejected)[^.;]{0,20}polic|"
            r"message (?:was )?(?:rejected|refused|blocked|not accepted)|security|firewall|filter|"
            r"authentication (?:required|is required|needed)"
        ),
        r"(?:must|please) (?:authenticate|log ?in|use)|\brejected by\b|\bblocked\b|service refuse",
    ),
    rule(
        "weak.unavailable",
        "invalid_recipient",
        "RFC 5321 §4.2.3, reply 550",
        r"requested (?:mail )?action not taken: mailbox unavailable",
        rf"{WHO} (?:is )?(?:currently )?(?:unavailable|not available)",
        r"unavailable (?:mail )?(?:user|mailbox|recipient)",
        code="55|5..[ ]5[.][012]|5 ",
    ),
    rule(
        "routing.dns",
        "routing",
        "RFC 3463 X.4.3 and X.4.4",
        (
            r"(?:name ?server|name service|host ?name lookup|domain name lookup|\bdns\b|"
            r"\bmx (?:record|lookup))[^.;]{0,40}(?:error|fail|time|problem|lookup|loop|not responding|unavailable)"
        ),
        r"cannot (?:route|resolve)|no route(?! to host)|unrouteable|unable to (?:route|resolve)",
        version=2,
    ),
    rule(
        "connection.words",
        "connection",
        "RFC 3463 X.4.1 and X.4.2",
        r"tim(?:ed|e) ?out|timeout",
        (
            r"(?:connection|connect|session)[^.;]{0,30}(?:refused|reset|lost|dropped|closed|failed|failure|"
            r"aborted|broken|died|error|terminated|unexpectedly)"
        ),
        (
            r"(?:lost|no|broken|bad|unable to|could ?n[o']t|cannot|can't|couldn't|failed to) (?:connection|"
            r"connect|establish|contact|reach|response|answer)"
        ),
        r"network (?:is )?(?:unreachable|error|down)|no route to host|host (?:is )?(?:unreachable|down)|unreachable",
        r"socket error|broken pipe|remote host (?:closed|not responding)|not responding|did not respond|no answer",
    ),
    rule(
        "system.words",
        "system",
        "RFC 3463 X.3.x; RFC 5321 replies 421, 451, 452",
        (
            r"(?:internal|local|temporary|temporarily|server|system|processing|configuration|database|ldap|"
            r"program|mailer|lookup|backend|software|transient|file|disk|i/o|delivery agent) (?:server |"
            r"system |lookup |domain |local |resolution )?(?:error|failure|fault|problem|failed|unavailable|"
            r"trouble|full|crash|exception)"
        ),
        (
            r"(?:service|server|system|resources?|host|mailbox|currently|storage)(?: is| are)? (?:currently |"
            r"temporarily )?(?:not available|unavailable|busy|overloaded|down|not ready)"
        ),
        (
            r"insufficient (?:system )?(?:resources?|storage|memory)|out of (?:memory|disk|resources)|"
            r"no space left|disk full|mail system full|low on"
        ),
        (
            r"misconfigur|configuration|lock failure|cannot (?:open|create|write|lock|append|execute|access|"
            r"update)|permission denied|error (?:while )?(?:writing|opening|reading|in processing)|"
            r"can't (?:open|create|write|lock|append)|i/o error"
        ),
        (
            r"(?:please )?try (?:again )?later|come back later|try again|temporar(?:y|ily)|license expired|"
            r"unexpected error|closing transmission|requested action aborted|died|child|signal \d|"
            r"exit (?:code|status)|command (?:failed|died|output|time)|unknown mailer error|mail ?er error|"
            r"queue file"
        ),
    ),
)

# What is said of a recipient without a cause. Asked when nothing else fits: 550 alone is the usual answer for one that
# does not exist (RFC 5321 §3.3), but a server that keeps its reasons to itself says so too.
WEAK_RULES = (
    rule(
        "weak.rejected",
        "invalid_recipient",
        "RFC 5321 §3.3, RCPT refused",
        (
            r"(?:recipient|recipients|address|rcpt|mailbox|user|@)(?: address)? (?:is |was |"
            r"were )?(?:rejected|refused|denied)(?! ?: ?\w)"
        ),
        r"(?:recipient|address) rejected:? @?\W{0,3}$",
        r"(?:rejected|refused) (?:recipient|address)",
        r"undeliverable",
        code="55[0134]",
    ),
    rule(
        "weak.unknown",
        "invalid_recipient",
        "RFC 3463 X.1.1 beside words without a cause",
        r"(?:recipient|address|mailbox|user)(?: address)? (?:is |was )?(?:rejected|refused|denied)",
        code=r"55[0134] 5\.1\.1$",
    ),
    rule(
        "weak.refused",
        "policy",
        "RFC 5321 §3.3, no reason given",
        r"(?<!permission )\b(?:rejected|refused|declined|unacceptable|denied|rejecting)\b",
    ),
)
