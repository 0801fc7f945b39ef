package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/secret"
)

// Rotation is how a new key is phased in.
type Rotation struct {
	Publish time.Duration // a new key stands in the JWKS for so long before it signs
	Retire  time.Duration // an old key stays in the JWKS for so long after the new one signs
}

// Ring is the keys in memory, with signers and JWKS made ready. It is safe for concurrent use.
type Ring struct {
	store    Store
	box      *secret.Box
	rotation Rotation
	now      func() time.Time
	state    atomic.Pointer[state]
	loading  sync.Mutex
}

var _ audit.Signer = (*Ring)(nil)

type state struct {
	keys    []held
	jwks    []byte
	until   time.Time // the next change that time alone brings
	signing map[Algorithm]*held
}

// held is a key opened and ready.
type held struct {
	Key
	signer  jose.Signer // of type JWT
	private jose.SigningKey
	public  jose.JSONWebKey
}

// Open loads the keys, and makes the first of each algorithm that has none. Several instances may open
// one empty store at once: one key is made.
func Open(ctx context.Context, store Store, box *secret.Box, rotation Rotation, now func() time.Time) (*Ring, error) {
	r := &Ring{store: store, box: box, rotation: rotation, now: now}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	for _, alg := range Algorithms() {
		if r.state.Load().signing[alg] != nil {
			continue
		}
		at := now()
		_, err := r.add(ctx, alg, 1, at, at, time.Time{}, audit.System)
		if err != nil && !fault.Is(err, fault.Conflict) {
			return nil, err
		}
		if err := r.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Rotate makes a new key of the algorithm. It is published at once, signs after Rotation.Publish, or
// at once if immediate (for a key that leaked), and the older ones retire Rotation.Retire later.
func (r *Ring) Rotate(ctx context.Context, alg Algorithm, immediate bool, actor string) (Key, error) {
	if err := r.Refresh(ctx); err != nil {
		return Key{}, err
	}
	generation := 0
	for _, k := range r.state.Load().keys {
		if k.Algorithm == alg {
			generation = max(generation, k.Generation)
		}
	}
	active := r.now()
	if !immediate {
		active = active.Add(r.rotation.Publish)
	}
	k, err := r.add(ctx, alg, generation+1, r.now(), active, active.Add(r.rotation.Retire), actor)
	if err != nil {
		return Key{}, err
	}
	return k, r.Refresh(ctx)
}

// add creates a key and stores it.
func (r *Ring) add(ctx context.Context, alg Algorithm, generation int, publish, active, retireOlder time.Time, actor string) (Key, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return Key{}, fault.New(fault.Invalid, "keys: %q is no signing algorithm", alg)
	}
	if err != nil {
		return Key{}, fmt.Errorf("keys: generate %s: %w", alg, err)
	}
	thumbprint, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, fmt.Errorf("keys: thumbprint: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("keys: encode: %w", err)
	}
	// The kid is the RFC 7638 thumbprint: unique, and the same wherever the key goes.
	k := Key{ID: base64.RawURLEncoding.EncodeToString(thumbprint), Algorithm: alg, Generation: generation, PublishAt: publish, ActiveAt: active}
	k.Sealed = r.box.Seal(der, "key:"+k.ID)
	event := audit.New(r.now(), audit.KeyCreated, actor)
	event.Detail = map[string]string{"kid": k.ID, "alg": string(alg)}
	return k, r.store.AddKey(ctx, k, retireOlder, event)
}

// Refresh reads the keys again.
func (r *Ring) Refresh(ctx context.Context) error {
	r.loading.Lock()
	defer r.loading.Unlock()
	stored, err := r.store.Keys(ctx)
	if err != nil {
		return err
	}
	known := make(map[string]held)
	if s := r.state.Load(); s != nil {
		for _, k := range s.keys {
			known[k.ID] = k
		}
	}
	opened := make([]held, 0, len(stored))
	for _, k := range stored {
		h, ok := known[k.ID]
		if !ok {
			if h, err = r.open(k); err != nil {
				return err
			}
		}
		h.Key = k
		opened = append(opened, h)
	}
	next, err := arrange(opened, r.now())
	if err != nil {
		return err
	}
	r.state.Store(next)
	return nil
}

// open unseals a key and makes its signer.
func (r *Ring) open(k Key) (held, error) {
	der, err := r.box.Open(k.Sealed, "key:"+k.ID)
	if err != nil {
		return held{}, fmt.Errorf("keys: key %s: %w", k.ID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return held{}, fmt.Errorf("keys: key %s: %w", k.ID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return held{}, fmt.Errorf("keys: key %s is no signing key", k.ID)
	}
	signing := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: jose.JSONWebKey{Key: private, KeyID: k.ID}}
	signer, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return held{}, fmt.Errorf("keys: key %s: %w", k.ID, err)
	}
	return held{Key: k, signer: signer, private: signing, public: jose.JSONWebKey{Key: private.Public(), KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"}}, nil
}

// arrange works out who signs and what is published at the time, and until when that holds.
func arrange(keys []held, now time.Time) (*state, error) {
	s := &state{keys: keys, until: now.Add(24 * time.Hour), signing: make(map[Algorithm]*held)}
	var set jose.JSONWebKeySet
	for i := range keys {
		k := &keys[i]
		for _, t := range []time.Time{k.PublishAt, k.ActiveAt, k.RetireAt} {
			if t.After(now) && t.Before(s.until) {
				s.until = t
			}
		}
		if k.PublishAt.After(now) || (!k.RetireAt.IsZero() && !k.RetireAt.After(now)) {
			continue
		}
		set.Keys = append(set.Keys, k.public)
		if best := s.signing[k.Algorithm]; !k.ActiveAt.After(now) && (best == nil || k.Generation > best.Generation) {
			s.signing[k.Algorithm] = k
		}
	}
	var err error
	s.jwks, err = json.Marshal(set)
	return s, err
}

// current is the state at this time; keys phase in and out between refreshes too.
func (r *Ring) current() *state {
	s := r.state.Load()
	if now := r.now(); !now.Before(s.until) {
		if next, err := arrange(s.keys, now); err == nil {
			r.state.CompareAndSwap(s, next)
			return next
		}
	}
	return s
}

// JWKS is the published keys as a JSON Web Key Set (RFC 7517 §5), encoded.
func (r *Ring) JWKS() []byte { return r.current().jwks }

// Sign returns the claims as a compact JWS of type JWT with the algorithm's current key.
func (r *Ring) Sign(alg Algorithm, claims []byte) (string, error) {
	k := r.current().signing[alg]
	if k == nil {
		return "", fault.New(fault.Internal, "keys: no %s key signs at this time", alg)
	}
	return k.sign(k.signer, claims)
}

// SignAs is Sign with another type in the header, such as logout+jwt (RFC 8725 §3.11).
func (r *Ring) SignAs(alg Algorithm, typ string, claims []byte) (string, error) {
	k := r.current().signing[alg]
	if k == nil {
		return "", fault.New(fault.Internal, "keys: no %s key signs at this time", alg)
	}
	signer, err := jose.NewSigner(k.private, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", fmt.Errorf("keys: key %s: %w", k.ID, err)
	}
	return k.sign(signer, claims)
}

func (h *held) sign(signer jose.Signer, claims []byte) (string, error) {
	jws, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("keys: sign with %s: %w", h.ID, err)
	}
	return jws.CompactSerialize()
}

// Verify returns the claims of a compact JWS that one of the broker's own keys signed, retired ones
// included: for hints and records that outlive a key's time in the JWKS. The algorithm is the key's.
func (r *Ring) Verify(compact string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return nil, fault.New(fault.Invalid, "keys: not a signed token: %w", err)
	}
	header := jws.Signatures[0].Header
	for _, k := range r.state.Load().keys {
		if k.ID != header.KeyID || string(k.Algorithm) != header.Algorithm {
			continue
		}
		payload, err := jws.Verify(k.public.Key)
		if err != nil {
			return nil, fault.New(fault.Invalid, "keys: signature does not verify: %w", err)
		}
		return payload, nil
	}
	return nil, fault.New(fault.Invalid, "keys: signed with a key that is not ours")
}

// SignJWS signs an audit checkpoint: with OpenJWS it makes the ring an audit.Signer.
func (r *Ring) SignJWS(payload []byte) (string, error) { return r.Sign(ES256, payload) }

// OpenJWS returns the payload of what SignJWS signed.
func (r *Ring) OpenJWS(jws string) ([]byte, error) { return r.Verify(jws) }

// Status is a key as an operator sees it.
type Status struct {
	Key
	Published, Signing bool
	Overtaken          bool // it was to sign later, and a newer one signs already
}

// List returns every key with its present part, oldest first.
func (r *Ring) List() []Status {
	s, now := r.current(), r.now()
	list := make([]Status, 0, len(s.keys))
	for _, k := range s.keys {
		signs := s.signing[k.Algorithm]
		list = append(list, Status{
			Key:       k.Key,
			Published: !k.PublishAt.After(now) && (k.RetireAt.IsZero() || k.RetireAt.After(now)),
			Signing:   signs != nil && signs.ID == k.ID,
			Overtaken: signs != nil && signs.Generation > k.Generation && k.ActiveAt.After(now),
		})
	}
	return list
}
