-- What was sold in each ten minutes. A window is told once, when the watermark says that nothing more comes for it.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');

SELECT window_start, window_end, COUNT(*) AS orders, SUM(price) AS turnover
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered), INTERVAL '10' MINUTE))
GROUP BY window_start, window_end;
