"""`GET /v1/events/{id}`: where an event is, on the way from its acknowledgement to the warehouse."""
