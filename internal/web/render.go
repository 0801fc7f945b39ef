package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Texts are the words of one language by key. A text is template source: it may hold actions such as
// {{.Minutes}}, which see the data of the place where the text stands, and may name other texts by
// {{t "key"}}, one level deep.
type Texts map[string]string

// Renderer renders pages from html/template files, parsed once per language. Three words of the
// templates are resolved while parsing, so that a request pays nothing for them:
//
//	{{t "login.title"}}    the text of that key in the language
//	{{asset "anyid.css"}}  the path of an asset
//	{{icon "check"}}       a symbol of icons.svg, hidden from screen readers
type Renderer struct {
	pages map[string]map[string]*template.Template // locale, name
	alike memo[[]string]                           // pages of RenderAlike, cut where the id stood
}

var static = regexp.MustCompile(`\{\{(t|asset|icon) "([^"]+)"\}\}`)

// NewRenderer parses all *.html files below fsys, once for each language of texts. The funcs of each
// language are available to its templates. It fails on a missing text or asset and on a template that
// does not parse.
func NewRenderer(fsys fs.FS, texts map[string]Texts, funcs map[string]template.FuncMap) (*Renderer, error) {
	sources := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".html" {
			return err
		}
		b, err := fs.ReadFile(fsys, name)
		sources[name] = string(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("web: read templates: %w", err)
	}
	r := &Renderer{pages: map[string]map[string]*template.Template{}, alike: memo[[]string]{limit: maxAlike}}
	for locale, words := range texts {
		set := template.New("").Funcs(funcs[locale])
		for name, source := range sources {
			resolved, err := resolve(source, words)
			if err != nil {
				return nil, fmt.Errorf("web: template %s in %s: %w", name, locale, err)
			}
			if _, err := set.New(name).Parse(resolved); err != nil {
				return nil, fmt.Errorf("web: template %s in %s: %w", name, locale, err)
			}
		}
		pages := map[string]*template.Template{}
		for _, t := range set.Templates() {
			pages[t.Name()] = t
		}
		r.pages[locale] = pages
	}
	return r, nil
}

// resolve replaces the static words of a template's source, and of the texts in it.
func resolve(source string, words Texts) (string, error) {
	return replaceStatic(source, func(text string) (string, error) {
		return replaceStatic(text, func(inner string) (string, error) { return inner, nil }, words)
	}, words)
}

// replaceStatic replaces the static words of source; each text goes through nested, once.
func replaceStatic(source string, nested func(string) (string, error), words Texts) (string, error) {
	var failed error
	fail := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	out := static.ReplaceAllStringFunc(source, func(match string) string {
		m := static.FindStringSubmatch(match)
		var value string
		switch m[1] {
		case "t":
			text, ok := words[m[2]]
			if !ok {
				fail(fmt.Errorf("no text %q", m[2]))
			}
			var err error
			if value, err = nested(text); err != nil {
				fail(err)
			}
		case "asset":
			var err error
			if value, err = Asset(m[2]); err != nil {
				fail(err)
			}
		case "icon":
			sprite, err := Asset("icons.svg")
			if err != nil {
				fail(err)
			}
			value = `<svg class="icon" aria-hidden="true" focusable="false"><use href="` + sprite + "#" + m[2] + `"></use></svg>`
		}
		return value
	})
	return out, failed
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Render writes the named template as an HTML page that is never stored. The page is rendered whole
// before its first byte is sent, so an error leaves w untouched.
func (r *Renderer) Render(w http.ResponseWriter, status int, locale, name string, data any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	if err := r.execute(buf, locale, name, data); err != nil {
		return err
	}
	send(w, status, buf.Bytes())
	return nil
}

const (
	maxAlike = 500 // pages, of some 6 KB each
	minID    = 16  // characters, so that no other word of a page is an id
)

// RenderAlike is Render for a page that is the same for everybody but for id, a random word in its addresses. It
// is rendered for the first who is shown it; the others get that page with their own id in it. Two pages are
// the same if the JSON of their data is, but for the id: so all that the template looks at must be in the
// JSON. Data about a person does not belong here: it would be kept. Without an id it is Render.
func (r *Renderer) RenderAlike(w http.ResponseWriter, status int, locale, name string, data any, id string) error {
	if len(id) < minID || !plain(id) {
		return r.Render(w, status, locale, name, data)
	}
	seen, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("web: render %q: %w", name, err)
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	key := locale + "\n" + name + "\n" + strings.ReplaceAll(string(seen), id, "\n") // JSON holds no line feed
	if pieces, ok := r.alike.get(key); ok {
		for i, piece := range pieces {
			if i > 0 {
				buf.WriteString(id)
			}
			buf.WriteString(piece)
		}
	} else {
		if err := r.execute(buf, locale, name, data); err != nil {
			return err
		}
		r.alike.put(key, strings.Split(buf.String(), id))
	}
	send(w, status, buf.Bytes())
	return nil
}

// plain reports whether the word is written the same in HTML, in URLs and in JSON.
func plain(word string) bool {
	for _, c := range []byte(word) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// execute renders the named template into buf.
func (r *Renderer) execute(buf *bytes.Buffer, locale, name string, data any) error {
	t, ok := r.pages[locale][name]
	if !ok {
		return fmt.Errorf("web: no page %q in %q", name, locale)
	}
	if err := t.Execute(buf, data); err != nil {
		// The cause names fields and types, not values.
		return fmt.Errorf("web: render %q: %w", name, err)
	}
	return nil
}

// send answers with a page.
func send(w http.ResponseWriter, status int, page []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	w.Write(page) // an error means that the browser has gone
}
