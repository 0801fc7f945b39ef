// Package pages is what the citizen sees: the choice of a method, the proof, registration, consent, what they can
// do with their registration (사용자 관리), signing out, and errors, in Korean and English. Views renders; the
// handlers decode, call package login or account, and choose the view.
package pages

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/web"
)

//go:embed templates texts
var files embed.FS

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

// brand is the part of Branding that decides what is shown; its words are texts.
type brand struct {
	CallCentre, Official, Links, Terms, Privacy bool
}

// Views renders the pages. Each method writes one whole page with the given status; the language and
// the contrast are the citizen's (web.Cookies.Display). All are safe for concurrent use.
type Views struct {
	cookies   web.Cookies
	log       *slog.Logger
	renderer  *web.Renderer
	brand     brand
	texts     map[string]web.Texts
	documents Documents
}

// NewViews parses all pages in both languages.
func NewViews(b Branding, documents Documents, cookies web.Cookies, log *slog.Logger) (*Views, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	texts, err := readTexts()
	if err != nil {
		return nil, err
	}
	v := &Views{
		cookies: cookies, log: log, texts: texts, documents: documents,
		brand: brand{CallCentre: b.CallCentre != "", Official: b.OfficialGovernment, Links: b.TermsURL != "" || b.PrivacyURL != "", Terms: b.TermsURL != "", Privacy: b.PrivacyURL != ""},
	}
	funcs := map[string]template.FuncMap{}
	for locale, words := range texts {
		b.addTo(words, locale)
		funcs[locale] = functions(locale, words, documents)
	}
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, fmt.Errorf("pages: templates: %w", err)
	}
	v.renderer, err = web.NewRenderer(templates, texts, funcs)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return v, nil
}

// addTo puts what never changes while the service runs among the words, so that it is resolved when the
// templates are parsed.
func (b Branding) addTo(words web.Texts, locale string) {
	name := b.ServiceName.In(locale)
	if name == "" {
		name = words["service.name"]
	}
	fixed := map[string]string{
		"brand.name": name, "brand.call_centre": b.CallCentre, "brand.institution": b.Institution.In(locale),
		"brand.logo": b.Logo, "brand.terms": b.TermsURL, "brand.privacy": b.PrivacyURL,
	}
	for _, m := range method.All() {
		fixed["method."+string(m)] = methodName(m, locale)
	}
	for key, value := range fixed {
		words[key] = strings.ReplaceAll(html.EscapeString(value), "{{", "&#123;{") // data, not template source
	}
	words["brand.call_centre"] = `<span class="whole">` + words["brand.call_centre"] + `</span>`
}

// korea is where the days of the pages begin.
var korea = time.FixedZone("KST", 9*60*60)

func methodName(m method.Method, locale string) string {
	if locale == web.English {
		return m.English()
	}
	return m.Korean()
}

// readTexts reads the pages' own words, one file per language.
func readTexts() (map[string]web.Texts, error) {
	all := map[string]web.Texts{}
	for _, locale := range []string{web.Korean, web.English} {
		b, err := files.ReadFile("texts/" + locale + ".json")
		if err != nil {
			return nil, fmt.Errorf("pages: texts: %w", err)
		}
		var words web.Texts
		if err := json.Unmarshal(b, &words); err != nil {
			return nil, fmt.Errorf("pages: texts in %s: %w", locale, err)
		}
		all[locale] = words
	}
	return all, nil
}

// functions are what the templates of one language can call.
func functions(locale string, words web.Texts, documents Documents) template.FuncMap {
	word := func(parts ...string) (string, error) {
		key := strings.Join(parts, "")
		text, ok := words[key]
		if !ok {
			return "", fmt.Errorf("no text %q", key)
		}
		return text, nil
	}
	return template.FuncMap{
		"in":     func(t Text) string { return t.In(locale) },
		"word":   word,
		"method": func(m method.Method) string { return methodName(m, locale) },
		"provider": func(p authn.Provider) string {
			return Text{p.Korean, p.English}.In(locale)
		},
		"initial": func(p authn.Provider) string {
			_, n := utf8.DecodeRuneInString(Text{p.Korean, p.English}.In(locale))
			return Text{p.Korean, p.English}.In(locale)[:n]
		},
		"document": func(id string) Document { return documents.Get(id, locale) },
		"date": func(birthDate string) string {
			t, err := time.Parse(time.DateOnly, birthDate)
			if err != nil {
				return birthDate
			}
			return t.Format(words["date.format"])
		},
		"time":    func(t time.Time) string { return t.In(korea).Format(words["time.format"]) },
		"clock":   clock,
		"outcome": func(o account.Outcome) (string, error) { return word("history.outcome.", string(o)) },
		"day":     func(t time.Time) string { return t.In(korea).Format(words["date.format"]) },
		"seconds": func(d time.Duration) int { return max(0, int(d/time.Second)) },
		"millis":  func(d time.Duration) int64 { return d.Milliseconds() },
		"minutes": func(d time.Duration) string {
			s := max(0, int(d/time.Second))
			return strings.NewReplacer("{m}", strconv.Itoa(s/60), "{s}", strconv.Itoa(s%60)).Replace(words["minutes"])
		},
	}
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

// Site is the relying site as the citizen knows it.
type Site struct {
	Name        Text
	Institution Text // who runs it; may be empty
	Own         bool // it is no site but the broker itself, where a registration is made or managed
	Registers   bool // with Own: where it is made
}

// frame is what a template gets.
type frame struct {
	Locale       string
	HighContrast bool
	LanguageURL  string
	ContrastURL  string
	Brand        *brand
	Verified     *Verification
	M            any
}

// render writes the page, or if that fails a plain sentence; the cause is logged.
func (v *Views) render(w http.ResponseWriter, r *http.Request, status int, name string, p Page, m any) {
	v.write(w, r, status, name, p, m, "")
}

// renderAlike is render for a page that says nothing of the person: it is the same for all who come from a
// site but for the attempt's id, which is in the route.
func (v *Views) renderAlike(w http.ResponseWriter, r *http.Request, status int, name string, p Page, m any) {
	v.write(w, r, status, name, p, m, r.PathValue("id"))
}

func (v *Views) write(w http.ResponseWriter, r *http.Request, status int, name string, p Page, m any, id string) {
	d := v.cookies.Display(w, r, p.UILocales)
	other, contrast := web.English, "high"
	if d.Locale == web.English {
		other = web.Korean
	}
	if d.HighContrast {
		contrast = "normal"
	}
	f := frame{
		Locale: d.Locale, HighContrast: d.HighContrast, Brand: &v.brand, Verified: p.Verified, M: m,
		LanguageURL: with(r, p.Here, "lang", other),
		ContrastURL: with(r, p.Here, "contrast", contrast),
	}
	if err := v.renderer.RenderAlike(w, status, d.Locale, name, &f, id); err != nil {
		v.log.LogAttrs(r.Context(), slog.LevelError, "page not rendered",
			slog.String("page", name), slog.String("error", err.Error()), slog.String("request_id", web.RequestID(r.Context())))
		http.Error(w, v.texts[d.Locale]["error.internal.title"], http.StatusInternalServerError)
	}
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
