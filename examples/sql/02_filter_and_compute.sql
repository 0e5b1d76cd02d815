-- Rows in, rows out: a filter, computed columns, and what stands where there is no value.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');

CREATE TABLE dear (id INT, what STRING, with_tax DECIMAL(12, 2)) WITH ('connector' = 'print');

INSERT INTO dear
SELECT id, UPPER(item) || ' for ' || customer, CAST(price * 1.2 AS DECIMAL(12, 2)) FROM orders WHERE price >= 4;
