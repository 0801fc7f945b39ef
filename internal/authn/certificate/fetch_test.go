package certificate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"github.com/anyid/anyid/internal/outbound"
)

var loopback = outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

const entryURL = "/ou=dp4p1,ou=AccreditedCA,o=yessign,c=kr?certificateRevocationList"

func TestParseLDAP(t *testing.T) {
	t.Parallel()
	good := entry{"ds.yessign.or.kr:389", "ou=dp5p2049,ou=AccreditedCA,o=yessign,c=kr", "certificateRevocationList"}
	for _, tt := range []struct {
		url  string
		want entry
	}{
		{"ldap://ds.yessign.or.kr:389/ou=dp5p2049,ou=AccreditedCA,o=yessign,c=kr?certificateRevocationList", good},
		{"ldap://ds.yessign.or.kr/ou=dp5p2049,ou=AccreditedCA,o=yessign,c=kr?certificateRevocationList;binary", good},
		{"ldap://ds.yessign.or.kr:389/ou=dp5p2049,ou=AccreditedCA,o=yessign,c=kr?CERTIFICATEREVOCATIONLIST;BINARY?base?(objectClass=*)", good},
		{"ldap://ds.yessign.or.kr:389/ou=dp5p2049%2cou=AccreditedCA,o=yessign,c=kr?certificateRevocationList??", good},
		{"ldap://dirsys.rootca.or.kr:389/CN=KISA RootCA 4,O=KISA,C=KR?authorityRevocationList", entry{"dirsys.rootca.or.kr:389", "CN=KISA RootCA 4,O=KISA,C=KR", "authorityRevocationList"}},
		{"ldap://[::1]:1389/c=kr?deltaRevocationList", entry{"[::1]:1389", "c=kr", "deltaRevocationList"}},
		{"ldap:///c=kr?certificateRevocationList", entry{}},
		{"ldap://ds.yessign.or.kr/?certificateRevocationList", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr?userPassword", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr?certificateRevocationList;lang-ko", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr?certificateRevocationList?sub", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr?certificateRevocationList?base?(uid=a)", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr?certificateRevocationList?base??!bindname=cn=a", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr?certificateRevocationList,cACertificate", entry{}},
		{"ldap://ds.yessign.or.kr/c=kr?%zz", entry{}},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseLDAP(u)
		if got != tt.want || (err == nil) != (tt.want != entry{}) {
			t.Errorf("%s: %+v, %v", tt.url, got, err)
		}
	}
}

func FuzzParseLDAP(f *testing.F) {
	f.Add("ldap://ds.yessign.or.kr:389/ou=dp5p2049,ou=AccreditedCA,o=yessign,c=kr?certificateRevocationList;binary?base?(objectClass=*)")
	f.Add("ldap://[::1]/c=kr?authorityRevocationList")
	f.Add("ldap://a/b?c?d?e?f")
	f.Add("ldap://h/%2f?deltarevocationlist%3bbinary")
	f.Fuzz(func(t *testing.T, address string) {
		u, err := url.Parse(address)
		if err != nil {
			return
		}
		e, err := parseLDAP(u)
		if err != nil {
			return
		}
		// What is asked is said again, and read alike.
		again, err := url.Parse((&url.URL{Scheme: "ldap", Host: e.address, Path: "/" + e.dn, RawQuery: e.attribute + ";binary"}).String())
		if err != nil {
			return // a host that url writes and does not read
		}
		if second, err := parseLDAP(again); err != nil || second != e {
			t.Errorf("%q: %+v, then %+v, %v", address, e, second, err)
		}
	})
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	list := strings.Repeat("list", 1000)
	for _, tt := range []struct {
		name   string
		answer func(id int64, dn, attribute string) []*ber.Packet
		want   string // part of the error; empty: the list
	}{
		{"a list", func(id int64, dn, attribute string) []*ber.Packet {
			return []*ber.Packet{found(id, dn, attribute, list), done(id, 0)}
		}, ""},
		{"an attribute without its option", func(id int64, dn, _ string) []*ber.Packet {
			return []*ber.Packet{found(id, dn, "CertificateRevocationList", list), done(id, 0)}
		}, ""},
		{"no entry", func(id int64, _, _ string) []*ber.Packet { return []*ber.Packet{done(id, 32)} }, "No Such Object"},
		{"nothing found", func(id int64, _, _ string) []*ber.Packet { return []*ber.Packet{done(id, 0)} }, "no entry"},
		{"two entries", func(id int64, dn, attribute string) []*ber.Packet {
			return []*ber.Packet{found(id, dn, attribute, list), found(id, dn, attribute, list), done(id, 0)}
		}, "size limit"},
		{"another attribute", func(id int64, dn, _ string) []*ber.Packet {
			return []*ber.Packet{found(id, dn, "authorityRevocationList;binary", list), done(id, 0)}
		}, "not one such list"},
		{"two lists", func(id int64, dn, attribute string) []*ber.Packet {
			return []*ber.Packet{found(id, dn, attribute, list, list), done(id, 0)}
		}, "not one such list"},
		{"a referral", func(id int64, _, _ string) []*ber.Packet {
			return []*ber.Packet{done(id, 10, "ldap://127.0.0.1:1/c=kr")}
		}, "Referral"},
		{"a list that is too long", func(id int64, dn, attribute string) []*ber.Packet {
			return []*ber.Packet{found(id, dn, attribute, strings.Repeat("l", maxAnswer+1)), done(id, 0)}
		}, "too large"},
		{"an answer without end", func(id int64, dn, attribute string) []*ber.Packet {
			return []*ber.Packet{found(id, dn, attribute, strings.Repeat("l", 2*maxAnswer)), done(id, 0)}
		}, ""},
		{"an answer to another question", func(id int64, dn, attribute string) []*ber.Packet {
			return []*ber.Packet{found(id+7, dn, attribute, list), done(id+7, 0)}
		}, "deadline"},
		{"silence", func(int64, string, string) []*ber.Packet { return nil }, "deadline"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDirectory(t)
			d.answer = tt.answer
			patience := time.Minute // a busy machine takes its time over a megabyte
			if tt.want == "deadline" {
				patience = 500 * time.Millisecond
			}
			f := newFetcher(outbound.Client(loopback), Dial(outbound.Dial(loopback)), patience)
			raw, err := f.FetchCRL(t.Context(), "ldap://"+d.address()+entryURL)
			switch {
			case tt.name == "an answer without end":
				if err == nil {
					t.Error("taken")
				}
			case tt.want == "" && (err != nil || string(raw) != list):
				t.Errorf("%d bytes, %v", len(raw), err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDirectoryOutOfReach(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	guarded := newFetcher(outbound.Client(outbound.Config{}), Dial(outbound.Dial(outbound.Config{})), time.Second)
	for _, address := range []string{"ldap://" + d.address() + entryURL, "http://" + d.address() + "/list"} {
		if _, err := guarded.FetchCRL(t.Context(), address); !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("%s: %v", address, err)
		}
	}
	f := newFetcher(outbound.Client(loopback), Dial(outbound.Dial(loopback)), time.Second)
	for _, address := range []string{"ldap://" + d.address() + "/c=kr?userPassword", "ldap://%zz/", "http://%zz/", "ftp://" + d.address() + "/"} {
		if _, err := f.FetchCRL(t.Context(), address); err == nil {
			t.Errorf("%s: taken", address)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.answer = func(int64, string, string) []*ber.Packet { cancel(); return nil }
	slow := newFetcher(outbound.Client(loopback), Dial(outbound.Dial(loopback)), time.Minute)
	if _, err := slow.FetchCRL(ctx, "ldap://"+d.address()+entryURL); err == nil {
		t.Error("an answer after the caller has gone")
	}
}

// A directory that nests its answer makes nobody keep a megabyte once for every level.
func TestNestedAnswer(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	d.answer = func(int64, string, string) []*ber.Packet {
		p := ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(make([]byte, 1000)), "")
		for range 100 {
			outer := ber.NewSequence("")
			outer.AppendChild(p)
			p = outer
		}
		return []*ber.Packet{p}
	}
	f := newFetcher(outbound.Client(loopback), Dial(outbound.Dial(loopback)), time.Minute)
	if _, err := f.FetchCRL(t.Context(), "ldap://"+d.address()+entryURL); err == nil || !strings.Contains(err.Error(), "nesting") {
		t.Errorf("error %v", err)
	}
}

// FuzzDirectory holds a directory that sends anything to an error or to a list that it has sent.
func FuzzDirectory(f *testing.F) {
	f.Add(append(found(1, "c=kr", "certificateRevocationList;binary", "list").Bytes(), done(1, 0).Bytes()...))
	f.Add(done(1, 10, "ldap://127.0.0.1/").Bytes())
	f.Add([]byte{0x30, 0x80, 0x02, 0x01, 0x01, 0, 0})
	f.Add([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02})
	f.Add([]byte{})
	u, err := url.Parse("ldap://directory.invalid" + entryURL)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer func() { _ = there.Close() }()
				if _, err := ber.ReadPacket(there); err == nil {
					_, _ = there.Write(answer)
				}
			}()
			return here, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		raw, err := (&fetcher{dial: dial, timeout: 5 * time.Second}).search(ctx, u)
		if err == nil && !bytes.Contains(answer, raw) {
			t.Errorf("%d bytes that were not sent", len(raw))
		}
	})
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /list", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "list") })
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/list", http.StatusFound) })
	mux.HandleFunc("GET /long", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+1)) })
	mux.HandleFunc("GET /slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("POST /ocsp", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/ocsp-request" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f := newFetcher(outbound.Client(loopback), Dial(outbound.Dial(loopback)), time.Minute)
	if raw, err := f.FetchCRL(t.Context(), server.URL+"/list"); err != nil || string(raw) != "list" {
		t.Errorf("%q, %v", raw, err)
	}
	hasty := newFetcher(outbound.Client(loopback), Dial(outbound.Dial(loopback)), 300*time.Millisecond)
	if _, err := hasty.FetchCRL(t.Context(), server.URL+"/slow"); err == nil {
		t.Error("/slow: taken")
	}
	for _, path := range []string{"/moved", "/long", "/none"} {
		if raw, err := f.FetchCRL(t.Context(), server.URL+path); err == nil {
			t.Errorf("%s: %d bytes", path, len(raw))
		}
	}
	if raw, err := f.QueryOCSP(t.Context(), server.URL+"/ocsp", []byte("request")); err != nil || string(raw) != "request" {
		t.Errorf("%q, %v", raw, err)
	}
	for _, address := range []string{server.URL + "/list", "http://%zz/"} {
		if raw, err := f.QueryOCSP(t.Context(), address, nil); err == nil {
			t.Errorf("%s: %d bytes", address, len(raw))
		}
	}
}
