package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// assignment is what the group has given to a consumer; it changes in the background.
type assignment struct {
	sync.Mutex
	places map[string]map[int32]bool
}

func (a *assignment) add(_ context.Context, _ *kgo.Client, places map[string][]int32) {
	a.Lock()
	defer a.Unlock()
	for topic, partitions := range places {
		if a.places[topic] == nil {
			a.places[topic] = map[int32]bool{}
		}
		for _, partition := range partitions {
			a.places[topic][partition] = true
		}
	}
}

func (a *assignment) remove(_ context.Context, _ *kgo.Client, places map[string][]int32) {
	a.Lock()
	defer a.Unlock()
	for topic, partitions := range places {
		for _, partition := range partitions {
			delete(a.places[topic], partition)
		}
	}
}

func (a *assignment) told() (partitions []int32, topics []string) {
	a.Lock()
	defer a.Unlock()
	partitions, topics = []int32{}, []string{}
	for topic, numbers := range a.places {
		if len(numbers) > 0 {
			topics = append(topics, topic)
		}
		for partition := range numbers {
			partitions = append(partitions, partition)
		}
	}
	slices.Sort(partitions)
	slices.Sort(topics)
	return partitions, topics
}

func (d *driver) consumer(_ context.Context, r *request) (any, error) {
	reset := map[string]kgo.Offset{"earliest": kgo.NewOffset().AtStart(), "latest": kgo.NewOffset().AtEnd()}
	options := append(slices.Clone(d.base),
		kgo.FetchMaxWait(time.Duration(or(r.MaxWaitMs, 500))*time.Millisecond),
		kgo.ConsumeResetOffset(reset[or(r.Reset, "earliest")]),
		kgo.MetadataMaxAge(time.Second),
		kgo.MetadataMinAge(250*time.Millisecond),
	)
	if r.Isolation == "read_committed" {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if r.FetchMaxBytes > 0 {
		options = append(options, kgo.FetchMaxBytes(r.FetchMaxBytes), kgo.FetchMaxPartitionBytes(r.FetchMaxBytes))
	}
	handle := &handle{options: options, group: r.Group, protocol: or(r.Protocol, "classic")}
	d.handles[r.Name] = handle
	if r.Group != "" {
		handle.options = append(handle.options, groupOptions(r, handle)...)
	}
	return nil, nil
}

func groupOptions(r *request, handle *handle) []kgo.Opt {
	handle.assigned = &assignment{places: map[string]map[int32]bool{}}
	balancers := map[string]kgo.GroupBalancer{
		"range":              kgo.RangeBalancer(),
		"roundrobin":         kgo.RoundRobinBalancer(),
		"sticky":             kgo.StickyBalancer(),
		"cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(r.Group),
		kgo.Balancers(balancers[or(r.Assignor, "range")]),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(handle.assigned.add),
		kgo.OnPartitionsRevoked(handle.assigned.remove),
		kgo.OnPartitionsLost(handle.assigned.remove),
	}
	if handle.protocol == "consumer" {
		// This client knows Kafka's `uniform` under the name of its own sticky balancer.
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	} else {
		session := time.Duration(or(r.SessionTimeoutMs, 6000)) * time.Millisecond
		options = append(options, kgo.SessionTimeout(session), kgo.HeartbeatInterval(500*time.Millisecond))
	}
	if r.Instance != "" {
		options = append(options, kgo.InstanceID(r.Instance))
	}
	return options
}

// start makes the client of a consumer, which has to know from the beginning what it reads.
func (h *handle) start(what ...kgo.Opt) error {
	client, err := kgo.NewClient(append(h.options, what...)...)
	h.client = client
	return err
}

func (d *driver) assign(_ context.Context, r *request) (any, error) {
	if d.handles[r.Consumer].group != "" {
		return nil, missing("franz-go takes partitions by name only outside of groups")
	}
	places := map[int32]kgo.Offset{}
	for _, partition := range r.numbers() {
		places[partition] = kgo.NewOffset().At(r.Offset)
	}
	return nil, d.handles[r.Consumer].start(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: places}))
}

func (d *driver) subscribe(_ context.Context, r *request) (any, error) {
	if r.Pattern != "" {
		return nil, d.handles[r.Consumer].start(kgo.ConsumeRegex(), kgo.ConsumeTopics(r.Pattern))
	}
	return nil, d.handles[r.Consumer].start(kgo.ConsumeTopics(r.Topic))
}

func (d *driver) poll(ctx context.Context, r *request) (any, error) {
	handle := d.handles[r.Consumer]
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.TimeoutMs)*time.Millisecond)
	defer cancel()
	records := []any{}
	for len(records) < r.Count && ctx.Err() == nil {
		fetches := handle.client.PollRecords(ctx, r.Count-len(records))
		for _, failed := range fetches.Errors() {
			var kafka *kerr.Error
			if errors.As(failed.Err, &kafka) {
				return nil, failed.Err
			}
		}
		fetches.EachRecord(func(record *kgo.Record) { records = append(records, told(record)) })
	}
	answer := map[string]any{"records": records, "assignment": []int32{}, "topics": []string{}}
	if handle.assigned != nil {
		answer["assignment"], answer["topics"] = handle.assigned.told()
	}
	return answer, nil
}

func told(record *kgo.Record) map[string]any {
	headers := [][2]any{}
	for _, header := range record.Headers {
		headers = append(headers, [2]any{header.Key, textOf(header.Value)})
	}
	return map[string]any{
		"partition": record.Partition,
		"offset":    record.Offset,
		"key":       textOf(record.Key),
		"value":     textOf(record.Value),
		"headers":   headers,
		"timestamp": record.Timestamp.UnixMilli(),
	}
}

func (d *driver) seek(_ context.Context, r *request) (any, error) {
	to := map[int32]kgo.EpochOffset{r.Partition: {Epoch: -1, Offset: r.Offset}}
	d.handles[r.Consumer].client.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.Topic: to})
	return nil, nil
}

func (d *driver) pause(_ context.Context, r *request) (any, error) {
	d.handles[r.Consumer].client.PauseFetchPartitions(map[string][]int32{r.Topic: r.numbers()})
	return nil, nil
}

func (d *driver) resume(_ context.Context, r *request) (any, error) {
	d.handles[r.Consumer].client.ResumeFetchPartitions(map[string][]int32{r.Topic: r.numbers()})
	return nil, nil
}

// bounds tells the first offset and the one behind the last; this client asks for them by its administration.
func (d *driver) bounds(ctx context.Context, r *request) (any, error) {
	r.At = "earliest"
	first, err := d.listOffset(ctx, r)
	if err != nil {
		return nil, err
	}
	r.At = "latest"
	last, err := d.listOffset(ctx, r)
	return []any{first, last}, err
}

func (d *driver) offsetForTime(ctx context.Context, r *request) (any, error) {
	return d.listOffset(ctx, r)
}

func (d *driver) commitOffset(ctx context.Context, r *request) (any, error) {
	handle := d.handles[r.Consumer]
	if r.Metadata != "" {
		// Only the administration of this client takes one.
		var to kadm.Offsets
		to.Add(kadm.Offset{Topic: r.Topic, Partition: r.Partition, At: r.Offset, LeaderEpoch: -1, Metadata: r.Metadata})
		return nil, d.admin.CommitAllOffsets(ctx, handle.group, to)
	}
	record := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset - 1, LeaderEpoch: -1}
	return nil, handle.client.CommitRecords(ctx, record)
}

func (d *driver) committed(ctx context.Context, r *request) (any, error) {
	found, err := d.admin.FetchOffsets(ctx, d.handles[r.Consumer].group)
	if err != nil {
		return nil, err
	}
	offset, known := found.Lookup(r.Topic, r.Partition)
	if !known {
		return nil, nil
	}
	return []any{offset.At, offset.Metadata}, offset.Err
}
