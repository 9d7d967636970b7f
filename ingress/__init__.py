"""The public HTTP side: authenticates producers and publishes their events to the raw topic."""
