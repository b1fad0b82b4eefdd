-- A state as version 1 of the schema made it: a journal, and what the file says of itself.
PRAGMA application_id = 1903521650;
PRAGMA user_version = 1;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
  seq INTEGER PRIMARY KEY,
  entry TEXT NOT NULL,
  chain TEXT NOT NULL
) STRICT;
INSERT INTO journal VALUES
  (1, '{"entry":"founded","uid":7}',
   'a7340e691ad2303d');
INSERT INTO journal VALUES
  (2, '{"entry":"run-started","run":1,"plan":18446744073709551615,"steps":2}',
   '314920a4593916e9');
INSERT INTO journal VALUES
  (3, '{"entry":"allocated","machine":"shop/w/1","address":"10.88.0.1"}',
   '297c1112af05a39c');
INSERT INTO meta VALUES ('cluster', 'shop');
INSERT INTO meta VALUES ('lineage', '0123456789abcdef0123456789abcdef');
INSERT INTO meta VALUES ('serial', '5');
INSERT INTO meta VALUES ('length', '3');
INSERT INTO meta VALUES ('chain', '297c1112af05a39c');
