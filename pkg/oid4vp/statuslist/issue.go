package statuslist

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/jws"
)

// A Token is what an issuer writes. It is here for issuers in tests and simulators.
type Token struct {
	URI      string // where it will be served; sub
	Statuses []Status
	Bits     int // of one status: 1, 2, 4 or 8
	IssuedAt time.Time
	Expires  time.Time     // zero leaves exp out
	TTL      time.Duration // 0 leaves ttl out

	Key   crypto.Signer       // P-256, P-384 or Ed25519
	Chain []*x509.Certificate // of the key, without the anchor

	// Edit changes header and payload before they are signed, for issuers that must misbehave.
	Edit func(header, payload map[string]any)
}

// Sign writes the token as a JWT. The code of its errors is oid4vp.ErrInput.
func (t Token) Sign() (string, error) {
	list, err := Encode(t.Statuses, t.Bits)
	if err != nil {
		return "", err
	}
	header := map[string]any{"typ": "statuslist+jwt"}
	payload := map[string]any{
		"sub": t.URI, "iat": t.IssuedAt.Unix(), "status_list": map[string]any{"bits": t.Bits, "lst": list},
	}
	if !t.Expires.IsZero() {
		payload["exp"] = t.Expires.Unix()
	}
	if t.TTL > 0 {
		payload["ttl"] = int64(t.TTL / time.Second)
	}
	if t.Edit != nil {
		t.Edit(header, payload)
	}
	return jws.Sign(header, payload, t.Key, t.Chain)
}

// Encode is the member lst for statuses of so many bits (Token Status List §4.1, §4.2), the array padded
// with Valid to whole bytes. The code of its error is oid4vp.ErrInput: bits that are not 1, 2, 4 or 8, or a
// status that does not fit.
func Encode(statuses []Status, bits int) (string, error) {
	switch bits {
	case 1, 2, 4, 8:
	default:
		return "", oid4vp.Fail(oid4vp.ErrInput, "bits")
	}
	perByte := 8 / bits
	data := make([]byte, (len(statuses)+perByte-1)/perByte)
	for i, status := range statuses {
		if int(status)>>bits != 0 {
			return "", oid4vp.Fail(oid4vp.ErrInput, "status does not fit its bits")
		}
		data[i/perByte] |= byte(status) << (i % perByte * bits)
	}
	var out bytes.Buffer
	writer, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err == nil {
		if _, err = writer.Write(data); err == nil {
			err = writer.Close()
		}
	}
	if err != nil {
		return "", oid4vp.Because(oid4vp.ErrInput, "compress", err)
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes()), nil
}
