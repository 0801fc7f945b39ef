-- Times are milliseconds since 1970, 0 for none. Documents and lists are JSON text. Keys are compared
-- byte by byte, as SQLite does.

CREATE TABLE persons (
	id            TEXT COLLATE "C" PRIMARY KEY,
	first_method  TEXT   NOT NULL,
	ci_index      TEXT COLLATE "C" NOT NULL,
	sealed_ci     TEXT   NOT NULL,
	sealed        TEXT   NOT NULL,
	registered_at BIGINT NOT NULL,
	updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX persons_ci ON persons (ci_index) WHERE ci_index <> '';

CREATE TABLE links (
	person    TEXT COLLATE "C" NOT NULL REFERENCES persons (id),
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

-- Only ever added to.
CREATE TABLE consents (
	id        TEXT COLLATE "C" PRIMARY KEY,
	person    TEXT COLLATE "C" NOT NULL,
	recipient TEXT COLLATE "C" NOT NULL,
	kind      TEXT COLLATE "C" NOT NULL,
	version   TEXT   NOT NULL,
	digest    TEXT   NOT NULL,
	locale    TEXT   NOT NULL,
	basis     TEXT   NOT NULL,
	purpose   TEXT   NOT NULL,
	items     TEXT   NOT NULL,
	retention TEXT   NOT NULL,
	attempt   TEXT COLLATE "C" NOT NULL,
	given_at  BIGINT NOT NULL,
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
	person   TEXT COLLATE "C" NOT NULL,
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
	site          TEXT    NOT NULL,
	person        TEXT    NOT NULL,
	access        TEXT    NOT NULL,
	created_at    BIGINT  NOT NULL,
	used_at       BIGINT  NOT NULL,
	expires_at    BIGINT  NOT NULL,
	revoked_at    BIGINT  NOT NULL
);
CREATE INDEX refresh_families_grant ON refresh_families (grant_id);
CREATE INDEX refresh_families_expiry ON refresh_families (expires_at);

-- An event waits with position NULL until a sealer gives it its place. Nothing looks an event up by its
-- random id alone, so no index has to hold the ids of all time: both indexes grow at their end.
CREATE TABLE audit_events (
	id       TEXT COLLATE "C" NOT NULL,
	at       BIGINT NOT NULL,
	action   TEXT   NOT NULL,
	actor    TEXT   NOT NULL,
	person   TEXT   NOT NULL,
	site     TEXT   NOT NULL,
	attempt  TEXT   NOT NULL,
	address  TEXT   NOT NULL,
	detail   TEXT   NOT NULL,
	position BIGINT,
	hash     TEXT
);
CREATE UNIQUE INDEX audit_events_unsealed ON audit_events (at, id) WHERE position IS NULL;
CREATE UNIQUE INDEX audit_events_position ON audit_events (position) WHERE position IS NOT NULL;

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
