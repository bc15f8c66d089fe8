"""A test bed with the real thing: a private Postfix, servers that store its mail, and the way to start daemons.

Used by the tests marked `postfix` and by `scripts/quickstart`. Standard library only, apart from the verifiers: what
makes a bare Debian runs before anything is installed. Everything lives under one folder, listens on loopback or on
Unix sockets in that folder, and is stopped by process id.
"""
