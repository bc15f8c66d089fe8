"""Postroom: the outbound mail room for the Postfix an organisation already runs."""

__version__ = "0.1.0"
