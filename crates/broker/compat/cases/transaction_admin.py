"""Transactions and producers seen from outside: listed, described, aborted, and shut out."""


def state_of(client, id):
    return [state.replace(" ", "") for name, state in client.list_transactions() if name == id]


def transactions_described(trial):
    """A transaction is listed and described while it is open and afterwards, and so are its producers."""
    client, topic, id = trial.driver(), trial.name("topic"), trial.name("id")
    client.create_topic(topic=topic, partitions=2)
    trial.refused("an unknown one", None, lambda: client.describe_transaction(transactional_id=id))
    trial.equal("listed before", state_of(client, id), [])
    producer = client.new("producer", transactional_id=id)
    trial.eventually("listed at the start", lambda: state_of(client, id), ["Empty"])
    client.begin_transaction(producer=producer)
    client.send(producer=producer, topic=topic, records=[{"partition": 1, "value": str(i)} for i in range(3)])
    trial.equal("listed while open", state_of(client, id), ["Ongoing"])
    described = client.describe_transaction(transactional_id=id)
    trial.equal("partitions", described["partitions"], [[topic, 1]])
    trial.say((described["state"], described["timeout_ms"], described["started"]))
    trial.say(client.describe_producers(topic=topic, partition=1))
    trial.equal("producers elsewhere", client.describe_producers(topic=topic, partition=0), [])
    client.commit(producer=producer)
    trial.eventually("listed after commit", lambda: state_of(client, id), ["CompleteCommit"])
    described = client.describe_transaction(transactional_id=id)
    trial.say((described["state"], described["timeout_ms"], described["started"], described["partitions"]))
    trial.say(client.describe_producers(topic=topic, partition=1))
    client.begin_transaction(producer=producer)
    client.send(producer=producer, topic=topic, records=[{"value": "x"}])
    client.abort(producer=producer)
    trial.eventually("listed after abort", lambda: state_of(client, id), ["CompleteAbort"])


def transaction_aborted_from_outside(trial):
    """The markers that an administrator writes into a partition end its transaction there."""
    one, two, topic = trial.driver(), trial.driver(), trial.name("topic")
    one.create_topic(topic=topic)
    producer = one.new("producer", transactional_id=trial.name("id"))
    one.begin_transaction(producer=producer)
    one.send(producer=producer, topic=topic, records=[{"value": "hanging"}])

    def stable():
        return two.list_offset(topic=topic, partition=0, at="latest", isolation="read_committed")

    trial.equal("while it is open", stable(), 0)
    two.abort_transaction(topic=topic, partition=0)
    trial.eventually("after the abort", stable, 2)


def producer_fenced_from_outside(trial):
    """An administrator shuts out whoever has an id, and ends what that one has left open."""
    one, two, topic, id = trial.driver(), trial.driver(), trial.name("topic"), trial.name("id")
    one.create_topic(topic=topic)
    producer = one.new("producer", transactional_id=id)
    one.begin_transaction(producer=producer)
    one.send(producer=producer, topic=topic, records=[{"value": "lost"}])
    two.fence_producer(transactional_id=id)
    trial.refused("commit", None, lambda: one.commit(producer=producer))
    trial.eventually("state", lambda: state_of(two, id), ["Empty"])
    end = two.list_offset(topic=topic, partition=0, at="latest", isolation="read_committed")
    trial.equal("stable end", end, 2)


CASES = [transactions_described, transaction_aborted_from_outside, producer_fenced_from_outside]
