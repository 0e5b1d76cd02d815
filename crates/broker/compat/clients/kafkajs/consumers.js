'use strict'

const { randomUUID } = require('node:crypto')
const { setTimeout: sleep } = require('node:timers/promises')

const { Missing } = require('./errors')

// Records that are read. KafkaJS hands them out by itself, and always in a group; here they wait until they are asked for.
class Consumers {
  constructor(kafka, handles) {
    this.kafka = kafka
    this.handles = handles
  }

  operations() {
    return {
      consumer: given => this.consumer(given),
      assign: given => this.assign(given),
      subscribe: given => this.subscribe(given),
      poll: given => this.poll(given),
      seek: ({ consumer, topic, partition, offset }) => this.seek(this.handles.get(consumer), topic, partition, offset),
      pause: ({ consumer, topic, partitions }) => this.handles.get(consumer).client.pause([{ topic, partitions }]),
      resume: ({ consumer, topic, partitions }) => this.handles.get(consumer).client.resume([{ topic, partitions }]),
      commit_offset: ({ consumer, topic, partition, offset, metadata = null }) =>
        this.handles.get(consumer).client.commitOffsets([{ topic, partition, offset: String(offset), metadata }]),
    }
  }

  async consumer({ name, group, isolation, protocol, assignor, instance, session_timeout_ms, max_wait_ms, fetch_max_bytes, reset }) {
    if (protocol === 'consumer') throw new Missing('KafkaJS has the classic group protocol only')
    if (assignor !== undefined && assignor !== 'roundrobin') throw new Missing(`KafkaJS has no ${assignor} assignor`)
    if (instance !== undefined) throw new Missing('KafkaJS has no static members')
    const groupId = group ?? `none-${randomUUID()}`
    const client = this.kafka.consumer({
      groupId,
      sessionTimeout: session_timeout_ms ?? 6000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: max_wait_ms ?? 500,
      ...(fetch_max_bytes ? { maxBytes: fetch_max_bytes, maxBytesPerPartition: fetch_max_bytes } : {}),
      readUncommitted: isolation !== 'read_committed',
      allowAutoTopicCreation: true,
      metadataMaxAge: 1000,
    })
    const open = {
      client,
      group: groupId,
      reset: reset ?? 'earliest',
      assignment: {},
      records: [],
      disconnect: () => client.disconnect(),
    }
    client.on(client.events.GROUP_JOIN, ({ payload }) => {
      open.assignment = payload.memberAssignment
      open.records = open.records.filter(({ topic, record }) => open.assignment[topic]?.includes(record.partition))
      open.joined?.()
    })
    await client.connect()
    this.handles.set(name, open)
  }

  async run(open, topic) {
    await open.client.subscribe({ topics: [topic], fromBeginning: open.reset === 'earliest' })
    const eachMessage = async ({ topic, partition, message }) => {
      open.records.push({ topic, record: told(partition, message) })
      open.arrived?.()
    }
    await open.client.run({ autoCommit: false, eachMessage })
  }

  // A group of one, whose member starts at the offset.
  async assign({ consumer, topic, partitions, offset = 0 }) {
    const open = this.handles.get(consumer)
    open.joined = () => {
      const all = open.assignment[topic] ?? []
      partitions.forEach(partition => open.client.seek({ topic, partition, offset: String(offset) }))
      open.client.pause([{ topic, partitions: all.filter(partition => !partitions.includes(partition)) }])
    }
    await this.run(open, topic)
  }

  async subscribe({ consumer, topic, pattern }) {
    await this.run(this.handles.get(consumer), pattern ? new RegExp(pattern) : topic)
  }

  seek(open, topic, partition, offset) {
    open.records = open.records.filter(waiting => waiting.topic !== topic || waiting.record.partition !== partition)
    open.client.seek({ topic, partition, offset: String(offset) })
  }

  async poll({ consumer, count, timeout_ms }) {
    const open = this.handles.get(consumer)
    const enough = new Promise(resolve => {
      open.arrived = () => open.records.length >= count && resolve()
      open.arrived()
    })
    const clock = new AbortController()
    await Promise.race([enough, sleep(timeout_ms, null, { signal: clock.signal }).catch(() => {})])
    clock.abort()
    const records = open.records.splice(0, count).map(({ record }) => record)
    const assignment = Object.values(open.assignment).flat()
    const topics = Object.keys(open.assignment).filter(topic => open.assignment[topic].length)
    return { records, assignment: assignment.sort((a, b) => a - b), topics: topics.sort() }
  }
}

const text = data => (data === null || data === undefined ? null : data.toString())

const told = (partition, { offset, key, value, headers, timestamp }) => ({
  partition,
  offset: Number(offset),
  key: text(key),
  value: text(value),
  headers: Object.entries(headers ?? {}).flatMap(([name, values]) => [values].flat().map(data => [name, text(data)])),
  timestamp: Number(timestamp),
})

module.exports = { Consumers }
