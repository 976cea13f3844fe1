-- What only SQLite takes: how a connection is set up, and how a file is looked after. A server needs none of it.

-- name: set_up_new_file
PRAGMA auto_vacuum = INCREMENTAL; -- so that what retention removes can leave the file

-- name: set_up_writer
PRAGMA journal_mode = WAL;          -- readers never wait for the writer
PRAGMA journal_size_limit = 67108864;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;        -- what stands in the file calls nothing of ours
PRAGMA cell_size_check = ON;

-- name: set_up_reader
PRAGMA query_only = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;

-- name: sync_each_commit
PRAGMA synchronous = FULL;          -- a commit that somebody waits for is on the disk

-- name: sync_at_checkpoints
PRAGMA synchronous = NORMAL;        -- the others survive our end, and go with the power at worst

-- name: quick_check
PRAGMA quick_check(1);

-- name: read_version
PRAGMA user_version;

-- name: count_objects
SELECT count(*) FROM sqlite_master;

-- name: give_back_pages
PRAGMA incremental_vacuum(1000);

-- name: free_octets
SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size;

-- name: used_octets
SELECT page_count * page_size FROM pragma_page_count, pragma_page_size;

-- name: begin_reading
BEGIN;

-- name: end_reading
ROLLBACK;

-- name: list_tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid;
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rootpage;

-- name: salvage_forwards
-- Of a damaged file, from both ends; {0} is a table's name, {1} are the marks of its values.
SELECT * FROM "{0}" ORDER BY rowid;

-- name: salvage_backwards
SELECT * FROM "{0}" ORDER BY rowid DESC;

-- name: salvage_row
INSERT INTO "{0}" VALUES ({1}) ON CONFLICT DO NOTHING;

-- name: set_version
PRAGMA user_version = {0};

-- name: salvage_sts_domains_forwards
-- From the index alone, which lies in other pages than the rows.
SELECT domain FROM sts_policies INDEXED BY sqlite_autoindex_sts_policies_1 ORDER BY domain;

-- name: salvage_sts_domains_backwards
SELECT domain FROM sts_policies INDEXED BY sqlite_autoindex_sts_policies_1 ORDER BY domain DESC;

-- name: check_table
PRAGMA integrity_check("{0}");
