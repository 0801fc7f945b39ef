-- Times are milliseconds since 1970, 0 for none. Documents and lists are JSON text.
--
-- Every table with a column person references persons and goes with its row. So a withdrawal deletes one row,
-- and nothing can be written of a person who has withdrawn or is withdrawing.

CREATE TABLE persons (
	id            TEXT    NOT NULL PRIMARY KEY,
	first_method  TEXT    NOT NULL,
	ci_index      TEXT    NOT NULL,
	sealed_ci     TEXT    NOT NULL,
	sealed        TEXT    NOT NULL,
	settings      TEXT    NOT NULL,
	terms         TEXT    NOT NULL,
	blocks        TEXT    NOT NULL,
	browsers      TEXT    NOT NULL,
	registered_at INTEGER NOT NULL,
	updated_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX persons_ci ON persons (ci_index) WHERE ci_index <> '';

CREATE TABLE links (
	person    TEXT    NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	method    TEXT    NOT NULL,
	subject   TEXT    NOT NULL,
	provider  TEXT    NOT NULL,
	rule      TEXT    NOT NULL,
	policy    INTEGER NOT NULL,
	binding   TEXT    NOT NULL,
	digest    TEXT    NOT NULL,
	attempt   TEXT    NOT NULL,
	linked_at INTEGER NOT NULL,
	PRIMARY KEY (method, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_person ON links (person);

-- Only ever added to; a withdrawn consent is dated.
CREATE TABLE consents (
	id           TEXT    NOT NULL PRIMARY KEY,
	person       TEXT    NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	recipient    TEXT    NOT NULL,
	kind         TEXT    NOT NULL,
	version      TEXT    NOT NULL,
	digest       TEXT    NOT NULL,
	locale       TEXT    NOT NULL,
	basis        TEXT    NOT NULL,
	purpose      TEXT    NOT NULL,
	items        TEXT    NOT NULL,
	retention    TEXT    NOT NULL,
	attempt      TEXT    NOT NULL,
	method       TEXT    NOT NULL,
	given_at     INTEGER NOT NULL,
	withdrawn_at INTEGER NOT NULL,
	UNIQUE (attempt, recipient, kind)
) STRICT;
CREATE INDEX consents_person ON consents (person, recipient, kind, given_at);

CREATE TABLE link_policies (
	version INTEGER NOT NULL PRIMARY KEY,
	set_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE link_policy_cells (
	version      INTEGER NOT NULL REFERENCES link_policies (version),
	first_method TEXT    NOT NULL,
	now_method   TEXT    NOT NULL,
	rule         TEXT    NOT NULL,
	PRIMARY KEY (version, first_method, now_method)
) STRICT, WITHOUT ROWID;

CREATE TABLE sites (
	id         TEXT    NOT NULL PRIMARY KEY,
	document   TEXT    NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE site_secrets (
	site       TEXT    NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
	hash       TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	PRIMARY KEY (site, hash)
) STRICT, WITHOUT ROWID;

-- Counters that say whether something has changed.
CREATE TABLE revisions (
	name TEXT    NOT NULL PRIMARY KEY,
	n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO revisions (name, n) VALUES ('sites', 0);

CREATE TABLE signing_keys (
	id         TEXT    NOT NULL PRIMARY KEY,
	algorithm  TEXT    NOT NULL,
	generation INTEGER NOT NULL,
	sealed     TEXT    NOT NULL,
	publish_at INTEGER NOT NULL,
	active_at  INTEGER NOT NULL,
	retire_at  INTEGER NOT NULL,
	UNIQUE (algorithm, generation)
) STRICT;

CREATE TABLE connections (
	person   TEXT    NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	site     TEXT    NOT NULL,
	first_at INTEGER NOT NULL,
	last_at  INTEGER NOT NULL,
	logins   INTEGER NOT NULL,
	PRIMARY KEY (person, site)
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh_families (
	id            TEXT    NOT NULL PRIMARY KEY,
	current_token TEXT    NOT NULL,
	rotations     INTEGER NOT NULL,
	grant_id      TEXT    NOT NULL,
	site          TEXT    NOT NULL,
	person        TEXT    NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	access        TEXT    NOT NULL,
	created_at    INTEGER NOT NULL,
	used_at       INTEGER NOT NULL,
	expires_at    INTEGER NOT NULL,
	revoked_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_families_grant ON refresh_families (grant_id);
CREATE INDEX refresh_families_person ON refresh_families (person, site);
CREATE INDEX refresh_families_expiry ON refresh_families (expires_at);

-- One row per single sign-on session: what of it outlives the value in kv.
CREATE TABLE sessions (
	id       TEXT    NOT NULL PRIMARY KEY,
	person   TEXT    NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	kv_key   TEXT    NOT NULL,
	method   TEXT    NOT NULL,
	provider TEXT    NOT NULL,
	level    INTEGER NOT NULL,
	origin   TEXT    NOT NULL,
	sites    TEXT    NOT NULL,
	at       INTEGER NOT NULL,
	check_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_person ON sessions (person, at);
CREATE INDEX sessions_check ON sessions (check_at, id);

CREATE TABLE alerts (
	id       TEXT    NOT NULL PRIMARY KEY,
	person   TEXT    NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	kind     TEXT    NOT NULL,
	method   TEXT    NOT NULL,
	provider TEXT    NOT NULL,
	site     TEXT    NOT NULL,
	session  TEXT    NOT NULL,
	origin   TEXT    NOT NULL,
	at       INTEGER NOT NULL,
	case_id  TEXT    NOT NULL
) STRICT;
CREATE INDEX alerts_person ON alerts (person, at);
CREATE INDEX alerts_at ON alerts (at);

CREATE TABLE cases (
	id        TEXT    NOT NULL PRIMARY KEY,
	person    TEXT    NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	state     TEXT    NOT NULL,
	kind      TEXT    NOT NULL,
	method    TEXT    NOT NULL,
	provider  TEXT    NOT NULL,
	site      TEXT    NOT NULL,
	opened_at INTEGER NOT NULL,
	closed_at INTEGER NOT NULL,
	closed_by TEXT    NOT NULL,
	note      TEXT    NOT NULL
) STRICT;
CREATE INDEX cases_person ON cases (person, opened_at);
CREATE INDEX cases_state ON cases (state, opened_at, id);

-- What a law makes the broker keep after a withdrawal. Nothing here says whose it is.
CREATE TABLE retained (
	id         TEXT    NOT NULL PRIMARY KEY,
	class      TEXT    NOT NULL,
	basis      TEXT    NOT NULL,
	content    TEXT    NOT NULL,
	kept_at    INTEGER NOT NULL,
	destroy_at INTEGER NOT NULL
) STRICT;
CREATE INDEX retained_destroy ON retained (destroy_at);

-- Messages to others. leased_until is when the lease ends under which one is being delivered, 0 without one:
-- next_at alone would not tell a lease from a wait after a failure.
CREATE TABLE outbox (
	id           TEXT    NOT NULL PRIMARY KEY,
	kind         TEXT    NOT NULL,
	target       TEXT    NOT NULL,
	batch        TEXT    NOT NULL,
	payload      TEXT    NOT NULL,
	state        TEXT    NOT NULL,
	attempts     INTEGER NOT NULL,
	error        TEXT    NOT NULL,
	created_at   INTEGER NOT NULL,
	next_at      INTEGER NOT NULL,
	give_up_at   INTEGER NOT NULL,
	done_at      INTEGER NOT NULL,
	leased_until INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_waiting ON outbox (target, next_at, id) WHERE state = 'waiting';
CREATE INDEX outbox_leased ON outbox (target, leased_until) WHERE leased_until > 0;
CREATE INDEX outbox_batch ON outbox (batch, target, id);
CREATE INDEX outbox_done ON outbox (done_at) WHERE state <> 'waiting';

-- Events in the form that the chain is made over: subject and hidden stand for the person. An event waits with
-- position NULL until a sealer gives it its place. Nothing looks an event up by its random id alone.
CREATE TABLE audit_events (
	id       TEXT    NOT NULL,
	at       INTEGER NOT NULL,
	action   TEXT    NOT NULL,
	actor    TEXT    NOT NULL,
	subject  TEXT    NOT NULL,
	site     TEXT    NOT NULL,
	attempt  TEXT    NOT NULL,
	address  TEXT    NOT NULL,
	hidden   TEXT    NOT NULL,
	detail   TEXT    NOT NULL,
	position INTEGER,
	hash     TEXT
) STRICT;
CREATE UNIQUE INDEX audit_events_unsealed ON audit_events (at, id) WHERE position IS NULL;
CREATE UNIQUE INDEX audit_events_position ON audit_events (position) WHERE position IS NOT NULL;
CREATE INDEX audit_events_subject ON audit_events (subject, at, id) WHERE subject <> '';

-- The last link of the chain: one row.
CREATE TABLE audit_head (
	id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	position INTEGER NOT NULL,
	hash     TEXT    NOT NULL
) STRICT;
INSERT INTO audit_head (id, position, hash) VALUES (1, 0, '');

CREATE TABLE audit_checkpoints (
	position INTEGER NOT NULL PRIMARY KEY,
	hash     TEXT    NOT NULL,
	at       INTEGER NOT NULL,
	jws      TEXT    NOT NULL
) STRICT;
