-- Reports received: see schema_1.sql.

-- name: find_report_trust
SELECT is_authenticated FROM received_reports WHERE id = $1;

-- name: add_report
INSERT INTO received_reports (id, kind, received, sender, subject, mail_domain, queue_id, authenticated, is_authenticated,
  problem, organisation, contact, extra_contact, report_id, domain, period_begin, period_end, good, bad, row_count, octets)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- name: add_report_domain
INSERT INTO received_report_domains (report, domain) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: add_dmarc_policy
INSERT INTO dmarc_policies (report, p, sp, np, adkim, aspf, pct, fo, testing, discovery_method, generator, skipped_rows)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: add_dmarc_row
INSERT INTO dmarc_rows (report, number, source_ip, messages, disposition, dkim, spf, envelope_to, envelope_from, header_from)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: add_dmarc_detail
INSERT INTO dmarc_row_details (report, row_number, number, kind, domain, selector, scope, result, comment)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: add_tlsrpt_policy
INSERT INTO tlsrpt_policies (report, number, type, domain, successes, failures) VALUES ($1, $2, $3, $4, $5, $6);

-- name: add_tlsrpt_text
INSERT INTO tlsrpt_policy_texts (report, policy, number, kind, text) VALUES ($1, $2, $3, $4, $5);

-- name: add_tlsrpt_failure
INSERT INTO tlsrpt_failures (report, policy, number, result_type, sending_mta_ip, receiving_mx_hostname, receiving_mx_helo,
  receiving_ip, sessions, additional_information, failure_reason_code)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: remove_report
DELETE FROM received_reports WHERE id = $1;

-- name: sum_reports
SELECT count(*), coalesce(sum(octets), 0) FROM received_reports;

-- name: count_unreadable
SELECT count(*) FROM received_reports WHERE kind = 'unreadable';

-- name: oldest_unreadable
SELECT id, octets FROM received_reports WHERE kind = 'unreadable' ORDER BY received, kind, id LIMIT 1;

-- name: oldest_doubtful_report
SELECT id, octets FROM received_reports WHERE is_authenticated = 0 ORDER BY received, kind, id LIMIT 1;

-- name: oldest_report
SELECT id, octets FROM received_reports ORDER BY received, kind, id LIMIT 1;

-- name: remove_reports_before
DELETE FROM received_reports WHERE id IN (SELECT id FROM received_reports WHERE received < $1 ORDER BY received LIMIT 20);

-- name: list_reports
-- $1: a kind, or empty; $2: received from then on; $3: a domain, or empty
SELECT id, kind, received, sender, subject, authenticated, problem, organisation, report_id, domain, period_begin, period_end,
  good, bad, row_count, mail_domain, queue_id, contact, extra_contact
FROM received_reports
WHERE ($1 = '' OR kind = $1) AND received >= $2
  AND ($3 = '' OR id IN (SELECT report FROM received_report_domains WHERE domain = $3))
ORDER BY received, kind, id;

-- name: find_report
SELECT id, kind, received, sender, subject, authenticated, problem, organisation, report_id, domain, period_begin, period_end,
  good, bad, row_count, mail_domain, queue_id, contact, extra_contact
FROM received_reports WHERE id = $1;

-- name: find_report_domains
SELECT domain FROM received_report_domains WHERE report = $1 ORDER BY domain;

-- name: find_dmarc_policy
SELECT p, sp, np, adkim, aspf, pct, fo, testing, discovery_method, generator, skipped_rows
FROM dmarc_policies WHERE report = $1;

-- name: find_dmarc_rows
SELECT number, source_ip, messages, disposition, dkim, spf, envelope_to, envelope_from, header_from
FROM dmarc_rows WHERE report = $1 ORDER BY number;

-- name: find_dmarc_details
SELECT row_number, kind, domain, selector, scope, result, comment
FROM dmarc_row_details WHERE report = $1 ORDER BY row_number, number;

-- name: find_tlsrpt_policies
SELECT number, type, domain, successes, failures FROM tlsrpt_policies WHERE report = $1 ORDER BY number;

-- name: find_tlsrpt_texts
SELECT policy, kind, text FROM tlsrpt_policy_texts WHERE report = $1 ORDER BY policy, number;

-- name: find_tlsrpt_failures
SELECT policy, result_type, sending_mta_ip, receiving_mx_hostname, receiving_mx_helo, receiving_ip, sessions,
  additional_information, failure_reason_code
FROM tlsrpt_failures WHERE report = $1 ORDER BY policy, number;
