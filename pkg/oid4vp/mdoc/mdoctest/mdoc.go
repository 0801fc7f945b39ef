package mdoctest

import (
	"cmp"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // a key identifier, RFC 5280 §4.2.1.2
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512 of crypto.Hash
	"reflect"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A Date is a date without time, in the form 2006-01-02, which becomes a full-date (CBOR tag 1004).
type Date string

// What issuers and devices write: shortest forms, and times as tdate in seconds. encoder sorts the keys of maps,
// inOrder leaves members where they stand.
var encoder, inOrder = newEncoder(cbor.SortLengthFirst), newEncoder(cbor.SortNone)

func newEncoder(order cbor.SortMode) cbor.EncMode {
	tags := cbor.NewTagSet()
	err := tags.Add(cbor.TagOptions{EncTag: cbor.EncTagRequired, DecTag: cbor.DecTagRequired}, reflect.TypeFor[Date](), 1004)
	if err != nil {
		panic(err) // constant
	}
	mode, err := cbor.EncOptions{
		Sort: order, Time: cbor.TimeRFC3339, TimeTag: cbor.EncTagRequired, IndefLength: cbor.IndefLengthForbidden,
	}.EncModeWithTags(tags)
	if err != nil {
		panic(err)
	}
	return mode
}

// embed is bytes .cbor with tag 24.
func embed(mode cbor.EncMode, v any) (cbor.RawMessage, error) {
	content, err := mode.Marshal(v)
	if err != nil {
		return nil, err
	}
	return mode.Marshal(cbor.Tag{Number: 24, Content: content})
}

// An Element is one data element. The value is a string, []byte, bool, number, [Date], time.Time, slice or map.
type Element struct {
	Namespace, Name string
	Value           any
}

// A Status is a place in a Token Status List.
type Status struct {
	URI   string
	Index uint64
}

// A Template is an mdoc to be issued.
type Template struct {
	DocType   string
	Elements  []Element
	DeviceKey *ecdsa.PublicKey

	Signed     time.Time // zero: now
	ValidFrom  time.Time // zero: Signed
	ValidUntil time.Time // zero: 14 days after ValidFrom
	Status     *Status   // nil: none

	Hash           crypto.Hash // zero: SHA-256
	FullySpecified bool        // sign with ESP256 or ESP384 in place of ES256 or ES384
	WithRoot       bool        // x5chain as an array of signer and root
	// Namespaces and names of elements that the device may say itself.
	AuthorizedNamespaces []string
	AuthorizedElements   map[string][]string

	// EditMSO changes the mobile security object before it is signed.
	EditMSO func(mso map[string]any)
	// EditItem changes an element before its digest is taken.
	EditItem func(*SignedItem)
	// EditHeaders changes the headers of issuerAuth; the protected ones before they are signed.
	EditHeaders func(protected, unprotected map[any]any)
}

// A SignedItem is an IssuerSignedItem, its members in the order of the standard, as many issuers write them.
type SignedItem struct {
	DigestID   any `cbor:"digestID"`
	Random     any `cbor:"random"`
	Identifier any `cbor:"elementIdentifier"`
	Value      any `cbor:"elementValue"`
}

// A Credential is an mdoc as a device holds it.
type Credential struct {
	DocType    string
	IssuerAuth cbor.RawMessage
	Items      []Item // in the order of the template
}

// An Item is a signed element: IssuerSignedItemBytes.
type Item struct {
	Namespace, Name string
	Bytes           cbor.RawMessage
}

// Issue signs an mdoc.
func (s *Signer) Issue(t Template) (*Credential, error) {
	hash := cmp.Or(t.Hash, crypto.SHA256)
	c := &Credential{DocType: t.DocType}
	digests := make(map[string]map[uint64][]byte)
	for i, element := range t.Elements {
		random := make([]byte, 32)
		rand.Read(random)
		item := SignedItem{uint64(i), random, element.Name, element.Value}
		if t.EditItem != nil {
			t.EditItem(&item)
		}
		encoded, err := embed(inOrder, item)
		if err != nil {
			return nil, err
		}
		c.Items = append(c.Items, Item{element.Namespace, element.Name, encoded})
		if digests[element.Namespace] == nil {
			digests[element.Namespace] = make(map[uint64][]byte)
		}
		h := hash.New()
		h.Write(encoded)
		digests[element.Namespace][uint64(i)] = h.Sum(nil)
	}
	key, err := coseKey(t.DeviceKey)
	if err != nil {
		return nil, err
	}
	info := map[string]any{"deviceKey": key}
	authorized := make(map[string]any)
	if len(t.AuthorizedNamespaces) > 0 {
		authorized["nameSpaces"] = t.AuthorizedNamespaces
	}
	if len(t.AuthorizedElements) > 0 {
		authorized["dataElements"] = t.AuthorizedElements
	}
	if len(authorized) > 0 {
		info["keyAuthorizations"] = authorized
	}
	signed := cmp.Or(t.Signed, time.Now())
	from := cmp.Or(t.ValidFrom, signed)
	until := cmp.Or(t.ValidUntil, from.AddDate(0, 0, 14))
	mso := map[string]any{
		"version": "1.0", "digestAlgorithm": hash.String(), "valueDigests": digests, "deviceKeyInfo": info, "docType": t.DocType,
		"validityInfo": map[string]any{"signed": seconds(signed), "validFrom": seconds(from), "validUntil": seconds(until)},
	}
	if t.Status != nil {
		mso["status"] = map[string]any{"status_list": map[string]any{"idx": t.Status.Index, "uri": t.Status.URI}}
	}
	if t.EditMSO != nil {
		t.EditMSO(mso)
	}
	payload, err := embed(encoder, mso)
	if err != nil {
		return nil, err
	}
	return c, s.seal(c, payload, t)
}

// Sign puts another payload under issuerAuth.
func (s *Signer) Sign(c *Credential, payload []byte) error { return s.seal(c, payload, Template{}) }

func (s *Signer) seal(c *Credential, payload []byte, t Template) error {
	protected := map[any]any{1: algorithm(s.Key, t.FullySpecified)}
	unprotected := map[any]any{33: s.Certificate.Raw}
	if t.WithRoot {
		unprotected[33] = [][]byte{s.Certificate.Raw, s.Authority.Certificate.Raw}
	}
	if t.EditHeaders != nil {
		t.EditHeaders(protected, unprotected)
	}
	var err error
	c.IssuerAuth, err = sign1(s.Key, protected, unprotected, payload, payload)
	return err
}

// seconds is a time as a tdate without fractions.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// A Fault is something wrong that a device does.
type Fault string

// Faults. All but OtherKey leave the device's signature as it should be.
const (
	Reencoded   Fault = "re-encoded"       // the first element's bytes are another encoding of the same
	Altered     Fault = "altered element"  // the first element's value is not the issuer's
	Unsigned    Fault = "unsigned element" // an element that the issuer did not sign
	DigestTwice Fault = "digest twice"     // the first element comes twice
	TwoOfThem   Fault = "two documents"    // the document comes twice
	NotOK       Fault = "status not 0"     // the response says that something went wrong
	OtherKey    Fault = "other device key" // the signature is another key's
	OtherType   Fault = "other docType"    // the document claims to be of another type than the MSO says
)

// A Presentation is what a device is asked for.
type Presentation struct {
	Key        *ecdsa.PrivateKey
	Transcript []byte // encoded SessionTranscript
	// Elements are names by namespace; nil is all.
	Elements map[string][]string
	// DeviceElements are what the device says itself.
	DeviceElements map[string]map[string]any
	// ReaderKey asks for a MAC in place of a signature.
	ReaderKey      *ecdh.PublicKey
	FullySpecified bool // sign with ESP256 or ESP384
	Faults         []Fault
}

// Present makes a DeviceResponse.
func (c *Credential) Present(p Presentation) ([]byte, error) {
	has := func(f Fault) bool { return slices.Contains(p.Faults, f) }
	namespaces := make(map[string][]cbor.RawMessage)
	var first string
	for _, item := range c.Items {
		if p.Elements == nil || slices.Contains(p.Elements[item.Namespace], item.Name) {
			namespaces[item.Namespace] = append(namespaces[item.Namespace], item.Bytes)
			first = cmp.Or(first, item.Namespace)
		}
	}
	if first != "" {
		if err := spoil(namespaces, first, has); err != nil {
			return nil, err
		}
	}
	issuer := map[string]any{"issuerAuth": c.IssuerAuth}
	if len(namespaces) > 0 {
		issuer["nameSpaces"] = namespaces
	}
	docType := c.DocType
	if has(OtherType) {
		docType += ".other"
	}
	if has(OtherKey) {
		other, err := ecdsa.GenerateKey(p.Key.Curve, rand.Reader)
		if err != nil {
			return nil, err
		}
		p.Key = other
	}
	device, err := deviceSigned(docType, p)
	if err != nil {
		return nil, err
	}
	documents := []any{map[string]any{"docType": docType, "issuerSigned": issuer, "deviceSigned": device}}
	if has(TwoOfThem) {
		documents = append(documents, documents[0])
	}
	status := 0
	if has(NotOK) {
		status = 10
	}
	return encoder.Marshal(map[string]any{"version": "1.0", "documents": documents, "status": status})
}

// spoil applies the faults that lie in the issuer's elements.
func spoil(namespaces map[string][]cbor.RawMessage, namespace string, has func(Fault) bool) error {
	items := slices.Clone(namespaces[namespace])
	var outer cbor.RawTag
	if err := cbor.Unmarshal(items[0], &outer); err != nil {
		return err
	}
	var content []byte
	if err := cbor.Unmarshal(outer.Content, &content); err != nil {
		return err
	}
	var raw struct {
		DigestID, Random, Identifier, Value cbor.RawMessage
	}
	item := SignedItem{&raw.DigestID, &raw.Random, &raw.Identifier, &raw.Value}
	if err := cbor.Unmarshal(content, &item); err != nil {
		return err
	}
	var err error
	if has(Unsigned) {
		extra := item
		extra.DigestID, extra.Identifier = 1<<20, "unsigned"
		bytes, err := embed(inOrder, extra)
		if err != nil {
			return err
		}
		items = append(items, bytes)
	}
	if has(Altered) {
		item.Value = "altered"
		if items[0], err = embed(inOrder, item); err != nil {
			return err
		}
	}
	if has(Reencoded) { // as devices do that sort
		if items[0], err = embed(encoder, item); err != nil {
			return err
		}
	}
	if has(DigestTwice) {
		items = append(items, items[0])
	}
	namespaces[namespace] = items
	return nil
}

func deviceSigned(docType string, p Presentation) (map[string]any, error) {
	elements := p.DeviceElements
	if elements == nil {
		elements = map[string]map[string]any{}
	}
	namespaces, err := embed(encoder, elements)
	if err != nil {
		return nil, err
	}
	authentication, err := embed(encoder, []any{"DeviceAuthentication", cbor.RawMessage(p.Transcript), docType, namespaces})
	if err != nil {
		return nil, err
	}
	auth := make(map[string]any)
	if p.ReaderKey != nil {
		auth["deviceMac"], err = mac0(p.Key, p.ReaderKey, p.Transcript, authentication)
	} else {
		protected := map[any]any{1: algorithm(p.Key, p.FullySpecified)}
		auth["deviceSignature"], err = sign1(p.Key, protected, map[any]any{}, authentication, nil)
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"nameSpaces": namespaces, "deviceAuth": auth}, nil
}

// Transcript is the SessionTranscript of an OpenID4VP request by redirect or QR code (OpenID4VP Appendix B.2.6.1). The
// thumbprint is nil for an answer that is not encrypted.
func Transcript(clientID, nonce string, thumbprint []byte, responseURI string) ([]byte, error) {
	info, err := encoder.Marshal([]any{clientID, nonce, thumbprint, responseURI})
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(info)
	return encoder.Marshal([]any{nil, nil, []any{"OpenID4VPHandover", hash[:]}})
}

// algorithm is the COSE algorithm of a key.
func algorithm(key *ecdsa.PrivateKey, fullySpecified bool) int {
	switch {
	case key.Curve == elliptic.P384() && fullySpecified:
		return -51
	case key.Curve == elliptic.P384():
		return -35
	case fullySpecified:
		return -9
	}
	return -7
}

// sign1 makes an untagged COSE_Sign1 (RFC 9052 §4.2) whose payload may be detached, hence nil.
func sign1(key *ecdsa.PrivateKey, protected, unprotected map[any]any, signed, payload []byte) (cbor.RawMessage, error) {
	headers, err := encoder.Marshal(protected)
	if err != nil {
		return nil, err
	}
	content, err := encoder.Marshal([]any{"Signature1", headers, []byte{}, signed})
	if err != nil {
		return nil, err
	}
	hash := crypto.SHA256
	if key.Curve == elliptic.P384() {
		hash = crypto.SHA384
	}
	h := hash.New()
	h.Write(content)
	r, s, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
	if err != nil {
		return nil, err
	}
	size := (key.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return encoder.Marshal([]any{headers, unprotected, payload, signature})
}

// mac0 makes an untagged COSE_Mac0 (RFC 9052 §6.2) with a detached payload (ISO/IEC 18013-5 §9.1.3.5).
func mac0(key *ecdsa.PrivateKey, reader *ecdh.PublicKey, transcript, payload []byte) (cbor.RawMessage, error) {
	private, err := key.ECDH()
	if err != nil {
		return nil, err
	}
	secret, err := private.ECDH(reader)
	if err != nil {
		return nil, err
	}
	session, err := embed(encoder, cbor.RawMessage(transcript))
	if err != nil {
		return nil, err
	}
	salt := sha256.Sum256(session)
	macKey, err := hkdf.Key(sha256.New, secret, salt[:], "EMacKey", 32)
	if err != nil {
		return nil, err
	}
	headers, err := encoder.Marshal(map[int]int{1: 5})
	if err != nil {
		return nil, err
	}
	content, err := encoder.Marshal([]any{"MAC0", headers, []byte{}, payload})
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, macKey)
	mac.Write(content)
	return encoder.Marshal([]any{headers, map[int]int{}, nil, mac.Sum(nil)})
}

// coseKey is a COSE_Key of type EC2.
func coseKey(key *ecdsa.PublicKey) (map[int]any, error) {
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	curve := 1
	if key.Curve == elliptic.P384() {
		curve = 2
	}
	size := len(point) / 2
	return map[int]any{1: 2, -1: curve, -2: point[1 : 1+size], -3: point[1+size:]}, nil
}

// keyID is a subject key identifier (RFC 5280 §4.2.1.2).
func keyID(key *ecdsa.PublicKey) ([]byte, error) {
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	id := sha1.Sum(point) //nolint:gosec // as above
	return id[:], nil
}
