package pages

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"image/png"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
)

// wallet is an adapter of mobile IDs: it shows what it was asked for, and answers when the browser comes back
// with the attempt's code.
type wallet struct{ phone }

func (w *wallet) Method() method.Method { return method.MobileID }

func (w *wallet) Providers() []authn.Provider {
	return []authn.Provider{{ID: "mip", Korean: "모바일 신분증", English: "Mobile ID"}, {ID: "openid4vp", Korean: "지갑", English: "Wallet"}}
}

func (w *wallet) Begin(_ context.Context, a authn.Attempt, in authn.Input) (authn.Started, error) {
	s := authn.Started{Private: []byte(a.ID), ExpiresAt: time.Now().Add(time.Minute)}
	switch in.Mode {
	case authn.QR:
		s.Shown = authn.Shown{QR: "scan " + in.Provider, Code: "47"}
	case authn.App:
		s.Shown = authn.Shown{Link: "mobileid://verify?data=x"}
	default:
		if in.Phone != citizenPhone || in.Name != citizenName {
			return s, &authn.Error{Code: authn.PersonMismatch}
		}
	}
	return s, nil
}

func (w *wallet) Status(_ context.Context, a authn.Attempt) (authn.Progress, error) {
	if a.ResponseCode == "code of "+a.ID {
		return authn.Progress{State: authn.Approved}, nil
	}
	return authn.Progress{State: authn.Pending}, nil
}

func (w *wallet) Serve(*http.ServeMux) {}

func (w *wallet) Modes(provider string) []authn.Mode {
	if provider == "mip" {
		return []authn.Mode{authn.Push, authn.QR, authn.App}
	}
	return []authn.Mode{authn.App}
}

func (w *wallet) Returned(_ context.Context, code string) (string, error) {
	if id, ok := strings.CutPrefix(code, "code of "); ok {
		return id, nil
	}
	if code == "down" {
		return "", fault.New(fault.Unavailable, "test: down")
	}
	return "", fault.New(fault.NotFound, "test: no such code")
}

var _ authn.Receiver = (*wallet)(nil)

var drawn = regexp.MustCompile(`id="qr-image" src="data:image/png;base64,([^"]+)"`)

// TestMobileID: each way to the wallet, and the way back from it.
func TestMobileID(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	j.server.Login.Methods[method.MobileID] = &wallet{phone{level: 3}}
	v := j.visitor(t, "ko")
	id := v.begin()
	here := "/login/" + id + "/mobile-id"
	a := v.get(here)
	v.shows("form", a, 200, "")
	for _, want := range []string{`id="mobile-push"`, `id="mobile-qr"`, `id="mobile-app"`, `id="provider-openid4vp"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s", want)
		}
	}
	// The enter key in a field presses the first button that sends the form.
	if _, first, _ := strings.Cut(a.body, `type="submit"`); !strings.Contains(before(first, ">"), `value="push"`) {
		t.Errorf("the first button is %.100s", first)
	}
	v.shows("no way chosen", v.post(here, url.Values{"provider": {"mip"}}), 400, ErrRequest)
	v.shows("no wallet", v.post(here, url.Values{"provider": {"x"}, "mode": {"qr"}}), 422, "")
	v.shows("not that way", v.post(here, url.Values{"provider": {"openid4vp"}, "mode": {"qr"}}), 422, "")
	v.shows("no phone", v.post(here, url.Values{"provider": {"mip"}, "mode": {"push"}}), 422, "")

	v.leads(v.post(here, url.Values{"provider": {"mip"}, "mode": {"qr"}}), "/proof/"+id)
	a = v.get("/proof/" + id)
	v.shows("code", a, 200, "")
	m := drawn.FindStringSubmatch(a.body)
	if m == nil || !strings.Contains(a.body, `id="qr-text">scan mip<`) || !strings.Contains(a.body, `id="match-code">47<`) {
		t.Fatalf("the page shows no code: %.3000s", a.body)
	}
	image, err := base64.StdEncoding.DecodeString(m[1])
	check(t, err)
	if drawing, err := png.Decode(bytes.NewReader(image)); err != nil || drawing.Bounds().Dx() < 21*qrScale {
		t.Errorf("the code is no image: %v", err)
	}
	v.shows("too early", v.post("/proof/"+id, nil), 200, "")
	v.leads(v.post("/proof/"+id+"/cancel", nil), "/login/"+id)

	v.leads(v.post(here, url.Values{"provider": {"mip"}, "mode": {"push"}, "name": {citizenName}, "birthdate": {"19900301"}, "phone": {citizenPhone}}), "/proof/"+id)
	v.leads(v.post("/proof/"+id+"/cancel", nil), "/login/"+id)
	v.leads(v.post(here, url.Values{"provider": {"mip"}, "mode": {"app"}}), "/proof/"+id)
	if a := v.get("/proof/" + id); !strings.Contains(a.body, `href="mobileid://verify?data=x"`) {
		t.Error("the page does not open the app")
	}

	back := "/wallet/return?" + url.Values{"response_code": {"code of " + id}}.Encode()
	v.shows("unknown code", v.get("/wallet/return?response_code=x"), http.StatusGone, ErrExpired)
	v.shows("no code", v.get("/wallet/return"), http.StatusGone, ErrExpired)
	v.shows("store down", v.get("/wallet/return?response_code=down"), http.StatusServiceUnavailable, ErrUnavailable)
	other := j.visitor(t, "ko")
	if a := other.get(back); a.status != http.StatusForbidden {
		t.Errorf("in another browser: %d", a.status)
	}
	v.leads(v.get(back), "/proof/"+id)
	v.leads(v.get("/proof/"+id), "/register/"+id)
	v.leads(v.get(back), "/register/"+id)
}

func TestQRImage(t *testing.T) {
	t.Parallel()
	if _, err := qrImage(strings.Repeat("x", 5000)); err == nil || errors.Unwrap(err) == nil {
		t.Errorf("more than a code holds: %v", err)
	}
}

// before is the text up to the first separator.
func before(text, separator string) string {
	text, _, _ = strings.Cut(text, separator)
	return text
}
