package mdoc

import (
	"crypto"
	"slices"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// securityObject is a mobile security object, MSO (ISO/IEC 18013-5 §9.1.2.4), that was read and is valid now. The
// issuer has signed it, so that members which this package does not know are the issuer's word, and no concern of
// ours.
type securityObject struct {
	issued
	hash    crypto.Hash
	digests map[string]map[uint64][]byte
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
	if err := wellFormed(content, "MSO"); err != nil {
		return nil, err
	}
	var version, digestAlgorithm, valueDigests, deviceKeyInfo, docType, validityInfo, status []byte
	err := readOpen(content, "MSO", named("version", &version), named("digestAlgorithm", &digestAlgorithm), named("valueDigests", &valueDigests),
		named("deviceKeyInfo", &deviceKeyInfo), named("docType", &docType), named("validityInfo", &validityInfo), named("status", &status))
	if err != nil {
		return nil, err
	}
	if v, ok := name(version); !ok {
		return nil, malformed("MSO: version")
	} else if v != "1.0" {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, "MSO: version")
	}
	o := &securityObject{}
	if o.DocType, ok = name(docType); !ok {
		return nil, malformed("MSO: docType")
	}
	if o.DocType != want.DocType {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "MSO: docType")
	}
	algorithm, ok := name(digestAlgorithm)
	if !ok {
		return nil, malformed("MSO: digestAlgorithm")
	}
	if o.hash, ok = hashes[algorithm]; !ok {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, "MSO: digestAlgorithm")
	}
	if err := o.readDigests(valueDigests); err != nil {
		return nil, err
	}
	if err := o.readDeviceKeyInfo(deviceKeyInfo, want); err != nil {
		return nil, err
	}
	if err := o.readValidity(validityInfo, want); err != nil {
		return nil, err
	}
	if err := o.readStatus(status); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *securityObject) readDigests(raw []byte) error {
	const what = "MSO: valueDigests"
	o.digests = make(map[string]map[uint64][]byte)
	return readNames(raw, what, func(namespace string, list []byte) error {
		digests := make(map[uint64][]byte)
		o.digests[namespace] = digests
		return walkMap(list, what, func(key, digest []byte) error {
			id, ok := unsigned(key)
			if !ok {
				return malformed(what)
			}
			if _, twice := digests[id]; twice {
				return malformed(what + ": a key twice")
			}
			digests[id] = digest
			return nil
		})
	})
}

func (o *securityObject) readDeviceKeyInfo(raw []byte, want *Want) (err error) {
	var key, allows []byte
	if err := readOpen(raw, "MSO: deviceKeyInfo", named("deviceKey", &key), named("keyAuthorizations", &allows)); err != nil {
		return err
	}
	if o.key, err = readKey(key, want); err != nil || allows == nil {
		return err
	}
	const what = "MSO: keyAuthorizations"
	var nameSpaces, dataElements []byte
	if err := readOpen(allows, what, named("nameSpaces", &nameSpaces), named("dataElements", &dataElements)); err != nil {
		return err
	}
	if nameSpaces != nil {
		if o.allows.namespaces, err = readNameList(nameSpaces, what); err != nil {
			return err
		}
	}
	if dataElements == nil {
		return nil
	}
	o.allows.elements = make(map[string][]string)
	return readNames(dataElements, what, func(namespace string, list []byte) (err error) {
		if slices.Contains(o.allows.namespaces, namespace) {
			return malformed(what + ": a namespace in both places")
		}
		o.allows.elements[namespace], err = readNameList(list, what)
		return err
	})
}

func readNameList(raw []byte, what string) ([]string, error) {
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
	var signed, from, until, update []byte
	err := readOpen(raw, what, named("signed", &signed), named("validFrom", &from), named("validUntil", &until), named("expectedUpdate", &update))
	if err != nil {
		return err
	}
	var ok1, ok2, ok3 bool
	o.Signed, ok1 = readTime(signed)
	o.ValidFrom, ok2 = readTime(from)
	o.ValidUntil, ok3 = readTime(until)
	if !ok1 || !ok2 || !ok3 || o.ValidFrom.Before(o.Signed) || !o.ValidUntil.After(o.ValidFrom) {
		return malformed(what)
	}
	if update != nil {
		if o.ExpectedUpdate, ok1 = readTime(update); !ok1 {
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
func (o *securityObject) readStatus(raw []byte) error {
	if raw == nil {
		return nil
	}
	const what = "MSO: status"
	var list, idx, address []byte
	if err := readOpen(raw, what, named("status_list", &list)); err != nil {
		return err
	}
	if list == nil {
		return oid4vp.Fail(oid4vp.ErrUnsupported, what)
	}
	if err := readOpen(list, what, named("idx", &idx), named("uri", &address)); err != nil {
		return err
	}
	index, ok := unsigned(idx)
	if !ok {
		return malformed(what)
	}
	major, length, text, ok := head(address)
	if !ok || major != majorText || length != uint64(len(text)) {
		return malformed(what)
	}
	if !strict.WebURL(string(text)) {
		return malformed(what + ": uri")
	}
	o.Status = &oid4vp.StatusReference{URI: string(text), Index: index}
	return nil
}
