package storagetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/keys"
)

func testKeys(t *testing.T, s Stores) {
	ctx := t.Context()
	key := func(a keys.Algorithm, generation int) keys.Key {
		return keys.Key{
			ID: unique("kid"), Algorithm: a, Generation: generation, Sealed: "k1.sealedkey",
			PublishAt: at(generation), ActiveAt: at(generation + 1),
		}
	}
	add := func(t *testing.T, k keys.Key, retireOlder time.Time) {
		t.Helper()
		e := event(audit.KeyCreated)
		check(t, s.Keys.AddKey(ctx, k, retireOlder, e))
		wantEvents(t, s, true, e)
	}
	want := func(t *testing.T, list ...keys.Key) {
		t.Helper()
		got, err := s.Keys.Keys(ctx)
		check(t, err)
		if !reflect.DeepEqual(got, list) {
			t.Errorf("the keys are %+v, want %+v", got, list)
		}
	}
	first, second, other := key(keys.ES256, 1), key(keys.ES256, 2), key(keys.RS256, 1)
	third := key(keys.ES256, 3)

	t.Run("keys are listed oldest first", func(t *testing.T) {
		want(t)
		add(t, other, at(10))
		add(t, first, at(10))
		want(t, first, other)
	})

	t.Run("a new key lets the older ones of its algorithm retire", func(t *testing.T) {
		add(t, second, at(20))
		first.RetireAt = at(20)
		want(t, first, other, second)
		add(t, third, at(30))
		second.RetireAt = at(30) // the first keeps its own
		want(t, first, other, second, third)
	})

	t.Run("a generation is made once", func(t *testing.T) {
		e := event(audit.KeyCreated)
		wantCode(t, s.Keys.AddKey(ctx, key(keys.ES256, 3), at(40), e), fault.Conflict)
		wantEvents(t, s, false, e)
		want(t, first, other, second, third)
		if n := race(t, func(int) (bool, error) {
			return wins(s.Keys.AddKey(ctx, key(keys.ES256, 4), at(50), event(audit.KeyCreated)))
		}); n != 1 {
			t.Errorf("generation 4 was made %d times", n)
		}
	})

	t.Run("a key that is replaced at once brings a planned end forward", func(t *testing.T) {
		add(t, key(keys.ES256, 5), at(25))
		list, err := s.Keys.Keys(ctx)
		check(t, err)
		ends := map[int]time.Time{1: at(20), 2: at(25), 3: at(25), 4: at(25), 5: {}}
		for _, k := range list {
			if end := ends[k.Generation]; k.Algorithm == keys.ES256 && !k.RetireAt.Equal(end) {
				t.Errorf("generation %d retires at %s, want %s", k.Generation, k.RetireAt, end)
			}
		}
	})
}
