package reporter

import (
	"strings"
	"testing"
	"time"

	"lars.internal/reactor"
)

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"no sink", Config{}, "no Sink"},
		{"threads below", Config{Sink: newSink(), Threads: -1}, "db_thread_cnt: got -1, want 1..64"},
		{"threads above", Config{Sink: newSink(), Threads: 65}, "db_thread_cnt: got 65"},
		{"queue", Config{Sink: newSink(), QueueSize: -1}, "queue_size: got -1"},
		{"rows", Config{Sink: newSink(), MaxRows: -1}, "MaxRows: got -1"},
		{"timeout", Config{Sink: newSink(), QueryTimeout: -1}, "QueryTimeout -1ns"},
		{"retry", Config{Sink: newSink(), RetryMin: time.Minute}, "RetryMin 1m0s, RetryMax 5s"},
		{"loops", Config{Sink: newSink(), Reactor: reactor.ServerConfig{Loops: -1}}, "Loops is -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg)
			if err == nil || !strings.HasPrefix(err.Error(), "reporter: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want reporter: ... %s", err, tt.want)
			}
		})
	}
}
