package jws

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/testca"
)

// TestKnownHeader holds tokens whose header is known from a good one against all that must hold of them.
func TestKnownHeader(t *testing.T) {
	t.Parallel()
	ca, key := testca.New(t, "CA"), testca.Key(t)
	chain := ca.Issue(t, key.Public(), "issuer.example", "")
	sign := func(n int) string {
		text, err := Sign(map[string]any{"typ": "test"}, map[string]any{"n": n}, key, chain)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	verify := func(text string, ca *testca.CA, years int, algorithms ...string) error {
		token, err := Parse("test", text, algorithms)
		if err != nil {
			return err
		}
		path, err := token.Chain(ca.Pool(), testca.Now.AddDate(years, 0, 0))
		if err != nil {
			return err
		}
		return token.Verify(path[0].PublicKey)
	}

	first, second := strings.Split(sign(1), "."), sign(2)
	header := first[0]
	first[2] = strings.Split(second, ".")[2]
	mixed := strings.Join(first, ".")
	if err := verify(mixed, ca, 0); !errors.Is(err, oid4vp.ErrSignature) {
		t.Fatalf("another's signature: %v", err)
	}
	if _, ok := seen.get(header); ok {
		t.Fatal("a header under which no signature was good is remembered")
	}
	for range 2 {
		if err := verify(second, ca, 0); err != nil {
			t.Fatal(err)
		}
		if signature, ok := seen.get(header); !ok || signature.Signature != nil {
			t.Fatalf("known: %v, with a signature of %d bytes", ok, len(signature.Signature))
		}
	}
	other := testca.New(t, "CA")
	for name, c := range map[string]struct{ got, want error }{
		"another's signature": {verify(mixed, ca, 0), oid4vp.ErrSignature},
		"another anchor":      {verify(second, other, 0), oid4vp.ErrUntrusted},
		"later":               {verify(second, ca, 2), oid4vp.ErrExpired},
		"earlier":             {verify(second, ca, -1), oid4vp.ErrNotYetValid},
		"another algorithm":   {verify(second, ca, 0, "ES384"), oid4vp.ErrUnsupported},
		"no signature":        {verify(header+"."+first[1]+".", ca, 0), oid4vp.ErrSignature},
		"no payload":          {verify(header+".."+first[2], ca, 0), oid4vp.ErrMalformed},
		"payload in base64":   {verify(header+"."+first[1]+"=."+first[2], ca, 0), oid4vp.ErrMalformed},
		"signature in base64": {verify(second+"=", ca, 0), oid4vp.ErrMalformed},
		"another part":        {verify(second+".", ca, 0), oid4vp.ErrMalformed},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}

	var group sync.WaitGroup
	for n := range 8 {
		text := sign(n)
		group.Go(func() {
			if err := verify(text, ca, 0); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	h := headers{recent: map[string]jose.Signature{}}
	known := func(header string) bool {
		_, ok := h.get(header)
		return ok
	}
	for i := range 10 * maxSeen {
		h.put(strconv.Itoa(i), jose.Signature{})
		if !known("0") {
			t.Fatalf("forgotten after %d, though always met", i)
		}
	}
	if total := len(h.recent) + len(h.past); total > 2*maxSeen {
		t.Errorf("%d headers", total)
	}
	if last := 10*maxSeen - 1; !known(strconv.Itoa(last)) || known("1") {
		t.Error("not the last ones are remembered")
	}
	long := strings.Repeat("A", maxSeenHeader+1)
	if h.put(long, jose.Signature{}); known(long) {
		t.Error("a long header is remembered")
	}
}
