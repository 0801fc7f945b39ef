package bench

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	got, err := parseStat([]byte("42 (a (b) c) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 5 0 123"))
	want := stat{pid: 42, parent: 7, name: "a (b) c", cpu: 124 * tick}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, line := range []string{"", "42", "42 (a) S 7", "42 )a( S", "x (a) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 5 0 123"} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q gave %+v", line, got)
		}
	}
}

func TestParseMachine(t *testing.T) {
	t.Parallel()
	got, err := parseMachine([]byte("cpu  1 2 3 100 20 4 5 6 0 0\ncpu0 1 2 3 4\n"))
	if want := (machine{busy: 21 * tick, idle: 120 * tick}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if share := (machine{busy: 3 * time.Second, idle: time.Second}).others(Spent{Broker: time.Second, Redis: time.Second}); share != 0.25 {
		t.Errorf("others have %v, want a quarter", share)
	}
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	now, most, err := parseMemory("Name:\tanyid\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	if now != 1<<20 || most != 2<<20 || err != nil {
		t.Errorf("%d, %d, %v", now, most, err)
	}
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	n, err := recorded("1200 events and 3 checkpoints hold; 34 events wait to be chained\nhead: position 1200\n")
	if n != 1234 || err != nil {
		t.Errorf("%d, %v, want 1234", n, err)
	}
	if _, err := recorded("the chain is broken"); err == nil {
		t.Error("a broken chain was counted")
	}
}

// TestClient lets the client talk to a real server: lengths known and unknown, redirects, cookies.
func TestClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/set":
			for _, c := range []*http.Cookie{{Name: "a", Value: "1", Path: "/"}, {Name: "a", Value: "2", Path: "/"}, {Name: "b", Value: "3=4"}, {Name: "c", Value: "5", MaxAge: 60}} {
				http.SetCookie(w, c)
			}
			http.Redirect(w, r, "/there", http.StatusSeeOther)
		case "/long":
			for range 100 {
				_, _ = io.WriteString(w, strings.Repeat("x", 100))
				w.(http.Flusher).Flush()
			}
		default:
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, r.Method+" "+string(body)+" "+r.Header.Get("Cookie")+" "+r.Header.Get("Authorization"))
		}
	}))
	defer server.Close()
	c := &client{host: strings.TrimPrefix(server.URL, "http://"), from: netip.MustParseAddr("127.1.2.3")}
	if err := c.connect(); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, step := range []struct {
		name           string
		do             func() (answer, error)
		status         int
		location, body string
	}{
		{"redirect", func() (answer, error) { return c.get("/set") }, 303, "/there", ""},
		{"chunks", func() (answer, error) { return c.get("/long") }, 200, "", strings.Repeat("x", 10000)},
		{"form", func() (answer, error) { return c.post("/", "k=v", "") }, 200, "", "POST k=v a=2; b=3=4; c=5 "},
		{"site", func() (answer, error) { return c.post("/", "k=v", "Basic x") }, 200, "", "POST k=v  Basic x"},
		{"closed", func() (answer, error) { c.quit(); return c.get("/") }, 200, "", "GET  c=5 "},
	} {
		a, err := step.do()
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if a.status != step.status || a.location != step.location || (step.location == "" && string(a.body) != step.body) {
			t.Errorf("%s: %d, %q, %.80q", step.name, a.status, a.location, a.body)
		}
	}
}

func TestTypical(t *testing.T) {
	t.Parallel()
	runs := []Run{{Logins: 30, Took: time.Second}, {Logins: 10, Took: time.Second}, {Logins: 20, Took: time.Second}}
	if m := typical(runs); m.Logins != 20 {
		t.Errorf("typical is the run of %d", m.Logins)
	}
	if m := typical(runs[:2]); m.Logins != 10 {
		t.Errorf("typical of two is the run of %d, want the lower", m.Logins)
	}
}

// FuzzAnswer reads any bytes as an answer: it must end, within its limits.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 303 See Other\r\nLocation: /a\r\nSet-Cookie: a=b; Path=/\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 2", "\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		c := &client{reader: bufio.NewReader(strings.NewReader(wire))}
		if a, err := c.read(true); err == nil && len(a.body) > maxAnswer {
			t.Errorf("a body of %d bytes", len(a.body))
		}
	})
}

// FuzzStat parses any bytes as a process's status: none may panic, and a name is part of its line.
func FuzzStat(f *testing.F) {
	f.Add("42 (a (b) c) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 5 0 123")
	f.Add("1 () S")
	f.Fuzz(func(t *testing.T, line string) {
		if s, err := parseStat([]byte(line)); err == nil && !strings.Contains(line, "("+s.name+")") {
			t.Errorf("%q has the name %q", line, s.name)
		}
	})
}
