package keys_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// clock is a time that moves when it is told to.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.now.Store(time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.now.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.now.Add(d.Milliseconds()) }

var rotation = keys.Rotation{Publish: time.Hour, Retire: 3 * time.Hour}

func box(t *testing.T, id string, b byte) *secret.Box {
	t.Helper()
	sealing, err := secret.NewBox(secret.Key{ID: id, Bytes: bytes.Repeat([]byte{b}, secret.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return sealing
}

func open(t *testing.T, store keys.Store, now func() time.Time) *keys.Ring {
	t.Helper()
	r, err := keys.Open(t.Context(), store, box(t, "k1", 1), rotation, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// published lists the kids of an algorithm in the JWKS.
func published(t *testing.T, r *keys.Ring, alg keys.Algorithm) (kids []string) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(r.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || !k.Valid() || k.Use != "sig" {
			t.Errorf("published: %+v", k)
		}
		if k.Algorithm == string(alg) {
			kids = append(kids, k.KeyID)
		}
	}
	return kids
}

// signs returns the kid of the key that signs.
func signs(t *testing.T, r *keys.Ring, alg keys.Algorithm) string {
	t.Helper()
	token, err := r.Sign(alg, []byte(`{"sub":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	header := jws.Signatures[0].Protected
	if typ := header.ExtraHeaders[jose.HeaderType]; typ != "JWT" {
		t.Errorf("typ %v", typ)
	}
	if payload, err := r.Verify(token); err != nil || string(payload) != `{"sub":"x"}` {
		t.Errorf("verified %s, %v", payload, err)
	}
	return header.KeyID
}

// TestRotation follows one rotation through its times: published, then signing, then the old one gone.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, alg := range keys.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			store := storagetest.Embedded(t, t.TempDir(), c.Now).DB.Keys()
			r := open(t, store, c.Now)
			old := signs(t, r, alg)
			hint, err := r.Sign(alg, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			c.Advance(48 * time.Hour) // a key without successor stays
			if kids := published(t, r, alg); !slices.Equal(kids, []string{old}) || signs(t, r, alg) != old {
				t.Errorf("published %v, want %s", kids, old)
			}
			made, err := r.Rotate(t.Context(), alg, false, audit.Operator("test"))
			if err != nil {
				t.Fatal(err)
			}
			again := open(t, store, c.Now) // another instance; and this one does not read again
			for _, step := range []struct {
				after     time.Duration
				published []string
				signs     string
			}{
				{0, []string{old, made.ID}, old},
				{rotation.Publish - time.Millisecond, []string{old, made.ID}, old},
				{time.Millisecond, []string{old, made.ID}, made.ID},
				{rotation.Retire - time.Millisecond, []string{old, made.ID}, made.ID},
				{time.Millisecond, []string{made.ID}, made.ID},
				{1000 * time.Hour, []string{made.ID}, made.ID},
			} {
				c.Advance(step.after)
				for _, ring := range []*keys.Ring{r, again} {
					if kids := published(t, ring, alg); !slices.Equal(kids, step.published) {
						t.Errorf("published %v, want %v", kids, step.published)
					}
					if kid := signs(t, ring, alg); kid != step.signs {
						t.Errorf("%s signs, want %s", kid, step.signs)
					}
					for _, k := range ring.List() {
						if k.Algorithm == alg && (k.Published != slices.Contains(step.published, k.ID) || k.Signing != (k.ID == step.signs)) {
							t.Errorf("listed %+v", k)
						}
					}
				}
			}
			if _, err := r.Verify(hint); err != nil {
				t.Errorf("what a retired key signed does not verify: %v", err)
			}
		})
	}
}

// TestRotateAtOnce: a key that leaked is replaced at once, while its tokens still verify for a while.
func TestRotateAtOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	stack := storagetest.Embedded(t, t.TempDir(), c.Now)
	r := open(t, stack.DB.Keys(), c.Now)
	old := signs(t, r, keys.ES256)
	slow, err := r.Rotate(t.Context(), keys.ES256, false, audit.System)
	if err != nil {
		t.Fatal(err)
	}
	quick, err := r.Rotate(t.Context(), keys.ES256, true, audit.System)
	if err != nil {
		t.Fatal(err)
	}
	if kid := signs(t, r, keys.ES256); kid != quick.ID {
		t.Errorf("%s signs, want %s", kid, quick.ID)
	}
	for _, k := range r.List() {
		if overtaken := k.ID == slow.ID; k.Overtaken != overtaken {
			t.Errorf("%+v is overtaken: %t, want %t", k, k.Overtaken, overtaken)
		}
	}
	c.Advance(rotation.Publish) // the slow one's time comes, but it is older
	if kid := signs(t, r, keys.ES256); kid != quick.ID {
		t.Errorf("%s signs, want %s", kid, quick.ID)
	}
	if kids := published(t, r, keys.ES256); !slices.Equal(kids, []string{old, slow.ID, quick.ID}) {
		t.Errorf("published %v", kids)
	}
	c.Advance(rotation.Retire)
	if kids := published(t, r, keys.ES256); !slices.Equal(kids, []string{quick.ID}) {
		t.Errorf("published %v", kids)
	}
	if _, err := r.Rotate(t.Context(), "none", false, audit.System); !fault.Is(err, fault.Invalid) {
		t.Errorf("unknown algorithm: %v", err)
	}
	events, err := stack.DB.Audit().Unsealed(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var created []string
	for _, e := range events {
		if e.Action == audit.KeyCreated {
			created = append(created, e.Detail["kid"])
		}
	}
	if len(created) != 4 || !slices.Contains(created, quick.ID) {
		t.Errorf("on record: %v", created)
	}
}

// TestOpenTogether: instances that start on an empty store make one key of each algorithm, and racing
// rotations one each.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, config storage.Config) {
		c := newClock()
		stores := []keys.Store{storagetest.Open(t, config).Keys(), storagetest.Open(t, config).Keys()}
		rings := make([]*keys.Ring, 6)
		var wg sync.WaitGroup
		for i := range rings {
			wg.Go(func() { rings[i] = open(t, stores[i%2], c.Now) })
		}
		wg.Wait()
		for _, r := range rings {
			for _, alg := range keys.Algorithms() {
				if kids := published(t, r, alg); len(kids) != 1 || signs(t, r, alg) != kids[0] || kids[0] != published(t, rings[0], alg)[0] {
					t.Errorf("%s: published %v", alg, kids)
				}
			}
		}
		var made atomic.Int64
		for _, r := range rings {
			wg.Go(func() {
				switch _, err := r.Rotate(context.WithoutCancel(t.Context()), keys.ES256, false, audit.System); {
				case err == nil:
					made.Add(1)
				case !fault.Is(err, fault.Conflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		stored, err := stores[0].Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(stored)) != 2+made.Load() || made.Load() == 0 {
			t.Errorf("%d keys are stored, %d rotations say they made one", len(stored), made.Load())
		}
		seen := make(map[int]bool)
		for _, k := range stored {
			if k.Algorithm == keys.ES256 && seen[k.Generation] {
				t.Errorf("generation %d exists twice", k.Generation)
			}
			seen[k.Generation] = k.Algorithm == keys.ES256 || seen[k.Generation]
		}
	})
}

// TestRefresh: a key that another process makes is found.
func TestRefresh(t *testing.T) {
	t.Parallel()
	c := newClock()
	folder := t.TempDir()
	r, other := open(t, storagetest.Embedded(t, folder, c.Now).DB.Keys(), c.Now), open(t, storagetest.Embedded(t, folder, c.Now).DB.Keys(), c.Now)
	made, err := other.Rotate(t.Context(), keys.RS256, true, audit.System)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(published(t, r, keys.RS256), made.ID) {
		t.Error("the key is known before anybody looked")
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(published(t, r, keys.RS256), made.ID) {
		t.Error("the key is not found")
	}
	if kid := signs(t, r, keys.RS256); kid != made.ID {
		t.Errorf("%s signs", kid)
	}
}

// TestSealedAtRest: the database holds no private key that opens without the sealing key.
func TestSealedAtRest(t *testing.T) {
	t.Parallel()
	c := newClock()
	folder := t.TempDir()
	db := storagetest.Embedded(t, folder, c.Now).DB
	r := open(t, db.Keys(), c.Now)
	stored, err := db.Keys().Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var plain [][]byte
	for _, k := range stored {
		der, err := box(t, "k1", 1).Open(k.Sealed, "key:"+k.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x509.ParsePKCS8PrivateKey(der); err != nil {
			t.Fatal(err)
		}
		tail := der[len(der)-48:]
		plain = append(plain, tail, []byte(base64.StdEncoding.EncodeToString(der)[40:80]), []byte(base64.RawURLEncoding.EncodeToString(der)[40:80]))
		if _, err := box(t, "k1", 1).Open(k.Sealed, "key:other"); err == nil {
			t.Error("a key opens under another key's id")
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(plain, []byte("PRIVATE KEY"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY"})[:20]) {
			if bytes.Contains(content, p) {
				t.Errorf("%s holds a private key", filepath.Base(file))
			}
		}
	}
	if strings.Contains(string(r.JWKS()), `"d":`) {
		t.Error("the JWKS holds a private key")
	}
}

func TestWrongSealingKey(t *testing.T) {
	t.Parallel()
	c := newClock()
	store := storagetest.Embedded(t, t.TempDir(), c.Now).DB.Keys()
	open(t, store, c.Now)
	for _, wrong := range []*secret.Box{box(t, "k1", 2), box(t, "k2", 1)} {
		if _, err := keys.Open(t.Context(), store, wrong, rotation, c.Now); err == nil {
			t.Error("the keys open with another sealing key")
		}
	}
	stored, err := store.Keys(t.Context())
	if err != nil || len(stored) != 2 {
		t.Errorf("%d keys, %v", len(stored), err)
	}
}

// TestVerify: the algorithm and the key are the ring's, whatever the token says (RFC 8725 §3.1).
func TestVerify(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := open(t, storagetest.Embedded(t, t.TempDir(), c.Now).DB.Keys(), c.Now)
	other := open(t, storagetest.Embedded(t, t.TempDir(), c.Now).DB.Keys(), c.Now)
	ec, rsa := signs(t, r, keys.ES256), signs(t, r, keys.RS256)
	good, err := r.Sign(keys.ES256, []byte(`{"sub":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Sign(keys.ES256, []byte(`{"sub":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	publicPEM := func(kid string) []byte {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(r.JWKS(), &set); err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(set.Key(kid)[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	hmacked := func(kid string, key []byte) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign([]byte(`{"sub":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		text, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	foreignPart := strings.Split(foreign, ".")
	if _, err := r.Verify(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":                       "",
		"no token":                    "a.b.c",
		"alg none":                    header(`{"alg":"none","kid":"`+ec+`"}`) + "." + part[1] + ".",
		"alg none with signature":     header(`{"alg":"none","kid":"`+ec+`"}`) + "." + part[1] + "." + part[2],
		"HS256 with the public key":   hmacked(ec, publicPEM(ec)),
		"HS256 with RSA's public key": hmacked(rsa, publicPEM(rsa)),
		"another key's kid":           header(`{"alg":"ES256","kid":"`+rsa+`"}`) + "." + part[1] + "." + part[2],
		"another algorithm":           header(`{"alg":"RS256","kid":"`+ec+`"}`) + "." + part[1] + "." + part[2],
		"no kid":                      header(`{"alg":"ES256"}`) + "." + part[1] + "." + part[2],
		"foreign key":                 foreign,
		"foreign key under our kid":   header(`{"alg":"ES256","kid":"`+ec+`","typ":"JWT"}`) + "." + foreignPart[1] + "." + foreignPart[2],
		"altered payload":             part[0] + "." + header(`{"sub":"y"}`) + "." + part[2],
		"no signature":                part[0] + "." + part[1] + ".",
		"JSON serialization":          `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,
		"crit":                        header(`{"alg":"ES256","kid":"`+ec+`","crit":["exp"]}`) + "." + part[1] + "." + part[2],
	} {
		if payload, err := r.Verify(bad); !fault.Is(err, fault.Invalid) || payload != nil {
			t.Errorf("%s: %s, %v", name, payload, err)
		}
	}
	checkpoint, err := r.SignJWS([]byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := r.OpenJWS(checkpoint); err != nil || string(payload) != "payload" {
		t.Errorf("opened %s, %v", payload, err)
	}
}

// TestSignAs: another type stands in the header, and the same key signs.
func TestSignAs(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := open(t, storagetest.Embedded(t, t.TempDir(), c.Now).DB.Keys(), c.Now)
	for _, alg := range keys.Algorithms() {
		token, err := r.SignAs(alg, "logout+jwt", []byte(`{"sub":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		var h struct{ Alg, Typ, Kid string }
		if err := json.Unmarshal(header, &h); err != nil || h.Alg != string(alg) || h.Typ != "logout+jwt" || h.Kid != signs(t, r, alg) {
			t.Errorf("%s: header %s", alg, header)
		}
		if payload, err := r.Verify(token); err != nil || string(payload) != `{"sub":"x"}` {
			t.Errorf("%s: %s, %v", alg, payload, err)
		}
	}
	if _, err := r.SignAs("HS256", "logout+jwt", nil); err == nil {
		t.Error("signed with an algorithm that is not ours")
	}
}
