-- What lets one team's analysts read their own events and nothing else, on a server with access control.
-- {team} is the team's slug, {password_sha256} is in hexadecimal.  What is granted here is enough, as the view runs with
-- the rights of its definer: see team.sql.
CREATE ROLE IF NOT EXISTS {team}_reader;

GRANT SELECT ON `{team}`.* TO {team}_reader;

-- readonly = 2: clients may change settings, within these bounds, but not this one.
CREATE SETTINGS PROFILE OR REPLACE {team}_reader SETTINGS
    readonly = 2,
    max_execution_time = 60 MIN 1 MAX 600,
    max_memory_usage = 2000000000 MIN 1 MAX 4000000000,
    max_result_rows = 1000000 MIN 1 MAX 10000000
TO {team}_reader;

CREATE QUOTA OR REPLACE {team}_reader KEYED BY user_name
    FOR INTERVAL 1 hour MAX queries = 3600, result_rows = 100000000, execution_time = 3600
TO {team}_reader;

CREATE USER OR REPLACE {team}_analyst IDENTIFIED WITH sha256_hash BY '{password_sha256}';

GRANT {team}_reader TO {team}_analyst;
