package mdoc

import (
	"crypto"
	"net/url"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/anyid/anyid/pkg/oid4vp"
)

// The mobile security object (ISO/IEC 18013-5 §9.1.2.4). The issuer has signed it, so that members which this package does not
// know are the issuer's word, and no concern of ours.
type mobileSecurityObject struct {
	Version         cbor.RawMessage `cbor:"version"`
	DigestAlgorithm cbor.RawMessage `cbor:"digestAlgorithm"`
	ValueDigests    cbor.RawMessage `cbor:"valueDigests"`
	DeviceKeyInfo   cbor.RawMessage `cbor:"deviceKeyInfo"`
	DocType         cbor.RawMessage `cbor:"docType"`
	ValidityInfo    cbor.RawMessage `cbor:"validityInfo"`
	Status          cbor.RawMessage `cbor:"status"`
}

type deviceKeyInfo struct {
	DeviceKey         cbor.RawMessage `cbor:"deviceKey"`
	KeyAuthorizations cbor.RawMessage `cbor:"keyAuthorizations"`
}

type keyAuthorizations struct {
	NameSpaces   cbor.RawMessage `cbor:"nameSpaces"`
	DataElements cbor.RawMessage `cbor:"dataElements"`
}

type validityInfo struct {
	Signed         cbor.RawMessage `cbor:"signed"`
	ValidFrom      cbor.RawMessage `cbor:"validFrom"`
	ValidUntil     cbor.RawMessage `cbor:"validUntil"`
	ExpectedUpdate cbor.RawMessage `cbor:"expectedUpdate"`
}

type status struct {
	StatusList cbor.RawMessage `cbor:"status_list"`
}

type statusList struct {
	Index cbor.RawMessage `cbor:"idx"`
	URI   cbor.RawMessage `cbor:"uri"`
}

// securityObject is an MSO that was read and is valid now.
type securityObject struct {
	issued
	hash    crypto.Hash
	digests map[string]map[uint64]cbor.RawMessage
}

// authorizations say what a device may say itself: whole namespaces, and elements of others.
type authorizations struct {
	namespaces []string
	elements   map[string][]string
}

func (a authorizations) contains(namespace, element string) bool {
	return slices.Contains(a.namespaces, namespace) || slices.Contains(a.elements[namespace], element)
}

// readMSO reads the payload of issuerAuth, MobileSecurityObjectBytes.
func readMSO(payload []byte, want *Want) (*securityObject, error) {
	content, ok := embedded(payload)
	if !ok {
		return nil, malformed("MobileSecurityObjectBytes")
	}
	var m mobileSecurityObject
	if err := readMap(lenient, content, &m, "MSO"); err != nil {
		return nil, err
	}
	if version, ok := name(m.Version); !ok {
		return nil, malformed("MSO: version")
	} else if version != "1.0" {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, "MSO: version")
	}
	o := &securityObject{}
	if o.DocType, ok = name(m.DocType); !ok {
		return nil, malformed("MSO: docType")
	}
	if o.DocType != want.DocType {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "MSO: docType")
	}
	algorithm, ok := name(m.DigestAlgorithm)
	if !ok {
		return nil, malformed("MSO: digestAlgorithm")
	}
	if o.hash, ok = hashes[algorithm]; !ok {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, "MSO: digestAlgorithm")
	}
	if err := o.readDigests(m.ValueDigests); err != nil {
		return nil, err
	}
	if err := o.readDeviceKeyInfo(m.DeviceKeyInfo, want); err != nil {
		return nil, err
	}
	if err := o.readValidity(m.ValidityInfo, want); err != nil {
		return nil, err
	}
	return o, o.readStatus(m.Status)
}

func (o *securityObject) readDigests(raw []byte) error {
	namespaces, err := readNamespaces(raw, "MSO: valueDigests")
	if err != nil {
		return err
	}
	o.digests = make(map[string]map[uint64]cbor.RawMessage, len(namespaces))
	for namespace, list := range namespaces {
		var digests map[uint64]cbor.RawMessage
		if err := readMap(strict, list, &digests, "MSO: valueDigests"); err != nil {
			return err
		}
		o.digests[namespace] = digests
	}
	return nil
}

func (o *securityObject) readDeviceKeyInfo(raw []byte, want *Want) (err error) {
	var info deviceKeyInfo
	if err := readMap(lenient, raw, &info, "MSO: deviceKeyInfo"); err != nil {
		return err
	}
	if o.key, err = readKey(info.DeviceKey, want); err != nil || info.KeyAuthorizations == nil {
		return err
	}
	const what = "MSO: keyAuthorizations"
	var k keyAuthorizations
	if err := readMap(lenient, info.KeyAuthorizations, &k, what); err != nil {
		return err
	}
	if k.NameSpaces != nil {
		if o.allows.namespaces, err = readNames(k.NameSpaces, what); err != nil {
			return err
		}
	}
	if k.DataElements == nil {
		return nil
	}
	namespaces, err := readNamespaces(k.DataElements, what)
	if err != nil {
		return err
	}
	o.allows.elements = make(map[string][]string, len(namespaces))
	for namespace, list := range namespaces {
		if slices.Contains(o.allows.namespaces, namespace) {
			return malformed(what + ": a namespace in both places")
		}
		if o.allows.elements[namespace], err = readNames(list, what); err != nil {
			return err
		}
	}
	return nil
}

func readNames(raw []byte, what string) ([]string, error) {
	items, err := readArray(raw, what)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(items))
	for i, item := range items {
		var ok bool
		if names[i], ok = name(item); !ok {
			return nil, malformed(what)
		}
	}
	return names, nil
}

func (o *securityObject) readValidity(raw []byte, want *Want) error {
	const what = "MSO: validityInfo"
	var v validityInfo
	if err := readMap(lenient, raw, &v, what); err != nil {
		return err
	}
	var ok1, ok2, ok3 bool
	o.Signed, ok1 = readTime(v.Signed)
	o.ValidFrom, ok2 = readTime(v.ValidFrom)
	o.ValidUntil, ok3 = readTime(v.ValidUntil)
	if !ok1 || !ok2 || !ok3 || o.ValidFrom.Before(o.Signed) || !o.ValidUntil.After(o.ValidFrom) {
		return malformed(what)
	}
	if v.ExpectedUpdate != nil {
		if o.ExpectedUpdate, ok1 = readTime(v.ExpectedUpdate); !ok1 {
			return malformed(what)
		}
	}
	if want.Now.Add(want.Leeway).Before(o.ValidFrom) {
		return oid4vp.Fail(oid4vp.ErrNotYetValid, "MSO")
	}
	if want.Now.Add(-want.Leeway).After(o.ValidUntil) {
		return oid4vp.Fail(oid4vp.ErrExpired, "MSO")
	}
	return nil
}

// readTime reads a tdate in UTC. The standard wants no fraction of a second, but some issuers write one, which does
// no harm.
func readTime(raw []byte) (time.Time, bool) {
	major, tag, rest, ok := head(raw)
	if !ok || major != majorTag || tag != tagDateTime {
		return time.Time{}, false
	}
	text, ok := name(rest)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", text)
	return t, err == nil
}

// readStatus reads a reference to a Token Status List. Any other mechanism cannot be checked, so it is refused.
func (o *securityObject) readStatus(raw cbor.RawMessage) error {
	if raw == nil {
		return nil
	}
	const what = "MSO: status"
	var s status
	if err := readMap(lenient, raw, &s, what); err != nil {
		return err
	}
	if s.StatusList == nil {
		return oid4vp.Fail(oid4vp.ErrUnsupported, what)
	}
	var list statusList
	if err := readMap(lenient, s.StatusList, &list, what); err != nil {
		return err
	}
	index, ok := unsigned(list.Index)
	if !ok {
		return malformed(what)
	}
	major, length, text, ok := head(list.URI)
	if !ok || major != majorText || length != uint64(len(text)) {
		return malformed(what)
	}
	uri, err := url.Parse(string(text))
	if err != nil || uri.Scheme != "https" || uri.Host == "" || uri.Fragment != "" {
		return malformed(what + ": uri")
	}
	o.Status = &oid4vp.StatusReference{URI: string(text), Index: index}
	return nil
}
