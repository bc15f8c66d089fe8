"""The milter: signs outbound mail with DKIM (RSA and Ed25519)."""
