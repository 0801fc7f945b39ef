package simple

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// open decrypts a personal field: base64 of a 12-byte IV, the AES-256-GCM ciphertext and its tag.
func (s *Simulator) open(field string) (string, error) {
	sealed, err := base64.StdEncoding.DecodeString(field)
	if err != nil || len(sealed) < s.aead.NonceSize() {
		return "", errors.New("sim/simple: a personal field is not base64 of IV, ciphertext and tag")
	}
	iv, ciphertext := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, iv, ciphertext, nil)
	if err != nil {
		return "", fmt.Errorf("sim/simple: a personal field: %w", err)
	}
	return string(plain), nil
}

// seal encrypts a personal field; wrongTag spoils its tag.
func (s *Simulator) seal(plain string, wrongTag bool) string {
	iv := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(iv)
	sealed := s.aead.Seal(iv, iv, []byte(plain), nil)
	if wrongTag {
		sealed[len(sealed)-1] ^= 1
	}
	return base64.StdEncoding.EncodeToString(sealed)
}

// signerID is one certificate: a person's at a provider.
type signerID struct {
	provider *provider
	phone    string
}

// signer is a certificate on a phone and its key.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// signerOf returns the person's certificate at the provider, issued when it is first used.
func (s *Simulator) signerOf(p *provider, person *Person) (*signer, error) {
	id := signerID{p, person.Phone}
	s.signerMu.Lock()
	defer s.signerMu.Unlock()
	if held := s.signers[id]; held != nil {
		return held, nil
	}
	cert, key, err := s.authority.Issue(pkix.Name{Country: []string{"KR"}, Organization: []string{p.path}, CommonName: person.Name})
	if err != nil {
		return nil, err
	}
	held := &signer{cert, key}
	s.signers[id] = held
	return held, nil
}

// signedData is what the phone makes of text: PKCS#7 SignedData with the text and the signer's
// certificate inside, in base64. Naver's is in BER of indefinite lengths, the others' in DER.
func (s *Simulator) signedData(p *provider, person *Person, text string, wrongSignature bool) (string, error) {
	by, err := s.signerOf(p, person)
	if err != nil {
		return "", err
	}
	data, err := pkcs7.NewSignedData([]byte(text))
	if err != nil {
		return "", fmt.Errorf("sim/simple: signed data: %w", err)
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := data.AddSigner(by.cert, by.key, pkcs7.SignerInfoConfig{}); err != nil {
		return "", fmt.Errorf("sim/simple: signed data: %w", err)
	}
	der, err := data.Finish()
	if err != nil {
		return "", fmt.Errorf("sim/simple: signed data: %w", err)
	}
	if wrongSignature {
		der[len(der)-1] ^= 1 // the signature value ends the structure
	}
	if p.id == "naver" {
		if der, err = indefinite(der); err != nil {
			return "", err
		}
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// indefinite rewrites DER SignedData the way streaming signers put it out: ContentInfo, SignedData and
// the content in between have no length but an end mark, and the content is a chunked octet string.
func indefinite(der []byte) ([]byte, error) {
	var info, wrapped, data, content, text cryptobyte.String
	var infoType, version, digests, contentType cryptobyte.String
	whole := cryptobyte.String(der)
	explicit := asn1.Tag(0).ContextSpecific().Constructed()
	if !whole.ReadASN1(&info, asn1.SEQUENCE) ||
		!info.ReadASN1Element(&infoType, asn1.OBJECT_IDENTIFIER) || !info.ReadASN1(&wrapped, explicit) ||
		!wrapped.ReadASN1(&data, asn1.SEQUENCE) ||
		!data.ReadASN1Element(&version, asn1.INTEGER) || !data.ReadASN1Element(&digests, asn1.SET) ||
		!data.ReadASN1(&content, asn1.SEQUENCE) ||
		!content.ReadASN1Element(&contentType, asn1.OBJECT_IDENTIFIER) || !content.ReadASN1(&text, explicit) {
		return nil, errors.New("sim/simple: signed data is not as it was made")
	}
	end := []byte{0, 0}
	return bytes.Join([][]byte{
		{0x30, 0x80}, infoType, {0xa0, 0x80}, {0x30, 0x80}, version, digests,
		{0x30, 0x80}, contentType, {0xa0, 0x80}, {0x24, 0x80}, text, end, end, end,
		data, end, end, end,
	}, nil), nil
}

var writers = sync.Pool{New: func() any {
	zw, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one that exists
	return zw
}}

// compress writes body in gzip.
func compress(w io.Writer, body []byte) {
	zw := writers.Get().(*gzip.Writer)
	defer writers.Put(zw)
	zw.Reset(w)
	_, _ = zw.Write(body)
	_ = zw.Close()
}
