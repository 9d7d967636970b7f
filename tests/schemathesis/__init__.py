"""How Schemathesis is set up."""
