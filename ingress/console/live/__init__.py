"""The Live page: a team's events as they pass, stage by stage, to who is in the team and looks."""
