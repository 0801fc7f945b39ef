package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/web"
)

// The documents that a citizen agrees to at registration, in the order of the page.
const (
	DocTerms    = "terms"     // 서비스 이용약관
	DocPrivacy  = "privacy"   // 개인정보처리방침: collection and use
	DocUniqueID = "unique-id" // 고유식별정보 처리
)

// Document is one version of a text in one language. A consent record names ID, Version, Locale and
// SHA256.
type Document struct {
	ID      string
	Locale  string
	Version string // the day from which it applies, YYYY-MM-DD
	Basis   string // the legal-basis line shown below the text; only DocUniqueID has one
	SHA256  string // of the whole file, hex
	Body    string // headings from h3 on
}

// Documents holds every document in both languages.
type Documents map[[2]string]Document // id, locale

//go:embed terms
var termFiles embed.FS

// DefaultDocuments are the texts that come with the product. An institution reads its own by
// ReadDocuments.
func DefaultDocuments() Documents {
	fsys, err := fs.Sub(termFiles, "terms")
	if err != nil {
		panic(err) // embedded
	}
	docs, err := ReadDocuments(fsys)
	if err != nil {
		panic(err) // embedded, and a test reads them
	}
	return docs
}

// documentKinds are the documents as consents know them.
var documentKinds = map[string]consent.Kind{DocTerms: consent.Terms, DocPrivacy: consent.Privacy, DocUniqueID: consent.UniqueID}

// Texts are the documents with the ids in a locale, all of them where none is named, as consents record them.
func (d Documents) Texts(locale string, ids ...string) []consent.Text {
	if len(ids) == 0 {
		ids = []string{DocTerms, DocPrivacy, DocUniqueID}
	}
	texts := make([]consent.Text, 0, len(ids))
	for _, id := range ids {
		doc := d.Get(id, locale)
		texts = append(texts, consent.Text{Kind: documentKinds[id], Version: doc.Version, Locale: locale, Digest: doc.SHA256, Basis: doc.Basis})
	}
	return texts
}

// Get returns the document, or the zero Document for an unknown id or locale.
func (d Documents) Get(id, locale string) Document { return d[[2]string{id, locale}] }

var metaLine = regexp.MustCompile(`^<!-- (version|basis): (.+) -->$`)

// ReadDocuments reads <id>.<locale>.html for each document and language. A file starts with lines
// `<!-- version: 2026-11-01 -->` and, for unique-id, `<!-- basis: … -->`; the rest is HTML that is
// shown as it is, so the folder must be the institution's own.
func ReadDocuments(fsys fs.FS) (Documents, error) {
	docs := Documents{}
	var errs []error
	for _, id := range []string{DocTerms, DocPrivacy, DocUniqueID} {
		for _, locale := range []string{web.Korean, web.English} {
			name := id + "." + locale + ".html"
			b, err := fs.ReadFile(fsys, name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			doc := parseDocument(b)
			doc.ID, doc.Locale = id, locale
			if _, err := time.Parse(time.DateOnly, doc.Version); err != nil {
				errs = append(errs, fmt.Errorf("%s: want a first line <!-- version: YYYY-MM-DD -->", name))
			}
			if (id == DocUniqueID) != (doc.Basis != "") {
				errs = append(errs, fmt.Errorf("%s: the line <!-- basis: … --> belongs to %s, and only there", name, DocUniqueID))
			}
			docs[[2]string{id, locale}] = doc
		}
		// Who agreed to a version agreed in either language.
		if korean, english := docs.Get(id, web.Korean), docs.Get(id, web.English); korean.Version != english.Version {
			errs = append(errs, fmt.Errorf("%s: version %s in Korean, and %s in English", id, korean.Version, english.Version))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("pages: documents: %w", err)
	}
	return docs, nil
}

func parseDocument(b []byte) Document {
	sum := sha256.Sum256(b)
	doc := Document{SHA256: hex.EncodeToString(sum[:])}
	body := string(b)
	for {
		line, rest, _ := strings.Cut(body, "\n")
		m := metaLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			break
		}
		if m[1] == "version" {
			doc.Version = m[2]
		} else {
			doc.Basis = m[2]
		}
		body = rest
	}
	doc.Body = body
	return doc
}
