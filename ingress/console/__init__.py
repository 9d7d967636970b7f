"""The pages on which a team's Owners do for themselves what concerns them: an own process, an own listener."""
