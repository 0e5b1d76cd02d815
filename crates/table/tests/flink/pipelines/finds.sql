-- What was wrong, or was not there, once.
CREATE TABLE orders (id INT, usr STRING, item STRING, n INT, price DECIMAL(10, 2), w DOUBLE, ok BOOLEAN, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'orders.json', 'format' = 'json');
CREATE TABLE clicks (id INT, usr STRING, page STRING, ms INT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'clicks.json', 'format' = 'json');
SELECT window_start, usr, item, GROUPING(usr), COUNT(*), SUM(n) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, GROUPING SETS ((usr), (item), (usr, item), ());
SELECT window_end, usr, item, COUNT(*), MAX(price) FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end, CUBE (usr, item);
SELECT window_end, usr, item, COUNT(DISTINCT n) FROM TABLE(CUMULATE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND)) GROUP BY window_start, window_end, ROLLUP (usr, item);
SELECT u.usr, o.id, o.n FROM (SELECT DISTINCT usr FROM clicks) AS u, LATERAL (SELECT id, n FROM orders WHERE orders.usr = u.usr AND ok ORDER BY n DESC, id LIMIT 3) AS o;
SELECT u.usr, o.id, o.price FROM (SELECT DISTINCT usr FROM clicks) AS u LEFT JOIN LATERAL (SELECT id, price FROM orders WHERE u.usr = orders.usr AND n > 6 ORDER BY price, id LIMIT 2) AS o ON TRUE;
SELECT u.usr, o.* FROM (SELECT DISTINCT usr FROM clicks) AS u, LATERAL (SELECT item, SUM(n) AS total FROM orders WHERE orders.usr = u.usr GROUP BY item) AS o;
SELECT usr, n FROM orders WHERE id < 60 INTERSECT ALL SELECT usr, n FROM orders WHERE id > 30;
SELECT n FROM orders EXCEPT ALL SELECT n FROM orders WHERE ok EXCEPT ALL SELECT ms FROM clicks WHERE ms < 5;
SELECT n, COUNT(*) FROM (SELECT n, ok FROM orders INTERSECT ALL SELECT n, ok FROM orders WHERE item = 'pen') GROUP BY n;
SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY usr ORDER BY ts MEASURES FIRST(A.id) AS a, LAST(A.id) AS z, B.id AS b ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A+? B) DEFINE A AS A.n > 1, B AS B.n > 4) AS m;
SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY usr ORDER BY ts MEASURES FIRST(A.id) AS a, B.id AS b ONE ROW PER MATCH AFTER MATCH SKIP TO NEXT ROW PATTERN (A B*? C) WITHIN INTERVAL '4' SECOND DEFINE A AS A.n > 2, C AS C.n < 5) AS m;
SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY usr ORDER BY ts MEASURES FIRST(A.id) AS a, B.id AS b, MATCH_ROWTIME() AS t ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A{2,} B) WITHIN INTERVAL '8' SECOND DEFINE A AS A.ok, B AS NOT B.ok) AS m;
CREATE VIEW found AS SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY usr ORDER BY ts MEASURES FIRST(A.id) AS a, B.id AS b, MATCH_ROWTIME() AS t ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A B) DEFINE A AS A.n > 1, B AS B.n > 4) AS m;
SELECT window_start, COUNT(*), MIN(a) FROM TABLE(TUMBLE(TABLE found, DESCRIPTOR(t), INTERVAL '20' SECOND)) GROUP BY window_start, window_end;
SELECT usr, PROCTIME() IS NOT NULL AS p, c FROM (SELECT usr, COUNT(*) AS c FROM orders GROUP BY usr);
SELECT c, COUNT(*) FROM (SELECT c, RAND() AS r FROM (SELECT usr, COUNT(*) AS c FROM orders GROUP BY usr)) WHERE r >= 0 GROUP BY c;
CREATE TABLE held (id INT, n INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = 'held.json', 'format' = 'json');
SELECT * FROM held MATCH_RECOGNIZE (ORDER BY ts MEASURES A.id AS a, B.id AS b ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A C*? B) WITHIN INTERVAL '4' SECOND DEFINE A AS A.n > 0, C AS C.n > 0, B AS B.n = A.n + 100) AS m;
CREATE VIEW told AS SELECT * FROM held MATCH_RECOGNIZE (ORDER BY ts MEASURES A.id AS a, B.id AS b, MATCH_ROWTIME() AS t ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A C*? B) DEFINE A AS A.n > 0, C AS C.n > 0, B AS B.n = A.n + 100) AS m;
SELECT * FROM told;
SELECT window_start, COUNT(*), MIN(a) FROM TABLE(TUMBLE(TABLE told, DESCRIPTOR(t), INTERVAL '1' SECOND)) GROUP BY window_start, window_end;
CREATE VIEW keyed AS SELECT id, NULLIF(n, 1) AS k, ts FROM held;
CREATE VIEW newest AS SELECT k, id, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS r FROM keyed) WHERE r = 1;
SELECT o.id, v.id FROM keyed AS o JOIN newest FOR SYSTEM_TIME AS OF o.ts AS v ON o.k = v.k;
SELECT o.id, v.id FROM keyed AS o LEFT JOIN newest FOR SYSTEM_TIME AS OF o.ts AS v ON o.k = v.k WHERE o.k IS NOT NULL;
