package npki

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // a name for a pair within one file, as everybody makes it
	"encoding/asn1"
	"errors"
	"io"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// PKCS#12 bags and their attributes (RFC 7292 section 4.2).
var (
	oidKeyBag      = oid("1.2.840.113549.1.12.10.1.1")
	oidShroudedBag = oid("1.2.840.113549.1.12.10.1.2")
	oidCertBag     = oid("1.2.840.113549.1.12.10.1.3")
	oidX509Bag     = oid("1.2.840.113549.1.9.22.1")
	oidLocalKeyID  = oid("1.2.840.113549.1.9.21")
)

// maxBags is how many parts, and how many bags, a PFX may have. Each may ask for a key derivation.
const maxBags = 2 * maxPairs

// ParsePFX opens a PFX file (.pfx, .p12; RFC 7292), as 인증서 내보내기 writes it or OpenSSL does, and keeps the R
// of every key. The password is UTF-8. The file must have a MAC made from the password; its parts may be in
// clear, or encrypted with triple DES or by PBES2, but not with RC2.
//
// ErrPassword means that nothing in the file answers to the password; where a key opens and yet the MAC is
// wrong, the file is damaged: ErrMalformed.
func ParsePFX(data, password []byte) (*Bundle, error) {
	const what = "PFX"
	if err := checkDER(what, data, MaxFile); err != nil {
		return nil, err
	}
	if len(password) > MaxPassword {
		return nil, fail(ErrInput, "password too long")
	}
	s := cryptobyte.String(bytes.Clone(data))
	var version int64
	var authSafe, macData cryptobyte.String
	if !s.ReadASN1(&s, der.SEQUENCE) || !s.ReadASN1Integer(&version) {
		return nil, fail(ErrMalformed, what)
	}
	if version != 3 {
		return nil, fail(ErrUnsupported, what+": version")
	}
	if !s.ReadASN1(&authSafe, der.SEQUENCE) {
		return nil, fail(ErrMalformed, what)
	}
	content, err := readDataContent(what, authSafe)
	if err != nil {
		return nil, err
	}
	if s.Empty() {
		return nil, fail(ErrUnsupported, what+": without a MAC")
	}
	if !s.ReadASN1(&macData, der.SEQUENCE) || !s.Empty() {
		return nil, fail(ErrMalformed, what)
	}
	macErr := verifyMAC(what+": MAC", macData, content, password)
	if macErr != nil && !errors.Is(macErr, ErrPassword) {
		return nil, macErr
	}
	// A wrong password fails at the first key, or at the first encrypted part before it.
	p := &pfx{password: password}
	err = p.readAuthSafe(content)
	switch {
	case macErr == nil && err == nil:
		return NewBundle(p.certificates, p.keys), nil
	case err != nil && !errors.Is(err, ErrPassword): // broken, or not taken, under any password
	case macErr == nil: // so the password is right
		err = fail(ErrMalformed, what+": key")
	case p.opened || len(p.keys) > 0:
		err = fail(ErrMalformed, what+": MAC")
	default:
		err = macErr
	}
	wipe(p.keys)
	return nil, err
}

// readDataContent reads the inside of a ContentInfo of type data.
func readDataContent(what string, s cryptobyte.String) (content cryptobyte.String, err error) {
	var kind asn1.ObjectIdentifier
	var explicit cryptobyte.String
	if !readOID(&s, &kind) {
		return nil, fail(ErrMalformed, what)
	}
	if !kind.Equal(oidData) {
		return nil, fail(ErrUnsupported, what+": content "+kind.String())
	}
	if !s.ReadASN1(&explicit, der.Tag(0).ContextSpecific().Constructed()) || !s.Empty() ||
		!explicit.ReadASN1(&content, der.OCTET_STRING) || !explicit.Empty() {
		return nil, fail(ErrMalformed, what)
	}
	return content, nil
}

// verifyMAC checks MacData.
func verifyMAC(what string, s, content cryptobyte.String, password []byte) error {
	var info, digest cryptobyte.String
	var a algorithm
	if !s.ReadASN1(&info, der.SEQUENCE) || !readAlgorithm(&info, &a) ||
		!info.ReadASN1(&digest, der.OCTET_STRING) || !info.Empty() {
		return fail(ErrMalformed, what)
	}
	hash, ok := hashOf(a)
	if !ok {
		return fail(ErrUnsupported, what+": hash "+a.OID.String())
	}
	var p pbe
	if s.Empty() {
		return fail(ErrMalformed, what)
	}
	if n := s; n.SkipASN1(der.OCTET_STRING) && n.Empty() { // iterations DEFAULT 1
		s = append(bytes.Clone(s), byte(der.INTEGER), 1, 1)
	}
	if err := p.readSalt(what, &s); err != nil {
		return err
	}
	if !s.Empty() {
		return fail(ErrMalformed, what)
	}
	want, err := pfxMAC(hash, password, p.salt, p.Iterations, content)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, digest) {
		return fail(ErrPassword, what)
	}
	return nil
}

// pfxMAC is RFC 7292 appendix B.4.
func pfxMAC(hash crypto.Hash, password, salt []byte, iterations int, content []byte) ([]byte, error) {
	text, err := bmpPassword(password)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key := pkcs12KDF(hash, 3, text, salt, iterations, hash.Size())
	defer clear(key)
	mac := hmac.New(hash.New, key)
	mac.Write(content)
	return mac.Sum(nil), nil
}

// pfx gathers what a PFX holds.
type pfx struct {
	password     []byte
	certificates []*Certificate
	keys         []*PrivateKey
	bags         int
	opened       bool // something answered to the password
}

func (p *pfx) readAuthSafe(data []byte) error {
	const what = "AuthenticatedSafe"
	if err := checkDER(what, data, MaxFile); err != nil {
		return err
	}
	s := cryptobyte.String(data)
	if !s.ReadASN1(&s, der.SEQUENCE) {
		return fail(ErrMalformed, what)
	}
	for n := 0; !s.Empty(); n++ {
		var info, kind cryptobyte.String
		if n == maxBags {
			return fail(ErrTooLarge, what)
		}
		if !s.ReadASN1Element(&info, der.SEQUENCE) {
			return fail(ErrMalformed, what)
		}
		body, encrypted := readContentInfo(info, oidEncryptedData)
		if encrypted {
			if err := p.readEncrypted(body); err != nil {
				return err
			}
			continue
		}
		if !info.ReadASN1(&kind, der.SEQUENCE) {
			return fail(ErrMalformed, what)
		}
		content, err := readDataContent(what, kind)
		if err != nil {
			return err
		}
		if err := p.readContents(content); err != nil {
			return err
		}
	}
	return nil
}

// readEncrypted opens an EncryptedData.
func (p *pfx) readEncrypted(s cryptobyte.String) error {
	const what = "EncryptedData"
	var version int64
	var inner cryptobyte.String
	if !s.ReadASN1Integer(&version) || version != 0 || !s.ReadASN1(&inner, der.SEQUENCE) || !s.Empty() {
		return fail(ErrMalformed, what)
	}
	a, text, err := readContentEncryption(what, inner)
	if err != nil {
		return err
	}
	e, err := readPFXEncryption(what, a)
	if err != nil {
		return err
	}
	padded, length, err := e.open(p.password, text)
	if err != nil {
		return err
	}
	defer clear(padded)
	if length < 0 {
		return fail(ErrPassword, what)
	}
	// Wrong passwords give a right padding now and then, but hardly DER.
	if err := checkDER(what, padded[:length], MaxFile); err != nil {
		return fail(ErrPassword, what)
	}
	p.opened = true
	return p.readContents(bytes.Clone(padded[:length]))
}

// readPFXEncryption refuses the schemes of key files, whose password is not a PFX's.
func readPFXEncryption(what string, a algorithm) (pbe, error) {
	e, err := readPBE(what, a)
	if err == nil && e.Scheme != SchemePBES2 && e.Scheme != SchemePKCS12 {
		return e, fail(ErrUnsupported, what+": encryption "+a.OID.String())
	}
	return e, err
}

func (p *pfx) readContents(data []byte) error {
	const what = "SafeContents"
	if err := checkDER(what, data, MaxFile); err != nil {
		return err
	}
	s := cryptobyte.String(data)
	if !s.ReadASN1(&s, der.SEQUENCE) {
		return fail(ErrMalformed, what)
	}
	for !s.Empty() {
		var bag, value, attributes cryptobyte.String
		var kind asn1.ObjectIdentifier
		var some bool
		if p.bags++; p.bags > maxBags {
			return fail(ErrTooLarge, what)
		}
		if !s.ReadASN1(&bag, der.SEQUENCE) || !readOID(&bag, &kind) ||
			!bag.ReadASN1(&value, der.Tag(0).ContextSpecific().Constructed()) ||
			!bag.ReadOptionalASN1(&attributes, &some, der.SET) || !bag.Empty() {
			return fail(ErrMalformed, what)
		}
		if _, err := readAttributes(what, attributes); err != nil {
			return err
		}
		if err := p.readBag(kind, value); err != nil {
			return err
		}
	}
	return nil
}

// readBag takes keys and certificates; bags of other kinds are passed over.
func (p *pfx) readBag(kind asn1.ObjectIdentifier, value cryptobyte.String) error {
	switch {
	case kind.Equal(oidCertBag):
		var form asn1.ObjectIdentifier
		var explicit, data cryptobyte.String
		if !value.ReadASN1(&value, der.SEQUENCE) || !readOID(&value, &form) ||
			!value.ReadASN1(&explicit, der.Tag(0).ContextSpecific().Constructed()) || !value.Empty() {
			return fail(ErrMalformed, "CertBag")
		}
		if !form.Equal(oidX509Bag) {
			return nil
		}
		if !explicit.ReadASN1(&data, der.OCTET_STRING) || !explicit.Empty() {
			return fail(ErrMalformed, "CertBag")
		}
		c, err := ParseCertificate(data)
		if err != nil {
			return err
		}
		p.certificates = append(p.certificates, c)
	case kind.Equal(oidShroudedBag):
		e, err := ParseEncryptedKey(value)
		if err != nil {
			return err
		}
		if s := e.pbe.Scheme; s != SchemePBES2 && s != SchemePKCS12 {
			return fail(ErrUnsupported, "PKCS8ShroudedKeyBag: encryption")
		}
		k, err := e.Decrypt(p.password)
		if err != nil {
			p.opened = p.opened || errors.Is(err, ErrMalformed) // it began like a key
			return err
		}
		p.keys = append(p.keys, k)
	case kind.Equal(oidKeyBag):
		return fail(ErrUnsupported, "KeyBag: a key in clear")
	}
	return nil
}

// MarshalPFX writes a PFX as 인증서 내보내기 does: one part, certificates in clear, every key encrypted with its
// R inside, a MAC over it all. The zero Encryption gives triple DES with 2048 iterations and a SHA-1 MAC, which
// every program reads; with SchemePBES2 the MAC's hash is that of the Encryption, but at least SHA-256, as today's
// OpenSSL writes it.
func (b *Bundle) MarshalPFX(e Encryption, password []byte) ([]byte, error) {
	if e.Scheme == SchemeSEED || e.Scheme == SchemeSEEDOld {
		return nil, fail(ErrInput, "PFX: scheme")
	}
	if len(b.Pairs)+len(b.Keys) > maxPairs || len(b.Others) > maxPairs {
		return nil, fail(ErrTooLarge, "PFX: bags")
	}
	var bags []func(*cryptobyte.Builder)
	key := func(k *PrivateKey, id []byte) error {
		p, err := newPBE(e, SchemePKCS12)
		if err != nil {
			return err
		}
		data, err := k.marshal(p, password)
		bags = append(bags, bag(oidShroudedBag, id, func(b *cryptobyte.Builder) { b.AddBytes(data) }))
		return err
	}
	certificate := func(c *Certificate, id []byte) {
		bags = append(bags, bag(oidCertBag, id, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidX509Bag)
				b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(c.Raw) })
			})
		}))
	}
	for _, p := range b.Pairs {
		id := sha1.Sum(p.Certificate.Raw) //nolint:gosec // see the import
		certificate(p.Certificate, id[:])
		if err := key(p.Key, id[:]); err != nil {
			return nil, err
		}
	}
	for _, k := range b.Keys {
		if err := key(k, nil); err != nil {
			return nil, err
		}
	}
	for _, c := range b.Others {
		certificate(c, nil)
	}
	return seal(bags, e, password)
}

// seal puts bags into a PFX.
func seal(bags []func(*cryptobyte.Builder), e Encryption, password []byte) ([]byte, error) {
	sequence := func(fill cryptobyte.BuilderContinuation) []byte {
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, fill)
		return b.BytesOrPanic()
	}
	data := func(content []byte) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidData)
				b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
			})
		}
	}
	contents := sequence(func(b *cryptobyte.Builder) {
		for _, add := range bags {
			add(b)
		}
	})
	authSafe := sequence(data(contents))
	random, hash, iterations, salt := e.Rand, crypto.SHA1, e.Iterations, make([]byte, 8)
	if random == nil {
		random = rand.Reader
	}
	if e.Scheme == SchemePBES2 {
		if hash = e.Hash; hash < crypto.SHA256 {
			hash = crypto.SHA256
		}
	}
	if iterations == 0 {
		iterations = 2048
	}
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, because(ErrInput, "randomness", err)
	}
	digest, err := pfxMAC(hash, password, salt, iterations, authSafe)
	if err != nil {
		return nil, err
	}
	whole := sequence(func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		data(authSafe)(b)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, h := range hashes {
					if h.hash == hash {
						addAlgorithm(b, h.oid, addNull)
					}
				}
				b.AddASN1OctetString(digest)
			})
			b.AddASN1OctetString(salt)
			b.AddASN1Int64(int64(iterations))
		})
	})
	return whole, nil
}

// bag is one SafeBag; id says which others it belongs to, or is nil.
func bag(kind asn1.ObjectIdentifier, id []byte, value cryptobyte.BuilderContinuation) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(kind)
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), value)
			if id == nil {
				return
			}
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidLocalKeyID)
					b.AddASN1(der.SET, func(b *cryptobyte.Builder) { b.AddASN1OctetString(id) })
				})
			})
		})
	}
}
