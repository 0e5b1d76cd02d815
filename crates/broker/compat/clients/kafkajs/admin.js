'use strict'

const { AssignerProtocol, ConfigResourceTypes } = require('kafkajs')

const { Missing, Refused } = require('./errors')

const TOPIC_ALREADY_EXISTS = 36
const UNKNOWN_TOPIC_OR_PARTITION = 3
// Where the value of a setting comes from.
const OF_THE_TOPIC = 1
const BY_DEFAULT = 5

// Topics and groups, through the administration.
class Admin {
  constructor(kafka) {
    this.admin = kafka.admin()
    this.connected = null
  }

  async connect() {
    this.connected ??= this.admin.connect()
    await this.connected
    return this.admin
  }

  operations() {
    const named = [
      ['cluster', this.cluster],
      ['create_topic', this.createTopic],
      ['delete_topic', this.deleteTopic],
      ['create_partitions', this.createPartitions],
      ['topics', this.topics],
      ['describe_topic', this.describeTopic],
      ['describe_config', this.describeConfig],
      ['alter_config', this.alterConfig],
      ['list_offset', this.listOffset],
      ['delete_records', this.deleteRecords],
      ['groups', this.groups],
      ['describe_group', this.describeGroup],
      ['group_offsets', this.groupOffsets],
      ['alter_group_offset', this.alterGroupOffset],
      ['delete_group', this.deleteGroup],
    ]
    const bound = ([name, method]) => [name, async given => method.call(this, await this.connect(), given)]
    return Object.fromEntries(named.map(bound))
  }

  async cluster(admin) {
    const found = await admin.describeCluster()
    return { brokers: found.brokers.length, controller: found.controller, cluster_id: Boolean(found.clusterId) }
  }

  async createTopic(admin, { topic, partitions = 1, replication = 1, config = {}, validate_only = false }) {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const topics = [{ topic, numPartitions: partitions, replicationFactor: replication, configEntries }]
    const created = await admin.createTopics({ topics, validateOnly: validate_only, waitForLeaders: false })
    if (!created) throw new Refused(TOPIC_ALREADY_EXISTS)
  }

  deleteTopic(admin, { topic }) {
    return admin.deleteTopics({ topics: [topic] })
  }

  async createPartitions(admin, { topic, total }) {
    await admin.createPartitions({ topicPartitions: [{ topic, count: total }] })
  }

  async topics(admin) {
    return (await admin.listTopics()).sort()
  }

  // Of all topics, since this client asks again and again for one that is not there.
  async describeTopic(admin, { topic }) {
    const { topics } = await admin.fetchTopicMetadata()
    const found = topics.find(({ name }) => name === topic)
    if (!found) throw new Refused(UNKNOWN_TOPIC_OR_PARTITION)
    const told = ({ partitionId, leader, replicas, isr }) => ({ partition: partitionId, leader, replicas, isr })
    const partitions = found.partitions.map(told).sort((a, b) => a.partition - b.partition)
    return { id: null, partitions }
  }

  async configsOf(admin, topic) {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }]
    return (await admin.describeConfigs({ resources })).resources[0].configEntries
  }

  async describeConfig(admin, { topic, keys }) {
    const entries = await this.configsOf(admin, topic)
    const told = key => {
      const { configValue, configSource } = entries.find(({ configName }) => configName === key)
      return [key, { value: configValue, default: configSource === BY_DEFAULT }]
    }
    return Object.fromEntries(keys.map(told))
  }

  // This client replaces all settings at once, so those of the topic that are to stay are sent along.
  async alterConfig(admin, { topic, set = {}, delete: removed = [] }) {
    const entries = await this.configsOf(admin, topic)
    const own = entries.filter(({ configSource }) => configSource === OF_THE_TOPIC)
    const kept = Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]))
    const wanted = Object.entries({ ...kept, ...set }).filter(([name]) => !removed.includes(name))
    const configEntries = wanted.map(([name, value]) => ({ name, value }))
    await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
  }

  async listOffset(admin, { topic, partition, at, isolation }) {
    if (at === 'max_timestamp') throw new Missing('KafkaJS does not ask for the latest time')
    if (isolation) throw new Missing('KafkaJS does not say whose end of the log it asks for')
    const named = { earliest: 'low', latest: 'high' }[at]
    const offsets = named ? await admin.fetchTopicOffsets(topic) : await admin.fetchTopicOffsetsByTimestamp(topic, at)
    return Number(offsets.find(found => found.partition === partition)[named ?? 'offset'])
  }

  // This client looks at a partition's leader before it has asked for it, and does not tell the low watermark.
  async deleteRecords(admin, { topic, partition, before }) {
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] })
    return this.listOffset(admin, { topic, partition, at: 'earliest' })
  }

  async groups(admin) {
    return (await admin.listGroups()).groups.map(({ groupId }) => [groupId, null])
  }

  async describeGroup(admin, { group }) {
    const [found] = (await admin.describeGroups([group])).groups
    const told = member => {
      const assigned = member.memberAssignment.length && AssignerProtocol.MemberAssignment.decode(member.memberAssignment)
      const partitions = Object.values(assigned?.assignment ?? {}).flat()
      return { instance: null, partitions: partitions.sort((a, b) => a - b) }
    }
    return { state: found.state, assignor: found.protocol, members: found.members.map(told) }
  }

  async groupOffsets(admin, { group }) {
    const topics = await admin.fetchOffsets({ groupId: group })
    const told = topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset }) => [topic, partition, Number(offset)])
    )
    return told.sort(([a, i], [b, j]) => (a === b ? i - j : a < b ? -1 : 1))
  }

  async alterGroupOffset(admin, { group, topic, partition, offset }) {
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition, offset: String(offset) }] })
  }

  async deleteGroup(admin, { group }) {
    await admin.deleteGroups([group])
  }
}

module.exports = { Admin }
