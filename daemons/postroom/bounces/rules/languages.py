"""Rules of words in other languages, for what matters most: a recipient that does not exist, a full mailbox. Pure data.

Servers localise their replies, and reports of Exchange and Outlook.com are in the language of their users.
"""

from postroom.bounces.rule import rule

_RFC = "RFC 3463 X.1.1, as servers say it in "

LANGUAGE_RULES = (
    rule(
        "full.de",
        "mailbox_full",
        "X.2.2 in German",
        r"(?:postfach|mailbox|konto|speicher\w{0,10})[^.;]{0,40}(?:voll|überschritten|ueberschritten|erschöpft)",
    ),
    rule(
        "full.fr",
        "mailbox_full",
        "X.2.2 in French",
        r"(?:boîte|boite|bal)[^.;]{0,40}(?:pleine|saturée|saturee)",
        r"quota[^.;]{0,30}(?:dépassé|depasse|atteint)",
    ),
    rule(
        "full.es-pt-it",
        "mailbox_full",
        "X.2.2 in Spanish, Portuguese, Italian",
        r"(?:buz[oó]n|casilla|cuenta)[^.;]{0,40}llen[oa]",
        r"caixa[^.;]{0,40}(?:cheia|lotada)",
        r"casella[^.;]{0,40}piena",
        r"(?:cuota|cota|quota)[^.;]{0,30}(?:excedid[ao]|superad[ao]|esaurita)",
    ),
    rule(
        "full.ru",
        "mailbox_full",
        "X.2.2 in Russian",
        r"(?:ящик|почта)\w{0,3}[^.;]{0,30}(?:переполнен|полон)",
        r"(?:превышен|переполн)\w{0,4}[^.;]{0,20}квот|квот\w{0,3}[^.;]{0,20}превышен",
    ),
    rule(
        "full.ja-zh-ko",
        "mailbox_full",
        "X.2.2 in Japanese, Chinese, Korean",
        r"容量[^。]{0,20}(?:超|いっぱい|不足)|メールボックス[^。]{0,20}(?:いっぱい|超過|満杯)",
        r"(?:邮箱|郵箱|信箱|空间|容量|空間)[^。]{0,12}(?:已满|满|滿|不足|超)",
        r"(?:사서함|메일함|편지함|용량)[^.]{0,12}(?:가득|초과|부족)",
    ),
    rule(
        "unknown.de",
        "invalid_recipient",
        _RFC + "German",
        (
            r"(?:empfänger|empfaenger|benutzer|adressat|postfach|adresse|nutzer|konto|teilnehmer|mailadresse|"
            r"e-mail-adresse)\w{0,10}[^.;]{0,40}(?:unbekannt|existiert nicht|nicht gefunden|ungültig|"
            r"ungueltig|nicht (?:vorhanden|bekannt)|gibt es nicht|gelöscht)"
        ),
        (
            r"unbekannte[rns]? (?:empfänger|empfaenger|benutzer|adresse|nutzer|adressat)|"
            r"kein (?:solcher )?(?:benutzer|empfänger|postfach)"
        ),
    ),
    rule(
        "unknown.fr",
        "invalid_recipient",
        _RFC + "French",
        (
            r"(?:utilisateur|destinataire|adresse|compte|boîte|boite|usager|abonné|"
            r"abonne)[^.;]{0,40}(?:inconnue?|n'existe (?:pas|plus)|invalide|inexistante?|introuvable|"
            r"incorrecte?)"
        ),
        r"(?:aucun|pas d') ?(?:utilisateur|destinataire|compte)",
    ),
    rule(
        "unknown.es",
        "invalid_recipient",
        _RFC + "Spanish",
        (
            r"(?:usuario|destinatario|cuenta|direcci[oó]n|buz[oó]n|casilla)[^.;]{0,40}(?:desconocid[oa]|"
            r"no (?:existe|v[aá]lid[oa]|encontrad[oa])|inexistente|inv[aá]lid[oa])"
        ),
    ),
    rule(
        "unknown.pt",
        "invalid_recipient",
        _RFC + "Portuguese",
        (
            r"(?:usu[aá]rio|destinat[aá]rio|conta|endere[cç]o|caixa(?: postal)?|utilizador|"
            r"mailbox)[^.;]{0,40}(?:desconhecid[oa]|n[aã]o (?:existe|encontrad[oa]|cadastrad[oa])|inexistente|"
            r"inv[aá]lid[oa])"
        ),
    ),
    rule(
        "unknown.it-nl-pl",
        "invalid_recipient",
        _RFC + "Italian, Dutch, Polish",
        (
            r"(?:utente|destinatario|casella|indirizzo|account)[^.;]{0,40}(?:sconosciut[oa]|inesistente|"
            r"non (?:esiste|trovat[oa]|valid[oa]))"
        ),
        (
            r"(?:gebruiker|ontvanger|adres|geadresseerde)[^.;]{0,40}(?:onbekend|bestaat niet|niet gevonden)|"
            r"onbekende (?:gebruiker|ontvanger)"
        ),
        (
            r"(?:użytkownik|uzytkownik|adresat|konto|skrzynka)[^.;]{0,40}(?:nie istnieje|nieznany)|"
            r"nieznany (?:użytkownik|uzytkownik|adresat)|nie ma takiego (?:użytkownika|uzytkownika|adresata|konta)"
        ),
        version=2,
    ),
    rule(
        "unknown.sv-no-da-tr",
        "invalid_recipient",
        _RFC + "Swedish, Norwegian, Danish, Turkish",
        (
            r"(?:mottagaren?|mottakeren?|modtageren?|användaren?|brukeren?|brugeren?|adressen?|kontot?)"
            r"[^.;]{0,40}(?:finns (?:inte|ej)|finnes ikke|findes ikke|eksisterer ikke|okänd|ukjent|ukendt)"
        ),
        r"(?:okänd|ukjent|ukendt) (?:mottag|mottak|modtag|användar|bruk|brug|adress)",
        # \u0131 is the dotless i; many servers write it with a dot.
        r"bilinmeyen (?:kullan|al[i\u0131]c[i\u0131])|kullan[i\u0131]c[i\u0131] bulunamad",
        r"böyle bir kullan[i\u0131]c[i\u0131] yok",
    ),
    rule(
        "unknown.ru",
        "invalid_recipient",
        _RFC + "Russian",
        (
            r"(?:пользовател|получател|адресат|ящик|адрес|учетн)\w{0,6}[^.;]{0,40}(?:не (?:найден|существует|"
            r"зарегистрирован)|неизвест|отсутствует)"
        ),
        r"неизвестный (?:пользователь|получатель|адресат)|нет такого (?:пользователя|ящика|адреса)",
    ),
    rule(
        "unknown.ja",
        "invalid_recipient",
        _RFC + "Japanese",
        r"(?:宛先|受信者|ユーザー?|アドレス|アカウント|メールボックス|あて先|送信先)[^。]{0,40}(?:存在しません|存在しない|見つかりません|見つかりませんでした|不明|ありません|無効)",
        r"(?:該当する|そのような)(?:ユーザー?|アドレス|アカウント)",
    ),
    rule(
        "unknown.zh",
        "invalid_recipient",
        _RFC + "Chinese",
        r"(?:收件人|用户|用戶|邮箱|郵箱|地址|帐号|帳號|账号|信箱|使用者)[^。]{0,20}(?:不存在|无效|無效|找不到|未找到|错误|不正确)",
        r"(?:没有|无|查無)(?:此|该|這個|这个)(?:用户|用戶|收件人|邮箱|人)|找不到(?:收件人|用户|邮箱|电子邮件地址)",
    ),
    rule(
        "unknown.ko",
        "invalid_recipient",
        _RFC + "Korean",
        r"(?:사용자|수신자|계정|주소|메일함|받는 사람)[^.]{0,30}(?:없|존재하지 않|알 수 없|찾을 수 없)",
    ),
    rule(
        "inactive.other",
        "inactive",
        "RFC 3463 X.2.1 in other languages",
        r"(?:compte|boîte|boite)[^.;]{0,40}(?:désactivée?|desactivee?|suspendue?|fermée?|bloquée?)",
        r"(?:konto|postfach|benutzer)[^.;]{0,40}(?:deaktiviert|gesperrt|geschlossen)",
        (
            r"(?:cuenta|usuario|conta|casilla|buz[oó]n)[^.;]{0,40}(?:deshabilitad[oa]|suspendid[oa]|"
            r"desactivad[oa]|desativad[oa]|bloquead[oa]|expirado|caducad[oa]|inactiv[oa]|inativ[oa])"
        ),
        r"(?:ящик|пользователь|аккаунт|учетная запись)[^.;]{0,30}(?:заблокирован|отключен|неактив)",
        r"(?:帐号|账号|邮箱|用户)[^。]{0,12}(?:停用|冻结|禁用|锁定|关闭)",
    ),
)
