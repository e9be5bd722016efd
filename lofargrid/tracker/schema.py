"""The tables of the tracker, as named migrations. A released migration never changes: add another."""

import secrets
import sqlite3

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


_SITES = """
CREATE TABLE campaigns (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL);
ALTER TABLE productions ADD COLUMN campaign_id INTEGER REFERENCES campaigns;
ALTER TABLE productions ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE productions ADD COLUMN max_running INTEGER;

-- depth: the step's place in its pipeline. home: the site that holds most of the job's inputs. grown: what it asks
-- for in place of its step's resources, as JSON. shunned: sites that it keeps away from, as JSON.
ALTER TABLE jobs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN home TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN grown TEXT;
ALTER TABLE jobs ADD COLUMN shunned TEXT;
DROP INDEX jobs_to_start;
-- What is far along goes first: it frees scratch, and one product is worth more than many halves.
CREATE INDEX jobs_to_start ON jobs (production_id, depth DESC, id)
  WHERE state = 'waiting' AND unmet = 0 AND not_before IS NULL;
CREATE INDEX jobs_later ON jobs (not_before) WHERE state = 'waiting' AND not_before IS NOT NULL;
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (production_id, step, home, grown, shunned) WHERE state = 'ready';
DROP INDEX jobs_unfinished;
DROP INDEX jobs_by_step;
CREATE INDEX jobs_failed ON jobs (production_id, step) WHERE current AND state IN ('failed', 'cancelled');
CREATE INDEX jobs_stale ON jobs (production_id) WHERE stale AND current;

-- How many standing jobs of a step are in a state, kept by a trigger: telling how a million stand must not count them.
CREATE TABLE tallies (
  production_id INTEGER NOT NULL,
  step TEXT NOT NULL,
  state TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (production_id, step, state)
) WITHOUT ROWID;
INSERT INTO tallies SELECT production_id, step, state, count(*) FROM jobs WHERE current GROUP BY 1, 2, 3;
CREATE TRIGGER jobs_tallied AFTER UPDATE OF state, current ON jobs BEGIN
  UPDATE tallies SET n = n - 1
    WHERE OLD.current AND production_id = OLD.production_id AND step = OLD.step AND state = OLD.state;
  INSERT INTO tallies SELECT NEW.production_id, NEW.step, NEW.state, 1 WHERE NEW.current
    ON CONFLICT DO UPDATE SET n = n + 1;
END;

-- blamed: its node turned out to be at fault. remote_from, remote_bytes: what it copies over wide-area links.
ALTER TABLE attempts ADD COLUMN blamed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN remote_from TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN remote_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX attempts_by_node ON attempts (site, node, ended) WHERE ended IS NOT NULL;
CREATE INDEX attempts_by_site ON attempts (site, ended) WHERE ended IS NOT NULL;

-- node '' is the whole site. state: quarantined | probed | probation | released. probe: the id of the last probe.
CREATE TABLE quarantine (
  site TEXT NOT NULL,
  node TEXT NOT NULL,
  state TEXT NOT NULL,
  since TEXT NOT NULL,
  until TEXT NOT NULL,
  strikes INTEGER NOT NULL,
  reason TEXT NOT NULL,
  probe TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (site, node)
) WITHOUT ROWID;

CREATE TABLE site_events (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  site TEXT NOT NULL,
  node TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX site_events_by_site ON site_events (site, id);

-- Groups that are made in several parts, because whole they ask for more than any site grants.
CREATE TABLE finer (
  production_id INTEGER NOT NULL REFERENCES productions,
  role TEXT NOT NULL,
  observation TEXT NOT NULL,
  sap INTEGER NOT NULL,
  number INTEGER NOT NULL,
  parts INTEGER NOT NULL,
  PRIMARY KEY (production_id, role, observation, sap, number)
) WITHOUT ROWID;
"""


@migrations()
def tables(database: Database) -> None:
    """The first tables, and the random id that sets this tracker's attempts apart from all others."""
    _execute(database, _TABLES)
    database.execute("INSERT INTO meta VALUES ('tracker', ?)", [secrets.token_hex(4)])


@migrations()
def sites(database: Database) -> None:
    """Campaigns, sites with their quarantines, finer groups, and counts that cost nothing."""
    _execute(database, _SITES)


def _execute(database: Database, statements: str) -> None:
    statement = ""
    for line in statements.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            database.execute(statement)
            statement = ""
