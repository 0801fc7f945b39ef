package npki

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxKeyFile is the size of the largest private key file, in bytes; real ones have about 1,300.
const MaxKeyFile = 16 << 10

// RSize is the size of R in bytes.
const RSize = 20

// maxModulus is the size of the largest RSA key in bits; real ones have 2048 or 3072. Checking a key costs
// the square of its size and more.
const maxModulus = 8192

// EncryptedKey is a signPri.key or kmPri.key file: an EncryptedPrivateKeyInfo (RFC 5958 section 3).
type EncryptedKey struct {
	pbe  pbe
	data []byte
}

// ParseEncryptedKey reads an EncryptedPrivateKeyInfo, of at most MaxKeyFile bytes. It takes no password and
// does no work worth mentioning. Errors: ErrMalformed, ErrTooLarge (also for iterations above MaxIterations),
// ErrUnsupported.
func ParseEncryptedKey(data []byte) (*EncryptedKey, error) {
	const what = "EncryptedPrivateKeyInfo"
	if err := checkDER(what, data, MaxKeyFile); err != nil {
		return nil, err
	}
	s := cryptobyte.String(bytes.Clone(data))
	var text cryptobyte.String
	var a algorithm
	if !s.ReadASN1(&s, der.SEQUENCE) || !readAlgorithm(&s, &a) || !s.ReadASN1(&text, der.OCTET_STRING) || !s.Empty() {
		return nil, fail(ErrMalformed, what)
	}
	p, err := readPBE(what, a)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 || len(text)%ciphers[p.Cipher].size != 0 {
		return nil, fail(ErrMalformed, what+": ciphertext is not of whole blocks")
	}
	return &EncryptedKey{pbe: p, data: text}, nil
}

// Encryption says how the key is encrypted.
func (k *EncryptedKey) Encryption() Encryption { return k.pbe.Encryption }

// Decrypt opens the key. The password is taken as its bytes: vendors encode Korean letters as UTF-8 or as
// CP949, so a caller who meets ErrPassword may try the other one. The password is neither kept nor changed;
// wipe it with clear, and the key with [PrivateKey.Wipe].
//
// ErrPassword means that the result does not begin like a private key, as with any wrong password, whether
// its padding happens to be right (one in 256) or not. ErrMalformed means that it does begin like one, so the
// password is right, and what follows is damaged.
func (k *EncryptedKey) Decrypt(password []byte) (*PrivateKey, error) {
	padded, length, err := k.pbe.open(password, k.data)
	if err != nil {
		return nil, err
	}
	defer clear(padded)
	if !beginsLikeKey(padded, ciphers[k.pbe.Cipher].size) {
		return nil, fail(ErrPassword, "EncryptedPrivateKeyInfo")
	}
	if length < 0 {
		return nil, fail(ErrMalformed, "PrivateKeyInfo: padding")
	}
	return ParsePKCS8(padded[:length])
}

// beginsLikeKey says that padded plaintext begins as every PrivateKeyInfo does, with a length that leaves
// room for padding only: SEQUENCE, INTEGER 0, AlgorithmIdentifier with an OID.
func beginsLikeKey(padded []byte, block int) bool {
	if len(padded) < 4 || padded[0] != byte(der.SEQUENCE) {
		return false
	}
	// The padding lies beyond the value, so the header alone says where it ends.
	size, head := int(padded[1]), 2
	if size > 0x80 {
		n := size & 0x7F
		if n > 2 || len(padded) < 2+n {
			return false
		}
		size, head = 0, 2+n
		for _, b := range padded[2:head] {
			size = size<<8 | int(b)
		}
	}
	if rest := len(padded) - head - size; rest < 1 || rest > block {
		return false
	}
	body := padded[head:]
	return len(body) > 6 && bytes.Equal(body[:4], []byte{byte(der.INTEGER), 1, 0, byte(der.SEQUENCE)}) &&
		body[5] == byte(der.OBJECT_IDENTIFIER)
}

// PrivateKey is an opened private key, with the random number R that proves, together with a VID, whose
// certificate it is. R is as secret as the number it hides: whoever has R and the certificate can search for
// the person's resident registration number.
type PrivateKey struct {
	Key crypto.Signer // *rsa.PrivateKey in every certificate that the CAs issue
	R   []byte        // RSize bytes, or nil where the file holds none

	pkcs8 []byte // as it was read, with every attribute
}

// ParsePrivateKey reads an encrypted key file and opens it: [ParseEncryptedKey], then [EncryptedKey.Decrypt].
func ParsePrivateKey(data, password []byte) (*PrivateKey, error) {
	k, err := ParseEncryptedKey(data)
	if err != nil {
		return nil, err
	}
	return k.Decrypt(password)
}

// ParsePKCS8 reads a PrivateKeyInfo in clear (RFC 5208 section 5) and keeps its attributes, R among them,
// which crypto/x509 drops.
func ParsePKCS8(data []byte) (*PrivateKey, error) {
	const what = "PrivateKeyInfo"
	if err := checkDER(what, data, MaxKeyFile); err != nil {
		return nil, err
	}
	k := &PrivateKey{pkcs8: bytes.Clone(data)}
	if err := k.parse(what); err != nil {
		clear(k.pkcs8)
		clear(k.R)
		return nil, err
	}
	return k, nil
}

func (k *PrivateKey) parse(what string) error {
	s := cryptobyte.String(k.pkcs8)
	var version int64
	var a algorithm
	var inner, attributes cryptobyte.String
	var some bool
	if !s.ReadASN1(&s, der.SEQUENCE) || !s.ReadASN1Integer(&version) {
		return fail(ErrMalformed, what)
	}
	if version != 0 {
		return fail(ErrUnsupported, what+": version")
	}
	if !readAlgorithm(&s, &a) || !s.ReadASN1(&inner, der.OCTET_STRING) ||
		!s.ReadOptionalASN1(&attributes, &some, der.Tag(0).ContextSpecific().Constructed()) || !s.Empty() {
		return fail(ErrMalformed, what)
	}
	if err := checkDER(what+": privateKey", inner, MaxKeyFile); err != nil {
		return err
	}
	values, err := readAttributes(what, attributes)
	if err != nil {
		return err
	}
	if value, ok := find(values, oidRandomNum); ok {
		var r asn1.BitString
		if !value.ReadASN1BitString(&r) || !value.Empty() || r.BitLength != 8*RSize {
			return fail(ErrMalformed, what+": R is not a string of 160 bits")
		}
		k.R = r.Bytes // with its zero bytes on either side
	}
	if a.OID.Equal(oidRSA) {
		k.Key, err = readRSAPrivate(what, a, inner)
	} else {
		k.Key, err = readOtherKey(what, a, inner)
	}
	return err
}

// readRSAPrivate reads an RSAPrivateKey of two primes (RFC 8017 appendix A.1.2), each number of which must be
// right: a key that signs wrongly would give its owner's secret away.
func readRSAPrivate(what string, a algorithm, s cryptobyte.String) (crypto.Signer, error) {
	var version int64
	var numbers [8]*big.Int // n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p
	if !a.plain() || !s.ReadASN1(&s, der.SEQUENCE) || !s.ReadASN1Integer(&version) {
		return nil, fail(ErrMalformed, what+": RSAPrivateKey")
	}
	if version != 0 {
		return nil, fail(ErrUnsupported, what+": RSAPrivateKey version")
	}
	for i := range numbers {
		var content cryptobyte.String
		if !s.ReadASN1(&content, der.INTEGER) || content[0] >= 0x80 || len(content) == 1 && content[0] == 0 {
			return nil, fail(ErrMalformed, what+": RSAPrivateKey")
		}
		if len(content) > maxModulus/8+1 {
			return nil, fail(ErrTooLarge, what+": RSA key")
		}
		numbers[i] = new(big.Int).SetBytes(content)
	}
	if !s.Empty() || numbers[1].BitLen() > 31 {
		return nil, fail(ErrMalformed, what+": RSAPrivateKey")
	}
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: numbers[0], E: int(numbers[1].Int64())},
		D:         numbers[2], Primes: numbers[3:5],
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, because(ErrMalformed, what+": RSA key", err)
	}
	if p := key.Precomputed; p.Dp == nil || p.Dp.Cmp(numbers[5]) != 0 || p.Dq.Cmp(numbers[6]) != 0 || p.Qinv.Cmp(numbers[7]) != 0 {
		return nil, fail(ErrMalformed, what+": RSA key")
	}
	return key, nil
}

// An attribute is a type and the content of its one value.
type attribute struct {
	id    asn1.ObjectIdentifier
	value cryptobyte.String
}

// readAttributes reads the content of a SET OF Attribute; two of one type, or several values, are refused.
func readAttributes(what string, s cryptobyte.String) ([]attribute, error) {
	var list []attribute
	for !s.Empty() {
		var one, values, value cryptobyte.String
		var a attribute
		var tag der.Tag
		if !s.ReadASN1(&one, der.SEQUENCE) || !readOID(&one, &a.id) ||
			!one.ReadASN1(&values, der.SET) || !one.Empty() {
			return nil, fail(ErrMalformed, what+": attributes")
		}
		if !values.ReadAnyASN1Element(&value, &tag) || !values.Empty() {
			return nil, fail(ErrMalformed, what+": attribute without exactly one value")
		}
		if _, ok := find(list, a.id); ok {
			return nil, fail(ErrMalformed, what+": attribute given twice")
		}
		a.value = value
		list = append(list, a)
	}
	return list, nil
}

func find(list []attribute, id asn1.ObjectIdentifier) (cryptobyte.String, bool) {
	for _, a := range list {
		if a.id.Equal(id) {
			return a.value, true
		}
	}
	return nil, false
}

// NewPrivateKey puts a key and R together, as a person's program does when a certificate is issued. R may be
// nil, else has RSize bytes.
func NewPrivateKey(key crypto.Signer, r []byte) (*PrivateKey, error) {
	if r != nil && len(r) != RSize {
		return nil, fail(ErrInput, "R")
	}
	bare, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, because(ErrInput, "private key", err)
	}
	defer clear(bare)
	if r == nil {
		return ParsePKCS8(bare)
	}
	s := cryptobyte.String(bare)
	s.ReadASN1(&s, der.SEQUENCE)
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(s)
		b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidRandomNum)
				b.AddASN1(der.SET, func(b *cryptobyte.Builder) { b.AddASN1BitString(r) })
			})
		})
	})
	whole := b.BytesOrPanic()
	defer clear(whole)
	return ParsePKCS8(whole)
}

// PKCS8 is the key in clear, a PrivateKeyInfo with all its attributes. Wipe it after use.
func (k *PrivateKey) PKCS8() []byte { return bytes.Clone(k.pkcs8) }

// Marshal encrypts the key, with all its attributes, under a password: an EncryptedPrivateKeyInfo as in a
// signPri.key file. The zero Encryption is SchemeSEED with 2048 iterations, which every program reads that
// reads such files at all; OpenSSL reads only SchemePBES2.
func (k *PrivateKey) Marshal(e Encryption, password []byte) ([]byte, error) {
	p, err := newPBE(e, SchemeSEED)
	if err != nil {
		return nil, err
	}
	return k.marshal(p, password)
}

func (k *PrivateKey) marshal(p pbe, password []byte) ([]byte, error) {
	if len(k.pkcs8) == 0 {
		return nil, fail(ErrInput, "private key was wiped")
	}
	data, err := p.seal(password, k.pkcs8)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		p.marshal(b)
		b.AddASN1OctetString(data)
	})
	return b.BytesOrPanic(), nil
}

// ChangePassword opens a key file and encrypts it anew under another password: same scheme, fresh salt, and
// fresh IV where there is one.
func ChangePassword(data, from, to []byte) ([]byte, error) {
	e, err := ParseEncryptedKey(data)
	if err != nil {
		return nil, err
	}
	k, err := e.Decrypt(from)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	return k.Marshal(e.Encryption(), to)
}

// Matches says that the key belongs to a certificate, or gives ErrMismatch.
func (k *PrivateKey) Matches(c *x509.Certificate) error {
	if k.Key == nil {
		return fail(ErrInput, "private key was wiped")
	}
	public, ok := k.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(c.PublicKey) {
		return fail(ErrMismatch, "the private key is of another certificate")
	}
	return nil
}

// Wipe overwrites the key and R; the key is of no use afterwards. It is a best effort: the Go runtime and the
// standard library may have made copies that nobody can reach.
func (k *PrivateKey) Wipe() {
	clear(k.R)
	clear(k.pkcs8)
	if r, ok := k.Key.(*rsa.PrivateKey); ok {
		clear(r.D.Bits())
		for _, p := range r.Primes {
			clear(p.Bits())
		}
		if r.Precomputed.Dp != nil {
			clear(r.Precomputed.Dp.Bits())
			clear(r.Precomputed.Dq.Bits())
			clear(r.Precomputed.Qinv.Bits())
		}
	}
	k.Key, k.R, k.pkcs8 = nil, nil, nil
}
