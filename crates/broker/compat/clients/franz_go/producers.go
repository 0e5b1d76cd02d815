package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func codec(r *request) kgo.CompressionCodec {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	chosen := codecs[or(r.Codec, "none")]
	if r.Level != nil {
		chosen = chosen.WithLevel(*r.Level)
	}
	return chosen
}

func (d *driver) producer(ctx context.Context, r *request) (any, error) {
	options := append(slices.Clone(d.base),
		kgo.ProducerBatchCompression(codec(r)),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(10_000_000),
		kgo.AllowAutoTopicCreation(),
		kgo.MetadataMaxAge(time.Second),
		kgo.MetadataMinAge(250*time.Millisecond),
	)
	if r.TransactionalID != "" {
		timeout := time.Duration(or(r.TransactionTimeoutMs, 60_000)) * time.Millisecond
		options = append(options, kgo.TransactionalID(r.TransactionalID), kgo.TransactionTimeout(timeout))
	} else if !r.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	d.handles[r.Name] = &handle{client: client, transactionalID: r.TransactionalID}
	if r.TransactionalID != "" {
		// It is asked for at the first record otherwise, and a producer before this one goes on until then.
		_, _, err = client.ProducerID(ctx)
	}
	return nil, err
}

func (d *driver) send(ctx context.Context, r *request) (any, error) {
	client := d.handles[r.Producer].client
	results := make([]map[string]any, len(r.Records))
	var all sync.WaitGroup
	for index, given := range r.Records {
		record := &kgo.Record{
			Topic: r.Topic, Partition: given.Partition, Key: bytesOf(given.Key), Value: bytesOf(given.Value),
		}
		for _, header := range given.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: *header[0], Value: bytesOf(header[1])})
		}
		if given.Timestamp != 0 {
			record.Timestamp = time.UnixMilli(given.Timestamp)
		}
		all.Add(1)
		client.Produce(ctx, record, func(told *kgo.Record, err error) {
			defer all.Done()
			if err != nil {
				results[index] = map[string]any{"error": errorOf(err)}
			} else {
				results[index] = map[string]any{"partition": told.Partition, "offset": told.Offset}
			}
		})
		if r.PauseMs > 0 && index%100 == 99 {
			time.Sleep(time.Duration(r.PauseMs) * time.Millisecond)
		}
	}
	all.Wait()
	return results, nil
}

func (d *driver) beginTransaction(_ context.Context, r *request) (any, error) {
	return nil, d.handles[r.Producer].client.BeginTransaction()
}

func (d *driver) commit(ctx context.Context, r *request) (any, error) {
	return nil, d.handles[r.Producer].client.EndTransaction(ctx, kgo.TryCommit)
}

func (d *driver) abort(ctx context.Context, r *request) (any, error) {
	return nil, d.handles[r.Producer].client.EndTransaction(ctx, kgo.TryAbort)
}

// sendOffset does what this client does by itself where one client both reads and writes (GroupTransactSession).
func (d *driver) sendOffset(ctx context.Context, r *request) (any, error) {
	producer, consumer := d.handles[r.Producer].client, d.handles[r.Consumer]
	transactionalID := d.handles[r.Producer].transactionalID
	id, epoch, err := producer.ProducerID(ctx)
	if err != nil {
		return nil, err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = transactionalID, id, epoch, consumer.group
	added, err := add.RequestWith(ctx, producer)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Partition, partition.Offset = r.Partition, r.Offset
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = r.Topic, []kmsg.TxnOffsetCommitRequestTopicPartition{partition}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch = transactionalID, id, epoch
	commit.Group, commit.Topics = consumer.group, []kmsg.TxnOffsetCommitRequestTopic{topic}
	commit.MemberID, commit.Generation = consumer.client.GroupMetadata()
	answer, err := commit.RequestWith(ctx, producer)
	if err != nil {
		return nil, err
	}
	return nil, kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode)
}
