package npki

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what banks' exports are encrypted with (RFC 7292 appendix C)
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"     //nolint:gosec // PBKDF1 and PKCS#12 of these formats are defined with it
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
	"io"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/anyid/anyid/pkg/npki/internal/aria"
	"github.com/anyid/anyid/pkg/npki/internal/seed"
)

// Limits of password-based encryption. Real files have 1024 or 2048 iterations and 8 bytes of salt; a
// hostile one must not burn the reader's processor.
const (
	MaxIterations = 100_000
	MaxSalt       = 64
	MaxPassword   = 256 // bytes
)

// A Scheme is a way to make a key out of a password.
type Scheme uint8

// The schemes. DefaultScheme is for writing only: what the old tools that read such a file understand.
const (
	DefaultScheme Scheme = iota
	SchemeSEED           // 1.2.410.200004.1.15: PBKDF1 with SHA-1, SEED-CBC; most signPri.key files
	SchemeSEEDOld        // 1.2.410.200004.1.4 with a constant IV; old signPri.key files
	SchemePBES2          // RFC 8018: PBKDF2 with Hash, then Cipher
	SchemePKCS12         // RFC 7292 appendix C: SHA-1 and three-key triple DES; PFX files
)

func (s Scheme) String() string {
	switch s {
	case SchemeSEED:
		return "pbeWithSHA1AndSEED-CBC"
	case SchemeSEEDOld:
		return "SEED-CBC with constant IV"
	case SchemePBES2:
		return "PBES2"
	case SchemePKCS12:
		return "pbeWithSHA1And3-KeyTripleDES-CBC"
	}
	return "default"
}

// A Cipher is a block cipher in CBC mode.
type Cipher uint8

// The ciphers; the zero Cipher stands for AES256.
const (
	DefaultCipher Cipher = iota
	SEED
	ARIA128
	ARIA192
	ARIA256
	AES128
	AES192
	AES256
	TripleDES
)

func (c Cipher) String() string { return ciphers[c].name }

var ciphers = [...]struct {
	name      string
	oid       asn1.ObjectIdentifier
	key, size int // bytes of a key and of a block
	make      func(key []byte) (cipher.Block, error)
}{
	DefaultCipher: {name: "default"},
	SEED:          {"SEED-CBC", oidSEEDCBC, 16, 16, func(k []byte) (cipher.Block, error) { return seed.New(k) }},
	ARIA128:       {"ARIA-128-CBC", oidARIA128CBC, 16, 16, newARIA},
	ARIA192:       {"ARIA-192-CBC", oidARIA192CBC, 24, 16, newARIA},
	ARIA256:       {"ARIA-256-CBC", oidARIA256CBC, 32, 16, newARIA},
	AES128:        {"AES-128-CBC", oidAES128CBC, 16, 16, aes.NewCipher},
	AES192:        {"AES-192-CBC", oidAES192CBC, 24, 16, aes.NewCipher},
	AES256:        {"AES-256-CBC", oidAES256CBC, 32, 16, aes.NewCipher},
	TripleDES:     {"DES-EDE3-CBC", oidDESEDE3CBC, 24, 8, des.NewTripleDESCipher},
}

func newARIA(key []byte) (cipher.Block, error) { return aria.New(key) }

// hashes are the hash functions below password-based key derivations and VIDs.
var hashes = []hashing{
	{crypto.SHA1, oidSHA1, oidHMACSHA1},
	{crypto.SHA256, oidSHA256, oidHMACSHA256},
	{crypto.SHA384, oidSHA384, oidHMACSHA384},
	{crypto.SHA512, oidSHA512, oidHMACSHA512},
}

type hashing struct {
	hash      crypto.Hash
	oid, hmac asn1.ObjectIdentifier
}

// hashOf finds a hash by its OID; absent and NULL parameters are both in use.
func hashOf(a algorithm) (crypto.Hash, bool) {
	for _, h := range hashes {
		if h.oid.Equal(a.OID) && a.plain() {
			return h.hash, true
		}
	}
	return 0, false
}

// hmacOf finds the hash of a pseudorandom function of PBKDF2.
func hmacOf(a algorithm) (crypto.Hash, bool) {
	for _, h := range hashes {
		if h.hmac.Equal(a.OID) && a.plain() {
			return h.hash, true
		}
	}
	return 0, false
}

// Encryption says how a private key is, or is to be, encrypted under a password.
type Encryption struct {
	Scheme     Scheme
	Cipher     Cipher      // with SchemePBES2, else given by the scheme
	Hash       crypto.Hash // with SchemePBES2: SHA-1, SHA-256 (which 0 stands for), SHA-384 or SHA-512; else SHA-1
	Iterations int         // 1..MaxIterations; 0 when writing: 2048, with SchemePBES2 100,000
	Rand       io.Reader   // where 8 bytes of salt (16 with SchemePBES2), then an IV come from; nil: crypto/rand
}

// pbe is one password-based encryption with all its parameters.
type pbe struct {
	Encryption
	salt, iv []byte
}

// newPBE completes what a writer asks for and draws salt and IV.
func newPBE(e Encryption, fallback Scheme) (pbe, error) {
	p := pbe{Encryption: e}
	if p.Scheme == DefaultScheme {
		p.Scheme = fallback
	}
	random, salt := e.Rand, 8
	if random == nil {
		random = rand.Reader
	}
	if p.Scheme == SchemePBES2 {
		salt = 16
		if p.Cipher == DefaultCipher {
			p.Cipher = AES256
		}
		if p.Hash == 0 {
			p.Hash = crypto.SHA256
		}
		if p.Iterations == 0 {
			p.Iterations = MaxIterations
		}
		if int(p.Cipher) >= len(ciphers) || !slices.ContainsFunc(hashes, func(h hashing) bool { return h.hash == p.Hash }) {
			return pbe{}, fail(ErrInput, "cipher or hash")
		}
	} else if !p.imply() || e.Cipher != DefaultCipher && e.Cipher != p.Cipher || e.Hash != 0 && e.Hash != p.Hash {
		return pbe{}, fail(ErrInput, "scheme")
	}
	if p.Iterations == 0 {
		p.Iterations = 2048
	}
	if p.Iterations < 1 || p.Iterations > MaxIterations {
		return pbe{}, fail(ErrInput, "iterations")
	}
	p.salt = make([]byte, salt)
	if p.Scheme == SchemePBES2 {
		p.iv = make([]byte, ciphers[p.Cipher].size)
	}
	for _, b := range [][]byte{p.salt, p.iv} {
		if _, err := io.ReadFull(random, b); err != nil {
			return pbe{}, because(ErrInput, "randomness", err)
		}
	}
	return p, nil
}

// imply sets cipher and hash of the schemes that have only one.
func (p *pbe) imply() bool {
	switch p.Scheme {
	case SchemeSEED, SchemeSEEDOld:
		p.Cipher, p.Hash = SEED, crypto.SHA1
	case SchemePKCS12:
		p.Cipher, p.Hash = TripleDES, crypto.SHA1
	default:
		return false
	}
	return true
}

// readPBE reads the algorithm of an encrypted key.
func readPBE(what string, a algorithm) (pbe, error) {
	var p pbe
	switch {
	case a.OID.Equal(oidPBESEED):
		p.Scheme = SchemeSEED
	case a.OID.Equal(oidSEEDCBC):
		p.Scheme = SchemeSEEDOld
	case a.OID.Equal(oidPBETripleDES):
		p.Scheme = SchemePKCS12
	case a.OID.Equal(oidPBES2):
		p.Scheme = SchemePBES2
		err := p.readPBES2(what, a.Parameters)
		return p, err
	default:
		return p, fail(ErrUnsupported, what+": encryption "+a.OID.String())
	}
	p.imply()
	parameters := a.Parameters
	if !parameters.ReadASN1(&parameters, der.SEQUENCE) {
		return p, fail(ErrMalformed, what+": PBE parameters")
	}
	if err := p.readSalt(what, &parameters); err != nil {
		return p, err
	}
	if !parameters.Empty() {
		return p, fail(ErrMalformed, what+": PBE parameters")
	}
	return p, nil
}

// readSalt reads salt and iterations, which begin the parameters of every scheme.
func (p *pbe) readSalt(what string, s *cryptobyte.String) error {
	var salt cryptobyte.String
	var iterations int64
	if !s.ReadASN1(&salt, der.OCTET_STRING) {
		return fail(ErrMalformed, what+": salt")
	}
	if len(salt) < 1 {
		return fail(ErrMalformed, what+": empty salt")
	}
	if len(salt) > MaxSalt {
		return fail(ErrTooLarge, what+": salt")
	}
	if s.PeekASN1Tag(der.INTEGER) && !peekSmall(*s) {
		return fail(ErrTooLarge, what+": iterations")
	}
	if !s.ReadASN1Integer(&iterations) || iterations < 1 {
		return fail(ErrMalformed, what+": iterations")
	}
	if iterations > MaxIterations {
		return fail(ErrTooLarge, what+": iterations")
	}
	p.salt, p.Iterations = salt, int(iterations)
	return nil
}

// peekSmall says that the INTEGER at the head of s fits in 64 bits.
func peekSmall(s cryptobyte.String) bool {
	var body cryptobyte.String
	return s.ReadASN1(&body, der.INTEGER) && len(body) <= 8
}

func (p *pbe) readPBES2(what string, parameters cryptobyte.String) error {
	var derivation, encryption, prf algorithm
	var sequence cryptobyte.String
	if !parameters.ReadASN1(&sequence, der.SEQUENCE) || !readAlgorithm(&sequence, &derivation) ||
		!readAlgorithm(&sequence, &encryption) || !sequence.Empty() {
		return fail(ErrMalformed, what+": PBES2 parameters")
	}
	if !derivation.OID.Equal(oidPBKDF2) {
		return fail(ErrUnsupported, what+": key derivation "+derivation.OID.String())
	}
	if err := p.readCipher(what, encryption); err != nil {
		return err
	}
	inner := derivation.Parameters
	if !inner.ReadASN1(&inner, der.SEQUENCE) {
		return fail(ErrMalformed, what+": PBKDF2 parameters")
	}
	if err := p.readSalt(what, &inner); err != nil {
		return err
	}
	if inner.PeekASN1Tag(der.INTEGER) {
		var length int64
		if !inner.ReadASN1Integer(&length) || length != int64(ciphers[p.Cipher].key) {
			return fail(ErrMalformed, what+": key length contradicts the cipher")
		}
	}
	p.Hash = crypto.SHA1
	if inner.Empty() {
		return nil
	}
	if !readAlgorithm(&inner, &prf) || !inner.Empty() {
		return fail(ErrMalformed, what+": PBKDF2 parameters")
	}
	var ok bool
	if p.Hash, ok = hmacOf(prf); !ok {
		return fail(ErrUnsupported, what+": pseudorandom function "+prf.OID.String())
	}
	return nil
}

// readCipher reads a cipher whose parameter is its IV.
func (p *pbe) readCipher(what string, a algorithm) error {
	for i, c := range &ciphers {
		if c.make == nil || !c.oid.Equal(a.OID) {
			continue
		}
		p.Cipher = Cipher(i)
		parameters := a.Parameters
		var iv cryptobyte.String
		if !parameters.ReadASN1(&iv, der.OCTET_STRING) || len(iv) != c.size {
			return fail(ErrMalformed, what+": IV")
		}
		p.iv = iv
		return nil
	}
	return fail(ErrUnsupported, what+": cipher "+a.OID.String())
}

// marshal writes the AlgorithmIdentifier.
func (p *pbe) marshal(b *cryptobyte.Builder) {
	id := map[Scheme]asn1.ObjectIdentifier{
		SchemeSEED: oidPBESEED, SchemeSEEDOld: oidSEEDCBC, SchemePKCS12: oidPBETripleDES, SchemePBES2: oidPBES2,
	}[p.Scheme]
	salt := func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(p.salt)
		b.AddASN1Int64(int64(p.Iterations))
		for _, h := range hashes {
			if p.Scheme == SchemePBES2 && h.hash == p.Hash && h.hash != crypto.SHA1 { // the default, which DER leaves out
				addAlgorithm(b, h.hmac, addNull)
			}
		}
	}
	addAlgorithm(b, id, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			if p.Scheme != SchemePBES2 {
				salt(b)
				return
			}
			addAlgorithm(b, oidPBKDF2, func(b *cryptobyte.Builder) { b.AddASN1(der.SEQUENCE, salt) })
			addAlgorithm(b, ciphers[p.Cipher].oid, func(b *cryptobyte.Builder) { b.AddASN1OctetString(p.iv) })
		})
	})
}

// key derives key and IV. The caller wipes both.
func (p *pbe) key(password []byte) (key, iv []byte, err error) {
	if len(password) > MaxPassword {
		return nil, nil, fail(ErrInput, "password too long")
	}
	size := ciphers[p.Cipher].key
	switch p.Scheme {
	case SchemeSEED, SchemeSEEDOld:
		derived := pbkdf1(password, p.salt, p.Iterations)
		defer clear(derived)
		key = append([]byte(nil), derived[:16]...)
		if p.Scheme == SchemeSEEDOld {
			return key, []byte("0123456789012345"), nil
		}
		// KISA's own rule: the hash of the four bytes left over, not bytes 8 to 15 as in PKCS#5 v1.5.
		sum := sha1.Sum(derived[16:20]) //nolint:gosec // see the import
		return key, sum[:16], nil
	case SchemePKCS12:
		text, err := bmpPassword(password)
		if err != nil {
			return nil, nil, err
		}
		defer clear(text)
		return pkcs12KDF(crypto.SHA1, 1, text, p.salt, p.Iterations, size),
			pkcs12KDF(crypto.SHA1, 2, text, p.salt, p.Iterations, ciphers[p.Cipher].size), nil
	}
	return pbkdf2(p.Hash, password, p.salt, p.Iterations, size), append([]byte(nil), p.iv...), nil
}

// open decrypts data, of whole blocks. It gives the text with its padding, and how long the text is
// without it: -1 when the padding is not right. The caller wipes the text.
func (p *pbe) open(password, data []byte) (padded []byte, length int, err error) {
	key, iv, err := p.key(password)
	if err != nil {
		return nil, 0, err
	}
	defer clear(key)
	defer clear(iv)
	return decryptCBC(p.Cipher, key, iv, data)
}

// seal encrypts text.
func (p *pbe) seal(password, text []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, fail(ErrInput, "empty password")
	}
	key, iv, err := p.key(password)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	defer clear(iv)
	return encryptCBC(p.Cipher, key, iv, text)
}

// wiper is a block cipher that can forget its key; those of the standard library cannot.
type wiper interface{ Wipe() }

func decryptCBC(c Cipher, key, iv, data []byte) (padded []byte, length int, err error) {
	block, err := ciphers[c].make(key)
	if err != nil {
		return nil, 0, because(ErrInput, "cipher key", err)
	}
	if w, ok := block.(wiper); ok {
		defer w.Wipe()
	}
	size := ciphers[c].size
	if len(data) == 0 || len(data)%size != 0 {
		return nil, 0, fail(ErrMalformed, "ciphertext is not of whole blocks")
	}
	padded = make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(padded, data)
	return padded, unpad(padded, size), nil
}

func encryptCBC(c Cipher, key, iv, text []byte) ([]byte, error) {
	block, err := ciphers[c].make(key)
	if err != nil {
		return nil, because(ErrInput, "cipher key", err)
	}
	if w, ok := block.(wiper); ok {
		defer w.Wipe()
	}
	n := ciphers[c].size - len(text)%ciphers[c].size
	data := make([]byte, len(text)+n)
	copy(data, text)
	for i := range n {
		data[len(text)+i] = byte(n)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	return data, nil
}

// unpad gives the length without PKCS#7 padding, or -1. Which of the last bytes is wrong does not show in
// its timing.
func unpad(padded []byte, size int) int {
	n := int(padded[len(padded)-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, size)
	for i := range size {
		within := subtle.ConstantTimeLessOrEq(i+1, n)
		same := subtle.ConstantTimeByteEq(padded[len(padded)-1-i], byte(n))
		good &= subtle.ConstantTimeSelect(within, same, 1)
	}
	return subtle.ConstantTimeSelect(good, len(padded)-n, -1)
}

// pbkdf1 is RFC 8018 section 5.1 with SHA-1 and all 20 bytes.
func pbkdf1(password, salt []byte, iterations int) []byte {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(password)
	h.Write(salt)
	derived := h.Sum(nil)
	for range iterations - 1 {
		h.Reset()
		h.Write(derived)
		derived = h.Sum(derived[:0])
	}
	return derived
}

// pbkdf2 is RFC 8018 section 5.2. That of the standard library wants the password as a string, which nobody
// can wipe.
func pbkdf2(h crypto.Hash, password, salt []byte, iterations, size int) []byte {
	mac := hmac.New(h.New, password)
	var derived []byte
	for block := uint32(1); len(derived) < size; block++ {
		mac.Reset()
		mac.Write(salt)
		mac.Write(binary.BigEndian.AppendUint32(nil, block))
		u := mac.Sum(nil)
		t := append([]byte(nil), u...)
		for range iterations - 1 {
			mac.Reset()
			mac.Write(u)
			u = mac.Sum(u[:0])
			subtle.XORBytes(t, t, u)
		}
		derived = append(derived, t...)
		clear(t)
		clear(u)
	}
	clear(derived[size:])
	return derived[:size]
}

// bmpPassword is a password as PKCS#12 takes it: UTF-16, big-endian, two zero bytes at the end
// (RFC 7292 appendix B.1).
func bmpPassword(password []byte) ([]byte, error) {
	if !utf8.Valid(password) {
		return nil, fail(ErrInput, "password is not UTF-8")
	}
	text := make([]byte, 0, 2*len(password)+2)
	for rest := password; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		rest = rest[n:]
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			text = binary.BigEndian.AppendUint16(text, uint16(high))
			r = low
		}
		text = binary.BigEndian.AppendUint16(text, uint16(r))
	}
	return append(text, 0, 0), nil
}

// pkcs12KDF is RFC 7292 appendix B.2; purpose is 1 for a key, 2 for an IV, 3 for a MAC key.
func pkcs12KDF(hash crypto.Hash, purpose byte, password, salt []byte, iterations, size int) []byte {
	h := hash.New()
	v := h.BlockSize()
	repeat := func(b []byte) []byte { // to a whole number of blocks
		if len(b) == 0 {
			return nil
		}
		out := make([]byte, (len(b)+v-1)/v*v)
		for i := range out {
			out[i] = b[i%len(b)]
		}
		return out
	}
	d := make([]byte, v)
	for i := range d {
		d[i] = purpose
	}
	input := append(repeat(salt), repeat(password)...)
	defer clear(input)
	var derived []byte
	for {
		h.Reset()
		h.Write(d)
		h.Write(input)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		derived = append(derived, a...)
		if len(derived) >= size {
			clear(a)
			clear(derived[size:])
			return derived[:size]
		}
		b := repeat(a)
		for i := 0; i < len(input); i += v { // I_j = I_j + B + 1 mod 2^(8v)
			carry := uint(1)
			for j := v - 1; j >= 0; j-- {
				carry += uint(input[i+j]) + uint(b[j])
				input[i+j] = byte(carry)
				carry >>= 8
			}
		}
	}
}
