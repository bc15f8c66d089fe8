"""Fuzzing of what reads strangers' octets (scripts/fuzz)."""
