package jointcert_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

func TestCheckNumber(t *testing.T) {
	t.Parallel()
	// Anybody's: the connector answers to these too.
	for _, tt := range []struct{ name, number, born, gender, nationality string }{
		{"trap 14: a check digit of the new kind", number, "1801-01-01", "male", "domestic"},
		{"the old kind", "0101019000001", "1801-01-01", "male", "domestic"},
		{"trap 15: the century from the seventh digit", "0002293000000", "2000-02-29", "male", "domestic"},
		{"a foreigner", "0101015000003", "1901-01-01", "male", "foreign"},
		{"a woman", "9001012345678", "1990-01-01", "female", "domestic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withNumber, alone, anybody(http.StatusOK, `{"ci":"`+ci(2)+`"}`))
			who := w.enroll(w.ca, npkitest.Applicant{Name: name, Number: tt.number, Policy: general})
			_, _, e := w.login(who)
			got, err := w.CheckNumber(t.Context(), e, authn.ResidentNumber{Digits: []byte(tt.number), Message: w.vid(who)})
			if err != nil {
				t.Fatal(err)
			}
			want := e
			want.CI = ci(2)
			want.Attributes = authn.Attributes{Name: name, BirthDate: tt.born, Gender: tt.gender, Nationality: tt.nationality}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if strings.Contains(w.log.String()+fmt.Sprint(got), tt.number) {
				t.Error("the number is in the evidence or the log")
			}
		})
	}
}

// anybody is a connector with one answer, as JSON or, from 400 up, as a problem.
func anybody(status int, body string) setup {
	return func(w *world) {
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			kind := "application/json"
			if status >= 400 {
				kind = "application/problem+json"
			}
			rw.Header().Set("Content-Type", kind)
			rw.Header().Set("Location", "http://127.0.0.1:1/")
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, body)
		}))
		w.t.Cleanup(server.Close)
		w.config.ResolverURL, w.config.ResolverKey = server.URL, "k"
	}
}

func TestNumberRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(w *world, who *npkitest.Holder, n *authn.ResidentNumber)
		code   authn.Code
	}{
		{"the right one", func(*world, *npkitest.Holder, *authn.ResidentNumber) {}, ""},
		{"another number", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Digits = []byte("0101019000001") }, authn.NumberMismatch},
		{"another person's VID", func(w *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Message = w.vid(w.person(general)) }, authn.NumberMismatch},
		{"no number", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Digits = nil }, authn.NumberMismatch},
		{"with a hyphen", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Digits = []byte("010101-9000007") }, authn.NumberMismatch},
		{"no day of the calendar", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Digits = []byte("0002291000000") }, authn.NumberMismatch},
		{"born tomorrow", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Digits = []byte("9912313000000") }, authn.NumberMismatch},
		{"no message", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Message = "" }, authn.NumberMismatch},
		{"a message of text", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Message = "메시지" }, authn.NumberMismatch},
		{"half a message", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) { n.Message = n.Message[:len(n.Message)/2] }, authn.NumberMismatch},
		{"trap 20: wrong padding", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) {
			raw, _ := hex.DecodeString(n.Message)
			raw[3] ^= 1 // in the RSA block
			n.Message = hex.EncodeToString(raw)
		}, authn.NumberMismatch},
		{"trap 20: wrong content", func(_ *world, _ *npkitest.Holder, n *authn.ResidentNumber) {
			raw, _ := hex.DecodeString(n.Message)
			raw[len(raw)-1] ^= 1
			n.Message = hex.EncodeToString(raw)
		}, authn.NumberMismatch},
		{"trap 20: to another recipient", func(w *world, who *npkitest.Holder, n *authn.ResidentNumber) {
			key, err := w.pki.NewKey(2048)
			for err == nil && key.PublicKey.Equal(w.recipient) {
				key, err = w.pki.NewKey(2048)
			}
			if err != nil {
				w.t.Fatal(err)
			}
			n.Message, _ = npki.VIDMsg{R: who.Key.R}.Seal(rand.Reader, &key.PublicKey)
		}, authn.NumberMismatch},
		{"a message with the same number", func(w *world, who *npkitest.Holder, n *authn.ResidentNumber) {
			n.Message, _ = npki.VIDMsg{R: who.Key.R, IDN: []byte(number)}.Seal(rand.Reader, w.recipient)
		}, ""},
		{"a message with another number", func(w *world, who *npkitest.Holder, n *authn.ResidentNumber) {
			n.Message, _ = npki.VIDMsg{R: who.Key.R, IDN: []byte("0101019000001")}.Seal(rand.Reader, w.recipient)
		}, authn.NumberMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withNumber, withResolver, alone)
			who := w.person(general)
			_, _, e := w.login(who)
			n := authn.ResidentNumber{Digits: []byte(number), Message: w.vid(who)}
			tt.change(w, who, &n)
			got, err := w.CheckNumber(t.Context(), e, n)
			wantCode(t, err, tt.code)
			if err == nil {
				return
			}
			if got.CI != "" || got.Attributes.BirthDate != "" {
				t.Error("an error with evidence")
			}
			if text := err.Error(); text != "authn: number_mismatch: jointcert: the number does not fit the certificate" {
				t.Errorf("the error tells more than the others: %s", text)
			}
		})
	}
}

// TestZeroR is trap 33: an R with zeros at its ends is as long as any other.
func TestZeroR(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withNumber, withResolver, alone)
	r := make([]byte, npki.RSize)
	r[9] = 1
	vid, err := npki.ComputeVID(5, []byte(number), r)
	if err != nil {
		t.Fatal(err)
	}
	who := w.odd(w.ca, npkitest.Template{Identity: &npki.Identity{RealName: name, VID: &vid}})
	copy(who.Key.R, r)
	_, _, e := w.login(who)
	if _, err := w.CheckNumber(t.Context(), e, authn.ResidentNumber{Digits: []byte(number), Message: w.vid(who)}); err != nil {
		t.Error(err)
	}
}

// TestNumberAfterUCPID keeps the authority's CI, and does not take a number that its birth date speaks
// against.
func TestNumberAfterUCPID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, born string
		code       authn.Code
	}{{"the same day", "1801-01-01", ""}, {"no day", "", ""}, {"another day", "1801-01-02", authn.NumberMismatch}} {
		w := newWorld(t, withNumber, func(w *world) {
			w.ucpid[npkitest.Yessign] = answers(func(p *certificate.UCPIDPerson) { p.BirthDate = tt.born })
		})
		who := w.person(general)
		at, answer, e := w.login(who)
		e, err := w.Identify(t.Context(), at, answer, e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.CheckNumber(t.Context(), e, authn.ResidentNumber{Digits: []byte(number), Message: w.vid(who)})
		wantCode(t, err, tt.code)
		if got.CI != ci(1) {
			t.Errorf("%s: another CI than the authority's", tt.name)
		}
	}
}

func TestNumberNotAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, e := w.login(w.person(general))
	_, err := w.CheckNumber(t.Context(), e, authn.ResidentNumber{Digits: []byte(number)})
	wantCode(t, err, authn.BadRequest)
	w = newWorld(t, withNumber, withResolver)
	_, err = w.CheckNumber(t.Context(), e, authn.ResidentNumber{Digits: []byte(number)})
	wantCode(t, err, authn.BadRequest)
	// Of an authority with a client, but without its answer, and nobody else to ask.
	w = newWorld(t, withNumber)
	who := w.person(general)
	_, _, e = w.login(who)
	_, err = w.CheckNumber(t.Context(), e, authn.ResidentNumber{Digits: []byte(number), Message: w.vid(who)})
	wantCode(t, err, authn.BadRequest)
}

func TestResolver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		setup setup
		code  authn.Code
	}{
		{"knows", withResolver, ""},
		{"no such person", anybody(http.StatusNotFound, `{"title":"unknown"}`), authn.NumberMismatch},
		{"wrong address", func(w *world) { withResolver(w); w.config.ResolverURL += "/other" }, authn.BadRequest},
		{"wrong key", func(w *world) { withResolver(w); w.config.ResolverKey = "another" }, authn.ProviderAuth},
		{"forbidden", anybody(http.StatusForbidden, ""), authn.ProviderAuth},
		{"broken", anybody(http.StatusInternalServerError, ""), authn.ProviderDown},
		{"too many", anybody(http.StatusTooManyRequests, ""), authn.ProviderDown},
		{"does not like the request", anybody(http.StatusBadRequest, `{"title":"`+number+`"}`), authn.BadRequest},
		{"redirect", anybody(http.StatusTemporaryRedirect, ""), authn.ProviderDown},
		{"no CI", anybody(http.StatusOK, `{"ci":""}`), authn.ProviderDown},
		{"half a CI", anybody(http.StatusOK, `{"ci":"`+ci(2)[:44]+`"}`), authn.ProviderDown},
		{"no JSON", anybody(http.StatusOK, "CI"), authn.ProviderDown},
		{"nothing", anybody(http.StatusOK, ""), authn.ProviderDown},
		{"too long", anybody(http.StatusOK, `{"ci":"`+ci(2)+`"`+strings.Repeat(" ", 5000)+"}"), authn.ProviderDown},
		{"down", func(w *world) { w.config.ResolverURL, w.config.ResolverKey = "http://127.0.0.1:1", "k" }, authn.ProviderDown},
		{"slow", func(w *world) {
			held := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-held
			}))
			w.t.Cleanup(func() { close(held); server.Close() })
			w.config.ResolverURL, w.config.ResolverKey, w.config.Timeout = server.URL, "k", 50*time.Millisecond
		}, authn.ProviderDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withNumber, alone, tt.setup)
			who := w.person(general)
			_, _, e := w.login(who)
			digits := []byte(number)
			got, err := w.CheckNumber(t.Context(), e, authn.ResidentNumber{Digits: digits, Message: w.vid(who)})
			wantCode(t, err, tt.code)
			if (err == nil) != (got.CI == ci(2)) {
				t.Errorf("CI %q", got.CI)
			}
			if !bytes.Equal(digits, []byte(number)) {
				t.Error("the caller's number is changed")
			}
		})
	}
}
