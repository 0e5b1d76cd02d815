-- Joins; the two sides may come in any order, so what they come to in the end is what counts.
CREATE TABLE orders (id INT, usr STRING, item STRING, n INT, price DECIMAL(10, 2), w DOUBLE, ok BOOLEAN, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'orders.json', 'format' = 'json');
CREATE TABLE clicks (id INT, usr STRING, page STRING, ms INT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'clicks.json', 'format' = 'json');
CREATE VIEW users AS SELECT usr, page, ms, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY usr ORDER BY ts DESC) AS r FROM clicks) WHERE r = 1;
CREATE VIEW o1 AS SELECT * FROM orders WHERE id < 60;
CREATE VIEW c1 AS SELECT * FROM clicks WHERE id < 60;
SELECT o.id, c.id FROM o1 o JOIN c1 c ON o.usr = c.usr AND o.n > 5 AND c.ms < 100;
SELECT o.id, c.id FROM o1 o LEFT JOIN c1 c ON o.usr = c.usr AND c.ms < 20;
SELECT o.id, c.id FROM o1 o RIGHT JOIN c1 c ON o.usr = c.usr AND o.n = 8;
SELECT o.id, c.id FROM o1 o FULL OUTER JOIN c1 c ON o.usr = c.usr AND o.n = 8 AND c.ms < 50;
SELECT o.usr, COUNT(*), SUM(c.ms) FROM o1 o JOIN c1 c ON o.usr = c.usr GROUP BY o.usr;
SELECT a.usr, a.s, b.m FROM (SELECT usr, SUM(n) AS s FROM orders GROUP BY usr) a LEFT JOIN (SELECT usr, MAX(ms) AS m FROM clicks GROUP BY usr) b ON a.usr = b.usr;
SELECT a.usr, b.usr FROM (SELECT DISTINCT usr FROM orders) a FULL JOIN (SELECT DISTINCT usr FROM clicks) b ON a.usr = b.usr;
SELECT a.usr, b.usr FROM (SELECT DISTINCT usr FROM orders) a JOIN (SELECT DISTINCT usr FROM clicks) b ON a.usr IS NOT DISTINCT FROM b.usr;
SELECT a.usr, b.item FROM (SELECT DISTINCT usr FROM orders) a CROSS JOIN (SELECT DISTINCT item FROM orders) b;
SELECT a.usr, b.usr FROM (SELECT DISTINCT usr FROM orders) a JOIN (SELECT DISTINCT usr FROM clicks) b ON a.usr < b.usr;
SELECT o.id, u.page FROM o1 o JOIN users u ON o.usr = u.usr;
SELECT a.id, b.id FROM o1 a JOIN o1 b ON a.usr = b.usr AND a.item = b.item AND a.id < b.id;
SELECT a.id, b.id FROM o1 a, o1 b, c1 c WHERE a.id = b.id AND b.usr = c.usr AND c.ms > 450;
