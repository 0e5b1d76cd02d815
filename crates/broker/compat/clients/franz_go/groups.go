package main

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (d *driver) groups(ctx context.Context, _ *request) (any, error) {
	found, err := d.admin.ListGroups(ctx)
	told := [][2]string{}
	for _, group := range found.Sorted() {
		told = append(told, [2]string{group.Group, group.State})
	}
	return told, err
}

// describeGroup asks as for a group of the new protocol first, and then as for one of the classic protocol.
func (d *driver) describeGroup(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.DescribeConsumerGroups(ctx, r.Group)
	group, known := found[r.Group]
	if err != nil || !known || group.Err != nil {
		if known && !errors.Is(group.Err, kerr.GroupIDNotFound) {
			return nil, group.Err
		}
		return d.describeClassicGroup(ctx, r)
	}
	members := []any{}
	for _, member := range group.Members {
		partitions := []int32{}
		for _, numbers := range member.Assignment {
			for partition := range numbers {
				partitions = append(partitions, partition)
			}
		}
		slices.Sort(partitions)
		members = append(members, map[string]any{"instance": member.InstanceID, "partitions": partitions})
	}
	return map[string]any{"state": group.State, "assignor": group.AssignorName, "members": members}, nil
}

func (d *driver) describeClassicGroup(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.DescribeGroups(ctx, r.Group)
	if err != nil {
		return nil, err
	}
	group := found[r.Group]
	if group.Err != nil {
		return nil, group.Err
	}
	members := []any{}
	for _, member := range group.Members {
		partitions := []int32{}
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				partitions = append(partitions, topic.Partitions...)
			}
		}
		slices.Sort(partitions)
		members = append(members, map[string]any{"instance": member.InstanceID, "partitions": partitions})
	}
	return map[string]any{"state": group.State, "assignor": group.Protocol, "members": members}, nil
}

func (d *driver) groupOffsets(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.FetchOffsets(ctx, r.Group)
	told := [][]any{}
	for _, offset := range found.Sorted() {
		if offset.Err != nil {
			return nil, offset.Err
		}
		told = append(told, []any{offset.Topic, offset.Partition, offset.At})
	}
	return told, err
}

func (d *driver) alterGroupOffset(ctx context.Context, r *request) (any, error) {
	var to kadm.Offsets
	to.AddOffset(r.Topic, r.Partition, r.Offset, -1)
	return nil, d.admin.CommitAllOffsets(ctx, r.Group, to)
}

func (d *driver) deleteGroupOffset(ctx context.Context, r *request) (any, error) {
	var places kadm.TopicsSet
	places.Add(r.Topic, r.Partition)
	found, err := d.admin.DeleteOffsets(ctx, r.Group, places)
	if err != nil {
		return nil, err
	}
	return nil, found.Error()
}

func (d *driver) deleteGroup(ctx context.Context, r *request) (any, error) {
	_, err := d.admin.DeleteGroup(ctx, r.Group)
	return nil, err
}
