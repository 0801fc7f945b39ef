-- Times are milliseconds since 1970, 0 for none. Documents and lists are JSON text. Keys are compared
-- byte by byte, as SQLite does.
--
-- Every table with a column person references persons and goes with its row. So a withdrawal deletes one row,
-- and nothing can be written of a person who has withdrawn or is withdrawing.

CREATE TABLE persons (
	id            TEXT COLLATE "C" PRIMARY KEY,
	first_method  TEXT   NOT NULL,
	ci_index      TEXT COLLATE "C" NOT NULL,
	sealed_ci     TEXT   NOT NULL,
	sealed        TEXT   NOT NULL,
	settings      TEXT   NOT NULL,
	terms         TEXT   NOT NULL,
	blocks        TEXT   NOT NULL,
	browsers      TEXT   NOT NULL,
	registered_at BIGINT NOT NULL,
	updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX persons_ci ON persons (ci_index) WHERE ci_index <> '';

CREATE TABLE links (
	person    TEXT COLLATE "C" NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	method    TEXT COLLATE "C" NOT NULL,
	subject   TEXT COLLATE "C" NOT NULL,
	provider  TEXT    NOT NULL,
	rule      TEXT    NOT NULL,
	policy    INTEGER NOT NULL,
	binding   TEXT    NOT NULL,
	digest    TEXT    NOT NULL,
	attempt   TEXT    NOT NULL,
	linked_at BIGINT  NOT NULL,
	PRIMARY KEY (method, subject)
);
CREATE INDEX links_person ON links (person);

-- Only ever added to; a withdrawn consent is dated.
CREATE TABLE consents (
	id           TEXT COLLATE "C" PRIMARY KEY,
	person       TEXT COLLATE "C" NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	recipient    TEXT COLLATE "C" NOT NULL,
	kind         TEXT COLLATE "C" NOT NULL,
	version      TEXT   NOT NULL,
	digest       TEXT   NOT NULL,
	locale       TEXT   NOT NULL,
	basis        TEXT   NOT NULL,
	purpose      TEXT   NOT NULL,
	items        TEXT   NOT NULL,
	retention    TEXT   NOT NULL,
	attempt      TEXT COLLATE "C" NOT NULL,
	method       TEXT   NOT NULL,
	given_at     BIGINT NOT NULL,
	withdrawn_at BIGINT NOT NULL,
	UNIQUE (attempt, recipient, kind)
);
CREATE INDEX consents_person ON consents (person, recipient, kind, given_at);

CREATE TABLE link_policies (
	version INTEGER PRIMARY KEY,
	set_at  BIGINT NOT NULL
);

CREATE TABLE link_policy_cells (
	version      INTEGER NOT NULL REFERENCES link_policies (version),
	first_method TEXT COLLATE "C" NOT NULL,
	now_method   TEXT COLLATE "C" NOT NULL,
	rule         TEXT    NOT NULL,
	PRIMARY KEY (version, first_method, now_method)
);

CREATE TABLE sites (
	id         TEXT COLLATE "C" PRIMARY KEY,
	document   TEXT   NOT NULL,
	updated_at BIGINT NOT NULL
);

CREATE TABLE site_secrets (
	site       TEXT COLLATE "C" NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
	hash       TEXT COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (site, hash)
);

-- Counters that say whether something has changed.
CREATE TABLE revisions (
	name TEXT COLLATE "C" PRIMARY KEY,
	n    BIGINT NOT NULL
);
INSERT INTO revisions (name, n) VALUES ('sites', 0);

CREATE TABLE signing_keys (
	id         TEXT COLLATE "C" PRIMARY KEY,
	algorithm  TEXT COLLATE "C" NOT NULL,
	generation INTEGER NOT NULL,
	sealed     TEXT    NOT NULL,
	publish_at BIGINT  NOT NULL,
	active_at  BIGINT  NOT NULL,
	retire_at  BIGINT  NOT NULL,
	UNIQUE (algorithm, generation)
);

-- The free space in each page lets a login move its row without touching the index.
CREATE TABLE connections (
	person   TEXT COLLATE "C" NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	site     TEXT COLLATE "C" NOT NULL,
	first_at BIGINT NOT NULL,
	last_at  BIGINT NOT NULL,
	logins   BIGINT NOT NULL,
	PRIMARY KEY (person, site)
) WITH (fillfactor = 80);

CREATE TABLE refresh_families (
	id            TEXT COLLATE "C" PRIMARY KEY,
	current_token TEXT    NOT NULL,
	rotations     INTEGER NOT NULL,
	grant_id      TEXT COLLATE "C" NOT NULL,
	site          TEXT COLLATE "C" NOT NULL,
	person        TEXT COLLATE "C" NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	access        TEXT    NOT NULL,
	created_at    BIGINT  NOT NULL,
	used_at       BIGINT  NOT NULL,
	expires_at    BIGINT  NOT NULL,
	revoked_at    BIGINT  NOT NULL
);
CREATE INDEX refresh_families_grant ON refresh_families (grant_id);
CREATE INDEX refresh_families_person ON refresh_families (person, site);
CREATE INDEX refresh_families_expiry ON refresh_families (expires_at);

-- One row per single sign-on session: what of it outlives the value in kv.
CREATE TABLE sessions (
	id       TEXT COLLATE "C" PRIMARY KEY,
	person   TEXT COLLATE "C" NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	kv_key   TEXT    NOT NULL,
	method   TEXT    NOT NULL,
	provider TEXT    NOT NULL,
	level    INTEGER NOT NULL,
	origin   TEXT    NOT NULL,
	sites    TEXT    NOT NULL,
	at       BIGINT  NOT NULL,
	check_at BIGINT  NOT NULL
);
CREATE INDEX sessions_person ON sessions (person, at);
CREATE INDEX sessions_check ON sessions (check_at, id);

CREATE TABLE alerts (
	id       TEXT COLLATE "C" PRIMARY KEY,
	person   TEXT COLLATE "C" NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	kind     TEXT    NOT NULL,
	method   TEXT    NOT NULL,
	provider TEXT    NOT NULL,
	site     TEXT    NOT NULL,
	session  TEXT    NOT NULL,
	origin   TEXT    NOT NULL,
	at       BIGINT  NOT NULL,
	case_id  TEXT    NOT NULL
);
CREATE INDEX alerts_person ON alerts (person, at);
CREATE INDEX alerts_at ON alerts (at);

CREATE TABLE cases (
	id        TEXT COLLATE "C" PRIMARY KEY,
	person    TEXT COLLATE "C" NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
	state     TEXT COLLATE "C" NOT NULL,
	kind      TEXT    NOT NULL,
	method    TEXT    NOT NULL,
	provider  TEXT    NOT NULL,
	site      TEXT    NOT NULL,
	opened_at BIGINT  NOT NULL,
	closed_at BIGINT  NOT NULL,
	closed_by TEXT    NOT NULL,
	note      TEXT    NOT NULL
);
CREATE INDEX cases_person ON cases (person, opened_at);
CREATE INDEX cases_state ON cases (state, opened_at, id);

-- What a law makes the broker keep after a withdrawal. Nothing here says whose it is.
CREATE TABLE retained (
	id         TEXT COLLATE "C" PRIMARY KEY,
	class      TEXT    NOT NULL,
	basis      TEXT    NOT NULL,
	content    TEXT    NOT NULL,
	kept_at    BIGINT  NOT NULL,
	destroy_at BIGINT  NOT NULL
);
CREATE INDEX retained_destroy ON retained (destroy_at);

-- Messages to others. leased_until is when the lease ends under which one is being delivered, 0 without one:
-- next_at alone would not tell a lease from a wait after a failure.
CREATE TABLE outbox (
	id           TEXT COLLATE "C" PRIMARY KEY,
	kind         TEXT    NOT NULL,
	target       TEXT COLLATE "C" NOT NULL,
	batch        TEXT COLLATE "C" NOT NULL,
	payload      TEXT    NOT NULL,
	state        TEXT COLLATE "C" NOT NULL,
	attempts     INTEGER NOT NULL,
	error        TEXT    NOT NULL,
	created_at   BIGINT  NOT NULL,
	next_at      BIGINT  NOT NULL,
	give_up_at   BIGINT  NOT NULL,
	done_at      BIGINT  NOT NULL,
	leased_until BIGINT  NOT NULL
);
CREATE INDEX outbox_waiting ON outbox (target, next_at, id) WHERE state = 'waiting';
CREATE INDEX outbox_leased ON outbox (target, leased_until) WHERE leased_until > 0;
CREATE INDEX outbox_batch ON outbox (batch, target, id);
CREATE INDEX outbox_done ON outbox (done_at) WHERE state <> 'waiting';

-- Events in the form that the chain is made over: subject and hidden stand for the person. An event waits with
-- position NULL until a sealer gives it its place. Nothing looks an event up by its random id alone.
CREATE TABLE audit_events (
	id       TEXT COLLATE "C" NOT NULL,
	at       BIGINT NOT NULL,
	action   TEXT   NOT NULL,
	actor    TEXT   NOT NULL,
	subject  TEXT COLLATE "C" NOT NULL,
	site     TEXT   NOT NULL,
	attempt  TEXT   NOT NULL,
	address  TEXT   NOT NULL,
	hidden   TEXT   NOT NULL,
	detail   TEXT   NOT NULL,
	position BIGINT,
	hash     TEXT
);
CREATE UNIQUE INDEX audit_events_unsealed ON audit_events (at, id) WHERE position IS NULL;
CREATE UNIQUE INDEX audit_events_position ON audit_events (position) WHERE position IS NOT NULL;
CREATE INDEX audit_events_subject ON audit_events (subject, at, id) WHERE subject <> '';

-- The last link of the chain: one row.
CREATE TABLE audit_head (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	position BIGINT NOT NULL,
	hash     TEXT   NOT NULL
);
INSERT INTO audit_head (id, position, hash) VALUES (1, 0, '');

CREATE TABLE audit_checkpoints (
	position BIGINT PRIMARY KEY,
	hash     TEXT   NOT NULL,
	at       BIGINT NOT NULL,
	jws      TEXT   NOT NULL
);
