package web

import (
	"net/http"

	"golang.org/x/text/language"
)

// The languages of the pages.
const (
	Korean  = "ko"
	English = "en"
)

const (
	langParam     = "lang"
	contrastParam = "contrast"
	highContrast  = "high"
	normal        = "normal"
	yearInSeconds = 365 * 24 * 60 * 60
)

var matcher = language.NewMatcher([]language.Tag{language.Korean, language.English})

// Display is how a page is shown to this browser.
type Display struct {
	Locale       string // Korean or English
	HighContrast bool
}

// Display reads the citizen's choice of language and contrast: from ?lang= and ?contrast=, else from
// the cookies of earlier choices, else the language as Locale says. What was chosen now is remembered
// for a year.
func (c Cookies) Display(w http.ResponseWriter, r *http.Request, uiLocales []string) Display {
	var langChoice, contrastChoice string
	if r.URL.RawQuery != "" {
		query := r.URL.Query()
		langChoice, contrastChoice = query.Get(langParam), query.Get(contrastParam)
	}
	if supported(langChoice) {
		c.Set(w, langParam, langChoice, yearInSeconds)
	} else if langChoice = c.Get(r, langParam); !supported(langChoice) {
		langChoice = negotiate(r, uiLocales)
	}
	if contrastChoice == highContrast || contrastChoice == normal {
		c.Set(w, contrastParam, contrastChoice, yearInSeconds)
	} else {
		contrastChoice = c.Get(r, contrastParam)
	}
	return Display{Locale: langChoice, HighContrast: contrastChoice == highContrast}
}

// Locale returns the language to answer in: what the browser chose by ?lang= or earlier (either
// cookie name counts), else the first of uiLocales (OIDC Core §3.1.2.1, BCP 47) that we have, else
// the best of Accept-Language, else Korean.
func Locale(r *http.Request, uiLocales []string) string {
	if r.URL.RawQuery != "" {
		if choice := r.URL.Query().Get(langParam); supported(choice) {
			return choice
		}
	}
	for _, c := range []Cookies{{Secure: true}, {Secure: false}} {
		if choice := c.Get(r, langParam); supported(choice) {
			return choice
		}
	}
	return negotiate(r, uiLocales)
}

func supported(locale string) bool { return locale == Korean || locale == English }

func negotiate(r *http.Request, uiLocales []string) string {
	for _, l := range uiLocales {
		tag, err := language.Parse(l)
		if err != nil {
			continue
		}
		if base, _ := tag.Base(); supported(base.String()) {
			return base.String()
		}
	}
	return accepted(r.Header.Get("Accept-Language"))
}

// languages remembers what accepted found for a header: browsers send few different ones. Longer ones are
// not remembered, so that nobody can fill the memory with them.
var languages = memo{limit: 1000}

const maxRemembered = 128 // bytes

// accepted returns the best of an Accept-Language header, Korean if it has neither of our languages.
func accepted(header string) string {
	if header == "" {
		return Korean
	}
	if locale, ok := languages.get(header); ok {
		return locale
	}
	locale := Korean
	tags, _, err := language.ParseAcceptLanguage(header)
	if err == nil {
		if _, i, confidence := matcher.Match(tags...); i == 1 && confidence != language.No {
			locale = English
		}
	}
	if len(header) <= maxRemembered {
		languages.put(header, locale)
	}
	return locale
}
