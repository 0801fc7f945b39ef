package mobileid

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// Limits of a presentation.
const (
	maxCredentials = 32
	maxProofs      = 4
	maxID          = 256
	ciLength       = 88 // 64 bytes in base64
	clockSkew      = 5 * time.Minute
)

// The words of authType. The id of the key that signs contains one.
var authTypes = []string{"pin", "bio", "face"}

// dids are the identifiers that the ledger is asked about.
var dids = regexp.MustCompile(`^did:[a-z0-9]+(:[A-Za-z0-9._-]+)+$`)

// verify judges what M400 brought, to the last signature, and returns what it proves.
func (m *mip) verify(ctx context.Context, t *transaction, vp object) (authn.Evidence, *mipRefused) {
	if refused := t.checkMessage(vp); refused != nil {
		return authn.Evidence{}, refused
	}
	data, _ := vp.text("data")
	plain, err := m.deps.Ports.Decrypter.Decrypt(ctx, Container{Key: m.cfg.Key, KeyType: t.KeyType, EncryptType: t.EncryptType, Data: data})
	switch {
	case errors.Is(err, ErrUndecryptable):
		return authn.Evidence{}, refuse(mipData, "the data does not decrypt")
	case err != nil:
		return authn.Evidence{}, portFailed(err)
	}
	p, err := parsePresentation(plain)
	if err != nil {
		return authn.Evidence{}, &mipRefused{mip: mipData, code: authn.BadEvidence, err: err}
	}
	did, _ := vp.text("did")
	if refused := m.judge(p, t, did); refused != nil {
		return authn.Evidence{}, refused
	}
	if refused := m.checkLedger(ctx, p); refused != nil {
		return authn.Evidence{}, refused
	}
	e, err := m.evidence(p, t)
	if err != nil {
		return authn.Evidence{}, &mipRefused{mip: mipData, code: authn.BadEvidence, err: err}
	}
	sum := sha256.Sum256(plain)
	e.Digest = hex.EncodeToString(sum[:])
	return e, nil
}

// portFailed is the refusal that follows from a port's error, which is no fault of the wallet's.
func portFailed(err error) *mipRefused {
	out := &mipRefused{mip: mipOther, code: authn.ProviderDown, err: err}
	if e, ok := errors.AsType[*authn.Error](err); ok {
		out.code = e.Code
	}
	return out
}

// checkMessage holds the members of M400's vp to what the profile asked for.
func (t *transaction) checkMessage(vp object) *mipRefused {
	for _, f := range []struct {
		name       string
		want, code int
	}{{"presentType", 1, mipPresentType}, {"encryptType", t.EncryptType, mipEncryptType}, {"keyType", t.KeyType, mipKeyType}} {
		if !vp.has(f.name) {
			return refuse(mipMissing, "no "+f.name)
		}
		if got, ok := vp.integer(f.name); !ok || got != f.want {
			return refuse(f.code, "another "+f.name)
		}
	}
	for _, name := range []string{"type", "data", "did", "nonce"} {
		if text, ok := vp.text(name); !ok || text == "" {
			return refuse(mipMissing, "no "+name)
		}
	}
	if kind, _ := vp.text("type"); kind != "VERIFY" {
		return refuse(mipVerifyType, "another type")
	}
	kinds, ok := vp.texts("authType")
	if !ok || slices.ContainsFunc(kinds, func(s string) bool { return !slices.Contains(authTypes, s) }) {
		return refuse(mipAuthTypes, "an authType that nobody knows")
	}
	for _, kind := range t.AuthTypes {
		if len(kinds) > 0 && !slices.Contains(kinds, kind) || len(kinds) == 0 && kind != "pin" { // none said: 일반인증
			return refuse(mipAuthType, "not the authType that was asked for")
		}
	}
	if nonce, _ := vp.text("nonce"); nonce != t.Nonce {
		return refuse(mipNonce, "not the profile's nonce")
	}
	if data, _ := vp.text("data"); !isHex(data) {
		return refuse(mipData, "the data is not hex")
	}
	return nil
}

func isHex(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return len(text) > 0 && len(text)%2 == 0
}

// presentation is a VP, read but not judged.
type presentation struct {
	document    object
	expires     time.Time
	holder      string // the DID of all its proofs
	proofs      []proof
	credentials []credential
}

// proof is one signature of the holder.
type proof struct {
	document object
	key      string // DID URL
	nonce    string
}

// credential is one VC: an attribute, or several, that an issuer has signed.
type credential struct {
	document        object
	id, parent      string
	issuer, key     string // DID, DID URL
	subject         string
	issued, expires time.Time
	card            string // assertion.code
	attributes      []attribute
}

type attribute struct{ kind, value string }

// parsePresentation reads a decrypted presentation.
func parsePresentation(plain []byte) (*presentation, error) {
	document, err := parseObject(plain)
	if err != nil {
		return nil, err
	}
	p := &presentation{document: document}
	if !document.isA("VerifiablePresentation") {
		return nil, errors.New("mobileid: not a presentation")
	}
	if p.expires, err = document.date("expirationDate"); err != nil {
		return nil, err
	}
	if err := p.parseProofs(); err != nil {
		return nil, err
	}
	list, ok := document.objects("verifiableCredential")
	if !ok || len(list) == 0 || len(list) > maxCredentials {
		return nil, errors.New("mobileid: no credentials, or too many")
	}
	for _, o := range list {
		c, err := parseCredential(o)
		if err != nil {
			return nil, err
		}
		p.credentials = append(p.credentials, c)
	}
	return p, nil
}

// parseProofs reads proof or proofs, of which a presentation has one. They are all of one holder.
func (p *presentation) parseProofs() error {
	proofs, plural := p.document.objects("proofs")
	if single := p.document.object("proof"); single != nil && !p.document.has("proofs") {
		proofs = []object{single}
	} else if !plural || p.document.has("proof") {
		return errors.New("mobileid: a presentation has proof or proofs")
	}
	if len(proofs) == 0 || len(proofs) > maxProofs {
		return errors.New("mobileid: no proofs, or too many")
	}
	for _, o := range proofs {
		creator, _ := o.text("creator")
		nonce, _ := o.text("nonce")
		did, name, _ := strings.Cut(creator, "#")
		if !dids.MatchString(did) || name == "" || len(creator) > maxID || nonce == "" {
			return errors.New("mobileid: a proof without creator or nonce")
		}
		if p.holder != "" && did != p.holder {
			return errors.New("mobileid: the proofs are of two holders")
		}
		if slices.ContainsFunc(p.proofs, func(other proof) bool { return other.key == creator }) {
			return errors.New("mobileid: two proofs with one key")
		}
		p.holder = did
		p.proofs = append(p.proofs, proof{document: o, key: creator, nonce: nonce})
	}
	return nil
}

func parseCredential(o object) (c credential, err error) {
	c.document = o
	issuer, assertion, subject := o.object("issuer"), o.object("assertion"), o.object("credentialSubject")
	c.id, _ = o.text("id")
	c.parent, _ = o.text("parentId")
	c.issuer, _ = issuer.text("id")
	c.subject, _ = subject.text("id")
	c.card, _ = assertion.text("code")
	signKey, _ := o.text("signKeyId")
	c.key = c.issuer + "#" + signKey
	if !o.isA("VerifiableCredential") || c.id == "" || len(c.id) > maxID || c.parent == "" || !dids.MatchString(c.issuer) ||
		len(c.issuer) > maxID || c.subject == "" || c.card == "" || signKey == "" || o.object("proof") == nil {
		return c, errors.New("mobileid: a credential lacks a member")
	}
	if creator, ok := o.object("proof").text("creator"); ok && creator != c.key {
		return c, errors.New("mobileid: a credential's proof names another key")
	}
	if c.issued, err = o.date("issuanceDate"); err != nil {
		return c, err
	}
	if c.expires, err = o.date("expirationDate"); err != nil {
		return c, err
	}
	privacy, ok := subject.objects("privacy")
	if !ok || len(privacy) == 0 {
		return c, errors.New("mobileid: a credential says nothing")
	}
	for _, a := range privacy {
		kind, kindOK := a.text("type")
		value, valueOK := a.text("value")
		if !kindOK || !valueOK || kind == "" {
			return c, errors.New("mobileid: an attribute without type or value")
		}
		c.attributes = append(c.attributes, attribute{kind, value})
	}
	return c, nil
}

// isA reports whether type is the word, or a list that has it.
func (o object) isA(word string) bool {
	if one, ok := o.text("type"); ok {
		return one == word
	}
	many, _ := o.texts("type")
	return slices.Contains(many, word)
}

// date reads a time, in Korea where no zone is written.
func (o object) date(name string) (time.Time, error) {
	text, _ := o.text(name)
	if at, err := time.ParseInLocation("2006-01-02T15:04:05", text, authn.Korea); err == nil {
		return at, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("mobileid: %s is no time", name)
	}
	return at, nil
}

// judge checks all that needs nobody else: who, when, for whom, and how.
func (m *mip) judge(p *presentation, t *transaction, did string) *mipRefused {
	now := m.deps.Now()
	if p.holder != did {
		return refuse(mipData, "the proofs are not of the DID that answered")
	}
	if !now.Before(p.expires) {
		return refuse(mipData, "the presentation has expired")
	}
	if refused := p.checkNonce(t); refused != nil {
		return refused
	}
	for _, kind := range t.AuthTypes {
		if !slices.ContainsFunc(p.proofs, func(proof proof) bool { return proof.shows(kind) }) {
			return refuse(mipAuthType, "no proof of an authType that was asked for")
		}
	}
	for i := range p.credentials {
		c := &p.credentials[i]
		switch {
		case c.subject != p.holder:
			return refuse(mipData, "a credential of another holder")
		case c.parent != p.credentials[0].parent:
			return refuse(mipData, "credentials of two IDs")
		case c.issued.After(now.Add(clockSkew)):
			return refuse(mipData, "a credential from the future")
		case !now.Before(c.expires):
			return noID("a credential has expired")
		case !slices.Contains(m.cfg.Issuers, c.issuer):
			return noID("a credential of an issuer who is not taken")
		case m.card(c.card) == nil:
			return noID("a kind of ID that is not taken")
		}
	}
	return nil
}

// noID is a refusal of a presentation that is in order, by an ID that is not good enough.
func noID(what string) *mipRefused {
	r := refuse(mipData, what)
	r.code = authn.NoCredential
	return r
}

// checkNonce checks that every proof is over the profile's nonce with a CI behind it: 88 characters of
// base64, in hex. There is nothing else in it.
func (p *presentation) checkNonce(t *transaction) *mipRefused {
	for _, proof := range p.proofs {
		tail, ours := strings.CutPrefix(proof.nonce, t.Nonce)
		if !ours || proof.nonce != p.proofs[0].nonce {
			return refuse(mipNonce, "a proof over another nonce")
		}
		ci, err := hex.DecodeString(tail)
		if err != nil || len(ci) != ciLength || !isCI(string(ci)) {
			return refuse(mipNonce, "no CI behind the nonce")
		}
	}
	return nil
}

// isCI reports whether text has the form of a CI: 64 bytes in base64.
func isCI(text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == ciLength && len(raw) == 64
}

// ci is the CI behind the nonce, which checkNonce has seen.
func (p *presentation) ci() string {
	nonce := p.proofs[0].nonce
	ci, _ := hex.DecodeString(nonce[len(nonce)-2*ciLength:])
	return string(ci)
}

// shows reports whether the key that signed is one that the wallet uses after this way of showing that it is
// the holder: its name contains the word.
func (p proof) shows(kind string) bool {
	_, name, _ := strings.Cut(p.key, "#")
	return strings.Contains(strings.ToLower(name), kind)
}

func (m *mip) card(code string) *Card {
	i := slices.IndexFunc(m.cfg.Cards, func(c Card) bool { return c.Code == code })
	if i < 0 {
		return nil
	}
	return &m.cfg.Cards[i]
}

// checkLedger checks every signature with the keys that the ledger has, and every credential's status.
func (m *mip) checkLedger(ctx context.Context, p *presentation) *mipRefused {
	who, ids := []string{p.holder}, []string(nil)
	for i := range p.credentials {
		c := &p.credentials[i]
		if !slices.Contains(who, c.issuer) {
			who = append(who, c.issuer)
		}
		if !slices.Contains(ids, c.id) {
			ids = append(ids, c.id)
		}
	}
	documents, err := m.deps.Ports.Ledger.Documents(ctx, who)
	if err != nil {
		return portFailed(err)
	}
	keys := make(map[string]crypto.PublicKey)
	for _, d := range documents {
		for _, k := range d.Keys {
			if strings.HasPrefix(k.ID, d.ID+"#") {
				keys[k.ID] = k.Public
			}
		}
	}
	if err := p.checkSignatures(keys); err != nil {
		return &mipRefused{mip: mipData, code: authn.BadEvidence, err: err}
	}
	statuses, err := m.deps.Ports.Ledger.Statuses(ctx, ids)
	if err != nil {
		return portFailed(err)
	}
	for _, id := range ids {
		answers := 0
		for _, s := range statuses {
			if s.ID != id {
				continue
			}
			answers++
			if !s.holds() {
				return noID("a credential whose status is not ACTIVE")
			}
		}
		if answers != 1 {
			return noID("a credential that the ledger does not know")
		}
	}
	return nil
}

// holds reports whether a credential with this status is good: a new address alone does not spoil it.
func (s Status) holds() bool {
	return s.Status == "ACTIVE" || s.Status == "NEED_RENEW" && s.Memo == "주소변경"
}

func (p *presentation) checkSignatures(keys map[string]crypto.PublicKey) error {
	for _, proof := range p.proofs {
		signed, err := signedBytes(p.document, proof.document)
		if err != nil {
			return err
		}
		if err := verifyProof(proof.document, keys[proof.key], signed); err != nil {
			return fmt.Errorf("mobileid: the holder's proof: %w", err)
		}
	}
	for i := range p.credentials {
		c := &p.credentials[i]
		signed, err := signedBytes(c.document, nil)
		if err != nil {
			return err
		}
		if err := verifyProof(c.document.object("proof"), keys[c.key], signed); err != nil {
			return fmt.Errorf("mobileid: a credential's proof: %w", err)
		}
	}
	return nil
}

// evidence is what a verified presentation proves.
func (m *mip) evidence(p *presentation, t *transaction) (authn.Evidence, error) {
	card := m.card(p.credentials[0].card)
	ci := p.ci()
	e := authn.Evidence{
		Method: method.MobileID, Provider: ProviderMIP, Label: card.Label, Subject: ci, CI: ci,
		Level: m.pinLevel, AMR: []string{"pop"}, At: m.deps.Now().UTC(), Binding: authn.Signed,
	}
	// RFC 8176 §2. The key lies in the phone's wallet and is unlocked by the PIN or by biometrics.
	if t.Mode != authn.App {
		e.AMR = append(e.AMR, "mca")
	}
	for _, kind := range []struct{ word, amr string }{{"pin", "pin"}, {"bio", ""}, {"face", "face"}} {
		if !slices.ContainsFunc(p.proofs, func(proof proof) bool { return proof.shows(kind.word) }) {
			continue
		}
		if !slices.Contains(e.AMR, "mfa") {
			e.AMR = append(e.AMR, "mfa")
		}
		if kind.amr != "" {
			e.AMR = append(e.AMR, kind.amr)
		}
		if kind.word != "pin" {
			e.Level = m.level
		}
	}
	values := make(map[string]string)
	for i := range p.credentials {
		for _, a := range p.credentials[i].attributes {
			if before, twice := values[a.kind]; twice && before != a.value {
				return e, errors.New("mobileid: an attribute has two values")
			}
			values[a.kind] = a.value
		}
	}
	names := m.cfg.Attributes
	var err error
	e.Attributes, err = attributesOf(values[names.Name], values[names.BirthDate], values[names.Gender], values[names.Nationality])
	if card.Nationality != "" {
		e.Attributes.Nationality = card.Nationality
	}
	return e, err
}

// The words of authn.Attributes.
const (
	male     = "male"
	female   = "female"
	domestic = "domestic"
	foreign  = "foreign"
)

var dateMarks = strings.NewReplacer("-", "", ".", "", "/", "")

// attributesOf normalises what was verified. A name and a birth date are needed; what else is missing or not
// understood stays empty.
func attributesOf(name, born, gender, nationality string) (authn.Attributes, error) {
	a := authn.Attributes{Name: norm.NFC.String(strings.TrimSpace(name)), Gender: genderOf(gender), Nationality: nationalityOf(nationality)}
	if n := utf8.RuneCountInString(a.Name); n < 1 || n > 100 || strings.ContainsFunc(a.Name, unicode.IsControl) {
		return a, errors.New("mobileid: the credential names nobody")
	}
	at, err := time.Parse("20060102", dateMarks.Replace(born))
	if err != nil {
		return a, errors.New("mobileid: the credential has no birth date")
	}
	a.BirthDate = at.Format(time.DateOnly)
	return a, nil
}

// genderOf accepts M and F, male and female, 남 and 여 with 자 or 성, and a digit as in a resident number, odd for
// male (ISO/IEC 5218 agrees for 1 and 2).
func genderOf(text string) string {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "m", "male", "남", "남자", "남성", "1", "3", "5", "7", "9":
		return male
	case "f", "female", "여", "여자", "여성", "0", "2", "4", "6", "8":
		return female
	}
	return ""
}

// nationalityOf accepts a country, in two letters or three, and the Korean words.
func nationalityOf(text string) string {
	switch text = strings.ToUpper(strings.TrimSpace(text)); text {
	case "":
		return ""
	case "KR", "KOR", "대한민국", "한국", "내국인", "DOMESTIC":
		return domestic
	case "외국인", "FOREIGN":
		return foreign
	}
	if len(text) == 2 || len(text) == 3 {
		return foreign
	}
	return ""
}
