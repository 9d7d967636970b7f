"""Confluent's Schema Registry REST API over the teams' schemas, which are kept with the accounts."""
