-- The memory of TLS, and what damage may have taken from it: see schema_1.sql.

-- name: keep_tls_memory
INSERT INTO tls_memory (domain, first_tls, last_tls, last_clear, always_since, failing_since, failing_sessions, failing_why,
  was_let_go, released, release_reason, release_by, fingerprint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (domain) DO UPDATE SET first_tls = excluded.first_tls, last_tls = excluded.last_tls, last_clear = excluded.last_clear,
  always_since = excluded.always_since, failing_since = excluded.failing_since, failing_sessions = excluded.failing_sessions,
  failing_why = excluded.failing_why, was_let_go = excluded.was_let_go, released = excluded.released,
  release_reason = excluded.release_reason, release_by = excluded.release_by, fingerprint = excluded.fingerprint;

-- name: remove_tls_memory_hosts
DELETE FROM tls_memory_hosts WHERE domain = $1;

-- name: add_tls_memory_host
INSERT INTO tls_memory_hosts (domain, number, name, best_version, is_authenticated, first_tls, last_tls, last_clear)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: list_tls_memory
SELECT domain, first_tls, last_tls, last_clear, always_since, failing_since, failing_sessions, failing_why, was_let_go, released,
  release_reason, release_by, fingerprint
FROM tls_memory ORDER BY domain;

-- name: list_tls_memory_hosts
SELECT domain, name, best_version, is_authenticated, first_tls, last_tls, last_clear
FROM tls_memory_hosts ORDER BY domain, number;

-- name: remove_tls_memory
DELETE FROM tls_memory WHERE domain = $1;

-- name: remove_tls_memory_before
DELETE FROM tls_memory WHERE last_tls < $1 AND last_clear < $1;

-- name: note_damage
INSERT INTO damages (table_name, found) VALUES ($1, $2) ON CONFLICT (table_name) DO UPDATE SET found = excluded.found;

-- name: find_tls_memory_damage
SELECT max(found) FROM damages WHERE table_name IN ('tls_memory', 'tls_memory_hosts');

-- name: end_tls_memory_damage
DELETE FROM damages WHERE table_name IN ('tls_memory', 'tls_memory_hosts');
