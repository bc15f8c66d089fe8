"""What Postfix says in the lines of its log: a Line in, a record out. Pure.

    kinds      the records
    reading    which program's words are read how
    arrival    smtpd, postscreen, pickup, cleanup
    departure  qmgr, the delivery agents, bounce, postsuper
    words      what several of them share

Limits:  any text gives a record or None (a line that nothing follows from), in linear time.
"""
