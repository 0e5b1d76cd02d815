'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { CompressionTypes } = require('kafkajs')

const { Missing, errorOf } = require('./errors')

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}
// As many as go out together where the case wants a pause between them.
const CHUNK = 100

// Records and transactions that are written.
class Producers {
  constructor(kafka, handles) {
    this.kafka = kafka
    this.handles = handles
  }

  operations() {
    return {
      producer: given => this.producer(given),
      send: given => this.send(given),
      begin_transaction: async ({ producer }) => {
        const open = this.handles.get(producer)
        open.transaction = await open.client.transaction()
      },
      commit: ({ producer }) => this.end(producer, transaction => transaction.commit()),
      abort: ({ producer }) => this.end(producer, transaction => transaction.abort()),
      send_offset: given => this.sendOffset(given),
    }
  }

  async producer({ name, codec = 'none', level, idempotent = false, transactional_id, transaction_timeout_ms = 60_000 }) {
    if (level !== undefined) throw new Missing('KafkaJS has no levels of compression')
    const transactional = transactional_id !== undefined
    const client = this.kafka.producer({
      idempotent: idempotent || transactional,
      transactionalId: transactional_id,
      transactionTimeout: transaction_timeout_ms,
      maxInFlightRequests: idempotent || transactional ? 1 : 5,
      allowAutoTopicCreation: true,
      metadataMaxAge: 1000,
    })
    await client.connect()
    if (transactional) {
      // An id is asked for with the first transaction otherwise, and a producer before this one goes on until then.
      await (await client.transaction()).abort()
    }
    this.handles.set(name, { client, idempotent, codec: CODECS[codec], disconnect: () => client.disconnect() })
  }

  async send({ producer, topic, records, pause_ms = 0 }) {
    const open = this.handles.get(producer)
    if (!pause_ms) return this.sendAtOnce(open, topic, records)
    const sent = []
    for (let start = 0; start < records.length; start += CHUNK) {
      sent.push(this.sendAtOnce(open, topic, records.slice(start, start + CHUNK)))
      // After a loss of the connection this client sends what was under way in any order, idempotent or not.
      if (open.idempotent) await sent.at(-1)
      await sleep(pause_ms)
    }
    return (await Promise.all(sent)).flat()
  }

  // One request with a batch for each partition; a record's offset is that of its batch, and its place in it.
  async sendAtOnce({ client, codec, transaction }, topic, records) {
    const messages = records.map(({ partition = 0, key = null, value = null, headers = [], timestamp }) => {
      if (headers.some(([, value]) => value === null)) throw new Missing('KafkaJS has no headers without a value')
      const names = headers.map(([name]) => name)
      if (new Set(names).size < names.length) throw new Missing('KafkaJS does not keep the order of headers')
      const time = timestamp === undefined ? {} : { timestamp: String(timestamp) }
      return { partition, key, value, headers: Object.fromEntries(headers), ...time }
    })
    let batches
    try {
      batches = await (transaction ?? client).send({ topic, messages, compression: codec, acks: -1 })
    } catch (error) {
      process.stderr.write(`send: ${error.stack}\n`)
      return records.map(() => ({ error: errorOf(error) }))
    }
    const next = new Map(batches.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]))
    return messages.map(({ partition }) => {
      const offset = next.get(partition)
      next.set(partition, offset + 1)
      return { partition, offset }
    })
  }

  async end(producer, how) {
    const open = this.handles.get(producer)
    const { transaction } = open
    open.transaction = undefined
    await how(transaction)
  }

  async sendOffset({ producer, consumer, topic, partition, offset }) {
    const topics = [{ topic, partitions: [{ partition, offset: String(offset) }] }]
    const consumerGroupId = this.handles.get(consumer).group
    await this.handles.get(producer).transaction.sendOffsets({ consumerGroupId, topics })
  }
}

module.exports = { Producers }
