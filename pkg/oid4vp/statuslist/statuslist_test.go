package statuslist

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/testca"
)

const uri = "https://status.example/lists/1"

// The two lists that Token Status List §4.1 and §4.2 write out: their statuses, and lst.
var printed = []struct {
	bits     int
	statuses []Status
	lst      string
}{
	{1, []Status{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}, "eNrbuRgAAhcBXQ"},
	{2, []Status{1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3}, "eNo76fITAAPfAgc"},
}

func TestSpecificationVectors(t *testing.T) {
	t.Parallel()
	for _, c := range printed {
		bits, data, err := decode(uint64(c.bits), c.lst, MaxList)
		if err != nil {
			t.Fatal(err)
		}
		list := &List{Bits: bits, data: data}
		if list.Len() != uint64(len(c.statuses)) {
			t.Errorf("%d bits: %d statuses", c.bits, list.Len())
		}
		for i, want := range c.statuses {
			if got, err := list.Status(uint64(i)); err != nil || got != want {
				t.Errorf("%d bits, %d: %d, %v; want %d", c.bits, i, got, err, want)
			}
		}
		// The compressor behind these is another, so only what they hold can be compared.
		lst, err := Encode(c.statuses, c.bits)
		if err != nil {
			t.Fatal(err)
		}
		if _, back, err := decode(uint64(c.bits), lst, MaxList); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d bits: encoded %x, printed %x, %v", c.bits, back, data, err)
		}
	}
}

func TestEncodeAndDecode(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{1, 2, 4, 8} {
		statuses := make([]Status, 1001)
		for i := range statuses {
			statuses[i] = Status(i*7) & Status(1<<bits-1)
		}
		lst, err := Encode(statuses, bits)
		if err != nil {
			t.Fatal(err)
		}
		_, data, err := decode(uint64(bits), lst, MaxList)
		if err != nil {
			t.Fatal(err)
		}
		list := &List{Bits: bits, data: data}
		for i, want := range statuses {
			if got, err := list.Status(uint64(i)); err != nil || got != want {
				t.Fatalf("%d bits, %d: %d, %v; want %d", bits, i, got, err, want)
			}
		}
		for _, outside := range []uint64{list.Len(), 1 << 40, 1<<64 - 1} {
			if _, err := list.Status(outside); !errors.Is(err, oid4vp.ErrMalformed) {
				t.Errorf("index %d: %v", outside, err)
			}
		}
	}
	for _, c := range []struct {
		statuses []Status
		bits     int
	}{{nil, 3}, {nil, 0}, {nil, 16}, {[]Status{2}, 1}, {[]Status{16}, 4}} {
		if _, err := Encode(c.statuses, c.bits); !errors.Is(err, oid4vp.ErrInput) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// world is an issuer of lists and its verifier.
type world struct {
	token    Token
	verifier Verifier
	ca       *testca.CA
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	ca := testca.New(tb, "Status CA")
	key := testca.Key(tb)
	return &world{
		ca: ca, verifier: Verifier{Roots: ca.Pool()},
		token: Token{
			URI: uri, Statuses: []Status{Valid, Invalid, Suspended, 3}, Bits: 2, IssuedAt: testca.Now,
			Expires: testca.Now.Add(time.Hour), TTL: 10 * time.Minute, Key: key, Chain: ca.Issue(tb, key.Public(), "status.example", ""),
		},
	}
}

func sign(tb testing.TB, token Token) string {
	tb.Helper()
	text, err := token.Sign()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func deflate(data []byte) string {
	var out bytes.Buffer
	writer := zlib.NewWriter(&out)
	_, _ = writer.Write(data)
	_ = writer.Close()
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
}

func lst(bits any, text any) func(_, payload map[string]any) {
	return func(_, payload map[string]any) { payload["status_list"] = map[string]any{"bits": bits, "lst": text} }
}

func member(name string, value any) func(_, payload map[string]any) {
	return func(_, payload map[string]any) { payload[name] = value }
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list, err := w.verifier.Verify(sign(t, w.token), uri, testca.Now)
	if err != nil {
		t.Fatal(err)
	}
	if list.URI != uri || !list.IssuedAt.Equal(testca.Now) || !list.Expires.Equal(testca.Now.Add(time.Hour)) || list.TTL != 10*time.Minute ||
		list.Bits != 2 || list.Len() != 4 || len(list.Issuer) != 2 {
		t.Errorf("%+v", list)
	}
	for _, c := range []struct {
		fetched time.Time
		atMost  time.Duration
		want    time.Time
	}{
		{testca.Now, time.Hour, testca.Now.Add(10 * time.Minute)},
		{testca.Now, time.Minute, testca.Now.Add(time.Minute)},
		{testca.Now.Add(55 * time.Minute), time.Hour, testca.Now.Add(time.Hour)},
	} {
		if got := list.FreshUntil(c.fetched, c.atMost); !got.Equal(c.want) {
			t.Errorf("FreshUntil(%v, %v) = %v", c.fetched, c.atMost, got)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := testca.Key(t)
	for name, c := range map[string]struct {
		token    func(*Token)
		verifier func(*Verifier)
		after    func(string) string
		want     oid4vp.Code
	}{
		"bomb": {token: func(s *Token) { s.Edit = lst(1, deflate(make([]byte, 16<<20))) }, want: oid4vp.ErrTooLarge},
		"one byte too many": {token: func(s *Token) { s.Edit = lst(1, deflate(make([]byte, 11))) },
			verifier: func(v *Verifier) { v.MaxList = 10 }, want: oid4vp.ErrTooLarge},
		"token too long":      {after: func(s string) string { return s + strings.Repeat("A", MaxToken) }, want: oid4vp.ErrTooLarge},
		"typ":                 {token: func(s *Token) { s.Edit = func(h, _ map[string]any) { h["typ"] = "JWT" } }, want: oid4vp.ErrMalformed},
		"typ of a CWT":        {token: func(s *Token) { s.Edit = func(h, _ map[string]any) { h["typ"] = "application/statuslist+cwt" } }, want: oid4vp.ErrMalformed},
		"sub of another list": {token: func(s *Token) { s.URI += "1" }, want: oid4vp.ErrMalformed},
		"without sub":         {token: func(s *Token) { s.Edit = member("sub", nil) }, want: oid4vp.ErrMalformed},
		"signature":           {token: func(s *Token) { s.Key = stranger }, want: oid4vp.ErrSignature},
		"alg none": {after: func(s string) string {
			return "eyJhbGciOiJub25lIiwidHlwIjoic3RhdHVzbGlzdCtqd3QifQ" + "." + strings.SplitN(s, ".", 2)[1]
		}, want: oid4vp.ErrUnsupported},
		"without x5c":       {token: func(s *Token) { s.Chain = nil }, want: oid4vp.ErrMissing},
		"another CA":        {verifier: func(v *Verifier) { v.Roots = testca.New(t, "x").Pool() }, want: oid4vp.ErrUntrusted},
		"no anchors":        {verifier: func(v *Verifier) { v.Roots = nil }, want: oid4vp.ErrInput},
		"algorithm of ours": {verifier: func(v *Verifier) { v.Algorithms = []string{"HS256"} }, want: oid4vp.ErrInput},
		"certificate expired": {token: func(s *Token) {
			s.Chain = w.ca.Issue(t, s.Key.Public(), "", "", func(c *x509.Certificate) { c.NotAfter = testca.Now.Add(-1) })
		}, want: oid4vp.ErrExpired},
		"expired":                {token: func(s *Token) { s.Expires = testca.Now }, want: oid4vp.ErrExpired},
		"exp that is no number":  {token: func(s *Token) { s.Edit = member("exp", "x") }, want: oid4vp.ErrMalformed},
		"iat in the future":      {token: func(s *Token) { s.IssuedAt = testca.Now.Add(6 * time.Minute) }, want: oid4vp.ErrNotYetValid},
		"iat that is no number":  {token: func(s *Token) { s.Edit = member("iat", true) }, want: oid4vp.ErrMalformed},
		"without iat":            {token: func(s *Token) { s.Edit = func(_, p map[string]any) { delete(p, "iat") } }, want: oid4vp.ErrMissing},
		"ttl 0":                  {token: func(s *Token) { s.Edit = member("ttl", 0) }, want: oid4vp.ErrMalformed},
		"ttl below 0":            {token: func(s *Token) { s.Edit = member("ttl", -1) }, want: oid4vp.ErrMalformed},
		"ttl of centuries":       {token: func(s *Token) { s.Edit = member("ttl", json.Number("18446744073709551615")) }, want: oid4vp.ErrMalformed},
		"without status_list":    {token: func(s *Token) { s.Edit = member("status_list", "x") }, want: oid4vp.ErrMissing},
		"bits 3":                 {token: func(s *Token) { s.Edit = lst(3, deflate([]byte{1})) }, want: oid4vp.ErrMalformed},
		"bits 16":                {token: func(s *Token) { s.Edit = lst(16, deflate([]byte{1})) }, want: oid4vp.ErrMalformed},
		"bits as a string":       {token: func(s *Token) { s.Edit = lst("1", deflate([]byte{1})) }, want: oid4vp.ErrMalformed},
		"bits with a fraction":   {token: func(s *Token) { s.Edit = lst(json.Number("1.0"), deflate([]byte{1})) }, want: oid4vp.ErrMalformed},
		"lst that is no string":  {token: func(s *Token) { s.Edit = lst(1, 1) }, want: oid4vp.ErrMissing},
		"lst with padding":       {token: func(s *Token) { s.Edit = lst(1, deflate([]byte{1, 2})+"=") }, want: oid4vp.ErrMalformed},
		"lst that is no zlib":    {token: func(s *Token) { s.Edit = lst(1, "AAAA") }, want: oid4vp.ErrMalformed},
		"lst cut off":            {token: func(s *Token) { s.Edit = lst(1, deflate(testNoise)[:100]) }, want: oid4vp.ErrMalformed},
		"lst with bytes behind":  {token: func(s *Token) { s.Edit = lst(1, behind(deflate([]byte{1}))) }, want: oid4vp.ErrMalformed},
		"lst with wrong sum":     {token: func(s *Token) { s.Edit = lst(1, wrongSum(deflate([]byte{1, 2, 3}))) }, want: oid4vp.ErrMalformed},
		"lst of nothing":         {token: func(s *Token) { s.Edit = lst(1, deflate(nil)) }, want: oid4vp.ErrMalformed},
		"token that is no token": {after: func(string) string { return "x" }, want: oid4vp.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, verifier := w.token, w.verifier
			if c.token != nil {
				c.token(&token)
			}
			if c.verifier != nil {
				c.verifier(&verifier)
			}
			text := sign(t, token)
			if c.after != nil {
				text = c.after(text)
			}
			if list, err := verifier.Verify(text, uri, testca.Now); list != nil || !errors.Is(err, c.want) {
				t.Errorf("%v, %v; want %q", list, err, c.want)
			}
		})
	}
}

var testNoise = func() []byte {
	out := make([]byte, 1000)
	for i := range out {
		out[i] = byte(i * i * 31)
	}
	return out
}()

func behind(text string) string {
	data, _ := base64.RawURLEncoding.DecodeString(text)
	return base64.RawURLEncoding.EncodeToString(append(data, 0))
}

func wrongSum(text string) string {
	data, _ := base64.RawURLEncoding.DecodeString(text)
	data[len(data)-1] ^= 1
	return base64.RawURLEncoding.EncodeToString(data)
}

func TestParseReference(t *testing.T) {
	t.Parallel()
	reference := func(idx, uri any) any {
		return map[string]any{"status_list": map[string]any{"idx": idx, "uri": uri}}
	}
	got, err := ParseReference(reference(json.Number("412"), uri))
	if err != nil || *got != (oid4vp.StatusReference{URI: uri, Index: 412}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseReference(reference(json.Number("0"), "http://127.0.0.1:8080/1")); err != nil {
		t.Errorf("on the loopback: %v", err)
	}
	for _, bad := range []any{
		nil, 1, map[string]any{}, map[string]any{"status_list": nil}, map[string]any{"status_list": 1}, reference(nil, uri), reference("1", uri),
		reference(json.Number("-1"), uri), reference(json.Number("1.5"), uri), reference(json.Number("1e3"), uri),
		reference(json.Number("1"), nil), reference(json.Number("1"), "http://status.example/1"), reference(json.Number("1"), "file:///etc/passwd"),
		reference(json.Number("1"), "https://u:p@status.example/1"), reference(json.Number("1"), "https://status.example/1#x"),
		reference(json.Number("1"), "https://"+strings.Repeat("a", 3000)), reference(json.Number("1"), "https:///x"),
	} {
		if got, err := ParseReference(bad); got != nil || err == nil {
			t.Errorf("%v: %+v", bad, got)
		}
	}
}

// fetcher is a small client of the kind that a service would have: one GET, and a copy as long as it is fresh.
type fetcher struct {
	client   *http.Client
	verifier *Verifier
	now      time.Time
	kept     *List
	until    time.Time
}

func (f *fetcher) FetchStatusList(ctx context.Context, uri string) (*List, error) {
	if f.kept != nil && f.kept.URI == uri && f.now.Before(f.until) {
		return f.kept, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", MediaType)
	response, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != MediaType {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxToken+1))
	if err != nil {
		return nil, err
	}
	list, err := f.verifier.Verify(string(body), uri, f.now)
	if err != nil {
		return nil, err
	}
	f.kept, f.until = list, list.FreshUntil(f.now, time.Hour)
	return list, nil
}

// TestChecker fetches over HTTP, and again only when the list is no longer fresh.
func TestChecker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var asked atomic.Int32
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if down.Load() {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		token := w.token
		token.URI = "http://" + r.Host + r.URL.Path
		if r.URL.Path == "/bomb" {
			token.Edit = lst(1, deflate(make([]byte, 4<<20)))
		}
		text, err := token.Sign()
		if err != nil {
			t.Error(err)
		}
		rw.Header().Set("Content-Type", MediaType)
		_, _ = io.WriteString(rw, text)
	}))
	t.Cleanup(server.Close)
	f := &fetcher{client: server.Client(), verifier: &w.verifier, now: testca.Now}
	checker := &Checker{Lists: f}
	for index, want := range []error{nil, oid4vp.ErrRevoked, oid4vp.ErrSuspended, oid4vp.ErrSuspended, oid4vp.ErrMalformed} {
		err := checker.CheckStatus(t.Context(), oid4vp.StatusReference{URI: server.URL + "/1", Index: uint64(index)}, f.now)
		if !errors.Is(err, want) {
			t.Errorf("index %d: %v, want %v", index, err, want)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	f.now = testca.Now.Add(11 * time.Minute) // beyond the ttl
	down.Store(true)
	err := checker.CheckStatus(t.Context(), oid4vp.StatusReference{URI: server.URL + "/1"}, f.now)
	if fault, ok := errors.AsType[*oid4vp.Error](err); !errors.Is(err, oid4vp.ErrUnavailable) || !ok || fault.Status() != http.StatusServiceUnavailable {
		t.Errorf("down: %v", err)
	}
	down.Store(false)
	if err := checker.CheckStatus(t.Context(), oid4vp.StatusReference{URI: server.URL + "/bomb"}, f.now); !errors.Is(err, oid4vp.ErrTooLarge) {
		t.Errorf("bomb: %v", err)
	}
	kept := &Checker{Lists: fixed{f.kept}}
	if err := kept.CheckStatus(t.Context(), oid4vp.StatusReference{URI: f.kept.URI}, testca.Now.Add(time.Hour)); !errors.Is(err, oid4vp.ErrExpired) {
		t.Errorf("kept too long: %v", err)
	}
	if err := kept.CheckStatus(t.Context(), oid4vp.StatusReference{URI: uri}, testca.Now); !errors.Is(err, oid4vp.ErrInput) {
		t.Errorf("another list: %v", err)
	}
}

type fixed struct{ list *List }

func (f fixed) FetchStatusList(context.Context, string) (*List, error) { return f.list, nil }

// FuzzDecode: what is accepted has the size that it says, and is what Encode would compress.
func FuzzDecode(f *testing.F) {
	for _, c := range printed {
		f.Add(uint64(c.bits), c.lst)
	}
	f.Add(uint64(8), deflate(make([]byte, 100000)))
	f.Add(uint64(4), "AAAA")
	f.Add(uint64(3), "eNrbuRgAAhcBXQ")
	f.Fuzz(func(t *testing.T, bits uint64, text string) {
		const limit = 1 << 12
		n, data, err := decode(bits, text, limit)
		if err != nil {
			return
		}
		list := &List{Bits: n, data: data}
		if len(data) > limit || list.Len() != uint64(len(data)*8/n) {
			t.Fatalf("%d bytes, %d statuses", len(data), list.Len())
		}
		statuses := make([]Status, list.Len())
		for i := range statuses {
			if statuses[i], err = list.Status(uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Encode(statuses, n)
		if err != nil {
			t.Fatal(err)
		}
		if _, back, err := decode(bits, again, limit); err != nil || !slices.Equal(back, data) {
			t.Fatalf("%v, %v", back, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	good := sign(f, w.token)
	f.Add(good)
	f.Add("")
	f.Add("a.b.c")
	f.Add(good[:len(good)-4] + "AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := w.verifier.Verify(text, uri, testca.Now)
		if err == nil && text != good {
			t.Fatalf("accepted %q", text)
		}
		if _, ok := errors.AsType[*oid4vp.Error](err); err != nil && !ok {
			t.Fatalf("%T", err)
		}
	})
}
