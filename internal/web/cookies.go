package web

import "net/http"

// Cookies names and guards the broker's cookies. With Secure (the issuer is https) a name gets the
// __Host- prefix, so that no other host and no plain connection can set it (RFC 6265bis §4.1.3.2).
// Without it, for a demonstration on http://localhost, neither prefix nor Secure attribute is
// possible.
type Cookies struct {
	Secure bool
}

// Name is the full name of the cookie that Set and Get call name.
func (c Cookies) Name(name string) string {
	if c.Secure {
		return "__Host-anyid-" + name
	}
	return "anyid-" + name
}

// Set stores value for maxAge seconds, or until the browser closes if maxAge is 0. The cookie is
// HttpOnly, SameSite=Lax, and for the whole host.
func (c Cookies) Set(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, c.cookie(name, value, maxAge))
}

// Get returns the cookie's value, or "".
func (c Cookies) Get(r *http.Request, name string) string {
	cookie, err := r.Cookie(c.Name(name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// Clear removes the cookie.
func (c Cookies) Clear(w http.ResponseWriter, name string) {
	http.SetCookie(w, c.cookie(name, "", -1))
}

func (c Cookies) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: c.Name(name), Value: value, Path: "/", MaxAge: maxAge,
		Secure: c.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}
