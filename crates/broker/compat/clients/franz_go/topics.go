package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (d *driver) cluster(ctx context.Context, _ *request) (any, error) {
	found, err := d.admin.BrokerMetadata(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"brokers":    len(found.Brokers),
		"controller": found.Controller,
		"cluster_id": found.Cluster != "",
	}, nil
}

func (d *driver) createTopic(ctx context.Context, r *request) (any, error) {
	config := map[string]*string{}
	for key, value := range r.Config {
		config[key] = &value
	}
	replication := or(r.Replication, 1)
	if r.ValidateOnly {
		found, err := d.admin.ValidateCreateTopics(ctx, r.count(), replication, config, r.Topic)
		if err != nil {
			return nil, err
		}
		return nil, found.Error()
	}
	_, err := d.admin.CreateTopic(ctx, r.count(), replication, config, r.Topic)
	return nil, err
}

func (d *driver) deleteTopic(ctx context.Context, r *request) (any, error) {
	_, err := d.admin.DeleteTopic(ctx, r.Topic)
	return nil, err
}

func (d *driver) createPartitions(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.UpdatePartitions(ctx, r.Total, r.Topic)
	if err != nil {
		return nil, err
	}
	return nil, found.Error()
}

func (d *driver) topics(ctx context.Context, _ *request) (any, error) {
	found, err := d.admin.ListTopics(ctx)
	return found.Names(), err
}

func (d *driver) describeTopic(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.ListTopics(ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	topic := found[r.Topic]
	if topic.Err != nil {
		return nil, topic.Err
	}
	partitions := []any{}
	for _, partition := range topic.Partitions.Sorted() {
		partitions = append(partitions, map[string]any{
			"partition": partition.Partition,
			"leader":    partition.Leader,
			"replicas":  partition.Replicas,
			"isr":       partition.ISR,
		})
	}
	return map[string]any{"id": fmt.Sprint(topic.ID), "partitions": partitions}, nil
}

func (d *driver) describeConfig(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.DescribeTopicConfigs(ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	resource, err := found.On(r.Topic, nil)
	if err == nil {
		err = resource.Err
	}
	if err != nil {
		return nil, err
	}
	told := map[string]any{}
	for _, key := range r.Keys {
		for _, config := range resource.Configs {
			if config.Key == key {
				byDefault := config.Source == kmsg.ConfigSourceDefaultConfig
				told[key] = map[string]any{"value": config.MaybeValue(), "default": byDefault}
			}
		}
	}
	return told, nil
}

func (d *driver) alterConfig(ctx context.Context, r *request) (any, error) {
	var changes []kadm.AlterConfig
	for key, value := range r.Set {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
	}
	for _, key := range r.Delete {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	found, err := d.admin.AlterTopicConfigs(ctx, changes, r.Topic)
	if err != nil {
		return nil, err
	}
	resource, err := found.On(r.Topic, nil)
	if err == nil {
		err = resource.Err
	}
	return nil, err
}

func (d *driver) listOffset(ctx context.Context, r *request) (any, error) {
	list := d.admin.ListEndOffsets
	switch at := r.At.(type) {
	case float64:
		list = func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return d.admin.ListOffsetsAfterMilli(ctx, int64(at), topics...)
		}
	case string:
		switch at {
		case "earliest":
			list = d.admin.ListStartOffsets
		case "max_timestamp":
			list = d.admin.ListMaxTimestampOffsets
		case "latest":
			if r.Isolation == "read_committed" {
				list = d.admin.ListCommittedOffsets
			}
		}
	}
	found, err := list(ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	offset, _ := found.Lookup(r.Topic, r.Partition)
	return offset.Offset, offset.Err
}

func (d *driver) deleteRecords(ctx context.Context, r *request) (any, error) {
	var before kadm.Offsets
	before.AddOffset(r.Topic, r.Partition, r.Before, -1)
	found, err := d.admin.DeleteRecords(ctx, before)
	if err != nil {
		return nil, err
	}
	told, err := found.On(r.Topic, r.Partition, nil)
	if err == nil {
		err = told.Err
	}
	return told.LowWatermark, err
}
