-- MTA-STS policies: see schema_1.sql.

-- name: keep_sts_policy
INSERT INTO sts_policies (domain, id, fetched, expires, text, fingerprint) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (domain) DO UPDATE SET id = excluded.id, fetched = excluded.fetched, expires = excluded.expires,
  text = excluded.text, fingerprint = excluded.fingerprint;

-- name: remove_sts_policy
DELETE FROM sts_policies WHERE domain = $1;

-- name: list_sts_policies
SELECT domain, id, fetched, expires, text, fingerprint FROM sts_policies ORDER BY domain;

-- name: find_sts_policy
SELECT domain, id, fetched, expires, text, fingerprint FROM sts_policies WHERE domain = $1;

-- name: note_lost_sts_policy
-- Of a damaged file only the name could be read: the row does not fit its fingerprint.
INSERT INTO sts_policies (domain, id, fetched, expires, text, fingerprint) VALUES ($1, '', 0, 0, '', '')
ON CONFLICT (domain) DO NOTHING;
