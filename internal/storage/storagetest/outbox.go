package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/outbox"
)

// item returns a fresh item for the target that is due from the minute on.
func item(target, batch string, minute int) outbox.Item {
	return outbox.Item{
		ID: unique("item"), Kind: outbox.Logout, Target: target, Batch: batch, Payload: "k1.payload", State: outbox.Waiting,
		CreatedAt: at(minute), NextAt: at(minute), GiveUpAt: at(minute + 59),
	}
}

// wantItems fails the test unless exactly the written ones among the items, which all have a batch, stand in the store.
func wantItems(t *testing.T, s Stores, written bool, items ...outbox.Item) {
	t.Helper()
	for _, i := range items {
		stored, err := s.Outbox.Batch(t.Context(), i.Batch)
		check(t, err)
		if got := slices.ContainsFunc(stored, func(x outbox.Item) bool { return reflect.DeepEqual(x, i) }); got != written {
			t.Errorf("item %s: stored is %t, want %t", i.ID, got, written)
		}
	}
}

func ids(items []outbox.Item) []string {
	var list []string
	for _, i := range items {
		list = append(list, i.ID)
	}
	return list
}

// testOutbox has a database for each part: a lease takes whatever is due.
func testOutbox(t *testing.T, open func(t *testing.T) Stores) {
	lease := func(t *testing.T, s Stores, now, until time.Time, limit, perTarget int) []outbox.Item {
		t.Helper()
		items, err := s.Outbox.Lease(t.Context(), now, until, limit, perTarget)
		check(t, err)
		return items
	}
	want := func(t *testing.T, got []outbox.Item, want ...outbox.Item) {
		t.Helper()
		if !slices.Equal(ids(got), ids(want)) {
			t.Errorf("leased are %v, want %v", ids(got), ids(want))
		}
	}
	settle := func(t *testing.T, s Stores, i outbox.Item, leased time.Time, want bool) {
		t.Helper()
		settled, err := s.Outbox.Settle(t.Context(), i, leased)
		check(t, err)
		if settled != want {
			t.Errorf("settled is %t, want %t", settled, want)
		}
	}

	t.Run("a batch is listed by target", func(t *testing.T) {
		t.Parallel()
		s, batch := open(t), unique("batch")
		b, a, other := item("b", batch, 1), item("a", batch, 2), item("a", unique("batch"), 0)
		check(t, s.Outbox.Add(t.Context()))
		check(t, s.Outbox.Add(t.Context(), b, other, a))
		got, err := s.Outbox.Batch(t.Context(), batch)
		check(t, err)
		if want := []outbox.Item{a, b}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		none, err := s.Outbox.Batch(t.Context(), "nothing")
		if err != nil || len(none) != 0 {
			t.Errorf("an unknown batch has %v, %v", none, err)
		}
	})

	t.Run("the longest due is leased first, and for so long", func(t *testing.T) {
		t.Parallel()
		s := open(t)
		want(t, lease(t, s, at(0), at(1), 10, 10))
		third, first, second, later := item("a", "x", 3), item("c", "x", 1), item("b", "x", 2), item("a", "x", 9)
		check(t, s.Outbox.Add(t.Context(), third, first, second, later))
		want(t, lease(t, s, at(0), at(20), 10, 10))
		want(t, lease(t, s, at(5), at(20), 0, 10))
		want(t, lease(t, s, at(5), at(20), 10, 0))
		got := lease(t, s, at(5), at(20), 2, 10)
		want(t, got, first, second)
		first.Attempts, first.NextAt = 1, at(20)
		if !reflect.DeepEqual(got[0], first) {
			t.Errorf("leased is %+v, want %+v", got[0], first)
		}
		want(t, lease(t, s, at(5), at(20), 10, 10), third)
		want(t, lease(t, s, at(5), at(20), 10, 10))
		want(t, lease(t, s, at(9), at(30), 10, 10), later)
		got = lease(t, s, at(20), at(40), 10, 10) // the leases are over, and nobody has settled
		slices.SortFunc(got, func(a, b outbox.Item) int { return a.CreatedAt.Compare(b.CreatedAt) })
		want(t, got, first, second, third)
		if got[0].Attempts != 2 {
			t.Errorf("%d attempts, want 2", got[0].Attempts)
		}
	})

	t.Run("a target has so many leases", func(t *testing.T) {
		t.Parallel()
		s := open(t)
		var dead []outbox.Item
		for i := range 300 {
			dead = append(dead, item("dead", "x", 0))
			dead[i].NextAt = at(0).Add(time.Duration(i) * time.Millisecond)
		}
		live := []outbox.Item{item("another", "x", 1), item("live", "x", 2), item("live", "x", 3), item("live", "x", 4)}
		check(t, s.Outbox.Add(t.Context(), append(slices.Clone(dead), live...)...))
		want(t, lease(t, s, at(5), at(6), 5, 2), dead[0], dead[1], live[0], live[1], live[2])
		want(t, lease(t, s, at(5), at(7), 5, 2))
		want(t, lease(t, s, at(5), at(7), 5, 3), dead[2], live[3])

		// One that waits after a failure has no lease, one that is settled neither.
		failed, done := dead[0], dead[1]
		failed.Error, failed.NextAt = "refused", at(50)
		settle(t, s, failed, at(6), true)
		done.State, done.DoneAt = outbox.Delivered, at(5)
		settle(t, s, done, at(6), true)
		want(t, lease(t, s, at(5), at(8), 5, 3), dead[3], dead[4])
		// A lease that is over counts no more: those of live until at(6).
		if got := ids(lease(t, s, at(6), at(8), 9, 3)); len(got) != 3 || slices.ContainsFunc(live[:3], func(i outbox.Item) bool { return !slices.Contains(got, i.ID) }) {
			t.Errorf("leased again are %v, want %v", got, ids(live[:3]))
		}
	})

	t.Run("a leased item is settled", func(t *testing.T) {
		t.Parallel()
		s, batch := open(t), unique("batch")
		again, done, over, lost := item("a", batch, 0), item("b", batch, 0), item("c", batch, 0), item("d", batch, 0)
		check(t, s.Outbox.Add(t.Context(), again, done, over, lost))
		settle(t, s, done, time.Time{}, false) // nobody has leased it
		if got := lease(t, s, at(1), at(2), 10, 10); len(got) != 4 {
			t.Fatalf("leased are %v", ids(got))
		}
		again.Attempts, again.Error, again.NextAt = 1, "timeout", at(9)
		settle(t, s, again, at(2), true)
		settle(t, s, again, at(2), false)
		done.Attempts, done.State, done.DoneAt, done.NextAt = 1, outbox.Delivered, at(1), time.Time{}
		settle(t, s, done, at(3), false)
		settle(t, s, done, at(2), true)
		settle(t, s, done, at(2), false)
		over.Attempts, over.State, over.Error, over.DoneAt = 1, outbox.GivenUp, "status 500", at(2)
		settle(t, s, over, at(2), true) // late, but nobody else has it
		want(t, lease(t, s, at(2), at(4), 10, 10), lost)
		late := lost
		late.State, late.DoneAt = outbox.GivenUp, at(3)
		settle(t, s, late, at(2), false)
		lost.Attempts, lost.NextAt = 2, at(4)
		done.Payload, over.Payload = "", ""
		wantItems(t, s, true, again, done, over, lost)
		want(t, lease(t, s, at(9), at(10), 1, 1), lost)
		want(t, lease(t, s, at(9), at(10), 10, 1), again)
	})

	t.Run("of racing instances one leases an item, and one settles it", func(t *testing.T) {
		t.Parallel()
		s := open(t)
		const targets, each, perTarget = 8, 40, 3
		var items []outbox.Item
		for i := range targets * each {
			items = append(items, item(fmt.Sprintf("target-%d", i%targets), "x", 0))
		}
		check(t, s.Outbox.Add(t.Context(), items...))
		var (
			mu    sync.Mutex
			count = make(map[string]int)
			held  = make(map[string]int)
		)
		// Nobody settles: each target has three leases, whoever asks.
		race(t, func(int) (bool, error) {
			got, err := s.Outbox.Lease(t.Context(), at(1), at(2), 5, perTarget)
			mu.Lock()
			defer mu.Unlock()
			for _, i := range got {
				count[i.ID]++
				held[i.Target]++
			}
			return true, err
		})
		for target, n := range held {
			if n != perTarget {
				t.Errorf("%s has %d leases, want %d", target, n, perTarget)
			}
		}
		if len(held) != targets {
			t.Errorf("%d targets have leases, want %d", len(held), targets)
		}
		// Then everybody works until nothing is left.
		race(t, func(int) (bool, error) {
			for {
				got, err := s.Outbox.Lease(t.Context(), at(2), at(3), 5, perTarget)
				if err != nil {
					return false, err
				}
				if len(got) == 0 {
					return true, nil
				}
				for _, i := range got {
					i.State, i.DoneAt = outbox.Delivered, at(2)
					settled, err := s.Outbox.Settle(t.Context(), i, at(3))
					if err != nil || !settled {
						return false, fmt.Errorf("settled is %t: %w", settled, err)
					}
					mu.Lock()
					count[i.ID]++
					mu.Unlock()
				}
			}
		})
		want(t, lease(t, s, at(2), at(3), 1000, 1000))
		total := 0
		for _, n := range count {
			total += n
		}
		if want := targets*each + targets*perTarget; len(count) != targets*each || total != want {
			t.Errorf("%d items were leased %d times, want %d and %d", len(count), total, targets*each, want)
		}

		one := item("one", "x", 0)
		check(t, s.Outbox.Add(t.Context(), one))
		want(t, lease(t, s, at(2), at(3), 1, 1), one)
		one.State, one.DoneAt = outbox.Delivered, at(2)
		if n := race(t, func(int) (bool, error) { return s.Outbox.Settle(t.Context(), one, at(3)) }); n != 1 {
			t.Errorf("the item was settled %d times", n)
		}
	})

	t.Run("settled items are swept", func(t *testing.T) {
		t.Parallel()
		s := open(t)
		var items []outbox.Item
		for range 5 {
			items = append(items, item("a", "x", 0))
		}
		check(t, s.Outbox.Add(t.Context(), items...))
		lease(t, s, at(1), at(2), 4, 10)
		for i := range 4 {
			items[i].State, items[i].DoneAt = outbox.Delivered, at(10+i)
			if i == 1 {
				items[i].State = outbox.GivenUp
			}
			settle(t, s, items[i], at(2), true)
		}
		for _, c := range []struct{ before, limit, want int }{{10, 9, 0}, {13, 2, 2}, {13, 2, 1}, {13, 2, 0}} {
			n, err := s.Outbox.Sweep(t.Context(), at(c.before), c.limit)
			check(t, err)
			if n != c.want {
				t.Errorf("%d items were swept, want %d", n, c.want)
			}
		}
		left, err := s.Outbox.Batch(t.Context(), "x")
		check(t, err)
		if len(left) != 2 {
			t.Errorf("left are %v", ids(left))
		}
	})
}
