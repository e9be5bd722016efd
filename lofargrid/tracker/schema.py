"""The tables of the tracker, as named migrations. A released migration never changes: add another."""

import secrets

from sqlite_utils import Database, Migrations

migrations = Migrations("lofargrid")

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE productions (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  generation INTEGER NOT NULL,
  recipe_hash TEXT NOT NULL,
  recipe TEXT NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0,
  created TEXT NOT NULL
);

CREATE TABLE subbands (
  production_id INTEGER NOT NULL REFERENCES productions,
  role TEXT NOT NULL,
  key TEXT NOT NULL,
  observation TEXT NOT NULL,
  sap INTEGER NOT NULL,
  number INTEGER NOT NULL,
  url TEXT NOT NULL,
  source TEXT NOT NULL,
  line INTEGER NOT NULL,
  size_bytes INTEGER,
  adler32 TEXT,
  listed_frequency_hz REAL,
  reason TEXT,
  problem TEXT NOT NULL DEFAULT '',
  clock_mhz INTEGER,
  place INTEGER,
  PRIMARY KEY (production_id, role, key)
) WITHOUT ROWID;

CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  production_id INTEGER NOT NULL REFERENCES productions,
  name TEXT NOT NULL,
  step TEXT NOT NULL,
  role TEXT NOT NULL,
  sap INTEGER NOT NULL,
  key TEXT NOT NULL,
  generation INTEGER NOT NULL,
  signature TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  detail TEXT NOT NULL DEFAULT '',
  tries INTEGER NOT NULL DEFAULT 0,
  first_attempt INTEGER NOT NULL DEFAULT 1,
  unmet INTEGER NOT NULL,
  not_before TEXT,
  current INTEGER NOT NULL DEFAULT 1,
  stale INTEGER NOT NULL DEFAULT 0,
  subbands TEXT,
  slots TEXT,
  lacks TEXT,
  measurements TEXT,
  attempt TEXT,
  updated TEXT NOT NULL
);
CREATE UNIQUE INDEX jobs_by_name ON jobs (production_id, name) WHERE current;
CREATE INDEX jobs_by_step ON jobs (production_id, step, state) WHERE current;
-- A tick looks at unfinished rows only, however many have ended.
CREATE INDEX jobs_to_start ON jobs (id) WHERE state = 'waiting' AND unmet = 0;
CREATE INDEX jobs_ready ON jobs (id) WHERE state = 'ready';
CREATE INDEX jobs_unfinished ON jobs (production_id)
  WHERE current AND state IN ('waiting', 'recalling', 'ready', 'submitted', 'running');

CREATE TABLE needs (
  job_id INTEGER NOT NULL REFERENCES jobs,
  need_id INTEGER NOT NULL REFERENCES jobs,
  PRIMARY KEY (job_id, need_id)
) WITHOUT ROWID;
CREATE INDEX needs_by_need ON needs (need_id);

-- A grouped step over one SAP whose jobs are not made yet, and the jobs that wait for that.
CREATE TABLE expansions (
  production_id INTEGER NOT NULL REFERENCES productions,
  step TEXT NOT NULL,
  role TEXT NOT NULL,
  observation TEXT NOT NULL,
  sap INTEGER NOT NULL,
  PRIMARY KEY (production_id, step, observation, sap)
) WITHOUT ROWID;
CREATE TABLE awaited (
  job_id INTEGER NOT NULL REFERENCES jobs,
  step TEXT NOT NULL,
  PRIMARY KEY (job_id, step)
) WITHOUT ROWID;

CREATE TABLE attempts (
  id TEXT PRIMARY KEY,
  job_id INTEGER NOT NULL REFERENCES jobs,
  number INTEGER NOT NULL,
  phase TEXT NOT NULL,
  backend TEXT NOT NULL,
  site TEXT NOT NULL,
  node TEXT NOT NULL DEFAULT '',
  batch_id TEXT NOT NULL DEFAULT '',
  intended TEXT NOT NULL,
  started TEXT,
  ended TEXT,
  reason TEXT,
  detail TEXT NOT NULL DEFAULT '',
  report TEXT
) WITHOUT ROWID;
CREATE INDEX attempts_by_job ON attempts (job_id);
CREATE INDEX attempts_unfinished ON attempts (backend) WHERE phase NOT IN ('ended', 'lost');

CREATE TABLE files (
  attempt TEXT NOT NULL REFERENCES attempts,
  name TEXT NOT NULL,
  job_id INTEGER NOT NULL REFERENCES jobs,
  filename TEXT NOT NULL,
  url TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  adler32 TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'made',
  product INTEGER NOT NULL DEFAULT 0,
  published TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (attempt, name)
) WITHOUT ROWID;
CREATE INDEX files_by_job ON files (job_id);
CREATE INDEX files_to_publish ON files (job_id) WHERE product AND published = '' AND state = 'made';
CREATE INDEX files_on_scratch ON files (job_id) WHERE state = 'made';

CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  production_id INTEGER NOT NULL,
  job_id INTEGER,
  attempt TEXT,
  old TEXT,
  new TEXT,
  reason TEXT,
  text TEXT NOT NULL DEFAULT ''
);
CREATE INDEX events_by_job ON events (job_id);
"""


@migrations()
def tables(database: Database) -> None:
    """The first tables, and the random id that sets this tracker's attempts apart from all others."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            database.execute(statement)
    database.execute("INSERT INTO meta VALUES ('tracker', ?)", [secrets.token_hex(4)])
