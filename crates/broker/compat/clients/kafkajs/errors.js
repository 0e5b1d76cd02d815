'use strict'

// Raised for what KafkaJS cannot do.
class Missing extends Error {}

// Raised for what KafkaJS tells by other means than an error.
class Refused extends Error {
  constructor(code) {
    super(`refused with ${code}`)
    this.code = code
  }
}

// Brokers' errors have Kafka's code, however deep they are wrapped; others a name.
const errorOf = error => {
  const wrapped = [error.errors?.[0], error.groups?.[0]?.error, error.partitions?.[0]?.error, error.cause, error.originalError]
  for (const inner of wrapped) {
    if (inner && inner !== error) return errorOf(inner)
  }
  return typeof error.code === 'number' ? error.code : error.name
}

module.exports = { Missing, Refused, errorOf }
