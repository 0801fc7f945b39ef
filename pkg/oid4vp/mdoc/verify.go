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
// (version, algorithm, key, deviceMac), ErrMissing (x5chain), ErrQuery (another document type, several documents, an
// error of the wallet's), ErrUntrusted (certificates), ErrIssuer (issuing country), ErrSignature (issuerAuth),
// ErrDigest (an element that was not signed, or twice), ErrExpired, ErrNotYetValid and ErrKeyBinding (the device's
// proof, or elements that it has no authority for).
func Verify(response []byte, want Want) (*Document, error) {
	if want.DocType == "" || want.Now.IsZero() || want.Anchors == nil || cbor.Wellformed(want.Transcript) != nil {
		return nil, oid4vp.Fail(oid4vp.ErrInput, "Want")
	}
	if len(response) > oid4vp.MaxPresentation {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "DeviceResponse")
	}
	if err := wellFormed(response, "DeviceResponse"); err != nil {
		return nil, err
	}
	d, err := readResponse(response)
	if err != nil {
		return nil, err
	}
	if docType, ok := name(d.docType); !ok {
		return nil, malformed("docType")
	} else if docType != want.DocType {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "docType")
	}
	signed, err := verifyIssuer(d.issuerSigned, &want)
	if err != nil {
		return nil, err
	}
	if err := verifyDevice(d.deviceSigned, signed, &want); err != nil {
		return nil, err
	}
	return &signed.Document, nil
}

// document is the one document of a response, in its parts.
type document struct {
	docType, issuerSigned, deviceSigned []byte
}

// readResponse reads a response (ISO/IEC 18013-5 §8.3.2.1.2.2).
func readResponse(raw []byte) (*document, error) {
	var version, list, documentErrors, status []byte
	err := readClosed(raw, "DeviceResponse", named("version", &version), named("documents", &list),
		named("documentErrors", &documentErrors), named("status", &status))
	if err != nil {
		return nil, err
	}
	if v, ok := name(version); !ok {
		return nil, malformed("DeviceResponse: version")
	} else if v != "1.0" {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, "DeviceResponse: version")
	}
	if s, ok := unsigned(status); !ok {
		return nil, malformed("DeviceResponse: status")
	} else if s != 0 {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: status")
	}
	if documentErrors != nil {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: documentErrors")
	}
	if list == nil {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: no document")
	}
	documents, err := readArray(list, "documents")
	if err != nil {
		return nil, err
	}
	if len(documents) != 1 {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceResponse: several documents")
	}
	var d document
	var problems []byte
	err = readClosed(documents[0], "document", named("docType", &d.docType), named("issuerSigned", &d.issuerSigned),
		named("deviceSigned", &d.deviceSigned), named("errors", &problems))
	if err != nil {
		return nil, err
	}
	if problems != nil {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "document: errors")
	}
	return &d, nil
}

// issued is a document whose issuer was verified.
type issued struct {
	Document
	key    *deviceKey
	allows authorizations
}

// verifyIssuer does the inspection of issuer data (ISO/IEC 18013-5 §9.3.1).
func verifyIssuer(raw []byte, want *Want) (*issued, error) {
	var nameSpaces, issuerAuth []byte
	if err := readClosed(raw, "issuerSigned", named("nameSpaces", &nameSpaces), named("issuerAuth", &issuerAuth)); err != nil {
		return nil, err
	}
	message, err := readSign1(issuerAuth, "issuerAuth")
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
	elements, err := readElements(nameSpaces, mso)
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

const (
	minRandom   = 16        // bytes (ISO/IEC 18013-5 §9.1.2.5)
	maxDigestID = 1<<31 - 1 // (ISO/IEC 18013-5 §9.1.2.4)
)

// readElements verifies the digest of each element over its bytes as they came.
func readElements(raw []byte, mso *securityObject) (Elements, error) {
	elements := make(Elements)
	if raw == nil { // nothing is disclosed
		return elements, nil
	}
	hash := mso.hash.New()
	var sum [64]byte
	err := readNames(raw, "nameSpaces", func(namespace string, list []byte) error {
		items, err := readArray(list, "nameSpaces")
		if err != nil {
			return err
		}
		members, seen := make(map[string]any, len(items)), make(map[uint64]bool, len(items))
		elements[namespace] = members
		for _, bytes := range items {
			item, err := readItem(bytes)
			if err != nil {
				return err
			}
			if seen[item.id] {
				return oid4vp.Fail(oid4vp.ErrDigest, "IssuerSignedItem: a digest ID twice")
			}
			seen[item.id] = true
			if _, twice := members[item.name]; twice {
				return oid4vp.Fail(oid4vp.ErrDigest, "IssuerSignedItem: an element twice")
			}
			hash.Reset()
			hash.Write(bytes)
			digest, ok := byteString(mso.digests[namespace][item.id])
			if !ok || subtle.ConstantTimeCompare(digest, hash.Sum(sum[:0])) != 1 {
				return oid4vp.Fail(oid4vp.ErrDigest, "IssuerSignedItem")
			}
			if members[item.name], err = readValue(item.value, "elementValue"); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(elements) == 0 {
		err = malformed("nameSpaces: empty")
	}
	return elements, err
}

// signedItem is an IssuerSignedItem.
type signedItem struct {
	id    uint64
	name  string
	value []byte
}

// readItem reads IssuerSignedItemBytes.
func readItem(bytes []byte) (i signedItem, err error) {
	const what = "IssuerSignedItem"
	content, ok := embedded(bytes)
	if !ok {
		return i, malformed(what + "Bytes")
	}
	if err := wellFormed(content, what); err != nil {
		return i, err
	}
	var id, random, identifier []byte
	err = readClosed(content, what, named("digestID", &id), named("random", &random), named("elementIdentifier", &identifier), named("elementValue", &i.value))
	if err != nil {
		return i, err
	}
	salt, ok1 := byteString(random)
	var ok2, ok3 bool
	i.id, ok2 = unsigned(id)
	i.name, ok3 = name(identifier)
	if !ok1 || len(salt) < minRandom || !ok2 || i.id > maxDigestID || !ok3 || i.value == nil {
		return i, malformed(what)
	}
	return i, nil
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

// verifyDevice does the inspection of mdoc authentication (ISO/IEC 18013-5 §9.1.3 and §9.3.2).
func verifyDevice(raw []byte, document *issued, want *Want) error {
	var nameSpaces, deviceAuth, signature, mac []byte
	if err := readClosed(raw, "deviceSigned", named("nameSpaces", &nameSpaces), named("deviceAuth", &deviceAuth)); err != nil {
		return err
	}
	if err := readClosed(deviceAuth, "deviceAuth", named("deviceSignature", &signature), named("deviceMac", &mac)); err != nil {
		return err
	}
	elements, err := readDeviceElements(nameSpaces, document)
	if err != nil {
		return err
	}
	document.DeviceElements = elements
	document.DeviceKey = document.key.PublicKey

	payload := marshal(cbor.Tag{Number: tagEmbedded, Content: marshal([]any{
		"DeviceAuthentication", cbor.RawMessage(want.Transcript), document.DocType, cbor.RawMessage(nameSpaces),
	})})
	if (signature == nil) == (mac == nil) {
		return malformed("deviceAuth")
	}
	if mac != nil {
		document.MAC = true
		return verifyMAC(mac, document.key, want.ReaderKey, want.Transcript, payload)
	}
	message, err := readSign1(signature, "deviceSignature")
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
func readDeviceElements(raw []byte, document *issued) (Elements, error) {
	const what = "DeviceNameSpaces"
	content, ok := embedded(raw)
	if !ok {
		return nil, malformed(what + "Bytes")
	}
	if err := wellFormed(content, what); err != nil {
		return nil, err
	}
	elements := make(Elements)
	return elements, readNames(content, what, func(namespace string, items []byte) error {
		members := make(map[string]any)
		elements[namespace] = members
		err := readNames(items, what, func(element string, value []byte) (err error) {
			if !document.allows.contains(namespace, element) {
				return oid4vp.Fail(oid4vp.ErrKeyBinding, what+": not authorized")
			}
			if _, twice := document.Elements[namespace][element]; twice {
				return oid4vp.Fail(oid4vp.ErrDigest, what+": an element of the issuer's")
			}
			members[element], err = readValue(value, what)
			return err
		})
		if err == nil && len(members) == 0 {
			err = malformed(what + ": empty")
		}
		return err
	})
}

func malformed(what string) error { return oid4vp.Fail(oid4vp.ErrMalformed, what) }

// hashes are the digest algorithms of an MSO.
var hashes = map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}
