"""The tables of the tracker, as named migrations. A released migration never changes: add another."""

import secrets
import sqlite3

from sqlite_utils import Database, Migrations

migrations = Migrations("lofargrid")

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE campaigns (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL);

-- swept: whether nothing is left on scratch that nobody needs.
CREATE TABLE productions (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  generation INTEGER NOT NULL,
  recipe_hash TEXT NOT NULL,
  recipe TEXT NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0,
  created TEXT NOT NULL,
  campaign_id INTEGER REFERENCES campaigns,
  priority INTEGER NOT NULL DEFAULT 0,
  max_running INTEGER,
  swept INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX productions_unswept ON productions (campaign_id) WHERE NOT swept;

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

-- depth: the step's place in its pipeline. home: the site that holds most of the job's inputs. grown: what it asks
-- for in place of its step's resources, as JSON. shunned: sites that it keeps away from, as JSON.
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
  updated TEXT NOT NULL,
  depth INTEGER NOT NULL DEFAULT 0,
  home TEXT NOT NULL DEFAULT '',
  grown TEXT,
  shunned TEXT
);
-- The name leads: `why JOB` does not know the production.
CREATE UNIQUE INDEX jobs_by_name ON jobs (name, production_id) WHERE current;
CREATE INDEX jobs_by_step ON jobs (production_id, step, state);
CREATE INDEX jobs_stale ON jobs (production_id) WHERE stale AND current;
-- A tick looks at these few only, however many have ended or wait for their needs. What is far along goes first: it
-- frees scratch, and one product is worth more than many halves.
CREATE INDEX jobs_to_start ON jobs (production_id, depth DESC, id)
  WHERE state = 'waiting' AND unmet = 0 AND not_before IS NULL;
CREATE INDEX jobs_recalling ON jobs (id) WHERE state = 'recalling';
CREATE INDEX jobs_later ON jobs (not_before) WHERE state = 'waiting' AND not_before IS NOT NULL;
CREATE INDEX jobs_put_back ON jobs (updated) WHERE state = 'waiting' AND not_before IS NOT NULL;
CREATE INDEX jobs_ready ON jobs (production_id, step, home, grown, shunned) WHERE state = 'ready';

-- How many standing jobs of a step are in a state, kept by a trigger: telling how a million stand must not count them.
CREATE TABLE tallies (
  production_id INTEGER NOT NULL,
  step TEXT NOT NULL,
  state TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (production_id, step, state)
) WITHOUT ROWID;
CREATE TRIGGER jobs_tallied AFTER UPDATE OF state, current ON jobs BEGIN
  UPDATE tallies SET n = n - 1
    WHERE OLD.current AND production_id = OLD.production_id AND step = OLD.step AND state = OLD.state;
  INSERT INTO tallies SELECT NEW.production_id, NEW.step, NEW.state, 1 WHERE NEW.current
    ON CONFLICT DO UPDATE SET n = n + 1;
END;

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
  PRIMARY KEY (production_id, step, role, observation, sap)
) WITHOUT ROWID;
CREATE TABLE awaited (
  job_id INTEGER NOT NULL REFERENCES jobs,
  step TEXT NOT NULL,
  PRIMARY KEY (job_id, step)
) WITHOUT ROWID;

-- Files that were asked for from tape, and the jobs that read them. request is empty where none stands; what it brought
-- may stay on disk until the time is over. came is when it was first seen there. A doubted one may be kept there by a
-- request whose name nobody knows.
CREATE TABLE recall_readers (
  url TEXT NOT NULL,
  job_id INTEGER NOT NULL REFERENCES jobs,
  PRIMARY KEY (url, job_id)
) WITHOUT ROWID;

CREATE INDEX recall_readers_by_job ON recall_readers (job_id);
CREATE TABLE recalls (
  url TEXT PRIMARY KEY,
  request TEXT NOT NULL,
  since TEXT NOT NULL,
  until TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  came TEXT NOT NULL DEFAULT '',
  doubted INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- What each site's tapes had on disk for us, were to bring, and had brought in all, whenever that changed.
CREATE TABLE recall_levels (
  site TEXT NOT NULL,
  at TEXT NOT NULL,
  on_disk_bytes INTEGER NOT NULL,
  awaited_bytes INTEGER NOT NULL,
  brought_bytes INTEGER NOT NULL,
  PRIMARY KEY (site, at)
) WITHOUT ROWID;

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

-- blamed: its node turned out to be at fault. remote_from: the sites that it copies from over wide-area links, with
-- commas between; copy_s: how long that may take from its start. pilot: the one that it ran in, if any.
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
  report TEXT,
  blamed INTEGER NOT NULL DEFAULT 0,
  remote_from TEXT NOT NULL DEFAULT '',
  copy_s REAL NOT NULL DEFAULT 0,
  pilot TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX attempts_by_pilot ON attempts (pilot) WHERE pilot <> '';
CREATE INDEX attempts_by_job ON attempts (job_id);
CREATE INDEX attempts_by_batch_id ON attempts (batch_id) WHERE batch_id <> '';
CREATE INDEX attempts_unfinished ON attempts (job_id, number) WHERE phase NOT IN ('ended', 'lost');
CREATE INDEX attempts_by_node ON attempts (site, node, ended) WHERE ended IS NOT NULL;
CREATE INDEX attempts_by_site ON attempts (site, ended) WHERE ended IS NOT NULL;

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

-- What site admins know an attempt by, besides its batch_id: the ids that its report tells.
CREATE TABLE ids (
  id TEXT NOT NULL,
  attempt TEXT NOT NULL REFERENCES attempts,
  PRIMARY KEY (id, attempt)
) WITHOUT ROWID;

-- through: the batch system. token: the id of its token, which is not the secret. joined: when the pool was first seen
-- to have it. reason: why it left, NULL if in good order.
CREATE TABLE pilots (
  id TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  through TEXT NOT NULL,
  batch_id TEXT NOT NULL DEFAULT '',
  asked TEXT NOT NULL,
  token TEXT NOT NULL DEFAULT '',
  token_expires TEXT NOT NULL DEFAULT '',
  node TEXT NOT NULL DEFAULT '',
  joined TEXT,
  ended TEXT,
  reason TEXT,
  detail TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX pilots_by_site ON pilots (site, asked);
CREATE INDEX pilots_living ON pilots (id) WHERE ended IS NULL;
CREATE INDEX pilots_by_batch_id ON pilots (batch_id) WHERE batch_id <> '';

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

CREATE TABLE site_events (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  site TEXT NOT NULL,
  node TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX site_events_by_site ON site_events (site, id);
CREATE INDEX events_of_productions ON events (production_id, id) WHERE job_id IS NULL;

-- The stages of the last tick that a service or a disk kept from being done, and since when.
CREATE TABLE troubles (stage TEXT PRIMARY KEY, text TEXT NOT NULL, since TEXT NOT NULL) WITHOUT ROWID;
"""


# How many rows a large tracker has, and how many of them are alike in the first columns of an index, in the words of
# sqlite's ANALYZE. Without it the planner guesses, and may walk over all jobs where an index holds the few it wants.
_SIZES = {
    "jobs": {
        "jobs_by_name": "1000000 1 1",
        "jobs_by_step": "1000000 500 200 50",
        "jobs_stale": "100 1",
        "jobs_to_start": "100000 250 250 1",
        "jobs_later": "1000 1",
        "jobs_put_back": "1000 1",
        "jobs_ready": "1000 50 25 25 25 25",
    },
    "subbands": {"subbands": "1000000 500 250 1"},
    "tallies": {"tallies": "20000 10 3 1"},
    "needs": {"needs": "1000000 2 1", "needs_by_need": "1000000 2"},
    "expansions": {"expansions": "1000 1 1 1 1 1"},
    "awaited": {"awaited": "1000 1 1"},
    "attempts": {
        "attempts": "1000000 1",
        "attempts_by_job": "1000000 1",
        "attempts_by_batch_id": "1000000 1",
        "attempts_unfinished": "1000 1000",
        "attempts_by_node": "1000000 100000 100 1",
        "attempts_by_site": "1000000 100000 1",
    },
    "files": {
        "files": "1000000 1 1",
        "files_by_job": "1000000 1",
        "files_to_publish": "100 1",
        "files_on_scratch": "100000 1",
    },
    "events": {"events_by_job": "5000000 5"},
}


@migrations()
def tables(database: Database) -> None:
    """The first tables, and the random id that sets this tracker's attempts apart from all others."""
    _execute(database, _TABLES)
    database.execute("INSERT INTO meta VALUES ('tracker', ?)", [secrets.token_hex(4)])
    _tell_sizes(database)


def _tell_sizes(database: Database) -> None:
    database.execute("ANALYZE")  # makes sqlite_stat1
    for table, sizes in _SIZES.items():
        for index, size in sizes.items():
            database.execute("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", [table, index, size])
    database.execute("ANALYZE sqlite_master")  # reads it


def _execute(database: Database, statements: str) -> None:
    statement = ""
    for line in statements.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            database.execute(statement)
            statement = ""
