package rp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

const (
	logoutTokenType = "logout+jwt"
	logoutEvent     = "http://schemas.openid.net/event/backchannel-logout"
	maxLogoutToken  = 16 << 10
)

// logoutToken is what a logout token says (OIDC Back-Channel Logout §2.4). Subject or SessionID may be
// empty, not both.
type logoutToken struct {
	Issuer, Audience, ID, Subject, SessionID string
	IssuedAt, Expires                        time.Time // whole seconds
}

// parseLogoutToken reads a logout token in JWS compact form, whose signature it does not check. It is
// stricter than it must be, as the broker is the only one who sends these: one audience, the type in the
// header, and only the one event. The errors are constant texts, fit to be told to the sender.
func parseLogoutToken(raw, alg string) (logoutToken, error) {
	if len(raw) > maxLogoutToken {
		return logoutToken{}, errors.New("the logout token is too long")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || parts[2] == "" {
		return logoutToken{}, errors.New("the logout token is no signed JWT")
	}
	header, err := members(parts[0])
	if err != nil {
		return logoutToken{}, fmt.Errorf("the header of the logout token %w", err)
	}
	if typ, ok := text(header["typ"]); !ok || !strings.EqualFold(typ, logoutTokenType) {
		return logoutToken{}, errors.New("the typ of the logout token is not logout+jwt")
	}
	if given, ok := text(header["alg"]); !ok || given != alg {
		return logoutToken{}, errors.New("the alg of the logout token is not the registered one")
	}
	claims, err := members(parts[1])
	if err != nil {
		return logoutToken{}, fmt.Errorf("the payload of the logout token %w", err)
	}
	return logoutClaims(claims)
}

func logoutClaims(claims map[string]json.RawMessage) (t logoutToken, err error) {
	if _, has := claims["nonce"]; has { // an ID token is no logout token
		return logoutToken{}, errors.New("a logout token must not have a nonce")
	}
	for name, to := range map[string]*string{"iss": &t.Issuer, "jti": &t.ID} {
		var ok bool
		if *to, ok = text(claims[name]); !ok {
			return logoutToken{}, errors.New("the logout token's iss or jti is missing or no text")
		}
	}
	var audience []string
	if one, ok := text(claims["aud"]); ok {
		t.Audience = one
	} else if json.Unmarshal(claims["aud"], &audience) == nil && len(audience) == 1 && audience[0] != "" {
		t.Audience = audience[0]
	} else {
		return logoutToken{}, errors.New("the logout token's aud is missing or not one recipient")
	}
	for name, to := range map[string]*string{"sub": &t.Subject, "sid": &t.SessionID} {
		if value, has := claims[name]; has {
			var ok bool
			if *to, ok = text(value); !ok {
				return logoutToken{}, errors.New("the logout token's sub or sid is no text")
			}
		}
	}
	if t.Subject == "" && t.SessionID == "" {
		return logoutToken{}, errors.New("the logout token has neither sub nor sid")
	}
	for name, to := range map[string]*time.Time{"iat": &t.IssuedAt, "exp": &t.Expires} {
		var ok bool
		if *to, ok = numericDate(claims[name]); !ok {
			return logoutToken{}, errors.New("the logout token's iat or exp is missing or no time")
		}
	}
	if !t.Expires.After(t.IssuedAt) {
		return logoutToken{}, errors.New("the logout token ends before it begins")
	}
	var events, event map[string]json.RawMessage
	if json.Unmarshal(claims["events"], &events) != nil || len(events) != 1 ||
		json.Unmarshal(events[logoutEvent], &event) != nil || event == nil || len(event) != 0 {
		return logoutToken{}, errors.New("the logout token's events is not the one of a logout")
	}
	return t, nil
}

// members decodes one part of a JWT: base64url without padding of a JSON object.
func members(part string) (map[string]json.RawMessage, error) {
	plain, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(plain, &object) != nil || object == nil {
		return nil, errors.New("is no JSON object")
	}
	return object, nil
}

// text reads a JSON string that is not empty.
func text(raw json.RawMessage) (s string, ok bool) {
	return s, json.Unmarshal(raw, &s) == nil && s != ""
}

// numericDate reads a NumericDate (RFC 7519 §2) from 1970 to 9999; fractions of a second are left out.
func numericDate(raw json.RawMessage) (time.Time, bool) {
	var seconds *float64
	if json.Unmarshal(raw, &seconds) != nil || seconds == nil || *seconds < 0 || *seconds >= 253402300800 {
		return time.Time{}, false
	}
	return time.Unix(int64(*seconds), 0), true
}

// usedTokens remembers the ids of logout tokens until these end. It is safe for concurrent use.
type usedTokens struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// take is false if the token with this id was taken before.
func (u *usedTokens) take(id string, until, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.until == nil {
		u.until = map[string]time.Time{}
	}
	maps.DeleteFunc(u.until, func(_ string, until time.Time) bool { return until.Before(now) })
	if _, used := u.until[id]; used {
		return false
	}
	u.until[id] = until
	return true
}
