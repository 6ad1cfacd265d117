CREATE TABLE codebase (
  number  INTEGER PRIMARY KEY,
  id      TEXT NOT NULL UNIQUE,
  name    TEXT NOT NULL,
  owner   TEXT NOT NULL,
  created INTEGER NOT NULL,
  head    INTEGER NOT NULL
) STRICT;
CREATE INDEX codebase_owner ON codebase (owner, number);
CREATE TABLE version (
  codebase TEXT NOT NULL REFERENCES codebase (id) ON DELETE CASCADE,
  number   INTEGER NOT NULL,
  parent   INTEGER,
  tree     TEXT NOT NULL,
  author   TEXT NOT NULL,
  created  INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,
  files    INTEGER NOT NULL,
  PRIMARY KEY (codebase, number)
) STRICT;
CREATE TABLE workspace (
  number     INTEGER PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE,
  codebase   TEXT NOT NULL REFERENCES codebase (id),
  version    INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  published  TEXT,
  FOREIGN KEY (codebase, version) REFERENCES version (codebase, number)
) STRICT;
CREATE TABLE snapshot (
  number    INTEGER PRIMARY KEY,
  id        TEXT NOT NULL UNIQUE,
  workspace TEXT NOT NULL,
  codebase  TEXT NOT NULL REFERENCES codebase (id),
  version   INTEGER NOT NULL,
  created   INTEGER NOT NULL,
  published TEXT,
  FOREIGN KEY (codebase, version) REFERENCES version (codebase, number)
) STRICT;
