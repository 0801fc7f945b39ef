package pages

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/a-h/templ"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/web"
)

//go:embed texts
var textFiles embed.FS

// language is one language of the pages: its words, and those of the institution in it.
type language struct {
	locale    string
	words     map[string]string // by key; with places such as {site} for what changes
	brand     brand
	documents Documents

	head, masthead, mark, footer templ.Component // parts of all pages, rendered already
}

// brand is Branding in one language.
type brand struct {
	Name, CallCentre, Institution, Logo, Terms, Privacy string
	Official                                            bool
}

func newLanguage(locale string, b Branding, documents Documents) (*language, error) {
	words, err := readTexts(locale)
	if err != nil {
		return nil, err
	}
	l := &language{locale: locale, words: words, documents: documents, brand: brand{
		Name: b.ServiceName.In(locale), CallCentre: b.CallCentre, Institution: b.Institution.In(locale), Logo: b.Logo,
		Terms: b.TermsURL, Privacy: b.PrivacyURL, Official: b.OfficialGovernment,
	}}
	if l.brand.Name == "" {
		l.brand.Name = words["service.name"]
	}
	f := &frame{language: l}
	for _, part := range []struct {
		keep *templ.Component
		part templ.Component
	}{{&l.head, head()}, {&l.masthead, masthead(f)}, {&l.mark, mark(f)}, {&l.footer, footer(f)}} {
		var b strings.Builder
		if err := errors.Join(part.part.Render(context.Background(), &b), f.missing); err != nil {
			return nil, fmt.Errorf("pages: in %s: %w", locale, err)
		}
		*part.keep = templ.Raw(b.String())
	}
	return l, nil
}

// readTexts reads the pages' own words in a language.
func readTexts(locale string) (words map[string]string, err error) {
	b, err := textFiles.ReadFile("texts/" + locale + ".json")
	if err != nil {
		return nil, fmt.Errorf("pages: texts: %w", err)
	}
	if err := json.Unmarshal(b, &words); err != nil {
		return nil, fmt.Errorf("pages: texts in %s: %w", locale, err)
	}
	return words, nil
}

// in returns a text from data.
func (l *language) in(t Text) string { return t.In(l.locale) }

func (l *language) method(m method.Method) string {
	if l.locale == web.English {
		return m.English()
	}
	return m.Korean()
}

// methods is a list of them.
func (l *language) methods(list []method.Method) string { return listed(list, l.method) }

// listed is a list by the names of what is in it.
func listed[T any](list []T, name func(T) string) string {
	names := make([]string, len(list))
	for i, x := range list {
		names[i] = name(x)
	}
	return strings.Join(names, ", ")
}

// methodBy is a method and, where it has several, which provider's.
func (l *language) methodBy(m method.Method, p authn.Provider) string {
	return bracketed(l.method(m), l.provider(p))
}

func (l *language) provider(p authn.Provider) string { return l.in(Text{p.Korean, p.English}) }

// initial is the first letter of a provider's name, in place of a picture.
func (l *language) initial(p authn.Provider) string {
	name := l.provider(p)
	_, n := utf8.DecodeRuneInString(name)
	return name[:n]
}

func (l *language) document(id string) Document { return l.documents.Get(id, l.locale) }

// frame is what each page is shown in: the language, and what surrounds the page.
type frame struct {
	*language
	HighContrast bool
	LanguageURL  string // this page in the other language
	ContrastURL  string // this page in the other contrast
	Verified     *Verification
	missing      error // the first text that is not there
}

// t returns the text of a key. The values are pairs: the name of a place in the text, and what stands there.
func (f *frame) t(key string, values ...string) string {
	text, ok := f.words[key]
	if !ok && f.missing == nil {
		f.missing = fmt.Errorf("pages: no text %q", key)
	}
	return fill(text, values)
}

// fill puts the values in their places in a text. A place without a value stays as it is.
func fill(text string, values []string) string {
	if len(values) == 0 {
		return text
	}
	var b strings.Builder
	for {
		before, rest, more := strings.Cut(text, "{")
		b.WriteString(before)
		if !more {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		value := "{" + name + "}"
		for i := 0; i+1 < len(values); i += 2 {
			if values[i] == name {
				value = values[i+1]
			}
		}
		b.WriteString(value)
		text = after
	}
}

// mistaken is the title of a page with a form that has been filled in wrongly, or not.
func (f *frame) mistaken(wrong bool, title string) string {
	if wrong {
		return f.t("title.error") + title
	}
	return title
}

// level is a level of assurance; empty if there is none.
func (f *frame) level(l method.Level) string {
	if l == 0 {
		return ""
	}
	return f.t("history.level", "level", strconv.Itoa(int(l)))
}

func (f *frame) outcome(o account.Outcome) string { return f.t("history.outcome." + string(o)) }

// date is a date of birth; as it came if it is none.
func (f *frame) date(birthDate string) string {
	t, err := time.Parse(time.DateOnly, birthDate)
	if err != nil {
		return birthDate
	}
	return t.Format(f.t("date.format"))
}

// claim is the value of what is handed over, written as on the other pages.
func (f *frame) claim(item ConsentItem) string {
	if item.ID == "birthdate" {
		return f.date(item.Value)
	}
	return item.Value
}

// day is a day in Korea.
func (f *frame) day(t time.Time) string { return t.In(authn.Korea).Format(f.t("date.format")) }

// time is a day and the time of day in Korea.
func (f *frame) time(t time.Time) string { return t.In(authn.Korea).Format(f.t("time.format")) }

// clock is a time of day in Korea.
func clock(t time.Time) string { return t.In(authn.Korea).Format("15:04") }

// minutes is a duration in minutes and seconds.
func (f *frame) minutes(d time.Duration) string {
	s := wholeSeconds(d)
	return f.t("minutes", "m", strconv.Itoa(s/60), "s", strconv.Itoa(s%60))
}

func wholeSeconds(d time.Duration) int { return max(0, int(d/time.Second)) }

// seconds is a duration for a script.
func seconds(d time.Duration) string { return strconv.Itoa(wholeSeconds(d)) }

// millis is a duration for a script.
func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// hyphened is a method as ids and paths have it.
func hyphened(m method.Method) string { return strings.ReplaceAll(string(m), "_", "-") }

// symbol is the name of a method's icon.
func symbol(m method.Method) string {
	if m == method.IPIN {
		return "person"
	}
	return hyphened(m)
}

// when is a word of an attribute that depends on something.
func when(yes bool, word string) string {
	if yes {
		return word
	}
	return ""
}

// bracketed is a text and what is said of it, if anything, in brackets.
func bracketed(text, more string) string {
	if more == "" {
		return text
	}
	return text + " (" + more + ")"
}

// iconStart is an icon up to its name.
var iconStart = sync.OnceValue(func() string {
	return `<svg class="icon" aria-hidden="true" focusable="false"><use href="` + asset("icons.svg") + "#"
})

// icon is a symbol of icons.svg, hidden from screen readers. The name is a template's own.
func icon(name string) templ.Component { return templ.Raw(iconStart() + name + `"></use></svg>`) }

// asset is the path of one of our own files.
func asset(name string) string {
	path, err := web.Asset(name)
	if err != nil {
		panic(err) // the pages are ours, too
	}
	return path
}
