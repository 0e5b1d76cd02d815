-- The two dearest orders of each quarter of an hour.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');

SELECT window_start, id, item, price FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY price DESC, id) AS place
  FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered), INTERVAL '15' MINUTE))
) WHERE place <= 2;
