package rp

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// write is the token that parseLogoutToken reads as t.
func (t logoutToken) write(tb testing.TB) string {
	claims := map[string]any{
		"iss": t.Issuer, "aud": t.Audience, "jti": t.ID, "iat": t.IssuedAt.Unix(), "exp": t.Expires.Unix(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	if t.Subject != "" {
		claims["sub"] = t.Subject
	}
	if t.SessionID != "" {
		claims["sid"] = t.SessionID
	}
	part := func(v any) string {
		plain, err := json.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(plain)
	}
	return part(map[string]string{"typ": logoutTokenType, "alg": "ES256"}) + "." + part(claims) + ".AAAA"
}

func FuzzLogoutToken(f *testing.F) {
	token := func(header, claims string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".AAAA"
	}
	const header = `{"typ":"logout+jwt","alg":"ES256","kid":"1"}`
	const event = `"events":{"http://schemas.openid.net/event/backchannel-logout":{}}`
	f.Add(token(header, `{"iss":"i","aud":"c","jti":"1","iat":1,"exp":2,"sub":"s","sid":"t",`+event+`}`))
	f.Add(token(header, `{"iss":"i","aud":["c"],"jti":"1","iat":1.5,"exp":1e9,"sid":"t",`+event+`,"x":[{}]}`))
	f.Add(token(header, `{"iss":"i","aud":"c","jti":"1","iat":1,"exp":2,"sub":"s","nonce":"n",`+event+`}`))
	f.Add(token(`{"typ":"JWT","alg":"none"}`, `{}`))
	f.Add(token(header, `null`))
	f.Add("a.b")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := parseLogoutToken(raw, "ES256")
		if err != nil {
			if got != (logoutToken{}) {
				t.Errorf("a refused token with content: %+v", got)
			}
			return
		}
		if got.ID == "" || got.Issuer == "" || got.Audience == "" || got.Subject+got.SessionID == "" || !got.Expires.After(got.IssuedAt) {
			t.Errorf("accepted: %+v", got)
		}
		if strings.Count(raw, ".") != 2 {
			t.Errorf("accepted %q", raw)
		}
		// What we accept is what we would write.
		if again, err := parseLogoutToken(got.write(t), "ES256"); err != nil || again != got {
			t.Errorf("written and read: %+v, %v; want %+v", again, err, got)
		}
	})
}
