package classic

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		key string // in the error; empty: valid
		set func(*Config)
	}{
		{"", func(c *Config) {}},
		{"", func(c *Config) { c.InitSuccCnt, c.InitErrCnt = 0, 0 }},
		{"", func(c *Config) { c.ErrRate, c.SuccRate, c.WindowErrRate = 0, 1, 1 }},
		{"", func(c *Config) { c.IdleTimeout, c.OverloadTimeout = 1, 24*time.Hour }},
		{"probe_num", func(c *Config) { c.ProbeNum = 0 }},
		{"probe_num", func(c *Config) { c.ProbeNum = 1_000_001 }},
		{"init_succ_cnt", func(c *Config) { c.InitSuccCnt = -1 }},
		{"init_err_cnt", func(c *Config) { c.InitErrCnt = -1 }},
		{"err_rate", func(c *Config) { c.ErrRate = -0.1 }},
		{"err_rate", func(c *Config) { c.ErrRate = math.NaN() }},
		{"succ_rate", func(c *Config) { c.SuccRate = 1.1 }},
		{"contin_err_limit", func(c *Config) { c.ContinErrLimit = 0 }},
		{"contin_succ_limit", func(c *Config) { c.ContinSuccLimit = 0 }},
		{"window_err_rate", func(c *Config) { c.WindowErrRate = math.Inf(1) }},
		{"idle_timeout", func(c *Config) { c.IdleTimeout = 0 }},
		{"overload_timeout", func(c *Config) { c.OverloadTimeout = 25 * time.Hour }},
		{"probe_num", func(c *Config) { *c = Config{} }},
	}
	for _, tt := range tests {
		cfg := DefaultConfig()
		tt.set(&cfg)
		err := cfg.Validate()
		switch {
		case tt.key == "" && err != nil:
			t.Errorf("%+v: %v", cfg, err)
		case tt.key != "" && (err == nil || !strings.HasPrefix(err.Error(), "classic: "+tt.key+" = ")):
			t.Errorf("%+v: error %v does not name %s", cfg, err, tt.key)
		}
	}
}
