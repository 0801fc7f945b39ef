//go:build !js

package npki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

func readCertificate(data []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, because(ErrMalformed, "Certificate", err)
	}
	return c, nil
}

// readOtherKey reads a key that is not of RSA: of elliptic curves, which no certificate authority of NPKI has
// used, but whose files are encrypted just the same.
func readOtherKey(what string, a algorithm, inner cryptobyte.String) (crypto.Signer, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(a.OID)
			b.AddBytes(a.Parameters)
		})
		b.AddASN1OctetString(inner)
	})
	bare := b.BytesOrPanic()
	defer clear(bare)
	key, err := x509.ParsePKCS8PrivateKey(bare)
	if err != nil {
		return nil, because(ErrMalformed, what, err)
	}
	if e, ok := key.(*ecdsa.PrivateKey); ok && !samePoint(e, inner) {
		return nil, fail(ErrMalformed, what+": public key")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fail(ErrUnsupported, what+": key algorithm "+a.OID.String())
	}
	return signer, nil
}

// samePoint says that the public key in an ECPrivateKey (RFC 5915), where it is given, is that of the private
// one, which crypto/x509 does not check.
func samePoint(key *ecdsa.PrivateKey, s cryptobyte.String) bool {
	var curve, public cryptobyte.String
	var named, some bool
	var point []byte
	if !s.ReadASN1(&s, der.SEQUENCE) || !s.SkipASN1(der.INTEGER) || !s.SkipASN1(der.OCTET_STRING) ||
		!s.ReadOptionalASN1(&curve, &named, der.Tag(0).ContextSpecific().Constructed()) ||
		named && (!curve.SkipASN1(der.OBJECT_IDENTIFIER) || !curve.Empty()) ||
		!s.ReadOptionalASN1(&public, &some, der.Tag(1).ContextSpecific().Constructed()) || !s.Empty() {
		return false
	}
	want, err := key.PublicKey.Bytes()
	return err == nil && (!some || public.ReadASN1BitStringAsBytes(&point) && bytes.Equal(point, want))
}
