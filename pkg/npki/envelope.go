package npki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxRecipients is how many recipients of an EnvelopedData are looked at.
const maxRecipients = 16

// OpenEnvelope opens a CMS EnvelopedData (RFC 5652 section 6) that is encrypted for a certificate, with its
// key: RSAES-PKCS1-v1_5 or OAEP around a key for SEED, ARIA, AES or triple DES in CBC mode. Vendors deliver R
// this way. The format has no integrity of its own, so what comes out is worth what its content proves.
//
// ErrMissing says that the certificate is not among the recipients. Once it is, every failure of the
// cryptography is the same ErrDecrypt, for the reason given at [OpenVIDMsg].
func OpenEnvelope(data []byte, certificate *x509.Certificate, key *rsa.PrivateKey) ([]byte, error) {
	const what = "EnvelopedData"
	if err := checkDER(what, data, MaxFile); err != nil {
		return nil, err
	}
	wrapping, wrapped, encrypted, err := readEnvelope(what, data, certificate)
	if err != nil {
		return nil, err
	}
	var p pbe
	var text cryptobyte.String
	if p, text, err = readEncryptedContent(what, encrypted); err != nil {
		return nil, err
	}
	unwrap, err := readWrapping(what, wrapping, ciphers[p.Cipher].key)
	if err != nil {
		return nil, err
	}
	failed := fail(ErrDecrypt, what)
	k, err := unwrap(key, wrapped)
	if err != nil {
		return nil, failed
	}
	defer clear(k)
	padded, length, err := decryptCBC(p.Cipher, k, p.iv, text)
	if err != nil || length < 0 {
		clear(padded)
		return nil, failed
	}
	return padded[:length:length], nil
}

// readEnvelope finds the recipient, and what follows the recipients.
func readEnvelope(what string, data []byte, certificate *x509.Certificate) (wrapping algorithm, wrapped, encrypted cryptobyte.String, err error) {
	malformed := func() (algorithm, cryptobyte.String, cryptobyte.String, error) {
		return algorithm{}, nil, nil, fail(ErrMalformed, what)
	}
	s, ok := readContentInfo(data, oidEnvelopedData)
	if !ok {
		return malformed()
	}
	var version int64
	var originator, recipients cryptobyte.String
	var some bool
	if !s.ReadASN1Integer(&version) ||
		!s.ReadOptionalASN1(&originator, &some, der.Tag(0).ContextSpecific().Constructed()) ||
		!s.ReadASN1(&recipients, der.SET) || !s.ReadASN1(&encrypted, der.SEQUENCE) {
		return malformed()
	}
	if version != 0 && version != 2 && version != 3 {
		return algorithm{}, nil, nil, fail(ErrUnsupported, what+": version")
	}
	found := false
	for n := 0; !recipients.Empty(); n++ {
		if n == maxRecipients {
			return algorithm{}, nil, nil, fail(ErrTooLarge, what+": recipients")
		}
		var one, body, id, issuer cryptobyte.String
		var tag der.Tag
		serial := new(big.Int)
		if !recipients.ReadAnyASN1Element(&one, &tag) {
			return malformed()
		}
		if tag != der.SEQUENCE { // key agreement and others, which are not for RSA
			continue
		}
		var a algorithm
		var key cryptobyte.String
		if !one.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1Integer(&version) || !body.ReadAnyASN1Element(&id, &tag) ||
			!readAlgorithm(&body, &a) || !body.ReadASN1(&key, der.OCTET_STRING) || !body.Empty() {
			return malformed()
		}
		var mine bool
		if tag == der.SEQUENCE {
			if !id.ReadASN1(&id, der.SEQUENCE) || !id.ReadASN1Element(&issuer, der.SEQUENCE) ||
				!id.ReadASN1Integer(serial) || !id.Empty() {
				return malformed()
			}
			mine = bytes.Equal(issuer, certificate.RawIssuer) && serial.Cmp(certificate.SerialNumber) == 0
		} else {
			mine = tag == der.Tag(0).ContextSpecific() && id.ReadASN1(&id, tag) &&
				len(id) > 0 && bytes.Equal(id, certificate.SubjectKeyId)
		}
		if mine && found {
			return algorithm{}, nil, nil, fail(ErrMalformed, what+": recipient given twice")
		}
		if mine {
			found, wrapping, wrapped = true, a, key
		}
	}
	if !found {
		return algorithm{}, nil, nil, fail(ErrMissing, what+": recipient")
	}
	return wrapping, wrapped, encrypted, nil
}

// readContentInfo reads a ContentInfo of one type around a SEQUENCE.
func readContentInfo(data []byte, want []int) (cryptobyte.String, bool) {
	s := cryptobyte.String(data)
	var kind, content cryptobyte.String
	if !s.ReadASN1(&s, der.SEQUENCE) || !s.ReadASN1Element(&kind, der.OBJECT_IDENTIFIER) ||
		!s.ReadASN1(&content, der.Tag(0).ContextSpecific().Constructed()) || !s.Empty() {
		return nil, false
	}
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(want)
	ok := bytes.Equal(kind, b.BytesOrPanic()) && content.ReadASN1(&s, der.SEQUENCE) && content.Empty()
	return s, ok
}

// readEncryptedContent reads the inside of an EncryptedContentInfo whose cipher's parameter is its IV.
func readEncryptedContent(what string, s cryptobyte.String) (p pbe, text cryptobyte.String, err error) {
	a, text, err := readContentEncryption(what, s)
	if err != nil {
		return p, nil, err
	}
	err = p.readCipher(what, a)
	return p, text, err
}

// readContentEncryption reads the inside of an EncryptedContentInfo.
func readContentEncryption(what string, s cryptobyte.String) (a algorithm, text cryptobyte.String, err error) {
	if !s.SkipASN1(der.OBJECT_IDENTIFIER) || !readAlgorithm(&s, &a) ||
		!s.ReadASN1(&text, der.Tag(0).ContextSpecific()) || !s.Empty() {
		return a, nil, fail(ErrMalformed, what+": encrypted content")
	}
	return a, text, nil
}

// readWrapping chooses how the content's key, of size bytes, is unwrapped.
func readWrapping(what string, a algorithm, size int) (func(*rsa.PrivateKey, []byte) ([]byte, error), error) {
	switch {
	case a.OID.Equal(oidRSA) && a.plain():
		return func(key *rsa.PrivateKey, block []byte) ([]byte, error) { return unwrapPKCS1(key, block, size) }, nil
	case a.OID.Equal(oidRSAOAEP):
		options, ok := readOAEP(a.Parameters)
		if !ok {
			return nil, fail(ErrUnsupported, what+": OAEP parameters")
		}
		return func(key *rsa.PrivateKey, block []byte) ([]byte, error) {
			k, err := key.Decrypt(rand.Reader, block, options)
			if err == nil && len(k) != size {
				return nil, fail(ErrDecrypt, what)
			}
			return k, err
		}, nil
	}
	return nil, fail(ErrUnsupported, what+": key encryption "+a.OID.String())
}

// readOAEP reads RSAES-OAEP-params (RFC 4055 section 4.1); a label is not taken.
func readOAEP(s cryptobyte.String) (*rsa.OAEPOptions, bool) {
	options := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	var inner cryptobyte.String
	var some bool
	var a algorithm
	var ok bool
	if !s.ReadASN1(&s, der.SEQUENCE) || !s.ReadOptionalASN1(&inner, &some, der.Tag(0).ContextSpecific().Constructed()) {
		return nil, false
	}
	if some {
		if !readAlgorithm(&inner, &a) || !inner.Empty() {
			return nil, false
		}
		if options.Hash, ok = hashOf(a); !ok {
			return nil, false
		}
	}
	if !s.ReadOptionalASN1(&inner, &some, der.Tag(1).ContextSpecific().Constructed()) {
		return nil, false
	}
	if some {
		if !readAlgorithm(&inner, &a) || !inner.Empty() || !a.OID.Equal(oidMGF1) {
			return nil, false
		}
		parameters := a.Parameters
		if !readAlgorithm(&parameters, &a) || !parameters.Empty() {
			return nil, false
		}
		if options.MGFHash, ok = hashOf(a); !ok {
			return nil, false
		}
	}
	return options, s.Empty()
}
