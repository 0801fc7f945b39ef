package mdoc

import (
	"crypto/sha256"

	"github.com/anyid/anyid/pkg/oid4vp"
)

// A SessionTranscript is the encoded CBOR array of that name (ISO/IEC 18013-5 §9.1.5.1), not wrapped in tag 24. The
// device signs it, so it ties an answer to the request.
type SessionTranscript []byte

// RedirectTranscript is the transcript of an OpenID4VP request by redirect or QR code: the OpenID4VPHandover
// (OpenID4VP Appendix B.2.6.1). The client_id has its prefix. The thumbprint is that of the key to which the answer
// was encrypted, 32 bytes (RFC 7638 with SHA-256), or nil if it was not encrypted.
func RedirectTranscript(clientID, nonce string, thumbprint []byte, responseURI string) (SessionTranscript, error) {
	return transcript("OpenID4VPHandover", thumbprint, clientID, nonce, thumbprint, responseURI)
}

// DCAPITranscript is the transcript of an OpenID4VP request by the Digital Credentials API of a browser: the
// OpenID4VPDCAPIHandover (OpenID4VP Appendix B.2.6.2). The origin is the verifier's web origin without a prefix.
func DCAPITranscript(origin, nonce string, thumbprint []byte) (SessionTranscript, error) {
	return transcript("OpenID4VPDCAPIHandover", thumbprint, origin, nonce, thumbprint)
}

func transcript(handover string, thumbprint []byte, info ...any) (SessionTranscript, error) {
	if thumbprint != nil && len(thumbprint) != sha256.Size {
		return nil, oid4vp.Fail(oid4vp.ErrInput, "SessionTranscript: thumbprint")
	}
	hash := sha256.Sum256(marshal(info)) // a nil thumbprint is null
	return marshal([]any{nil, nil, []any{handover, hash[:]}}), nil
}
