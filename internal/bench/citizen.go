package bench

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/anyid/anyid/internal/sim/simple"
)

// The relying site. Nobody listens at its address: the benchmark plays it.
const (
	siteID      = "bench"
	callbackURL = "http://127.0.0.1:1/callback"
)

// person is the i-th citizen, with a number from the range that no carrier gives out.
func person(i int) simple.Person {
	phone := fmt.Sprintf("0100%07d", i)
	ci := sha512.Sum512([]byte("any-id benchmark\n" + phone))
	return simple.Person{
		Name: "김" + string(rune('가'+i%11172)) + "늘", BirthDate: fmt.Sprintf("%d-%02d-%02d", 1950+i%50, 1+i%12, 1+i%28),
		Phone: phone, Gender: "female", CI: base64.StdEncoding.EncodeToString(ci[:]), Telco: "SKT",
	}
}

// citizen is a person at a browser, and the site's server beside it.
type citizen struct {
	*client
	person    int
	browsers  map[int][]cookie // what lasts in each person's browser
	proofForm string           // what the person types
	basic     string           // the site's credentials
	verifier  string
	authorize string
}

// citizenAt makes the i-th citizen, who comes from an address of their own and is not connected yet. Citizens who never log in
// at the same time may have their browsers in common.
func citizenAt(host, secret string, i int, browsers map[int][]cookie) *citizen {
	who := &citizen{
		client: &client{host: host, from: netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})},
		person: i, browsers: browsers,
		basic: "Basic " + base64.StdEncoding.EncodeToString([]byte(siteID+":"+secret)),
	}
	who.be(i)
	verifier := make([]byte, 32)
	_, _ = rand.Read(verifier)
	who.verifier = base64.RawURLEncoding.EncodeToString(verifier)
	challenge := sha256.Sum256([]byte(who.verifier))
	who.authorize = "/authorize?" + url.Values{
		"client_id": {siteID}, "response_type": {"code"}, "redirect_uri": {callbackURL}, "scope": {"openid profile"},
		"state": {who.verifier[:22]}, "nonce": {who.verifier[21:]}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode()
	return who
}

// be makes this the i-th person, at their own browser, which was closed since they last used it.
func (c *citizen) be(i int) {
	c.quit()
	c.browsers[c.person] = c.cookies
	c.person, c.cookies = i, slices.Clone(c.browsers[i])
	p := person(i)
	c.proofForm = url.Values{"provider": {"kakao"}, "name": {p.Name}, "birthdate": {p.BirthDate}, "phone": {p.Phone}}.Encode()
}

// silent is a login at the site by the session that the browser has: authorize, token.
func (c *citizen) silent() error {
	a, err := c.get(c.authorize)
	if err != nil {
		return err
	}
	return c.redeem(a)
}

// journey is a login by simple authentication: authorize, the choice of a method, the form, the request to
// the phone, the page that waits, 인증 완료, token.
func (c *citizen) journey() error {
	a, err := c.prove()
	if err != nil {
		return err
	}
	return c.redeem(a)
}

// register is a first login: a journey with registration and consent in it.
func (c *citizen) register() error {
	a, err := c.prove()
	if err != nil {
		return err
	}
	page, err := c.follow(a, "/register/")
	if err != nil {
		return err
	}
	if a, err = c.post(page, "locale=ko&terms=agree&privacy=agree&unique_id=agree", ""); err != nil {
		return err
	}
	if page, err = c.follow(a, "/consent/"); err != nil {
		return err
	}
	if a, err = c.post(page, "", ""); err != nil {
		return err
	}
	return c.redeem(a)
}

// prove goes from the site to the proof, and returns the answer to 인증 완료.
func (c *citizen) prove() (answer, error) {
	a, err := c.get(c.authorize)
	if err != nil {
		return a, err
	}
	choice, err := c.follow(a, "/login/")
	if err != nil {
		return a, err
	}
	form := choice + "/simple"
	if a, err = c.get(form); err != nil {
		return a, err
	}
	if err := expect(a, 200, "request-auth"); err != nil {
		return a, err
	}
	if a, err = c.post(form, c.proofForm, ""); err != nil {
		return a, err
	}
	wait, err := c.follow(a, "/proof/")
	if err != nil {
		return a, err
	}
	return c.post(wait, "", "")
}

// follow goes where the answer redirects to, which must be a page below prefix, and returns its path.
func (c *citizen) follow(a answer, prefix string) (string, error) {
	path := a.location
	if a.status < 300 || a.status > 399 || !strings.HasPrefix(path, prefix) {
		return "", unexpected(a, "a redirect to "+prefix)
	}
	a, err := c.get(path)
	if err != nil {
		return "", err
	}
	return path, expect(a, 200, "<main")
}

// redeem is the site's part: it takes the code out of the redirect and exchanges it.
func (c *citizen) redeem(a answer) error {
	_, query, ok := strings.Cut(a.location, callbackURL+"?code=")
	code, _, _ := strings.Cut(query, "&")
	if !ok || code == "" {
		return unexpected(a, "a code")
	}
	a, err := c.post("/token", "grant_type=authorization_code&redirect_uri="+url.QueryEscape(callbackURL)+"&code="+code+"&code_verifier="+c.verifier, c.basic)
	if err != nil {
		return err
	}
	return expect(a, 200, `"id_token":"ey`)
}

func expect(a answer, status int, text string) error {
	if a.status != status || !bytes.Contains(a.body, []byte(text)) {
		return unexpected(a, fmt.Sprintf("%d with %s", status, text))
	}
	return nil
}

func unexpected(a answer, want string) error {
	return fmt.Errorf("bench: the service answered %d (location %q), want %s; the body begins %.200q", a.status, a.location, want, a.body)
}
