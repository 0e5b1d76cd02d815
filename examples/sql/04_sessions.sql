-- Visits: orders of a customer with less than ten minutes between them.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');

SELECT customer, window_start, COUNT(*) AS orders, LISTAGG(item) AS items
FROM TABLE(SESSION(TABLE orders PARTITION BY customer, DESCRIPTOR(ordered), INTERVAL '10' MINUTE))
GROUP BY customer, window_start, window_end;
