"""How the accounts database became what it is: Alembic runs these in order."""
