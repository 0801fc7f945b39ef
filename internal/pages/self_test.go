package pages

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// desk is an agency with a window: it sends back who the citizen is.
type desk struct {
	method method.Method
	fields url.Values
	sent   string // the address that the browser is to come back to
}

func (d *desk) Method() method.Method { return d.method }
func (d *desk) Providers() []authn.Provider {
	return []authn.Provider{{ID: "nice", Korean: "나이스"}}
}

func (d *desk) Begin(_ context.Context, a authn.Attempt, _ authn.Input) (authn.Started, error) {
	d.sent = a.ReturnURL
	return authn.Started{
		Private: []byte("ticket"), ExpiresAt: time.Now().Add(time.Hour), Window: &authn.Destination{URL: "https://agency.example/window?t=1", Fields: d.fields},
	}, nil
}

// path is that address without our host.
func (d *desk) path() string {
	_, reference, _ := strings.Cut(d.sent, "/window/")
	return "/window/" + reference
}

func (d *desk) Finish(_ context.Context, _ authn.Attempt, values url.Values) (authn.Evidence, error) {
	e := authn.Evidence{Method: d.method, Provider: "nice", Level: 2, At: time.Now(), Binding: authn.Transport}
	switch values.Get("who") {
	case "me":
		e.CI = citizenCI
	case "":
		return e, &authn.Error{Code: authn.UserCancelled}
	default:
		e.CI = strings.Repeat("D", 86) + "=="
	}
	e.Subject = e.CI
	return e, nil
}

// TestManage: identity verification in an agency's window opens the page that asks for it, in the browser that
// began it and for its person only.
func TestManage(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	byGet, byPost := &desk{method: method.Phone}, &desk{method: method.IPIN, fields: url.Values{"token": {"t1"}}}
	j.server.Login.Methods[method.Phone], j.server.Login.Methods[method.IPIN] = byGet, byPost
	v := j.visitor(t, "ko")
	v.at("done") // registers
	begin := func(v *visitor, way string) (id string) {
		v.t.Helper()
		a := v.get("/manage")
		id = a.location[strings.LastIndex(a.location, "/")+1:]
		v.leads(a, "/login/"+id)
		a = v.get("/login/" + id)
		v.shows("ways", a, 200, "")
		for _, want := range []string{`id="verify-simple"`, `id="verify-phone"`, `id="verify-ipin"`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("no %s", want)
			}
		}
		v.leads(v.post("/login/"+id+"/"+way, nil), "/proof/"+id)
		return id
	}

	id := begin(v, "phone")
	a := v.get("/proof/" + id)
	v.shows("window", a, 200, "")
	if !strings.Contains(a.body, `id="window-open" href="https://agency.example/window?t=1"`) {
		t.Error("no way to the window")
	}
	back := byGet.path() + "?who=me"
	other := j.visitor(t, "ko")
	if a := other.get(back); a.status != http.StatusForbidden {
		t.Errorf("in another browser: %d", a.status)
	}
	v.leads(v.get(back), "/manage")
	a = v.get("/manage")
	v.shows("what is registered", a, 200, "")
	for _, want := range []string{citizenName, "간편인증"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page does not tell %q", want)
		}
	}
	v.leads(v.get(back), "/manage") // reloaded
	v.leads(v.post("/manage/close", nil), "/manage/closed")
	v.leads(v.get(back), "/manage")
	if a := v.get("/manage"); a.status != http.StatusSeeOther { // what was verified is forgotten
		t.Errorf("after closing: %d", a.status)
	}
	v.shows("closed", v.get("/manage/closed"), 200, "")
	v.leads(v.post("/login/"+begin(v, "phone")+"/cancel", nil), "/manage/closed")

	// By POST, as from another site: without our cookies.
	id = begin(v, "ipin")
	a = v.get("/proof/" + id)
	if !strings.Contains(a.body, `name="token" value="t1"`) || !strings.Contains(a.header.Get("Content-Security-Policy"), "form-action 'self' https://agency.example") {
		t.Errorf("the form may not leave: %s", a.header.Get("Content-Security-Policy"))
	}
	path := byPost.path()
	r := other.request(http.MethodPost, path, strings.NewReader("who=me"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	other.leads(other.do(r), path)
	v.leads(v.get(path), "/manage")

	// Somebody who is not registered, and somebody who closes the window.
	for who, code := range map[string]ErrorCode{"another": ErrorCode(NotRegistered), "": ErrorCode(Rejected)} {
		v := j.visitor(t, "ko")
		id := begin(v, "phone")
		v.leads(v.get(byGet.path()+"?who="+who), "/proof/"+id)
		v.shows("as "+who, v.get("/proof/"+id), 200, code)
	}
	v.shows("unknown return", v.get("/window/unknown?who=me"), http.StatusGone, ErrExpired)
	v.shows("nonsense", v.get("/window/unknown?who=%zz"), http.StatusBadRequest, ErrRequest)
	v.shows("too much", v.get("/window/unknown?"+manyValues()), http.StatusBadRequest, ErrRequest)

	// A method that logs in verifies as well.
	a = other.get("/manage")
	id = a.location[strings.LastIndex(a.location, "/")+1:]
	other.leads(other.post("/login/"+id+"/simple", typed), "/proof/"+id)
	j.phone.set(authn.Approved, nil)
	other.leads(other.post("/proof/"+id, nil), "/manage")
}

func manyValues() string {
	values := url.Values{}
	for i := range maxReturned + 1 {
		values.Set(strings.Repeat("x", i+1), "1")
	}
	return values.Encode()
}
