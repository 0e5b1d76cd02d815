// franz-go: the operations of README.md, "Drivers". Requests in, answers out, a line of JSON each.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// missing is the error for what this client cannot do.
type missing string

func (m missing) Error() string { return string(m) }

type driver struct {
	// base is what every client has.
	base    []kgo.Opt
	admin   *kadm.Client
	handles map[string]*handle
}

// handle is a producer or a consumer, which are both a client here.
type handle struct {
	client          *kgo.Client
	transactionalID string
	// What a consumer is made of, as soon as it is known what it reads.
	options  []kgo.Opt
	group    string
	protocol string
	assigned *assignment
}

func main() {
	d := &driver{base: []kgo.Opt{kgo.SeedBrokers(os.Args[1])}, handles: map[string]*handle{}}
	if len(os.Args) > 2 {
		secured, err := security(os.Args[2])
		if err != nil {
			panic(err)
		}
		d.base = append(d.base, secured...)
	}
	// Metadata is asked for each time, and not told from memory.
	client, err := kgo.NewClient(append(slices.Clone(d.base), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		panic(err)
	}
	d.admin = kadm.NewClient(client)
	d.admin.SetTimeoutMillis(30_000)
	requests := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			return
		}
		answer, err := json.Marshal(d.answer(line))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(answer))
	}
}

func (d *driver) answer(line []byte) map[string]any {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return map[string]any{"error": err.Error()}
	}
	operation, known := operations[r.Op]
	if !known {
		return map[string]any{"missing": "not in this driver"}
	}
	result, err := operation(d, context.Background(), &r)
	var absent missing
	if errors.As(err, &absent) {
		return map[string]any{"missing": string(absent)}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", r.Op, err)
		return map[string]any{"error": errorOf(err)}
	}
	return map[string]any{"ok": result}
}

// errorOf tells Kafka's code of an error of a broker, and the text of others.
func errorOf(err error) any {
	var kafka *kerr.Error
	if errors.As(err, &kafka) {
		return kafka.Code
	}
	return err.Error()
}

type operation func(*driver, context.Context, *request) (any, error)

var operations = map[string]operation{
	"cluster":              (*driver).cluster,
	"create_topic":         (*driver).createTopic,
	"delete_topic":         (*driver).deleteTopic,
	"create_partitions":    (*driver).createPartitions,
	"topics":               (*driver).topics,
	"describe_topic":       (*driver).describeTopic,
	"describe_config":      (*driver).describeConfig,
	"alter_config":         (*driver).alterConfig,
	"list_offset":          (*driver).listOffset,
	"delete_records":       (*driver).deleteRecords,
	"groups":               (*driver).groups,
	"describe_group":       (*driver).describeGroup,
	"group_offsets":        (*driver).groupOffsets,
	"alter_group_offset":   (*driver).alterGroupOffset,
	"delete_group_offset":  (*driver).deleteGroupOffset,
	"delete_group":         (*driver).deleteGroup,
	"list_transactions":    (*driver).listTransactions,
	"describe_transaction": (*driver).describeTransaction,
	"describe_producers":   (*driver).describeProducers,
	"abort_transaction":    (*driver).abortTransaction,
	"producer":             (*driver).producer,
	"send":                 (*driver).send,
	"begin_transaction":    (*driver).beginTransaction,
	"commit":               (*driver).commit,
	"abort":                (*driver).abort,
	"send_offset":          (*driver).sendOffset,
	"consumer":             (*driver).consumer,
	"assign":               (*driver).assign,
	"subscribe":            (*driver).subscribe,
	"poll":                 (*driver).poll,
	"seek":                 (*driver).seek,
	"pause":                (*driver).pause,
	"resume":               (*driver).resume,
	"bounds":               (*driver).bounds,
	"offset_for_time":      (*driver).offsetForTime,
	"commit_offset":        (*driver).commitOffset,
	"committed":            (*driver).committed,
	"close":                (*driver).close,
}

func (d *driver) close(_ context.Context, r *request) (any, error) {
	handle := d.handles[r.Handle]
	delete(d.handles, r.Handle)
	if handle != nil && handle.client != nil {
		handle.client.CloseAllowingRebalance()
	}
	return nil, nil
}
