package pages

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// pen is an adapter of certificates: what is signed is the challenge, a dot, and a code of authn that says how
// it comes out, or "ok".
type pen struct{ method method.Method }

const rrn, vidMessage = "9003019876543", "00ff"

func (p pen) Method() method.Method { return p.method }
func (p pen) Providers() []authn.Provider {
	return []authn.Provider{{ID: "npki", Korean: "공동인증서"}}
}

func (p pen) Begin(_ context.Context, a authn.Attempt, _ authn.Input) (authn.Started, error) {
	return authn.Started{Private: []byte("sign-this-" + a.Nonce), ExpiresAt: time.Now().Add(5 * time.Minute)}, nil
}

func (p pen) Request(a authn.Attempt) (authn.SignRequest, error) {
	r := authn.SignRequest{Content: string(a.Private), Policies: []string{"1.2.3"}}
	if p.method == method.FinancialCert {
		r.Cloud = &authn.Cloud{Script: "https://signer.example/v1/fincert.js", OrgCode: "D000000001", APIKey: "k", Format: "CMS"}
	}
	return r, nil
}

func (p pen) Verify(_ context.Context, a authn.Attempt, answer authn.Answer) (authn.Evidence, error) {
	challenge, code, _ := strings.Cut(answer.Signed, ".")
	switch {
	case challenge != string(a.Private):
		return authn.Evidence{}, &authn.Error{Code: authn.WrongChallenge}
	case code != "ok":
		return authn.Evidence{}, &authn.Error{Code: authn.Code(code)}
	}
	return authn.Evidence{
		Method: p.method, Provider: "kica", Subject: string(p.method) + " 1", Attributes: authn.Attributes{Name: citizenName}, Level: 3, At: time.Now(),
		AMR: []string{"swk"}, Binding: authn.Signed, Digest: "00", Number: p.method == method.JointCert,
	}, nil
}

func (p pen) Identify(_ context.Context, _ authn.Attempt, _ authn.Answer, e authn.Evidence) (authn.Evidence, error) {
	if p.method == method.FinancialCert {
		e.CI, e.Attributes.BirthDate = citizenCI, citizenBirth
	}
	return e, nil
}

func (p pen) CheckNumber(_ context.Context, e authn.Evidence, n authn.ResidentNumber) (authn.Evidence, error) {
	if string(n.Digits) != rrn || n.Message != vidMessage {
		return e, &authn.Error{Code: authn.NumberMismatch}
	}
	e.CI, e.Attributes.BirthDate = citizenCI, citizenBirth
	return e, nil
}

var requested = regexp.MustCompile(`sign-this-[0-9a-f]{32}`)

// challenge reads from the method's page what is to be signed.
func (v *visitor) challenge(id, page string) string {
	v.t.Helper()
	a := v.get("/login/" + id + "/" + page)
	v.shows(page, a, 200, "")
	found := requested.FindString(html.UnescapeString(a.body))
	if found == "" {
		v.t.Fatalf("%s asks for no signature", page)
	}
	return found
}

// TestSigning walks from a certificate to the registration with its resident number, and back by the other
// certificate; and looks at what was stored and logged.
func TestSigning(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"ko", "en"} {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, 1000)
			v := j.visitor(t, locale)
			id := v.begin()
			first := v.challenge(id, "joint-cert")
			if again := v.challenge(id, "joint-cert"); again != first {
				t.Error("a reload changes the challenge")
			}
			v.leads(v.get("/proof/"+id), "/login/"+id+"/joint-cert")
			v.shows("another choice", v.get("/login/"+id), 200, "")
			v.shows("another method", v.get("/login/"+id+"/simple"), 200, "")
			v.challenge(id, "financial-cert")
			v.leads(v.post("/login/"+id+"/joint-cert", url.Values{"signed": {first + ".ok"}}), "/login/"+id+"/financial-cert")
			signed := v.challenge(id, "joint-cert") + ".ok"
			v.shows("no signature", v.post("/login/"+id+"/joint-cert", nil), 400, ErrRequest)
			v.shows("R that is none", v.post("/login/"+id+"/joint-cert", url.Values{"signed": {signed}, "vid": {"zz"}}), 400, ErrRequest)
			v.shows("long R", v.post("/login/"+id+"/joint-cert", url.Values{"signed": {signed}, "vid": {strings.Repeat("0", maxVID+2)}}), 400, ErrRequest)

			a := v.post("/login/"+id+"/joint-cert", url.Values{"signed": {signed}, "vid": {"00FF"}})
			v.leads(a, "/register/"+id)
			if kept := strings.Join(a.header.Values("Set-Cookie"), "\n"); !strings.Contains(kept, "="+id+"."+vidMessage+";") || !strings.Contains(kept, "HttpOnly") {
				t.Errorf("the browser keeps %q", kept)
			}
			v.leads(v.post("/login/"+id+"/joint-cert", url.Values{"signed": {signed}, "vid": {"00ff"}}), "/register/"+id)
			v.leads(v.get("/login/"+id+"/joint-cert"), "/register/"+id)
			a = v.get("/register/" + id)
			v.shows("registration", a, 200, "")
			for _, field := range []string{`id="rrn-front"`, `id="rrn-back"`} {
				if !strings.Contains(a.body, field) {
					t.Errorf("no %s", field)
				}
			}
			if strings.Contains(a.body, "register-birthdate") {
				t.Error("a birth date that nobody told")
			}

			with := func(front, back string) url.Values {
				return url.Values{"terms": {"agree"}, "privacy": {"agree"}, "unique_id": {"agree"}, "rrn_front": {front}, "rrn_back": {back}}
			}
			for name, form := range map[string]url.Values{
				"number missing": with("", ""), "number short": with("900301", "98765"), "letters": with("90030x", "9876543"), "number of another": with("900301", "1234567"),
			} {
				a := v.post("/register/"+id, form)
				v.shows(name, a, 422, "")
				if !strings.Contains(a.body, `id="rrn-error"`) || strings.Contains(a.body, "9876543") || strings.Contains(a.body, "1234567") {
					t.Errorf("%s: the page says nothing of it, or repeats the number", name)
				}
			}
			v.shows("not agreed", v.post("/register/"+id, url.Values{"terms": {"agree"}, "rrn_front": {"900301"}, "rrn_back": {"9876543"}}), 422, "")
			v.leads(v.post("/register/"+id, with("900301", "987-6543")), "/consent/"+id)
			if a := v.post("/consent/"+id, nil); !strings.Contains(a.location, "code=") {
				t.Errorf("ends at %q", a.location)
			}

			other := j.visitor(t, locale)
			id = other.begin()
			other.leads(other.post("/login/"+id+"/financial-cert", url.Values{"signed": {other.challenge(id, "financial-cert") + ".ok"}}), "/register/"+id)
			if a := other.get("/register/" + id); strings.Contains(a.body, "rrn-front") || !strings.Contains(a.body, "register-birthdate") {
				t.Error("the financial certificate asks for a number, or shows no birth date")
			}
			if a := other.post("/register/"+id, agrees); !strings.Contains(a.location, "code=") { // the consent was given before
				t.Errorf("ends at %q", a.location)
			}

			logged := j.log.String()
			for _, personal := range []string{rrn, "9876543", "rrn_front", vidMessage, citizenName, citizenCI} {
				if strings.Contains(logged, personal) {
					t.Errorf("the log tells %q", personal)
				}
			}
		})
	}
}

// TestSigningFails: each refusal has words and a code of its own, and a way back to the same method.
func TestSigningFails(t *testing.T) {
	t.Parallel()
	titles := map[string]Failure{}
	for _, code := range certificateFailures {
		if code == authn.NumberMismatch {
			continue // not of a signature
		}
		j := newJourney(t, 1000)
		v := j.visitor(t, "ko")
		id := v.begin()
		v.leads(v.post("/login/"+id+"/joint-cert", url.Values{"signed": {v.challenge(id, "joint-cert") + "." + string(code)}}), "/proof/"+id)
		a := v.get("/proof/" + id)
		v.shows(string(code), a, 200, ErrorCode(code))
		title := a.body[strings.Index(a.body, "<h1>"):strings.Index(a.body, "</h1>")]
		if before, taken := titles[title]; taken {
			t.Errorf("%s says the same as %s", code, before)
		}
		titles[title] = Failure(code)
		if !strings.Contains(a.body, `href="/login/`+id+`/joint-cert"`) {
			t.Errorf("%s: no way to try again", code)
		}
		v.challenge(id, "joint-cert")
	}
}

// TestNumberAsked: what a registration with a number needs of the browser.
func TestNumberAsked(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	with := url.Values{"terms": {"agree"}, "privacy": {"agree"}, "unique_id": {"agree"}, "rrn_front": {"900301"}, "rrn_back": {"9876543"}}
	begin := func(vid string) (*visitor, string) {
		v := j.visitor(t, "ko")
		id := v.begin()
		v.leads(v.post("/login/"+id+"/joint-cert", url.Values{"signed": {v.challenge(id, "joint-cert") + ".ok"}, "vid": {vid}}), "/register/"+id)
		return v, id
	}

	// The browser has lost what belongs to the signature: sign again.
	v, id := begin("")
	a := v.post("/register/"+id, with)
	v.shows("lost", a, 422, "")
	if !strings.Contains(a.body, `id="sign-again"`) {
		t.Error("no way to sign again")
	}
	v.leads(v.post("/register/"+id+"/again", nil), "/login/"+id)
	v.challenge(id, "joint-cert")

	// It belongs to the attempt that it was made for.
	v, id = begin(vidMessage)
	other := v.begin()
	v.leads(v.post("/login/"+other+"/joint-cert", url.Values{"signed": {v.challenge(other, "joint-cert") + ".ok"}, "vid": {vidMessage}}), "/register/"+other)
	a = v.post("/register/"+id, with)
	v.shows("of another attempt", a, 422, "")
	if !strings.Contains(a.body, `id="sign-again"`) {
		t.Error("the other attempt's R was taken")
	}

	// A form without the fields registers nobody.
	a = v.post("/register/"+other, agrees)
	v.shows("without a number", a, 422, "")

	// After five wrong numbers it is over.
	v, id = begin(vidMessage)
	wrong := url.Values{"terms": {"agree"}, "privacy": {"agree"}, "unique_id": {"agree"}, "rrn_front": {"900301"}, "rrn_back": {"1111111"}}
	for range 4 {
		v.shows("wrong", v.post("/register/"+id, wrong), 422, "")
	}
	v.leads(v.post("/register/"+id, wrong), "/proof/"+id)
	v.shows("five times wrong", v.get("/proof/"+id), 200, ErrorCode(authn.NumberMismatch))

	// Declining forgets it.
	v, id = begin(vidMessage)
	a = v.post("/register/"+id+"/decline", nil)
	if !strings.Contains(a.location, "access_denied") || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("declined: %q, %v", a.location, a.header.Values("Set-Cookie"))
	}
}

// TestNotOffered: a method that the site does not take has no page.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.visitor(t, "ko")
	id := v.begin()
	v.leads(v.post("/login/"+id+"/sso", url.Values{"sso": {"off"}}), "/login/"+id)
	v.shows("joint certificate without SSO", v.get("/login/"+id+"/joint-cert"), http.StatusNotFound, ErrNotFound)
	v.challenge(id, "financial-cert")
}
