package reporter

import (
	"strings"
	"testing"
	"time"

	"lars.internal/internal/config"
)

func TestBindReadsTheOriginalsFile(t *testing.T) {
	set := config.NewSet("lars-reporter")
	cfg := Bind(set)
	cfg.Threads = 0 // so that the default cannot pass for the file's value
	file := "../internal/config/testdata/original/lars_reporter.conf"
	if err := set.Load(config.Sources{File: file, Partial: true}); err != nil {
		t.Fatal(err)
	}
	if cfg.Threads != 3 || cfg.Reactor.AddrPort().String() != "127.0.0.1:7779" || cfg.QueueSize != 8192 {
		t.Errorf("threads %d, address %v, queue %d", cfg.Threads, cfg.Reactor.AddrPort(), cfg.QueueSize)
	}
}

func TestDefaultsEqualTheKeys(t *testing.T) {
	bound := Bind(config.NewSet("lars-reporter"))
	var cfg Config
	cfg.setDefaults()
	if cfg.Threads != bound.Threads || cfg.QueueSize != bound.QueueSize || *cfg.Reactor != *bound.Reactor {
		t.Errorf("defaults %d, %d, %+v; of the keys %d, %d, %+v", cfg.Threads, cfg.QueueSize, *cfg.Reactor,
			bound.Threads, bound.QueueSize, *bound.Reactor)
	}
}

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
		{"port", Config{Sink: newSink(), Reactor: &config.ReactorConfig{Port: 65536}}, "port: got 65536"},
		{"timeout", Config{Sink: newSink(), QueryTimeout: -1}, "QueryTimeout -1ns"},
		{"retry", Config{Sink: newSink(), RetryMin: time.Minute}, "RetryMin 1m0s, RetryMax 5s"},
		{"loops", Config{Sink: newSink(), Reactor: &config.ReactorConfig{Threads: -1}}, "Loops -1"},
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
