package kv

import (
	"strings"
	"testing"
	"time"
)

func TestCheckWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		ttl  time.Duration
		text string
		want int64 // milliseconds, 0 for a refusal
	}{
		{"k", 1, "", 1},
		{"k", time.Millisecond, "v", 1},
		{"k", time.Millisecond + 1, "v", 2},
		{"k", time.Hour, "값", 3_600_000},
		{strings.Repeat("k", 200), time.Second, "v", 1000},
		{strings.Repeat("k", 201), time.Second, "v", 0},
		{strings.Repeat("키", 67), time.Second, "v", 0},
		{"", time.Second, "v", 0},
		{"k\x00", time.Second, "v", 0},
		{"k\xff", time.Second, "v", 0},
		{"k", time.Second, "v\x00", 0},
		{"k", time.Second, "\xed\xa0\x80", 0},
		{"k", 0, "v", 0},
		{"k", -1, "v", 0},
	} {
		got, err := CheckWrite(c.key, c.ttl, "fine", c.text)
		if got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%.20q %q for %s: %d, %v, want %d", c.key, c.text, c.ttl, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "\x00") {
			t.Errorf("the error quotes the text: %v", err)
		}
	}
}
