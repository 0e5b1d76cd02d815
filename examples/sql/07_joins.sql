-- Orders with the kind of their item, looked up in a file; and those that were paid within ten minutes.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');
CREATE TABLE items (item STRING, kind STRING) WITH ('connector' = 'filesystem', 'path' = 'data/items.csv', 'format' = 'csv');
CREATE TABLE payments (
  order_id INT, amount DECIMAL(10, 2), paid TIMESTAMP(3), WATERMARK FOR paid AS paid
) WITH ('connector' = 'filesystem', 'path' = 'data/payments.csv', 'format' = 'csv');
CREATE TABLE kinds (id INT, kind STRING) WITH ('connector' = 'print', 'print-identifier' = 'kind');
CREATE TABLE in_time (id INT, customer STRING, paid TIMESTAMP(3)) WITH ('connector' = 'print', 'print-identifier' = 'paid');

-- Both are one job: the orders are read once.
EXECUTE STATEMENT SET BEGIN
  INSERT INTO kinds
  SELECT o.id, i.kind FROM (SELECT *, PROCTIME() AS now FROM orders) AS o
  JOIN items FOR SYSTEM_TIME AS OF o.now AS i ON o.item = i.item WHERE o.price > 2;

  INSERT INTO in_time
  SELECT o.id, o.customer, p.paid FROM orders AS o JOIN payments AS p
  ON o.id = p.order_id AND p.paid BETWEEN o.ordered AND o.ordered + INTERVAL '10' MINUTE;
END;
