"""A process that holds the write lock of a SQLite file until it is told to let go.

    lock_holder.py FILE

Says "held", waits for a line, lets go.
"""

import sys

import apsw

connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
