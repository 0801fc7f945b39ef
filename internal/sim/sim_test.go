package sim_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

func TestListenOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		if ln, err := sim.Listen(address); err == nil {
			ln.Close()
			t.Errorf("listens on %q", address)
		}
	}
	ln, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if ip := ln.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		t.Errorf("listens on %v", ip)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- sim.Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	}()
	resp, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != "here" {
		t.Errorf("%q, %v", body, err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("serves on")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	f := sim.NewFaults(sim.Fault{Name: "slow", Meaning: "waits"}, sim.Fault{Name: "broken", Meaning: "breaks"})
	strikes := func(name string, keys ...string) bool {
		_, struck := f.Strike(name, keys...)
		return struck
	}
	if strikes("slow") {
		t.Error("strikes while off")
	}
	for _, bad := range []sim.Switch{{Name: "unknown"}, {Name: "slow", Uses: -1}, {Name: "slow", DelayMS: -1}} {
		if f.Set(bad) == nil {
			t.Errorf("took %+v", bad)
		}
	}
	if err := f.Set(sim.Switch{Name: "slow", Uses: 2, Only: "kakao", DelayMS: 5}); err != nil {
		t.Fatal(err)
	}
	if strikes("broken", "kakao") || strikes("slow") || strikes("slow", "toss") {
		t.Error("strikes what it is not set for")
	}
	s, struck := f.Strike("slow", "toss", "kakao")
	if !struck || s.Delay(time.Hour) != 5*time.Millisecond || (sim.Switch{}).Delay(time.Hour) != time.Hour {
		t.Errorf("%+v, %v", s, struck)
	}
	if !strikes("slow", "kakao") || strikes("slow", "kakao") || len(f.On()) != 0 {
		t.Error("does not end after its uses")
	}
	for _, name := range []string{"slow", "broken"} {
		if err := f.Set(sim.Switch{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	f.Clear("slow")
	if strikes("slow") || !strikes("broken") {
		t.Error("cleared the wrong one")
	}
	f.Clear()
	if strikes("broken") || len(f.Table()) != 2 {
		t.Error("not cleared")
	}
}

func TestFaultsRace(t *testing.T) {
	t.Parallel()
	f := sim.NewFaults(sim.Fault{Name: "once"})
	if err := f.Set(sim.Switch{Name: "once", Uses: 3}); err != nil {
		t.Fatal(err)
	}
	var struck atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if _, hit := f.Strike("once"); hit {
				struck.Add(1)
			}
		})
	}
	wg.Wait()
	if struck.Load() != 3 {
		t.Errorf("%d strikes, want 3", struck.Load())
	}
}

func TestFaultsAPI(t *testing.T) {
	t.Parallel()
	f := sim.NewFaults(sim.Fault{Name: "slow", Meaning: "waits"})
	for _, step := range []struct {
		method, target, body string
		status               int
		on                   []sim.Switch
	}{
		{"GET", "/", "", 200, []sim.Switch{}},
		{"POST", "/", `{"name":"slow","uses":2,"only":"kakao"}`, 200, []sim.Switch{{Name: "slow", Uses: 2, Only: "kakao"}}},
		{"DELETE", "/?name=other", "", 200, []sim.Switch{{Name: "slow", Uses: 2, Only: "kakao"}}},
		{"DELETE", "/?name=slow", "", 200, []sim.Switch{}},
		{"POST", "/", `{"name":"fast"}`, 400, nil},
		{"POST", "/", `{"name":"slow","unknown":1}`, 400, nil},
		{"POST", "/", `{"name":"slow"}{}`, 400, nil},
		{"PUT", "/", `{}`, 405, nil},
	} {
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, httptest.NewRequest(step.method, step.target, strings.NewReader(step.body)))
		if w.Code != step.status {
			t.Errorf("%s %s %s: %d", step.method, step.target, step.body, w.Code)
		}
		if step.on == nil {
			continue
		}
		var got struct {
			Table []sim.Fault
			On    []sim.Switch
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Table) != 1 || len(got.On) != len(step.on) || len(got.On) > 0 && got.On[0] != step.on[0] {
			t.Errorf("%s %s: %s", step.method, step.target, w.Body)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := sim.Pages(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for name, row := range map[string]struct {
		method, host, site string
		want               int
	}{
		"own page":          {"GET", "127.0.0.1:8080", "", 204},
		"own form":          {"POST", "localhost:8080", "same-origin", 204},
		"named below":       {"GET", "phone.localhost:8080", "", 204},
		"IPv6":              {"GET", "[::1]:8080", "", 204},
		"test without site": {"POST", "127.0.0.1", "", 204},
		"another site":      {"POST", "localhost:8080", "cross-site", 403},
		"rebound name":      {"GET", "evil.example:8080", "same-origin", 421},
	} {
		r := httptest.NewRequest(row.method, "/", nil)
		r.Host = row.host
		if row.site != "" {
			r.Header.Set("Sec-Fetch-Site", row.site)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("%s: %d, want %d", name, w.Code, row.want)
		}
		if row.want == 204 && !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no policy", name)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", sim.StylesheetPath, nil)
	r.Host = "localhost"
	h.ServeHTTP(w, r)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") || w.Body.Len() == 0 {
		t.Errorf("stylesheet: %d", w.Code)
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	a, err := sim.NewAuthority("root")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := a.Issue(pkix.Name{CommonName: "홍길동"})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("no PEM")
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Error(err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the key is not the certificate's")
	}
	other, err := sim.NewAuthority("root")
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignatureFrom(other.Certificate); err == nil {
		t.Error("two starts have one key")
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{`{"a":1}`: true, `{"b":1}`: false, `{"a":1} {}`: false, ``: false, `{"a":1,` + strings.Repeat(" ", 70<<10) + `"a":1}`: false} {
		var v struct{ A int }
		err := sim.ReadJSON(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body)), &v)
		if (err == nil) != ok || errors.Is(err, io.EOF) && body != "" {
			t.Errorf("%.20q: %v", body, err)
		}
	}
}
