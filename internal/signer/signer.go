// Package signer is what the joint certificate's page does with the files that a citizen chose: it finds the
// certificates in them, opens a private key with its password, and signs. Compiled to WebAssembly
// (cmd/anyid-signer) it runs in the citizen's browser, so that keys, passwords and R stay there.
//
// It holds no state: each call gets the files anew. What it says of a certificate is advice, so that nobody
// types a password in vain; the server judges every certificate itself.
package signer

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/pkg/npki"
)

// MaxFiles is how many files are looked at.
const MaxFiles = 64

// maxKeys is how many key files a password is tried on. Each may ask for a second of work.
const maxKeys = 8

// Code says why a certificate cannot be used, or why a signature did not come about. The page has words for each.
type Code string

// What is wrong with a certificate.
const (
	Expired     Code = "expired"
	NotYetValid Code = "not-yet-valid"
	NotAccepted Code = "not-accepted" // of a kind that is not taken here
	Corporate   Code = "corporate"    // not taken here, and of a company
	NoKey       Code = "no-key"       // no file could be its key
	Broken      Code = "broken"       // no certificate file at all, or a damaged one
)

// What else can go wrong when signing.
const (
	Password      Code = "password"
	Unsupported   Code = "unsupported"    // an algorithm that is not taken
	Mismatch      Code = "mismatch"       // the password opens a key, but of another certificate
	Several       Code = "several"        // the file holds several certificates that sign: one must be chosen
	NoCertificate Code = "no-certificate" // the file holds none that signs
	Failed        Code = "failed"         // a wrong call, or a defect
)

// Error makes a Code an error.
func (c Code) Error() string { return "signer: " + string(c) }

// File is a file that the citizen chose.
type File struct {
	Name string // with its folders as far as they are known, separated by slashes
	Data []byte
}

// folder is where the file lies. It is compared within one choice only, so the encoding of names does not matter.
func (f File) folder() string { return f.Name[:strings.LastIndexByte(f.Name, '/')+1] }

// base is the file's name without folders.
func (f File) base() string { return f.Name[len(f.folder()):] }

// Text is said in two languages.
type Text struct{ Korean, English string }

// Entry is one certificate to choose, or a file that shows what it holds when its password is given.
type Entry struct {
	ID        string    // for Sign
	File      string    // name of the file; empty for a certificate that can be seen
	Name      string    // the holder's true name
	Issuer    Text      // 금융결제원
	Kind      Text      // 개인 범용
	NotBefore time.Time // in Korea's time, as NotAfter
	NotAfter  time.Time
	Policy    string // the policy that Kind names, dotted
	Reason    Code   // why it cannot be used; empty if it can
}

// Request is what is to be signed, and which certificates are taken for it (authn.SignRequest).
type Request struct {
	Content   string   // to be signed
	UCPID     string   // base64url: to be signed as well; empty: nothing
	Policies  []string // dotted; only these are taken
	Recipient string   // certificate, base64, to whose owner R is sent; empty: nobody
}

// Answer is what the page sends, each field empty where it was not asked for.
type Answer struct {
	Signed string // CMS SignedData, base64url
	UCPID  string // CMS SignedData, base64url
	VID    string // VidMsg with R only (option 16), hex; empty also where the key file has no R
}

var korea = time.FixedZone("KST", 9*60*60)

// List finds what can be chosen in the files: those that can be used first. Certificates that are not for
// signing, of authorities and for encryption, are left out.
func List(files []File, policies []string, now time.Time) []Entry {
	files = files[:min(len(files), MaxFiles)]
	keys := slices.ContainsFunc(files, func(f File) bool { return parseKey(f.Data) != nil })
	var usable, others []Entry
	for i, f := range files {
		e := Entry{ID: strconv.Itoa(i)}
		seen := func(other File) bool { return bytes.Equal(other.Data, f.Data) }
		if f.base() == "" || slices.ContainsFunc(files[:i], seen) {
			continue
		}
		c, err := parseCertificate(f.Data)
		switch {
		case err == nil && !offered(c):
			continue
		case err == nil:
			e.describe(c, policies, now)
			if e.Reason == "" && !keys {
				e.Reason = NoKey
			}
		case isPFX(f.Data):
			e.File = f.base()
		case parseKey(f.Data) != nil || !promising(f.base()):
			continue
		case errors.Is(err, npki.ErrUnsupported):
			e.File, e.Reason = f.base(), NotAccepted
		default:
			e.File, e.Reason = f.base(), Broken
		}
		if e.Reason == "" {
			usable = append(usable, e)
		} else {
			others = append(others, e)
		}
	}
	return append(usable, others...)
}

// promising says that a file of this name is meant to be a certificate.
func promising(name string) bool {
	for _, ending := range []string{".der", ".p12", ".pfx"} {
		if len(name) > len(ending) && strings.EqualFold(name[len(name)-len(ending):], ending) {
			return true
		}
	}
	return false
}

func parseCertificate(data []byte) (*npki.Certificate, error) {
	if len(data) > npki.MaxFile {
		return nil, Broken
	}
	return npki.ParseCertificate(data)
}

func parseKey(data []byte) *npki.EncryptedKey {
	k, err := npki.ParseEncryptedKey(data)
	if err != nil {
		return nil
	}
	return k
}

// isPFX looks at the beginning of a PFX (RFC 7292 section 4), which cannot be read without its password: a sequence
// of the version, which is 3, and a sequence.
func isPFX(data []byte) bool {
	if len(data) < 2 || len(data) > npki.MaxFile || data[0] != 0x30 {
		return false
	}
	header := 2
	if data[1] > 0x80 {
		header += int(data[1] & 0x7f)
	}
	return len(data) > header+4 && bytes.Equal(data[header:header+4], []byte{0x02, 1, 3, 0x30})
}

// offered says that a certificate is one that somebody signs with.
func offered(c *npki.Certificate) bool { return c.Signs() && !c.IsCA }

// describe fills in what a certificate says, and judges it.
func (e *Entry) describe(c *npki.Certificate, policies []string, now time.Time) {
	e.NotBefore, e.NotAfter = c.NotBefore.In(korea), c.NotAfter.In(korea)
	e.Issuer = issuer(c)
	if id, err := c.Identity(); err == nil {
		e.Name = id.RealName
	} else if name, err := c.SubjectName(); err == nil {
		e.Name = first(name, "cn")
	}
	accepted := false
	for _, id := range c.Policies {
		if oid := id.String(); slices.Contains(policies, oid) {
			e.Policy, accepted = oid, true
			break
		}
	}
	p, known := npki.PolicyByOID(e.Policy)
	if !known && !accepted {
		p, known = c.Policy()
		e.Policy = p.OID
	}
	if known {
		e.Kind = Text{p.Label(), p.Kind.English()}
		if p.Holder != npki.AnyHolder {
			e.Kind.English += " (" + p.Holder.English() + ")"
		}
	}
	switch {
	case !accepted && (p.Holder == npki.Corporation || p.Holder == npki.Business || p.Holder == npki.Organization):
		e.Reason = Corporate
	case !accepted:
		e.Reason = NotAccepted
	case now.After(c.NotAfter):
		e.Reason = Expired
	case now.Before(c.NotBefore):
		e.Reason = NotYetValid
	}
}

// issuer names the authority: as its customers know it, or else as it calls itself.
func issuer(c *npki.Certificate) Text {
	name, err := c.IssuerName()
	if err != nil {
		return Text{}
	}
	o := first(name, "o")
	for _, ca := range npki.CAs() {
		if ca.Organization == o {
			return Text{ca.Name, ca.English}
		}
	}
	if o == "" {
		o = first(name, "cn")
	}
	return Text{o, o}
}

// first is the first value of a type in a name.
func first(name npki.Name, kind string) string {
	for _, rdn := range name {
		for _, a := range rdn {
			if a.Type == kind {
				return a.Value
			}
		}
	}
	return ""
}

// Sign signs with the entry of that ID, which List or an earlier Sign gave for the same files, and overwrites the
// password. Its errors are a Code; with Several come the entries to choose from.
func Sign(files []File, id string, password []byte, r Request, now time.Time) (Answer, []Entry, error) {
	defer clear(password)
	files = files[:min(len(files), MaxFiles)]
	number, pair, chosen := strings.Cut(id, ".")
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(files) {
		return Answer{}, nil, Failed
	}
	if c, err := parseCertificate(files[i].Data); err == nil {
		var e Entry
		if e.describe(c, r.Policies, now); e.Reason != "" {
			return Answer{}, nil, e.Reason
		}
		key, err := openKey(files, i, c, password)
		if err != nil {
			return Answer{}, nil, err
		}
		defer key.Wipe()
		answer, err := sign(c, key, r, now)
		return answer, nil, err
	}
	bundle, err := npki.ParsePFX(files[i].Data, password)
	if err != nil {
		return Answer{}, nil, codeOf(err)
	}
	defer bundle.Wipe()
	var pairs []npki.Pair
	var entries []Entry
	for _, p := range bundle.Pairs {
		if offered(p.Certificate) {
			e := Entry{ID: number + "." + strconv.Itoa(len(pairs))}
			e.describe(p.Certificate, r.Policies, now)
			pairs, entries = append(pairs, p), append(entries, e)
		}
	}
	n := 0
	if chosen {
		if n, err = strconv.Atoi(pair); err != nil || n < 0 || n >= len(pairs) {
			return Answer{}, nil, Failed
		}
	}
	switch {
	case len(pairs) == 0:
		return Answer{}, nil, NoCertificate
	case len(pairs) > 1 && !chosen:
		return Answer{}, entries, Several
	case entries[n].Reason != "":
		return Answer{}, nil, entries[n].Reason
	}
	answer, err := sign(pairs[n].Certificate, pairs[n].Key, r, now)
	return answer, nil, err
}

// openKey finds the key of a certificate: among the key files beside it, or if there are none, among all.
func openKey(files []File, at int, c *npki.Certificate, password []byte) (*npki.PrivateKey, error) {
	var beside, all []*npki.EncryptedKey
	broken := false
	for _, f := range files {
		k := parseKey(f.Data)
		if k == nil {
			broken = broken || strings.EqualFold(f.base(), "signPri.key") && f.folder() == files[at].folder()
			continue
		}
		all = append(all, k)
		if f.folder() == files[at].folder() {
			beside = append(beside, k)
		}
	}
	if len(beside) == 0 {
		beside = all
	}
	failure := NoKey
	if broken {
		failure = Broken
	}
	for _, encrypted := range beside[:min(len(beside), maxKeys)] {
		k, err := encrypted.Decrypt(password)
		if err == nil {
			if err = k.Matches(c.Certificate); err == nil {
				return k, nil
			}
			k.Wipe()
		}
		// A wrong password says nothing about the file, so it may have been the right one.
		if failure != Password {
			failure = codeOf(err)
		}
	}
	return nil, failure
}

// sign makes all that the request asks for.
func sign(c *npki.Certificate, key *npki.PrivateKey, r Request, now time.Time) (Answer, error) {
	var a Answer
	var err error
	if a.Signed, err = signCMS(c, key, []byte(r.Content), now); err != nil {
		return Answer{}, err
	}
	if r.UCPID != "" {
		request, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(r.UCPID, "="))
		if err != nil {
			return Answer{}, Failed
		}
		if a.UCPID, err = signCMS(c, key, request, now); err != nil {
			return Answer{}, err
		}
	}
	if r.Recipient != "" && len(key.R) > 0 {
		if a.VID, err = sealR(r.Recipient, key.R); err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

func signCMS(c *npki.Certificate, key *npki.PrivateKey, content []byte, now time.Time) (string, error) {
	message, err := npki.SignCMS(key.Key, c.Raw, content, npki.SignOptions{Time: now})
	if err != nil {
		return "", codeOf(err)
	}
	return base64.RawURLEncoding.EncodeToString(message), nil
}

// sealR encrypts R for the owner of a certificate.
func sealR(recipient string, r []byte) (string, error) {
	data, err := base64.StdEncoding.DecodeString(recipient)
	if err != nil {
		return "", Failed
	}
	c, err := npki.ParseCertificate(data)
	if err != nil {
		return "", Failed
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return "", Failed
	}
	message, err := npki.VIDMsg{R: r}.Seal(nil, key)
	if err != nil {
		return "", Failed
	}
	return message, nil
}

// codeOf translates an error of package npki.
func codeOf(err error) Code {
	for _, known := range []struct {
		npki npki.Code
		code Code
	}{
		{npki.ErrPassword, Password}, {npki.ErrInput, Password}, {npki.ErrMalformed, Broken}, {npki.ErrTooLarge, Broken},
		{npki.ErrUnsupported, Unsupported}, {npki.ErrMismatch, Mismatch},
	} {
		if errors.Is(err, known.npki) {
			return known.code
		}
	}
	return Failed
}
