package mdoc

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/subtle"
	"crypto/x509"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/anyid/anyid/pkg/oid4vp"
)

// Want is what a DeviceResponse must fit.
type Want struct {
	DocType    string // the document type that was asked for
	Transcript SessionTranscript
	Anchors    *Anchors
	Now        time.Time // the moment of judgement, never zero
	// Leeway is how far the issuer's clock may be off: a document is taken as long before its validity begins and
	// after it ends.
	Leeway time.Duration
	// AllowP384 takes ES384 and ESP384 too.
	AllowP384 bool
	// ReaderKey is the verifier's key for a deviceMac, where one was advertised. Without it a deviceMac is refused.
	ReaderKey *ecdh.PrivateKey
}

// A Document is what was verified of an mdoc.
type Document struct {
	DocType string
	// Elements are those that the issuer has signed.
	Elements Elements
	// DeviceElements are those that the device says itself, with the issuer's authority to do so. Nobody else vouches
	// for them.
	DeviceElements Elements

	Signed         time.Time // when the issuer signed the MSO
	ValidFrom      time.Time
	ValidUntil     time.Time
	ExpectedUpdate time.Time // zero if the issuer does not say

	// Chain is the document signer's certificate and the root that issued it.
	Chain []*x509.Certificate
	// DeviceKey is the key that has signed, or agreed upon, the answer.
	DeviceKey *ecdsa.PublicKey
	// MAC says that the device was authenticated by a MAC, which the verifier could have made itself.
	MAC bool
	// Status says where to ask whether the document still holds; nil if it has no status.
	Status *oid4vp.StatusReference
}

// Verify verifies a DeviceResponse, which is encoded CBOR of at most [oid4vp.MaxPresentation] bytes, with one document.
//
// The codes of its errors are those of package oid4vp: ErrInput (want), ErrMalformed, ErrTooLarge, ErrUnsupported
// (version, algorithm, key, deviceMac), ErrMissing (x5chain), ErrQuery (another document type, several documents, an error
// of the wallet's), ErrUntrusted (certificates), ErrIssuer (issuing country), ErrSignature (issuerAuth), ErrDigest (an
// element that was not signed, or twice), ErrExpired, ErrNotYetValid and ErrKeyBinding (the device's proof, or
// elements that it has no authority for).
func Verify(response []byte, want Want) (*Document, error) {
	if want.DocType == "" || want.Now.IsZero() || want.Anchors == nil || cbor.Wellformed(want.Transcript) != nil {
		return nil, oid4vp.Fail(oid4vp.ErrInput, "Want")
	}
	if len(response) > oid4vp.MaxPresentation {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "DeviceResponse")
	}
	d, err := readResponse(response)
	if err != nil {
		return nil, err
	}
	if docType, ok := name(d.DocType); !ok {
		return nil, malformed("docType")
	} else if docType != want.DocType {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "docType")
	}
	signed, err := verifyIssuer(d.IssuerSigned, &want)
	if err != nil {
		return nil, err
	}
	if err := verifyDevice(d.DeviceSigned, signed, &want); err != nil {
		return nil, err
	}
	return &signed.Document, nil
}

type deviceResponse struct {
	Version        cbor.RawMessage `cbor:"version"`
	Documents      cbor.RawMessage `cbor:"documents"`
	DocumentErrors cbor.RawMessage `cbor:"documentErrors"`
	Status         cbor.RawMessage `cbor:"status"`
}

type document struct {
	DocType      cbor.RawMessage `cbor:"docType"`
	IssuerSigned cbor.RawMessage `cbor:"issuerSigned"`
	DeviceSigned cbor.RawMessage `cbor:"deviceSigned"`
	Errors       cbor.RawMessage `cbor:"errors"`
}

// readResponse gives the one document of a response (ISO/IEC 18013-5 §8.3.2.1.2.2).
func readResponse(raw []byte) (*document, error) {
	var r deviceResponse
	if err := readMap(strict, raw, &r, "DeviceResponse"); err != nil {
		return nil, err
	}
	if version, ok := name(r.Version); !ok {
		return nil, malformed("DeviceResponse: version")
	} else if version != "1.0" {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, "DeviceResponse: version")
	}
	if status, ok := unsigned(r.Status); !ok {
		return nil, malformed("DeviceResponse: status")
	} else if status != 0 {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: status")
	}
	if r.DocumentErrors != nil {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: documentErrors")
	}
	if r.Documents == nil {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: no document")
	}
	documents, err := readArray(r.Documents, "documents")
	if err != nil {
		return nil, err
	}
	if len(documents) != 1 {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: several documents")
	}
	var d document
	if err := readMap(strict, documents[0], &d, "document"); err != nil {
		return nil, err
	}
	if d.Errors != nil {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "document: errors")
	}
	return &d, nil
}

type issuerSigned struct {
	NameSpaces cbor.RawMessage `cbor:"nameSpaces"`
	IssuerAuth cbor.RawMessage `cbor:"issuerAuth"`
}

// issued is a document whose issuer was verified.
type issued struct {
	Document
	key    *deviceKey
	allows authorizations
}

// verifyIssuer does the inspection of issuer data (ISO/IEC 18013-5 §9.3.1).
func verifyIssuer(raw []byte, want *Want) (*issued, error) {
	var data issuerSigned
	if err := readMap(strict, raw, &data, "issuerSigned"); err != nil {
		return nil, err
	}
	message, err := readSign1(data.IssuerAuth, "issuerAuth")
	if err != nil {
		return nil, err
	}
	chain, err := signerOf(message, want)
	if err != nil {
		return nil, err
	}
	if message.Payload == nil {
		return nil, malformed("issuerAuth: no payload")
	}
	err = verifySign1(message, chain[0].PublicKey.(*ecdsa.PublicKey), want.AllowP384, oid4vp.ErrSignature, "issuerAuth")
	if err != nil {
		return nil, err
	}
	mso, err := readMSO(message.Payload, want)
	if err != nil {
		return nil, err
	}
	if mso.Signed.Before(chain[0].NotBefore) || mso.Signed.After(chain[0].NotAfter) {
		return nil, oid4vp.Fail(oid4vp.ErrUntrusted, "MSO: signed outside of the certificate's validity")
	}
	elements, err := readElements(data.NameSpaces, mso)
	if err != nil {
		return nil, err
	}
	if err := matchesIssuer(elements, chain[0]); err != nil {
		return nil, err
	}
	i := mso.issued
	i.Chain, i.Elements = chain, elements
	return &i, nil
}

type issuerSignedItem struct {
	DigestID   cbor.RawMessage `cbor:"digestID"`
	Random     cbor.RawMessage `cbor:"random"`
	Identifier cbor.RawMessage `cbor:"elementIdentifier"`
	Value      cbor.RawMessage `cbor:"elementValue"`
}

const (
	minRandom   = 16        // bytes (ISO/IEC 18013-5 §9.1.2.5)
	maxDigestID = 1<<31 - 1 // (ISO/IEC 18013-5 §9.1.2.4)
)

// readElements verifies the digest of each element over its bytes as they came.
func readElements(raw cbor.RawMessage, mso *securityObject) (Elements, error) {
	if raw == nil { // nothing is disclosed
		return Elements{}, nil
	}
	namespaces, err := readNamespaces(raw, "nameSpaces")
	if err != nil {
		return nil, err
	}
	if len(namespaces) == 0 {
		return nil, malformed("nameSpaces: empty")
	}
	elements := make(Elements, len(namespaces))
	hash := mso.hash.New()
	sum := make([]byte, 0, hash.Size())
	for namespace, list := range namespaces {
		items, err := readArray(list, "nameSpaces")
		if err != nil {
			return nil, err
		}
		members, seen := make(map[string]any, len(items)), make(map[uint64]bool, len(items))
		elements[namespace] = members
		for _, bytes := range items {
			const what = "IssuerSignedItem"
			content, ok := embedded(bytes)
			if !ok {
				return nil, malformed(what + "Bytes")
			}
			var item issuerSignedItem
			if err := readMap(strict, content, &item, what); err != nil {
				return nil, err
			}
			id, ok1 := unsigned(item.DigestID)
			random, ok2 := byteString(item.Random)
			element, ok3 := name(item.Identifier)
			if !ok1 || id > maxDigestID || !ok2 || len(random) < minRandom || !ok3 || item.Value == nil {
				return nil, malformed(what)
			}
			if seen[id] {
				return nil, oid4vp.Fail(oid4vp.ErrDigest, what+": a digest ID twice")
			}
			seen[id] = true
			if _, twice := members[element]; twice {
				return nil, oid4vp.Fail(oid4vp.ErrDigest, what+": an element twice")
			}
			hash.Reset()
			hash.Write(bytes)
			sum = hash.Sum(sum[:0])
			digest, ok := byteString(mso.digests[namespace][id])
			if !ok || subtle.ConstantTimeCompare(digest, sum) != 1 {
				return nil, oid4vp.Fail(oid4vp.ErrDigest, what)
			}
			if members[element], err = readValue(item.Value, what+": elementValue"); err != nil {
				return nil, err
			}
		}
	}
	return elements, nil
}

// readNamespaces reads a map from namespaces to something.
func readNamespaces(raw cbor.RawMessage, what string) (map[string]cbor.RawMessage, error) {
	var namespaces map[string]cbor.RawMessage
	if err := readMap(strict, raw, &namespaces, what); err != nil {
		return nil, err
	}
	for namespace := range namespaces {
		if !isName(namespace) {
			return nil, malformed(what)
		}
	}
	return namespaces, nil
}

// matchesIssuer says whether the document names the country, and the part of it, of the certificate that has signed it
// (ISO/IEC 18013-5 §7.2.1).
func matchesIssuer(elements Elements, signer *x509.Certificate) error {
	const namespace = "org.iso.18013.5.1"
	for element, names := range map[string][]string{
		"issuing_country": signer.Subject.Country, "issuing_jurisdiction": signer.Subject.Province,
	} {
		value, given := elements[namespace][element]
		if given && len(names) > 0 && value != names[0] {
			return oid4vp.Fail(oid4vp.ErrIssuer, element)
		}
	}
	return nil
}

type deviceSigned struct {
	NameSpaces cbor.RawMessage `cbor:"nameSpaces"`
	DeviceAuth cbor.RawMessage `cbor:"deviceAuth"`
}

type deviceAuth struct {
	Signature cbor.RawMessage `cbor:"deviceSignature"`
	MAC       cbor.RawMessage `cbor:"deviceMac"`
}

// verifyDevice does the inspection of mdoc authentication (ISO/IEC 18013-5 §9.1.3 and §9.3.2).
func verifyDevice(raw []byte, document *issued, want *Want) error {
	var data deviceSigned
	if err := readMap(strict, raw, &data, "deviceSigned"); err != nil {
		return err
	}
	var auth deviceAuth
	if err := readMap(strict, data.DeviceAuth, &auth, "deviceAuth"); err != nil {
		return err
	}
	elements, err := readDeviceElements(data.NameSpaces, document)
	if err != nil {
		return err
	}
	document.DeviceElements = elements
	document.DeviceKey = document.key.PublicKey

	payload := marshal(cbor.Tag{Number: tagEmbedded, Content: marshal([]any{
		"DeviceAuthentication", cbor.RawMessage(want.Transcript), document.DocType, data.NameSpaces,
	})})
	if (auth.Signature == nil) == (auth.MAC == nil) {
		return malformed("deviceAuth")
	}
	if auth.MAC != nil {
		document.MAC = true
		return verifyMAC(auth.MAC, document.key, want.ReaderKey, want.Transcript, payload)
	}
	message, err := readSign1(auth.Signature, "deviceSignature")
	if err != nil {
		return err
	}
	if message.Payload != nil { // it is what we know, or it is nothing
		return malformed("deviceSignature: payload")
	}
	algorithm, err := message.Headers.Protected.Algorithm()
	if err != nil || !document.key.may(int64(algorithm), cose.KeyOpVerify) {
		return oid4vp.Fail(oid4vp.ErrUnsupported, "deviceSignature: alg")
	}
	message.Payload = payload
	return verifySign1(message, document.key.PublicKey, want.AllowP384, oid4vp.ErrKeyBinding, "deviceSignature")
}

// readDeviceElements reads what the device says itself, which the issuer must have authorized.
func readDeviceElements(raw cbor.RawMessage, document *issued) (Elements, error) {
	content, ok := embedded(raw)
	if !ok {
		return nil, malformed("DeviceNameSpacesBytes")
	}
	namespaces, err := readNamespaces(content, "DeviceNameSpaces")
	if err != nil {
		return nil, err
	}
	elements := make(Elements, len(namespaces))
	for namespace, list := range namespaces {
		items, err := readNamespaces(list, "DeviceNameSpaces") // here from element identifiers to values
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			return nil, malformed("DeviceNameSpaces: empty")
		}
		members := make(map[string]any, len(items))
		elements[namespace] = members
		for element, value := range items {
			if !document.allows.contains(namespace, element) {
				return nil, oid4vp.Fail(oid4vp.ErrKeyBinding, "DeviceNameSpaces: not authorized")
			}
			if _, twice := document.Elements[namespace][element]; twice {
				return nil, oid4vp.Fail(oid4vp.ErrDigest, "DeviceNameSpaces: an element of the issuer's")
			}
			if members[element], err = readValue(value, "DeviceNameSpaces"); err != nil {
				return nil, err
			}
		}
	}
	return elements, nil
}

func malformed(what string) error { return oid4vp.Fail(oid4vp.ErrMalformed, what) }

// hashes are the digest algorithms of an MSO.
var hashes = map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}
