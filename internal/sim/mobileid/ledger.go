package mobileid

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// The words of authType. The id of the key that signs contains one.
const (
	pin  = "pin"
	bio  = "bio"
	face = "face"
)

var authTypes = []string{pin, bio, face}

const (
	issuerKey  = "assert.1" // of issuers, in signKeyId
	profileKey = "sp.1"     // of the institution
	cardYears  = 10
)

// ledger is the permissioned ledger with all private keys of those who are on it, but for the holders'.
type ledger struct {
	issuers map[string]*party // by Card.Issuer
	rogue   *party            // on the ledger too, but on nobody's list

	institution string // DID
	signing     *secp256k1.PrivateKey
	opening     *rsa.PrivateKey

	mu        sync.Mutex
	documents map[string][]documentKey // by DID
	owners    map[string]*wallet       // by VC id
}

// party is an issuer.
type party struct {
	did string
	key *ecdsa.PrivateKey
}

// documentKey is a key as the port returns it.
type documentKey struct {
	ID    string `json:"id"`
	Curve string `json:"curve"`
	Point string `json:"point"`
}

// newDID is an identifier of the national service's method.
func newDID() string {
	var random [20]byte
	rand.Read(random[:])
	return "did:kr:mobileid:" + base58(random[:])
}

func newLedger() (*ledger, error) {
	l := &ledger{issuers: map[string]*party{}, documents: map[string][]documentKey{}, owners: map[string]*wallet{}, institution: newDID()}
	var err error
	for _, c := range cards {
		if l.issuers[c.Issuer], err = l.newParty(); err != nil {
			return nil, err
		}
	}
	if l.rogue, err = l.newParty(); err != nil {
		return nil, err
	}
	if l.signing, err = secp256k1.GeneratePrivateKey(); err != nil {
		return nil, fmt.Errorf("sim/mobileid: ledger: %w", err)
	}
	l.documents[l.institution] = []documentKey{{
		l.institution + "#" + profileKey, "secp256k1", base64.RawURLEncoding.EncodeToString(l.signing.PubKey().SerializeCompressed()),
	}}
	if l.opening, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, fmt.Errorf("sim/mobileid: ledger: %w", err)
	}
	return l, nil
}

func (l *ledger) newParty() (*party, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sim/mobileid: ledger: %w", err)
	}
	p := &party{newDID(), key}
	entry, err := newDocumentKey(p.did+"#"+issuerKey, key)
	if err != nil {
		return nil, err
	}
	l.documents[p.did] = []documentKey{entry}
	return p, nil
}

func newDocumentKey(id string, key *ecdsa.PrivateKey) (documentKey, error) {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return documentKey{}, fmt.Errorf("sim/mobileid: ledger: %w", err)
	}
	return documentKey{id, "secp256r1", base64.RawURLEncoding.EncodeToString(point)}, nil
}

// enroll puts a holder on the ledger, and gives their DID. The keys are by the words of authType.
func (l *ledger) enroll(keys map[string]*ecdsa.PrivateKey) (string, error) {
	did := newDID()
	var list []documentKey
	for _, kind := range slices.Sorted(maps.Keys(keys)) {
		entry, err := newDocumentKey(did+"#"+keyName(kind), keys[kind])
		if err != nil {
			return "", err
		}
		list = append(list, entry)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.documents[did] = list
	return did, nil
}

// keyName is the name of the key that a wallet signs with after this way of showing that it is the holder.
func keyName(kind string) string { return strings.ToUpper(kind) + "1" }

// issue makes an ID, whose credentials the ledger knows from then on.
func (l *ledger) issue(w *wallet, c *Card, now time.Time) *issued {
	var random [5]byte
	rand.Read(random[:])
	out := &issued{
		Card: c, number: strings.ToUpper(hex.EncodeToString(random[:])), parent: newID(), vcs: map[string]string{},
		from: now.AddDate(0, -3, 0).Truncate(time.Second), end: now.AddDate(cardYears, -3, 0).Truncate(time.Second),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range attributes(w, out) {
		id := newID()
		out.vcs[a.kind], l.owners[id] = id, w
	}
	return out
}

func (l *ledger) issuerDIDs() []string {
	var out []string
	for _, c := range cards {
		out = append(out, l.issuers[c.Issuer].did)
	}
	return out
}

// keysOf are the keys of a DID; nil if it is unknown.
func (l *ledger) keysOf(did string) []documentKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.documents[did]
}

// ownerOf is whose credential it is; nil if it is unknown.
func (l *ledger) ownerOf(id string) *wallet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owners[id]
}

// publicKey is the institution's, as it stands in the profile.
func (l *ledger) publicKey() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(&l.opening.PublicKey)
	if err != nil {
		return "", fmt.Errorf("sim/mobileid: ledger: %w", err)
	}
	return base58(der), nil
}
