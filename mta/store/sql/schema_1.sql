-- The store of Portcullis: all state that is not mail. You may read this file beside the running daemon:
--
--   sqlite3 -readonly /var/spool/portcullis/state/state.sqlite
--
-- Types are those of PostgreSQL. SQLite takes BIGINT for its INTEGER and BYTEA for a BLOB. BIGINT is also a time
-- (seconds since 1970, UTC) and, where a column's name begins with is_, a truth value (0 or 1). A text that is not known is
-- empty, never NULL. For people there are views; a time reads as datetime(received, 'unixepoch') in SQLite.
--
-- Only the daemon writes. Retention stands in portcullis.toml and docs/operating.md.

-- What protects comes first: of a damaged file it is also brought over first.

-- MTA-STS policies of domains that we send to (RFC 8461), as they were last fetched. All are in memory, too.
CREATE TABLE sts_policies (
  domain TEXT NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,                -- of the record when it was fetched
  fetched BIGINT NOT NULL,
  expires BIGINT NOT NULL,         -- fetched and its max_age; rows stay for 30 days more, for the clock may have been wrong
  text TEXT NOT NULL,              -- as it was served
  fingerprint TEXT NOT NULL        -- over the other columns; where it does not fit nobody knows what the policy demanded, and mail waits
);

-- Lists of revoked certificates (RFC 5280 section 5) that were fetched from the http addresses in partners' files.
CREATE TABLE crl_lists (
  url TEXT NOT NULL PRIMARY KEY,
  fetched BIGINT NOT NULL,         -- when these octets came first
  octets BYTEA NOT NULL            -- as served, PEM or DER; signed, so what is damaged counts as no list, and chains that need it fail
);

-- Tables of which a part was lost with a damaged file, or whose rows did not fit their fingerprints. Whatever they protected is
-- protected as if it were remembered, until the time of [tls_memory] release_after or an operator ends that.
CREATE TABLE damages (
  table_name TEXT NOT NULL PRIMARY KEY,
  found BIGINT NOT NULL            -- the last time
);

-- What is remembered of the TLS of each domain that we send to by MX ([tls_memory]). All rows are in memory, too. A time of 0: never.
CREATE TABLE tls_memory (
  domain TEXT NOT NULL PRIMARY KEY,
  first_tls BIGINT NOT NULL,       -- ever
  last_tls BIGINT NOT NULL,        -- up to a day late
  last_clear BIGINT NOT NULL,      -- the last session without TLS
  always_since BIGINT NOT NULL,    -- since then each session had TLS, but for a stretch that fails now
  failing_since BIGINT NOT NULL,   -- first session without TLS after one with it; 0: it does not fail
  failing_sessions BIGINT NOT NULL, -- of that stretch
  failing_why TEXT NOT NULL,       -- of its latest session
  was_let_go BIGINT NOT NULL,      -- 1: after TLS was known mail could leave in clear, now or once
  released BIGINT NOT NULL,        -- when an operator released this stretch; 0: nobody did
  release_reason TEXT NOT NULL,
  release_by TEXT NOT NULL,
  fingerprint TEXT NOT NULL        -- over the other columns and the hosts
);
CREATE INDEX tls_memory_by_age ON tls_memory (last_tls);

-- Its hosts: the eight that were seen last.
CREATE TABLE tls_memory_hosts (
  domain TEXT NOT NULL REFERENCES tls_memory (domain) ON DELETE CASCADE,
  number BIGINT NOT NULL,
  name TEXT NOT NULL,
  best_version TEXT NOT NULL,      -- TLSv1.3
  is_authenticated BIGINT NOT NULL, -- 1: was so at least once
  first_tls BIGINT NOT NULL,
  last_tls BIGINT NOT NULL,
  last_clear BIGINT NOT NULL,
  PRIMARY KEY (domain, number)
);

-- Reports of others about our domains (DMARC aggregate reports, RFC 9990; TLSRPT, RFC 8460), one row for each.
CREATE TABLE received_reports (
  id TEXT NOT NULL PRIMARY KEY,    -- 16 hexadecimal digits of SHA-256 over (kind, organisation, report_id, domain)
  kind TEXT NOT NULL CHECK (kind IN ('dmarc', 'tlsrpt', 'unreadable')), -- unreadable: mail without a report that can be read
  received BIGINT NOT NULL,        -- when its mail came
  sender TEXT NOT NULL,            -- From of its mail, as written
  subject TEXT NOT NULL,
  mail_domain TEXT NOT NULL,       -- whom the report is about, as the mail's header says
  queue_id TEXT NOT NULL,          -- under which the mail came
  authenticated TEXT NOT NULL,     -- of our own Authentication-Results: 'dmarc=pass example.org'
  is_authenticated BIGINT NOT NULL, -- whether that is a pass of DMARC
  problem TEXT NOT NULL,           -- unreadable: why
  organisation TEXT NOT NULL,      -- who reports
  contact TEXT NOT NULL,
  extra_contact TEXT NOT NULL,
  report_id TEXT NOT NULL,         -- as the reporter names it
  domain TEXT NOT NULL,            -- whom it is about; TLSRPT: of its first policy
  period_begin BIGINT NOT NULL,
  period_end BIGINT NOT NULL,
  good BIGINT NOT NULL,            -- messages that passed DMARC; sessions with TLS as the policy wants it
  bad BIGINT NOT NULL,             -- the others
  row_count BIGINT NOT NULL,       -- of dmarc_rows or tlsrpt_policies
  octets BIGINT NOT NULL           -- of all its texts, for the limit of the table
);
CREATE INDEX received_reports_by_age ON received_reports (received);
CREATE INDEX received_reports_by_trust ON received_reports (is_authenticated, received);
CREATE INDEX received_reports_by_kind ON received_reports (kind, received);

-- Every domain that a report is about: received_reports.domain, mail_domain, and those of its policies.
CREATE TABLE received_report_domains (
  report TEXT NOT NULL REFERENCES received_reports (id) ON DELETE CASCADE,
  domain TEXT NOT NULL,
  PRIMARY KEY (report, domain)
);
CREATE INDEX received_report_domains_by_domain ON received_report_domains (domain);

-- What a DMARC report says of the policy that its author found (RFC 9990, "policy_published").
CREATE TABLE dmarc_policies (
  report TEXT NOT NULL PRIMARY KEY REFERENCES received_reports (id) ON DELETE CASCADE,
  p TEXT NOT NULL,
  sp TEXT NOT NULL,
  np TEXT NOT NULL,
  adkim TEXT NOT NULL,
  aspf TEXT NOT NULL,
  pct TEXT NOT NULL,
  fo TEXT NOT NULL,
  testing TEXT NOT NULL,
  discovery_method TEXT NOT NULL,
  generator TEXT NOT NULL,         -- the software that wrote the report
  skipped_rows BIGINT NOT NULL     -- records without a usable source address or count
);

-- The records of a DMARC report: messages of one source, judged alike.
CREATE TABLE dmarc_rows (
  report TEXT NOT NULL REFERENCES received_reports (id) ON DELETE CASCADE,
  number BIGINT NOT NULL,          -- from 0, as the report has them
  source_ip TEXT NOT NULL,
  messages BIGINT NOT NULL,
  disposition TEXT NOT NULL,       -- none, quarantine, reject, pass
  dkim TEXT NOT NULL,              -- aligned: pass or fail
  spf TEXT NOT NULL,
  envelope_to TEXT NOT NULL,
  envelope_from TEXT NOT NULL,
  header_from TEXT NOT NULL,
  PRIMARY KEY (report, number)
);

-- What stands below a record: why another disposition than the policy's was applied, and the results of each check.
CREATE TABLE dmarc_row_details (
  report TEXT NOT NULL REFERENCES received_reports (id) ON DELETE CASCADE,
  row_number BIGINT NOT NULL,      -- of dmarc_rows
  number BIGINT NOT NULL,          -- from 0, through all details of the record
  kind TEXT NOT NULL CHECK (kind IN ('reason', 'dkim', 'spf')),
  domain TEXT NOT NULL,
  selector TEXT NOT NULL,          -- DKIM
  scope TEXT NOT NULL,             -- SPF: mfrom or helo
  result TEXT NOT NULL,            -- of a reason: its type
  comment TEXT NOT NULL,
  PRIMARY KEY (report, row_number, number)
);

-- The policies of a TLS report, with sessions counted (RFC 8460 section 4.4).
CREATE TABLE tlsrpt_policies (
  report TEXT NOT NULL REFERENCES received_reports (id) ON DELETE CASCADE,
  number BIGINT NOT NULL,
  type TEXT NOT NULL,              -- sts, tlsa, no-policy-found
  domain TEXT NOT NULL,
  successes BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  PRIMARY KEY (report, number)
);

-- The lines of such a policy, and the MX names in it.
CREATE TABLE tlsrpt_policy_texts (
  report TEXT NOT NULL REFERENCES received_reports (id) ON DELETE CASCADE,
  policy BIGINT NOT NULL,          -- of tlsrpt_policies
  number BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('line', 'mx')),
  text TEXT NOT NULL,
  PRIMARY KEY (report, policy, number)
);

-- Why sessions failed.
CREATE TABLE tlsrpt_failures (
  report TEXT NOT NULL REFERENCES received_reports (id) ON DELETE CASCADE,
  policy BIGINT NOT NULL,
  number BIGINT NOT NULL,
  result_type TEXT NOT NULL,       -- certificate-expired, starttls-not-supported, …
  sending_mta_ip TEXT NOT NULL,
  receiving_mx_hostname TEXT NOT NULL,
  receiving_mx_helo TEXT NOT NULL,
  receiving_ip TEXT NOT NULL,
  sessions BIGINT NOT NULL,
  additional_information TEXT NOT NULL,
  failure_reason_code TEXT NOT NULL,
  PRIMARY KEY (report, policy, number)
);

-- For people: one line for each report that could be read.
CREATE VIEW reports AS
SELECT id, kind, received, period_begin, period_end, organisation, report_id, domain, good, bad, is_authenticated, authenticated, sender
FROM received_reports
WHERE kind <> 'unreadable';
