package rp

import (
	"strings"
	"testing"
	"time"
)

func testClient(t testing.TB) *Client {
	t.Helper()
	now := time.Date(2026, 11, 22, 5, 30, 0, 0, time.UTC)
	c, err := New(Config{Name: "n", BaseURL: "https://site.example", Issuer: "https://op.example", ClientID: "c", ClientSecret: "s", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFlowCookieIsBoundToItsState(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	f := flow{Nonce: "n", Verifier: "v", Next: "x", Started: c.cfg.Now()}
	sealed, err := c.seal(c.flowCookie("a"), f)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := c.open(c.flowCookie("a"), sealed); !ok || got != f {
		t.Errorf("own state: %+v %t", got, ok)
	}
	if _, ok := c.open(c.flowCookie("b"), sealed); ok {
		t.Error("opened under another state")
	}
	for i := range sealed {
		other := "A"
		if sealed[i] == 'A' {
			other = "B"
		}
		if _, ok := c.open(c.flowCookie("a"), sealed[:i]+other+sealed[i+1:]); ok {
			t.Fatalf("opened with byte %d changed", i)
		}
	}
}

func TestCookiesOverHTTPS(t *testing.T) {
	t.Parallel()
	ck := cookie("n-session", "v", true)
	if ck.Name != "__Host-n-session" || !ck.Secure || !ck.HttpOnly || ck.Path != "/" || ck.Domain != "" {
		t.Errorf("%+v", ck)
	}
}

func FuzzFlowCookie(f *testing.F) {
	c := testClient(f)
	name := c.flowCookie("state")
	sealed, err := c.seal(name, flow{Nonce: "n", Started: c.cfg.Now()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, value string) {
		// Each fuzzing process seals anew, so the seed is known by its content.
		if got, ok := c.open(name, value); ok && got.Nonce != "n" {
			t.Errorf("opened a value that was never sealed: %q", value)
		}
	})
}

func FuzzAnswerQuery(f *testing.F) {
	f.Add("code=a&state=b&iss=c")
	f.Add("code=a&code=b")
	f.Add("error=%22&%zz")
	f.Fuzz(func(t *testing.T, query string) {
		single, err := singleValued(query)
		if err == nil && len(single) > strings.Count(query, "&")+1 {
			t.Errorf("more parameters than the query has: %v", single)
		}
		if code := single["error"]; errorCode(code) && strings.ContainsAny(code, "\"\\\r\n") {
			t.Errorf("bad error code taken: %q", code)
		}
	})
}
