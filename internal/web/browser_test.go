package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCookies(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{true, false} {
		c := Cookies{Secure: secure}
		w := httptest.NewRecorder()
		c.Set(w, "browser", "v1", 60)
		set := w.Header().Get("Set-Cookie")
		want := "anyid-browser=v1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
		if secure {
			want = "__Host-anyid-browser=v1; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"
		}
		if set != want {
			t.Errorf("secure %t: %q", secure, set)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		if got := c.Get(r, "browser"); got != "v1" {
			t.Errorf("secure %t: read %q", secure, got)
		}
		if got := (Cookies{Secure: !secure}).Get(r, "browser"); got != "" {
			t.Errorf("secure %t: the other name is read too", secure)
		}
		w = httptest.NewRecorder()
		c.Clear(w, "browser")
		if set := w.Header().Get("Set-Cookie"); !strings.Contains(set, "Max-Age=0") {
			t.Errorf("clear: %q", set)
		}
	}
}

func TestLocale(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, query, cookie, accept string
		uiLocales                   []string
		want                        string
	}{
		{"default", "", "", "", nil, Korean},
		{"browser", "", "", "en-US,en;q=0.9,ko;q=0.8", nil, English},
		{"browser prefers Korean", "", "", "ko-KR,en;q=0.9", nil, Korean},
		{"language that we lack", "", "", "fr-FR", nil, Korean},
		{"second choice that we have", "", "", "fr-FR,en;q=0.5", nil, English},
		{"malformed header", "", "", "en;;q=,", nil, Korean},
		{"ui_locales before browser", "", "", "ko", []string{"fr", "en-GB"}, English},
		{"ui_locales malformed", "", "", "", []string{"!!", "en"}, English},
		{"cookie before ui_locales", "", "ko", "en", []string{"en"}, Korean},
		{"cookie of another language", "", "xx", "en", nil, English},
		{"choice before cookie", "lang=en", "ko", "", nil, English},
		{"unknown choice", "lang=xx", "en", "", nil, English},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range []Cookies{{Secure: true}, {Secure: false}} {
				r := httptest.NewRequest("GET", "/?"+tt.query, nil)
				r.Header.Set("Accept-Language", tt.accept)
				if tt.cookie != "" {
					r.AddCookie(&http.Cookie{Name: c.Name("lang"), Value: tt.cookie})
				}
				if got := Locale(r, tt.uiLocales); got != tt.want {
					t.Errorf("Locale: %s", got)
				}
				w := httptest.NewRecorder()
				if got := c.Display(w, r, tt.uiLocales); got.Locale != tt.want || got.HighContrast {
					t.Errorf("Display: %+v", got)
				}
				remembered := w.Header().Get("Set-Cookie") != ""
				if chosen := tt.query == "lang=en"; remembered != chosen {
					t.Errorf("remembered: %t", remembered)
				}
			}
		})
	}
}

func TestContrastIsRemembered(t *testing.T) {
	t.Parallel()
	c := Cookies{}
	jar := map[string]*http.Cookie{}
	steps := []struct {
		query string
		want  bool
	}{{"", false}, {"?contrast=high", true}, {"", true}, {"?contrast=odd", true}, {"?contrast=normal", false}, {"", false}}
	for _, step := range steps {
		r := httptest.NewRequest("GET", "/"+step.query, nil)
		for _, cookie := range jar {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		if got := c.Display(w, r, nil); got.HighContrast != step.want {
			t.Errorf("%q: %+v", step.query, got)
		}
		for _, cookie := range w.Result().Cookies() {
			jar[cookie.Name] = cookie
		}
	}
}

func FuzzLocale(f *testing.F) {
	f.Add("en-US,en;q=0.9", "ko", "lang=en", "xx")
	f.Add("*", "en-GB-oxendict", "lang=%zz", "")
	f.Fuzz(func(t *testing.T, accept, uiLocale, query, cookie string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Accept-Language", accept)
		r.Header.Set("Cookie", "anyid-lang="+cookie)
		got := Locale(r, strings.Fields(uiLocale))
		if !supported(got) {
			t.Fatalf("%q", got)
		}
		if cookie == English && !r.URL.Query().Has("lang") && got != English {
			t.Fatalf("the citizen's choice was not kept: %q", got)
		}
	})
}
