-- Lists of revoked certificates: see schema_1.sql.

-- name: keep_crl
INSERT INTO crl_lists (url, fetched, octets) VALUES ($1, $2, $3)
ON CONFLICT (url) DO UPDATE SET fetched = excluded.fetched, octets = excluded.octets;

-- name: find_crl
SELECT octets FROM crl_lists WHERE url = $1;

-- name: list_crls
SELECT url FROM crl_lists ORDER BY url;

-- name: remove_crl
DELETE FROM crl_lists WHERE url = $1;
