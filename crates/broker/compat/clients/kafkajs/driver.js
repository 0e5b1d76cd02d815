// KafkaJS: the operations of README.md, "Drivers". Requests in, answers out, a line of JSON each.
'use strict'

const { readFileSync } = require('node:fs')
const readline = require('node:readline')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')

const { Admin } = require('./admin')
const { Consumers } = require('./consumers')
const { Missing, errorOf } = require('./errors')
const { Producers } = require('./producers')

// KafkaJS has gzip by itself; for the others it takes what it is given.
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})

// What the second argument says: how this client proves who it is.
const security = proof => {
  if (!proof) return {}
  const { mechanism, username, password, authority } = JSON.parse(proof)
  return { ssl: { ca: [readFileSync(authority)] }, sasl: { mechanism: mechanism.toLowerCase(), username, password } }
}

const main = async () => {
  await zstd.init()
  const kafka = new Kafka({
    clientId: 'compat',
    brokers: [process.argv[2]],
    ...security(process.argv[3]),
    logLevel: logLevel.ERROR,
    logCreator: () => entry => process.stderr.write(`${entry.namespace}: ${entry.log.message}\n`),
    // Long enough for a broker that is started again.
    retry: { retries: 25, initialRetryTime: 100, maxRetryTime: 2000 },
  })
  const handles = new Map()
  const pages = [new Admin(kafka), new Producers(kafka, handles), new Consumers(kafka, handles)]
  const operations = {
    close: async ({ handle }) => {
      const open = handles.get(handle)
      handles.delete(handle)
      await open.disconnect()
    },
  }
  for (const page of pages) Object.assign(operations, page.operations())

  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { op, ...given } = JSON.parse(line)
    let answer
    try {
      if (!(op in operations)) throw new Missing('not in this driver')
      answer = { ok: (await operations[op](given)) ?? null }
    } catch (error) {
      process.stderr.write(`${op}: ${error.stack}\n`)
      answer = error instanceof Missing ? { missing: error.message } : { error: errorOf(error) }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
  process.exit(0)
}

main()
