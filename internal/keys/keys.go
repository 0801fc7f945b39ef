// Package keys is the broker's signing keys: create, publish, rotate, retire. A key's life is written
// down when it is made, as three times, so no job has to move it on: from PublishAt it stands in the
// JWKS, from ActiveAt the newest key of its algorithm signs, and at RetireAt it leaves the JWKS. Retired
// keys stay in the store, so that old signatures can be checked.
package keys

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
)

// Algorithm is a JWS algorithm (RFC 7518 §3.1).
type Algorithm string

// The algorithms that the broker signs with.
const (
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256"
)

// Algorithms lists them, the default first.
func Algorithms() []Algorithm { return []Algorithm{ES256, RS256} }

// Key is a signing key as stored.
type Key struct {
	ID         string // kid
	Algorithm  Algorithm
	Generation int    // counts up from 1 within the algorithm
	Sealed     string // PKCS #8, sealed and bound to the ID
	PublishAt  time.Time
	ActiveAt   time.Time
	RetireAt   time.Time // zero: while no newer key has replaced it
}

// Store keeps keys.
type Store interface {
	// Keys lists every key, oldest first.
	Keys(ctx context.Context) ([]Key, error)
	// AddKey stores a key and lets the older ones of its algorithm retire then, if they do not earlier.
	// When the generation exists already it changes nothing and returns fault.Conflict: another
	// instance was faster.
	AddKey(ctx context.Context, k Key, retireOlder time.Time, event audit.Event) error
}
