// Package statuslist reads and writes Token Status Lists, in which the issuer of credentials says which of them still
// hold.
//
// A list is an array of statuses of 1, 2, 4 or 8 bits, compressed with DEFLATE in a signed token ([Verifier.Verify]).
// A credential names the token's URI and a place in the array. [Checker] answers for package oid4vp; it
// gets its lists from a [Fetcher], which is the caller's: it asks the network, and keeps a list no longer than
// [List.FreshUntil] says.
//
// The URI comes out of a credential whose issuer is trusted; a Fetcher should still refuse addresses that are not
// public, redirects, and more than [MaxToken] bytes.
//
// # Sources
//
// Token Status List (draft-ietf-oauth-status-list), RFC 1950 (zlib), RFC 7515 (JWS).
package statuslist

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/jws"
	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// Limits of what comes from the network.
const (
	// MaxToken is how long a status list token may be, in bytes.
	MaxToken = 4 << 20
	// MaxList is how long a list may become when it is decompressed, in bytes, unless the Verifier says
	// otherwise: eight million credentials at one bit each.
	MaxList = 1 << 20
)

// MediaType is the one to ask for and to expect (Token Status List §8).
const MediaType = "application/statuslist+jwt"

// A Status is what a list says of a credential (Token Status List §7.1).
type Status uint8

// The registered statuses. Others are the issuer's own.
const (
	Valid     Status = 0
	Invalid   Status = 1 // revoked, for good
	Suspended Status = 2 // for now
)

// A List is a verified status list. It does not change, and serves any number of callers at once.
type List struct {
	URI      string
	IssuedAt time.Time
	Expires  time.Time     // zero if the token does not say
	TTL      time.Duration // how long it may be kept after it was fetched; 0 if the token does not say
	Bits     int           // of one status: 1, 2, 4 or 8
	Issuer   []*x509.Certificate

	data []byte
}

// Len is how many statuses the list has. The last ones may be padding.
func (l *List) Len() uint64 { return uint64(len(l.data)) * uint64(8/l.Bits) }

// Status is the one at the index (Token Status List §4.1). The code of its error is oid4vp.ErrMalformed for an
// index outside the list.
func (l *List) Status(index uint64) (Status, error) {
	if index >= l.Len() {
		return 0, oid4vp.Fail(oid4vp.ErrMalformed, "status list: index outside")
	}
	perByte := uint64(8 / l.Bits)
	shift := index % perByte * uint64(l.Bits)
	return Status(l.data[index/perByte] >> shift & (1<<l.Bits - 1)), nil
}

// FreshUntil says how long a copy may be used that was fetched at a time: until the token expires, and no longer
// than its ttl. If the token says neither, it is no longer than the time given.
func (l *List) FreshUntil(fetched time.Time, atMost time.Duration) time.Time {
	if l.TTL > 0 {
		atMost = min(atMost, l.TTL)
	}
	until := fetched.Add(atMost)
	if !l.Expires.IsZero() && l.Expires.Before(until) {
		return l.Expires
	}
	return until
}

// A Verifier verifies status list tokens.
type Verifier struct {
	// Roots are whose certificates may sign lists. Without them, every list is refused with
	// oid4vp.ErrInput.
	Roots *x509.CertPool
	// Algorithms are those of the signature, among ES256, ES384 and EdDSA; nil is ES256.
	Algorithms []string
	// MaxList is how long a list may become, in bytes; 0 is the constant MaxList.
	MaxList int
	// Skew is how far the issuer's clock may be ahead; 0 is five minutes.
	Skew time.Duration
}

// Verify verifies a status list token in the form of a JWT (Token Status List §5.1, §8.3) that was fetched from
// the URI: type, signature, chain, sub, iat, exp, and a list that decompresses within its limit.
//
// The codes of its errors are oid4vp.ErrTooLarge, ErrMalformed, ErrUnsupported, ErrMissing, ErrUntrusted,
// ErrSignature, ErrExpired, ErrNotYetValid, and ErrInput without Roots.
func (v *Verifier) Verify(token, uri string, now time.Time) (*List, error) {
	if len(token) > MaxToken {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "status list token")
	}
	t, err := jws.Parse("status list token", token, v.Algorithms)
	if err != nil {
		return nil, err
	}
	if err := t.CheckType("statuslist+jwt"); err != nil {
		return nil, err
	}
	chain, err := t.Chain(v.Roots, now)
	if err != nil {
		return nil, err
	}
	if err := t.Verify(chain[0].PublicKey); err != nil {
		return nil, err
	}

	list := &List{URI: uri, Issuer: chain}
	if subject, _ := t.Payload["sub"].(string); subject != uri {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "status list token: sub is not where it was fetched")
	}
	if list.IssuedAt, err = t.Time("iat"); err != nil {
		return nil, err
	}
	if list.Expires, err = t.Time("exp"); err != nil {
		return nil, err
	}
	skew := v.Skew
	if skew == 0 {
		skew = 5 * time.Minute
	}
	switch {
	case list.IssuedAt.IsZero():
		return nil, oid4vp.Fail(oid4vp.ErrMissing, "status list token: iat")
	case list.IssuedAt.After(now.Add(skew)):
		return nil, oid4vp.Fail(oid4vp.ErrNotYetValid, "status list token: iat")
	case !list.Expires.IsZero() && !now.Before(list.Expires):
		return nil, oid4vp.Fail(oid4vp.ErrExpired, "status list token")
	}
	if ttl, ok := t.Payload["ttl"]; ok {
		seconds, ok := integer(ttl)
		if !ok || seconds == 0 || seconds > 10*365*24*3600 {
			return nil, oid4vp.Fail(oid4vp.ErrMalformed, "status list token: ttl")
		}
		list.TTL = time.Duration(seconds) * time.Second
	}
	content, ok := t.Payload["status_list"].(map[string]any)
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMissing, "status list token: status_list")
	}
	bits, _ := integer(content["bits"])
	text, ok := content["lst"].(string)
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMissing, "status list token: lst")
	}
	limit := v.MaxList
	if limit == 0 {
		limit = MaxList
	}
	if list.Bits, list.data, err = decode(bits, text, limit); err != nil {
		return nil, err
	}
	return list, nil
}

// decode reads the members bits and lst of a status list (Token Status List §4.2).
func decode(bits uint64, text string, limit int) (int, []byte, error) {
	switch bits {
	case 1, 2, 4, 8:
	default:
		return 0, nil, oid4vp.Fail(oid4vp.ErrMalformed, "status list: bits")
	}
	compressed, err := strict.Base64(text)
	if err != nil {
		return 0, nil, oid4vp.Because(oid4vp.ErrMalformed, "status list: lst", err)
	}
	source := bytes.NewReader(compressed)
	reader, err := zlib.NewReader(source)
	if err != nil {
		return 0, nil, oid4vp.Fail(oid4vp.ErrMalformed, "status list: not zlib")
	}
	// One byte more than the limit tells a list that is too long, however much would follow.
	data, err := io.ReadAll(io.LimitReader(reader, int64(limit)+1))
	switch {
	case err != nil:
		return 0, nil, oid4vp.Fail(oid4vp.ErrMalformed, "status list: not zlib")
	case len(data) > limit:
		return 0, nil, oid4vp.Fail(oid4vp.ErrTooLarge, "status list: decompressed")
	case source.Len() > 0:
		return 0, nil, oid4vp.Fail(oid4vp.ErrMalformed, "status list: bytes behind")
	case len(data) == 0:
		return 0, nil, oid4vp.Fail(oid4vp.ErrMalformed, "status list: empty")
	}
	return int(bits), data, nil
}

func integer(value any) (uint64, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	out, err := strconv.ParseUint(string(number), 10, 64)
	return out, err == nil
}

// ParseReference reads the claim status of a credential (Token Status List §6.1), as package oid4vp keeps it: an
// object with the one member status_list. A status by any other mechanism is refused, because nobody could tell
// whether the credential still holds. The codes of its errors are oid4vp.ErrMalformed and ErrUnsupported.
func ParseReference(status any) (*oid4vp.StatusReference, error) {
	object, ok := status.(map[string]any)
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "status")
	}
	if len(object) != 1 || object["status_list"] == nil {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, "status: not a status list")
	}
	list, ok := object["status_list"].(map[string]any)
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "status_list")
	}
	index, ok := integer(list["idx"])
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "status_list: idx")
	}
	text, _ := list["uri"].(string)
	if !strict.WebURL(text) {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "status_list: uri")
	}
	return &oid4vp.StatusReference{URI: text, Index: index}, nil
}

// A Fetcher gives the verified list of a URI: from its own memory, or from the network by way of
// Verifier.Verify. Its errors may be any; the Checker tells an *oid4vp.Error from a failure of the network.
type Fetcher interface {
	FetchStatusList(ctx context.Context, uri string) (*List, error)
}

// Checker looks credentials up in status lists.
type Checker struct {
	Lists Fetcher
}

var _ oid4vp.StatusChecker = (*Checker)(nil)

// CheckStatus says whether the credential with this reference holds: nil for Valid, oid4vp.ErrRevoked for
// Invalid, oid4vp.ErrSuspended for everything else. A list that cannot be had is oid4vp.ErrUnavailable, and one
// that the Fetcher has kept too long oid4vp.ErrExpired; other codes are those of Verify and Status.
func (c *Checker) CheckStatus(ctx context.Context, reference oid4vp.StatusReference, now time.Time) error {
	list, err := c.Lists.FetchStatusList(ctx, reference.URI)
	if err != nil {
		if _, ok := errors.AsType[*oid4vp.Error](err); ok {
			return err
		}
		return oid4vp.Because(oid4vp.ErrUnavailable, "status list", err)
	}
	switch {
	case list.URI != reference.URI:
		return oid4vp.Fail(oid4vp.ErrInput, "status list: the fetcher gave another")
	case !list.Expires.IsZero() && !now.Before(list.Expires):
		return oid4vp.Fail(oid4vp.ErrExpired, "status list")
	}
	status, err := list.Status(reference.Index)
	switch {
	case err != nil:
		return err
	case status == Valid:
		return nil
	case status == Invalid:
		return oid4vp.Fail(oid4vp.ErrRevoked, "status list")
	}
	return oid4vp.Fail(oid4vp.ErrSuspended, "status list")
}
