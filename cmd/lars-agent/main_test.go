package main

import (
	"testing"

	"lars.internal/internal/config"
)

const shipped = "../../conf/lars_lb_agent.conf"

// TestKeysDocumented: the shipped file holds each key of the program, with its
// default and a comment.
func TestKeysDocumented(t *testing.T) {
	if err := newSettings().set.CheckShipped(shipped); err != nil {
		t.Error(err)
	}
}

// TestOriginalFileLoads: the original's own file loads unchanged.
func TestOriginalFileLoads(t *testing.T) {
	s := newSettings()
	if err := s.set.Load(config.Sources{File: "../internal/keys/testdata/original/lars_lb_agent.conf"}); err != nil {
		t.Error(err)
	}
}
