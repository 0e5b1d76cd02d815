package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (d *driver) listTransactions(ctx context.Context, _ *request) (any, error) {
	found, err := d.admin.ListTransactions(ctx, nil, nil)
	told := [][2]string{}
	for _, listed := range found.Sorted() {
		told = append(told, [2]string{listed.TxnID, listed.State})
	}
	return told, err
}

func (d *driver) describeTransaction(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.DescribeTransactions(ctx, r.TransactionalID)
	if err != nil {
		return nil, err
	}
	told, known := found[r.TransactionalID]
	if !known {
		return nil, kerr.TransactionalIDNotFound
	}
	partitions := [][]any{}
	for _, topic := range told.Topics.Sorted() {
		for _, partition := range topic.Partitions {
			partitions = append(partitions, []any{topic.Topic, partition})
		}
	}
	return map[string]any{
		"state":      told.State,
		"timeout_ms": told.TimeoutMillis,
		"started":    told.StartTimestamp > 0,
		"partitions": partitions,
	}, told.Err
}

// producers are those that a partition remembers.
func (d *driver) producers(ctx context.Context, r *request) ([]kadm.DescribedProducer, error) {
	var place kadm.TopicsSet
	place.Add(r.Topic, r.Partition)
	found, err := d.admin.DescribeProducers(ctx, place)
	if err != nil {
		return nil, err
	}
	for _, partition := range found.SortedPartitions() {
		if partition.Err != nil {
			return nil, partition.Err
		}
	}
	return found.SortedProducers(), nil
}

func (d *driver) describeProducers(ctx context.Context, r *request) (any, error) {
	found, err := d.producers(ctx, r)
	told := []any{}
	for _, producer := range found {
		told = append(told, map[string]any{
			"epoch":         producer.ProducerEpoch,
			"last_sequence": producer.LastSequence,
			"open_from":     producer.CurrentTxnStartOffset,
		})
	}
	return told, err
}

// abortTransaction aborts, from outside, the transaction that is open in a partition.
func (d *driver) abortTransaction(ctx context.Context, r *request) (any, error) {
	found, err := d.producers(ctx, r)
	if err != nil {
		return nil, err
	}
	var place kadm.TopicsSet
	place.Add(r.Topic, r.Partition)
	for _, producer := range found {
		if producer.CurrentTxnStartOffset < 0 {
			continue
		}
		markers, err := d.admin.WriteTxnMarkers(ctx, kadm.TxnMarkers{
			ProducerID:       producer.ProducerID,
			ProducerEpoch:    producer.ProducerEpoch,
			CoordinatorEpoch: max(producer.CoordinatorEpoch, 0),
			Topics:           place,
		})
		if err != nil {
			return nil, err
		}
		for _, written := range markers.SortedPartitions() {
			if written.Err != nil {
				return nil, fmt.Errorf("a marker is refused: %w", written.Err)
			}
		}
	}
	return nil, nil
}
