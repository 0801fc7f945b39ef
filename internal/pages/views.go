// Package pages is what the citizen sees: the choice of a method, the proof, registration, consent, what they can
// do with their registration (사용자 관리), signing out, and errors, in Korean and English. Views renders; the
// handlers decode, call package login or account, and choose the view.
package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/a-h/templ"

	"github.com/anyid/anyid/internal/web"
)

//go:generate go tool -modfile=../../.ci/tools/go.mod templ generate -include-version=false

// Text is a phrase that comes from data, not from the pages' own words: a site's name, a purpose.
type Text struct {
	Korean  string
	English string // Korean is shown where this is empty
}

// In returns the text for web.Korean or web.English.
func (t Text) In(locale string) string {
	if locale == web.English && t.English != "" {
		return t.English
	}
	return t.Korean
}

// Branding says who runs this service, as far as the pages show it.
type Branding struct {
	ServiceName Text   // 정부 통합인증(Any-ID), if empty
	CallCentre  string // telephone number of the help line; no help line is shown if empty
	// OfficialGovernment shows the official banner and the institution's identifier. Only a government
	// institution may set it (KRDS, 공식 배너); it needs Institution and Logo.
	OfficialGovernment bool
	Institution        Text   // who operates the service: "행정안전부"
	Logo               string // the institution's logo: a path on this host, or a data:image/ URL
	TermsURL           string // 이용약관; no link if empty
	PrivacyURL         string // 개인정보처리방침; no link if empty
}

// Validate checks that the banner is not shown without the institution behind it.
func (b Branding) Validate() error {
	var errs []error
	if b.OfficialGovernment && (b.Institution.Korean == "" || b.Logo == "") {
		errs = append(errs, errors.New("official government branding needs the institution's name and logo"))
	}
	if b.Logo != "" && !strings.HasPrefix(b.Logo, "data:image/") && (!strings.HasPrefix(b.Logo, "/") || strings.HasPrefix(b.Logo, "//")) {
		errs = append(errs, errors.New("logo must be a path on this host or a data:image/ URL"))
	}
	for name, address := range map[string]string{"terms": b.TermsURL, "privacy": b.PrivacyURL} {
		if address != "" && !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") {
			errs = append(errs, fmt.Errorf("%s URL must be a path or an http(s) URL", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("pages: branding: %w", err)
	}
	return nil
}

// Views renders the pages. Each method writes one whole page with the given status; the language and
// the contrast are the citizen's (web.Cookies.Display). All are safe for concurrent use.
type Views struct {
	cookies   web.Cookies
	log       *slog.Logger
	languages map[string]*language
}

// NewViews makes the pages of an institution, in both languages.
func NewViews(b Branding, documents Documents, cookies web.Cookies, log *slog.Logger) (*Views, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	v := &Views{cookies: cookies, log: log, languages: map[string]*language{}}
	for _, locale := range []string{web.Korean, web.English} {
		l, err := newLanguage(locale, b, documents)
		if err != nil {
			return nil, err
		}
		v.languages[locale] = l
	}
	return v, nil
}

// Page is what every page's model may say about its surroundings. The zero value suits a page that a
// GET of the same address shows again.
type Page struct {
	UILocales []string // ui_locales of the authorization request, in the site's order
	// Here is the address whose GET shows this page, for the links that switch language and contrast;
	// the request's own address if empty.
	Here string
	// Verified is how long a page of 사용자 관리 may be used; nil elsewhere.
	Verified *Verification
}

func (p *Page) surroundings() *Page { return p }

// Site is the relying site as the citizen knows it.
type Site struct {
	Name        Text
	Institution Text // who runs it; may be empty
	Own         bool // it is no site but the broker itself, where a registration is made or managed
	Registers   bool // with Own: where it is made
}

// model is what a page shows: a pointer to a view.
type model interface{ surroundings() *Page }

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// render writes the page of a model, or if that fails a plain sentence; the cause is logged. The page is never stored,
// and is rendered whole before its first byte is sent.
func render[M model](v *Views, w http.ResponseWriter, r *http.Request, status int, page func(*frame, M) templ.Component, m M) {
	p := m.surroundings()
	d := v.cookies.Display(w, r, p.UILocales)
	other, contrast := web.English, "high"
	if d.Locale == web.English {
		other = web.Korean
	}
	if d.HighContrast {
		contrast = "normal"
	}
	f := frame{
		language: v.languages[d.Locale], HighContrast: d.HighContrast, Verified: p.Verified,
		LanguageURL: with(r, p.Here, "lang", other),
		ContrastURL: with(r, p.Here, "contrast", contrast),
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	// Not the request's context: that a browser has gone is no fault of the page.
	if err := errors.Join(page(&f, m).Render(context.Background(), buf), f.missing); err != nil {
		v.log.LogAttrs(r.Context(), slog.LevelError, "page not rendered",
			slog.String("page", nameOf(page)), slog.String("error", err.Error()), slog.String("request_id", web.RequestID(r.Context())))
		http.Error(w, f.t("error.internal.title"), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	w.Write(buf.Bytes()) // an error means that the browser has gone
}

// nameOf is the name of a page's template.
func nameOf(page any) string {
	name := runtime.FuncForPC(reflect.ValueOf(page).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// with returns the page's address with one query parameter set.
func with(r *http.Request, here, key, value string) string {
	path, query := r.URL.EscapedPath(), r.URL.RawQuery
	if here != "" {
		path, query, _ = strings.Cut(here, "?")
	}
	if query == "" {
		return path + "?" + key + "=" + value
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		values = url.Values{}
	}
	values.Set(key, value)
	return path + "?" + values.Encode()
}
