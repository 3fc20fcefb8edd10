-- What PostgreSQL has in a leaderboard's schema, extensions' own things left out: (kind, name).
WITH ours AS (
    SELECT oid, relname, relkind::text AS kind FROM pg_class c WHERE relnamespace = current_schema()::regnamespace
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
)
SELECT CASE WHEN kind = 'i' THEN 'index' WHEN kind IN ('v', 'm') THEN 'view' ELSE 'table' END, relname FROM ours
WHERE kind IN ('r', 'p', 'f', 'v', 'm', 'i')
UNION ALL SELECT 'trigger', tgname FROM pg_trigger JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal
UNION ALL SELECT 'policy', polname FROM pg_policy JOIN ours ON ours.oid = polrelid
UNION ALL SELECT 'rule', rulename FROM pg_rewrite JOIN ours ON ours.oid = ev_class WHERE kind IN ('r', 'p')
