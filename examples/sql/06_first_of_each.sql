-- The first order of each customer: rows of which only the first counts.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');

SELECT customer, id, item FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY ordered) AS place FROM orders
) WHERE place = 1;
