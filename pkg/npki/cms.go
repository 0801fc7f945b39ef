package npki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of NPKI signatures
	_ "crypto/sha512" // the same
	"encoding/asn1"
	"io"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The sizes, in bits, that an RSA key may have.
const (
	minRSA = 2048
	maxRSA = 4096
)

// SignOptions chooses the shape of a SignedData. The zero value gives the ordinary one: a ContentInfo
// with the content inside, SHA-256, the signed attributes contentType, signingTime and messageDigest,
// and sha256WithRSAEncryption. The other shapes are those that existing clients produce.
type SignOptions struct {
	Hash          crypto.Hash // SHA256, SHA384 or SHA512; 0 is SHA256
	PSS           bool        // RSASSA-PSS with MGF1 and a salt as long as the hash, in place of PKCS #1 v1.5
	RSAEncryption bool        // name rsaEncryption as the signature algorithm, without the hash; not with PSS
	NoAttributes  bool        // sign the content itself, without signed attributes
	NoParameters  bool        // leave the NULL out of the digest algorithm
	Detached      bool        // leave the content out
	Bare          bool        // SignedData without the ContentInfo around it
	Time          time.Time   // signingTime, in seconds; zero is now
	Rand          io.Reader   // for PSS; nil is crypto/rand.Reader
}

// SignCMS signs content and returns a CMS SignedData in DER (RFC 5652 §5): version 1, with the signer's
// certificate, given in DER, and one signer named by issuer and serial number. The key must be the RSA
// key of the certificate: ErrMismatch if it is not. ErrInput says that the options contradict each other.
func SignCMS(key crypto.Signer, certificate, content []byte, options SignOptions) ([]byte, error) {
	hash := options.Hash
	if hash == 0 {
		hash = crypto.SHA256
	}
	suite, known := suites[hash]
	if !known || options.PSS && options.RSAEncryption {
		return nil, fail(ErrInput, "SignOptions")
	}
	if err := checkDER("certificate", certificate, MaxCertificate); err != nil {
		return nil, err
	}
	cert, err := readOutline(certificate)
	if err != nil {
		return nil, err
	}
	if !cert.holds(key.Public()) {
		return nil, fail(ErrMismatch, "key and certificate")
	}
	if options.NoAttributes && len(content) > 0 && content[0] == byte(der.SET) {
		return nil, fail(ErrInput, "content that reads as signed attributes") // RFC 5652 §11, and VerifySignedData
	}

	signed := content
	var attributes []byte
	if !options.NoAttributes {
		if attributes, err = signedAttributes(digest(hash, content), options.Time); err != nil {
			return nil, err
		}
		signed = attributes
	}
	opts := crypto.SignerOpts(hash)
	if options.PSS {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	random := options.Rand
	if random == nil {
		random = rand.Reader
	}
	signature, err := key.Sign(random, digest(hash, signed), opts)
	if err != nil {
		return nil, because(ErrInput, "signing", err)
	}

	addDigest := func(b *cryptobyte.Builder) {
		if options.NoParameters {
			addAlgorithm(b, suite.digest, nil)
		} else {
			addAlgorithm(b, suite.digest, addNull)
		}
	}
	addSignedData := func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddASN1(der.SET, addDigest)
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidData)
				if !options.Detached {
					b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
				}
			})
			b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddBytes(certificate) })
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(1)
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(cert.issuer)
						b.AddBytes(cert.serial)
					})
					addDigest(b)
					if attributes != nil {
						b.AddBytes(slices.Concat([]byte{byte(explicit0)}, attributes[1:])) // [0] IMPLICIT
					}
					switch {
					case options.PSS:
						addPSS(b, hash, suite)
					case options.RSAEncryption:
						addAlgorithm(b, oidRSA, addNull)
					default:
						addAlgorithm(b, suite.withRSA, addNull)
					}
					b.AddASN1OctetString(signature)
				})
			})
		})
	}
	var b cryptobyte.Builder
	if options.Bare {
		addSignedData(&b)
	} else {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidSignedData)
			b.AddASN1(explicit0, addSignedData)
		})
	}
	return built("SignedData", &b)
}

// explicit0 is the tag [0], constructed.
const explicit0 = der.Tag(0xA0)

// A suite is a hash with its names.
type suite struct{ digest, withRSA asn1.ObjectIdentifier }

var suites = map[crypto.Hash]suite{
	crypto.SHA256: {oidSHA256, oidSHA256RSA},
	crypto.SHA384: {oidSHA384, oidSHA384RSA},
	crypto.SHA512: {oidSHA512, oidSHA512RSA},
}

func digest(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// built gives what the builder holds.
func built(what string, b *cryptobyte.Builder) ([]byte, error) {
	out, err := b.Bytes()
	if err != nil {
		return nil, because(ErrInput, what, err)
	}
	return out, nil
}

// signedAttributes is the DER SET OF the three attributes, sorted, as it is hashed.
func signedAttributes(sum []byte, at time.Time) ([]byte, error) {
	if at.IsZero() {
		at = time.Now()
	}
	at = at.UTC().Truncate(time.Second)
	values := []struct {
		oid asn1.ObjectIdentifier
		add cryptobyte.BuilderContinuation
	}{
		{oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) }},
		{oidSigningTime, func(b *cryptobyte.Builder) { // RFC 5652 §11.3: UTCTime through 2049
			if year := at.Year(); year >= 1950 && year < 2050 {
				b.AddASN1UTCTime(at)
			} else {
				b.AddASN1GeneralizedTime(at)
			}
		}},
		{oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum) }},
	}
	encoded := make([][]byte, len(values))
	for i, value := range values {
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(value.oid)
			b.AddASN1(der.SET, value.add)
		})
		var err error
		if encoded[i], err = built("signed attribute", &b); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(encoded, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(der.SET, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(encoded...)) })
	return built("signed attributes", &b)
}

// addPSS writes RSASSA-PSS with its parameters (RFC 4055 §3.1).
func addPSS(b *cryptobyte.Builder, hash crypto.Hash, s suite) {
	addAlgorithm(b, oidRSAPSS, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(explicit0, func(b *cryptobyte.Builder) { addAlgorithm(b, s.digest, addNull) })
			b.AddASN1(explicit0+1, func(b *cryptobyte.Builder) {
				addAlgorithm(b, oidMGF1, func(b *cryptobyte.Builder) { addAlgorithm(b, s.digest, addNull) })
			})
			b.AddASN1(explicit0+2, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(hash.Size())) })
		})
	})
}

// An outline is what a signer needs of a certificate, read without crypto/x509, which would add a fifth to
// the size of a signer in the browser.
type outline struct {
	serial, issuer, key cryptobyte.String // complete values: INTEGER, Name, SubjectPublicKeyInfo
}

// readOutline reads a certificate that checkDER has passed.
func readOutline(certificate []byte) (outline, error) {
	var o outline
	s := cryptobyte.String(certificate)
	var cert, tbs cryptobyte.String
	if !s.ReadASN1(&cert, der.SEQUENCE) || !cert.ReadASN1(&tbs, der.SEQUENCE) ||
		!tbs.SkipOptionalASN1(explicit0) || // version
		!tbs.ReadASN1Element(&o.serial, der.INTEGER) ||
		!tbs.SkipASN1(der.SEQUENCE) || // signature algorithm
		!tbs.ReadASN1Element(&o.issuer, der.SEQUENCE) ||
		!tbs.SkipASN1(der.SEQUENCE) || // validity
		!tbs.SkipASN1(der.SEQUENCE) || // subject
		!tbs.ReadASN1Element(&o.key, der.SEQUENCE) {
		return o, fail(ErrMalformed, "certificate")
	}
	return o, nil
}

// holds says whether the certificate is for this public key.
func (o outline) holds(public crypto.PublicKey) bool {
	want, ok := public.(*rsa.PublicKey)
	if !ok {
		return false
	}
	var info, bits, pair cryptobyte.String
	var a algorithm
	var n big.Int
	var e int
	raw := o.key
	if !raw.ReadASN1(&info, der.SEQUENCE) || !readAlgorithm(&info, &a) || !a.OID.Equal(oidRSA) ||
		!info.ReadASN1(&bits, der.BIT_STRING) || !bits.Skip(1) ||
		!bits.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1Integer(&n) || !pair.ReadASN1Integer(&e) {
		return false
	}
	return n.Cmp(want.N) == 0 && e == want.E
}
