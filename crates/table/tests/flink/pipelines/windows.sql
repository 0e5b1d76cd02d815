-- Windows over rows that are out of order, late and doubled.
CREATE TABLE orders (id INT, usr STRING, item STRING, n INT, price DECIMAL(10, 2), w DOUBLE, ok BOOLEAN, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'orders.json', 'format' = 'json');
CREATE TABLE clicks (id INT, usr STRING, page STRING, ms INT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'clicks.json', 'format' = 'json');
SELECT window_start, window_end, COUNT(*), SUM(n), AVG(n), MIN(price), MAX(price) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
SELECT usr, window_end, COUNT(n), SUM(price), AVG(price), SUM(w) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY usr, window_start, window_end;
SELECT item, window_start, COUNT(DISTINCT usr), SUM(DISTINCT n) FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND)) GROUP BY item, window_start, window_end;
SELECT window_start, window_end, COUNT(*) FILTER (WHERE ok), SUM(n) FILTER (WHERE item = 'pen') FROM TABLE(CUMULATE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND)) GROUP BY window_start, window_end;
SELECT usr, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE orders PARTITION BY usr, DESCRIPTOR(ts), INTERVAL '3' SECOND)) GROUP BY usr, window_start, window_end;
SELECT window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end;
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '3' SECOND)) GROUP BY window_start, window_end;
SELECT TUMBLE_START(ts, INTERVAL '15' SECOND), TUMBLE_END(ts, INTERVAL '15' SECOND), usr, COUNT(*), MAX(n) FROM orders GROUP BY TUMBLE(ts, INTERVAL '15' SECOND), usr;
SELECT HOP_START(ts, INTERVAL '4' SECOND, INTERVAL '12' SECOND), SUM(n) FROM orders GROUP BY HOP(ts, INTERVAL '4' SECOND, INTERVAL '12' SECOND);
SELECT usr, SESSION_START(ts, INTERVAL '4' SECOND), SESSION_END(ts, INTERVAL '4' SECOND), COUNT(*) FROM orders GROUP BY usr, SESSION(ts, INTERVAL '4' SECOND);
SELECT * FROM (SELECT usr, total, window_end, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY total DESC, usr) AS r FROM (SELECT usr, window_start, window_end, SUM(price) AS total FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY usr, window_start, window_end)) WHERE r <= 2;
SELECT id, usr, window_end FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, usr ORDER BY ts DESC) AS r FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND))) WHERE r = 1;
SELECT window_start, STDDEV_POP(w), VAR_SAMP(w), STDDEV_SAMP(n), VAR_POP(n) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '40' SECOND)) GROUP BY window_start, window_end;
SELECT window_start, usr, LISTAGG(item), FIRST_VALUE(id), LAST_VALUE(id) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, usr;
SELECT window_start, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end HAVING SUM(n) > 20;
SELECT window_start, ws2, SUM(s) FROM (SELECT window_start AS ws2, window_time AS wt, SUM(n) AS s FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, window_time) GROUP BY 1, 2;
SELECT a, COUNT(*) FROM (SELECT window_start AS a, wt FROM (SELECT usr, window_time AS wt, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY usr, window_start, window_end, window_time) AS t, (VALUES (TIMESTAMP '2024-03-01 10:00:00')) AS v(window_start)) GROUP BY a;
SELECT window_start, COUNT(*) FROM (SELECT window_time AS wt, usr FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY usr, window_start, window_end, window_time) AS x GROUP BY TUMBLE(wt, INTERVAL '20' SECOND), window_start;
SELECT TUMBLE_START(wt, INTERVAL '20' SECOND), SUM(c) FROM (SELECT window_time AS wt, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, window_time) AS x GROUP BY TUMBLE(wt, INTERVAL '20' SECOND);
