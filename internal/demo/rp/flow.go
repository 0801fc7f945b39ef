package rp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	flowTTL  = 30 * time.Minute // a first login takes its time: proof on the phone, terms, registration
	maxFlows = 8                // tabs of one browser that may be on their way to the broker

	// leeway is how far the broker's clock may be from the site's. auth_time is in whole seconds besides.
	leeway = 30 * time.Second
)

// flow is one authorization request on its way. It travels sealed in a cookie of its own, so that
// two tabs do not disturb each other and nothing is stored for a visitor who never comes back.
type flow struct {
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Next     string    `json:"next"`
	Fresh    bool      `json:"fresh,omitempty"`
	ACR      string    `json:"acr,omitempty"`
	Started  time.Time `json:"started"`
}

// Request is what a site may ask of a login.
type Request struct {
	Prompt string // "", "login" or "none"; anything else is left out
	Next   string // handed back by Callback: where the site wants to go on
	// Fresh asks for a proof made for this request (prompt=login, max_age=0); Callback refuses an older one.
	Fresh bool
	// ACR asks for this way of logging in (acr_values) and no other; Callback refuses what comes instead.
	ACR string
}

// Start sends the browser to the broker with an authorization request: code flow, PKCE S256, state
// and nonce. It writes nothing when it returns an error, which is ErrUnavailable or internal.
func (c *Client) Start(w http.ResponseWriter, r *http.Request, want Request) error {
	p, err := c.discover(r.Context())
	if err != nil {
		return err
	}
	state := random()
	f := flow{Nonce: random(), Verifier: oauth2.GenerateVerifier(), Next: want.Next, Fresh: want.Fresh, ACR: want.ACR, Started: c.cfg.Now()}
	name := c.flowCookie(state)
	sealed, err := c.seal(name, f)
	if err != nil {
		return err
	}
	c.dropOldFlows(w, r)
	ck := cookie(name, sealed, c.secure)
	ck.MaxAge = int(flowTTL / time.Second)
	http.SetCookie(w, ck)

	options := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if want.Fresh {
		// With both, as a provider may know only one of them.
		want.Prompt = "login"
		options = append(options, oauth2.SetAuthURLParam("max_age", "0"))
	}
	if want.Prompt == "login" || want.Prompt == "none" {
		options = append(options, oauth2.SetAuthURLParam("prompt", want.Prompt))
	}
	if want.ACR != "" {
		options = append(options, oauth2.SetAuthURLParam("acr_values", want.ACR))
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, c.oauth(p).AuthCodeURL(state, options...), http.StatusSeeOther)
	return nil
}

// flowCookie is the name of the cookie for a state, without prefix. The state is in it by its hash
// only, and bound to the sealed value as associated data.
func (c *Client) flowCookie(state string) string {
	sum := sha256.Sum256([]byte(state))
	return c.cfg.Name + "-flow-" + hex.EncodeToString(sum[:16])
}

func (c *Client) seal(name string, f flow) (string, error) {
	plain, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("rp: seal the request: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(c.flows.Seal(nil, nil, plain, []byte(name))), nil
}

// open returns the flow in a cookie's value; ok is false for anything that seal did not write under
// that name within flowTTL.
func (c *Client) open(name, value string) (f flow, ok bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return flow{}, false
	}
	plain, err := c.flows.Open(nil, nil, sealed, []byte(name))
	if err != nil || json.Unmarshal(plain, &f) != nil {
		return flow{}, false
	}
	age := c.cfg.Now().Sub(f.Started)
	return f, age >= 0 && age < flowTTL
}

// dropOldFlows keeps the number of flow cookies in a browser below maxFlows: logins that were begun
// and never finished would otherwise fill the request header.
func (c *Client) dropOldFlows(w http.ResponseWriter, r *http.Request) {
	prefix := cookieName(c.cfg.Name+"-flow-", c.secure)
	open := map[string]time.Time{}
	for _, ck := range r.Cookies() {
		if !strings.HasPrefix(ck.Name, prefix) {
			continue
		}
		name := strings.TrimPrefix(ck.Name, cookieName("", c.secure))
		if f, ok := c.open(name, ck.Value); ok {
			open[name] = f.Started
		} else {
			c.clear(w, name)
		}
	}
	for len(open) >= maxFlows {
		oldest := ""
		for name, started := range open {
			if oldest == "" || started.Before(open[oldest]) {
				oldest = name
			}
		}
		c.clear(w, oldest)
		delete(open, oldest)
	}
}

func (c *Client) clear(w http.ResponseWriter, name string) {
	ck := cookie(name, "", c.secure)
	ck.MaxAge = -1
	http.SetCookie(w, ck)
}

// Identity is who came, as the broker says.
type Identity struct {
	Subject   string         // the person at this site (pairwise), stable
	SessionID string         // the broker's session (sid), or empty
	ACR       string         // how strongly
	AMR       []string       // by what
	AuthTime  time.Time      // when; zero where the broker does not say
	Claims    map[string]any // about the person, from the ID token and userinfo, without the protocol's own
	IDToken   string         // as it came: the hint at logout
	// SessionState comes with the answer for the site's iframe (OIDC Session Management §2), or is empty.
	SessionState string
	// SessionTime is how long a session of the site may last by the broker (session_expires_in of the
	// token answer); zero where the broker does not say.
	SessionTime time.Duration
}

// Text returns a claim that is a string, or "".
func (i Identity) Text(claim string) string {
	s, _ := i.Claims[claim].(string)
	return s
}

// protocolClaims say nothing about the person.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash", "azp", "sid", "acr", "amr", "auth_time", "client_id",
}

// Callback checks the broker's answer, exchanges its code and returns who came and the Request's
// Next. The order is: state, so that a foreign answer reaches nothing else; iss (RFC 9207 §2.4);
// error; code. The request is closed by any answer, good or bad. Errors are ErrUnknownRequest, an
// *AnswerError, ErrUnavailable, ErrNotFresh, ErrOtherACR, or one that says which check failed; Next comes
// with all of them but the first.
func (c *Client) Callback(w http.ResponseWriter, r *http.Request) (Identity, string, error) {
	answer, err := singleValued(r.URL.RawQuery)
	if err != nil {
		return Identity{}, "", err
	}
	name := c.flowCookie(answer["state"])
	ck, err := r.Cookie(cookieName(name, c.secure))
	if err != nil {
		return Identity{}, "", ErrUnknownRequest
	}
	c.clear(w, name)
	f, ok := c.open(name, ck.Value)
	if !ok {
		return Identity{}, "", ErrUnknownRequest
	}
	p, err := c.discover(r.Context())
	if err != nil {
		return Identity{}, f.Next, err
	}
	iss, hasIss := answer["iss"]
	if (hasIss || p.issInAnswer) && iss != c.cfg.Issuer {
		return Identity{}, f.Next, errors.New("rp: the answer's iss is not the provider's")
	}
	if code, failed := answer["error"]; failed {
		if !errorCode(code) {
			code = "invalid"
		}
		return Identity{}, f.Next, &AnswerError{Code: code}
	}
	if answer["code"] == "" {
		return Identity{}, f.Next, errors.New("rp: the answer has neither code nor error")
	}
	id, err := c.exchange(r.Context(), p, answer["code"], f)
	if err != nil {
		return Identity{}, f.Next, err
	}
	id.SessionState = answer["session_state"]
	return id, f.Next, nil
}

// exchange trades the code for tokens, verifies the ID token (OIDC Core §3.1.3.7) and fetches
// userinfo.
func (c *Client) exchange(ctx context.Context, p *provider, code string, f flow) (Identity, error) {
	ctx = c.context(ctx)
	tokens, err := c.oauth(p).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			// Without the body, which a provider may fill with anything.
			err = fmt.Errorf("token endpoint: status %d, error %q", refused.Response.StatusCode, refused.ErrorCode)
			if refused.Response.StatusCode < 500 {
				return Identity{}, fmt.Errorf("rp: %w", err)
			}
		}
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return Identity{}, errors.New("rp: the token answer has no ID token")
	}
	token, err := c.verifyIDToken(ctx, p, raw)
	if err != nil {
		return Identity{}, err
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.Nonce)) != 1 {
		return Identity{}, errors.New("rp: ID token: the nonce is not the request's")
	}
	if token.AccessTokenHash != "" { // optional in the code flow, OIDC Core §3.1.3.6
		if err := token.VerifyAccessToken(tokens.AccessToken); err != nil {
			return Identity{}, fmt.Errorf("rp: ID token: at_hash: %w", err)
		}
	}
	var own struct {
		AuthorizedParty string   `json:"azp"`
		SessionID       string   `json:"sid"`
		ACR             string   `json:"acr"`
		AMR             []string `json:"amr"`
		AuthTime        int64    `json:"auth_time"`
	}
	if err := token.Claims(&own); err != nil {
		return Identity{}, fmt.Errorf("rp: ID token: claims: %w", err)
	}
	if token.Subject == "" {
		return Identity{}, errors.New("rp: ID token: no subject")
	}
	if (len(token.Audience) > 1 || own.AuthorizedParty != "") && own.AuthorizedParty != c.cfg.ClientID {
		return Identity{}, errors.New("rp: ID token: issued to another party")
	}

	var authTime time.Time
	if own.AuthTime > 0 {
		authTime = time.Unix(own.AuthTime, 0)
	}
	if f.Fresh && (authTime.Before(f.Started.Add(-leeway)) || authTime.After(c.cfg.Now().Add(leeway))) {
		return Identity{}, ErrNotFresh
	}
	if f.ACR != "" && own.ACR != f.ACR {
		return Identity{}, ErrOtherACR
	}
	sessionTime, err := sessionTime(tokens.Extra("session_expires_in"))
	if err != nil {
		return Identity{}, err
	}

	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: userinfo: %w", ErrUnavailable, err)
	}
	if info.Subject != token.Subject { // OIDC Core §5.3.2
		return Identity{}, errors.New("rp: userinfo is about another subject than the ID token")
	}
	claims, about := map[string]any{}, map[string]any{}
	if err := errors.Join(token.Claims(&claims), info.Claims(&about)); err != nil {
		return Identity{}, fmt.Errorf("rp: claims: %w", err)
	}
	maps.Copy(claims, about)
	for _, protocol := range protocolClaims {
		delete(claims, protocol)
	}
	return Identity{
		Subject: token.Subject, SessionID: own.SessionID, ACR: own.ACR, AMR: own.AMR, AuthTime: authTime,
		Claims: claims, IDToken: raw, SessionTime: sessionTime,
	}, nil
}

// sessionTime reads session_expires_in: seconds as a JSON number, or nothing. What cannot be read must not
// become a longer session than the broker meant, and so is an error.
func sessionTime(member any) (time.Duration, error) {
	if member == nil {
		return 0, nil
	}
	seconds, ok := member.(float64)
	if !ok || !(seconds >= 1) {
		return 0, errors.New("rp: session_expires_in of the token answer is no number of seconds")
	}
	return time.Duration(min(seconds, 365*24*60*60)) * time.Second, nil
}

// Notice classifies a login that ended without a fault: "denied" if the citizen did not want it,
// "silent" if a request with prompt=none could not be answered without a page (OIDC Core §3.1.2.6),
// "" for every other error.
func Notice(err error) string {
	answer, ok := errors.AsType[*AnswerError](err)
	if !ok {
		return ""
	}
	switch answer.Code {
	case "access_denied":
		return "denied"
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		return "silent"
	}
	return ""
}

// singleValued parses a query in which no parameter may come twice (RFC 6749 §3.1): with two states
// or codes, the one checked might not be the one used.
func singleValued(query string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("rp: the answer's query is malformed")
	}
	single := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) != 1 {
			return nil, errors.New("rp: a parameter of the answer comes twice")
		}
		single[name] = v[0]
	}
	return single, nil
}

// errorCode tells whether s is an error code by the grammar of RFC 6749 §4.1.2.1, and short enough
// for a log line.
func errorCode(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, b := range []byte(s) {
		if b < 0x20 || b > 0x7e || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}
