-- For how many days each team's rows are kept; 0 is for ever, and a team's last row holds.  Earlier ones stay: they tell what was
-- deleted by them.
CREATE TABLE IF NOT EXISTS {database}.retention
(
    team            String,
    days            UInt16,
    set_at          DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (team, set_at);
