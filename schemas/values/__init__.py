"""Values of JSON as Avro bytes of typed fields: what the stream writes, and what a schema is tried on."""
