"""What tests of accounts share."""

from ingress.accounts.actors import Actor

ACTOR = Actor("a test")
