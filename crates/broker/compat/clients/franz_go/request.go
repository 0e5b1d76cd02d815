package main

import "encoding/json"

// request is an operation with all the arguments that operations have.
type request struct {
	Op                   string            `json:"op"`
	Name                 string            `json:"name"`
	Handle               string            `json:"handle"`
	Topic                string            `json:"topic"`
	Partition            int32             `json:"partition"`
	Partitions           json.RawMessage   `json:"partitions"`
	Replication          int16             `json:"replication"`
	Config               map[string]string `json:"config"`
	ValidateOnly         bool              `json:"validate_only"`
	Total                int               `json:"total"`
	Keys                 []string          `json:"keys"`
	Set                  map[string]string `json:"set"`
	Delete               []string          `json:"delete"`
	At                   any               `json:"at"`
	Isolation            string            `json:"isolation"`
	Before               int64             `json:"before"`
	Group                string            `json:"group"`
	Offset               int64             `json:"offset"`
	Metadata             string            `json:"metadata"`
	Producer             string            `json:"producer"`
	Consumer             string            `json:"consumer"`
	Codec                string            `json:"codec"`
	Level                *int              `json:"level"`
	Idempotent           bool              `json:"idempotent"`
	TransactionalID      string            `json:"transactional_id"`
	TransactionTimeoutMs int64             `json:"transaction_timeout_ms"`
	Records              []sent            `json:"records"`
	PauseMs              int64             `json:"pause_ms"`
	Protocol             string            `json:"protocol"`
	Assignor             string            `json:"assignor"`
	Instance             string            `json:"instance"`
	SessionTimeoutMs     int64             `json:"session_timeout_ms"`
	MaxWaitMs            int64             `json:"max_wait_ms"`
	FetchMaxBytes        int32             `json:"fetch_max_bytes"`
	Reset                string            `json:"reset"`
	Pattern              string            `json:"pattern"`
	Count                int               `json:"count"`
	TimeoutMs            int64             `json:"timeout_ms"`
}

// sent is a record that is to be produced.
type sent struct {
	Partition int32        `json:"partition"`
	Key       *string      `json:"key"`
	Value     *string      `json:"value"`
	Headers   [][2]*string `json:"headers"`
	Timestamp int64        `json:"timestamp"`
}

// count is the argument `partitions` as a number.
func (r *request) count() int32 {
	count := int32(1)
	_ = json.Unmarshal(r.Partitions, &count) // 1 if it is not given
	return count
}

// numbers is the argument `partitions` as a list.
func (r *request) numbers() []int32 {
	var numbers []int32
	_ = json.Unmarshal(r.Partitions, &numbers) // none if it is not given
	return numbers
}

func bytesOf(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

func textOf(data []byte) any {
	if data == nil {
		return nil
	}
	return string(data)
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
