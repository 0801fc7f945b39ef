package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

func veil(tb testing.TB, key byte) *audit.Veil {
	tb.Helper()
	index, err := secret.NewIndex(bytes.Repeat([]byte{key}, secret.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return audit.NewVeil(index)
}

// known returns an event about a person as it happens.
func known(person string) audit.Event {
	e := audit.New(time.Now(), audit.SiteLogin, audit.Citizen)
	e.Person, e.Site, e.Attempt, e.Address, e.Browser = person, "site", "attempt", "192.0.2.1", "Chrome, Windows"
	e.Detail = map[string]string{"method": "simple"}
	return e
}

// TestVeil: what Hide leaves says nothing of the person, and Reveal brings it back for who knows them.
func TestVeil(t *testing.T) {
	t.Parallel()
	v := veil(t, 1)
	for name, change := range map[string]func(*audit.Event){
		"address and browser": func(*audit.Event) {},
		"address":             func(e *audit.Event) { e.Browser = "" },
		"browser":             func(e *audit.Event) { e.Address = "" },
		"neither":             func(e *audit.Event) { e.Address, e.Browser = "", "" },
	} {
		e := known("person-1")
		change(&e)
		hidden, err := v.Hide(e)
		check(t, err)
		if hidden.Person != "" || hidden.Address != "" || hidden.Browser != "" || len(hidden.Subject) != 43 || hidden.Subject != v.Subject("person-1") {
			t.Errorf("%s: hidden is %+v", name, hidden)
		}
		if (hidden.Hidden != "") != (e.Address != "" || e.Browser != "") || strings.Contains(hidden.Hidden, "192.0.2.1") {
			t.Errorf("%s: %q is sealed", name, hidden.Hidden)
		}
		rest := hidden
		rest.Person, rest.Address, rest.Browser, rest.Subject, rest.Hidden = e.Person, e.Address, e.Browser, "", ""
		if !reflect.DeepEqual(rest, e) {
			t.Errorf("%s: hiding made %+v of %+v", name, rest, e)
		}
		again, err := v.Hide(e)
		check(t, err)
		if e.Address != "" && again.Hidden == hidden.Hidden {
			t.Errorf("%s: two sealed texts are one", name)
		}
		got, err := v.Reveal(hidden, "person-1")
		check(t, err)
		if !reflect.DeepEqual(got, e) {
			t.Errorf("%s: revealed is %+v, want %+v", name, got, e)
		}
	}
}

// TestVeilOfNobody: an event about nobody stays as it is.
func TestVeilOfNobody(t *testing.T) {
	t.Parallel()
	e := known("")
	got, err := veil(t, 1).Hide(e)
	check(t, err)
	if !reflect.DeepEqual(got, e) {
		t.Errorf("hidden is %+v, want %+v", got, e)
	}
}

// TestVeilTells nothing to anybody else.
func TestVeilTells(t *testing.T) {
	t.Parallel()
	v := veil(t, 1)
	mine, err := v.Hide(known("person-1"))
	check(t, err)
	other, err := v.Hide(known("person-2"))
	check(t, err)
	if mine.Subject == other.Subject || mine.Subject == veil(t, 2).Subject("person-1") {
		t.Errorf("subjects %s and %s", mine.Subject, other.Subject)
	}
	changed := func(change func(*audit.Event)) audit.Event {
		e := mine
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		veil   *audit.Veil
		event  audit.Event
		person string
	}{
		"another person":              {v, mine, "person-2"},
		"nobody":                      {v, mine, ""},
		"another key":                 {veil(t, 2), mine, "person-1"},
		"an event about nobody":       {v, known(""), "person-1"},
		"another event's sealed text": {v, changed(func(e *audit.Event) { e.ID = other.ID }), "person-1"},
		"another person's, relabeled": {v, changed(func(e *audit.Event) { e.ID, e.Hidden = other.ID, other.Hidden }), "person-1"},
		"no sealed text":              {v, changed(func(e *audit.Event) { e.Hidden = "x" }), "person-1"},
		"another subject":             {v, changed(func(e *audit.Event) { e.Subject = other.Subject }), "person-1"},
	} {
		if got, err := c.veil.Reveal(c.event, c.person); !errors.Is(err, secret.ErrSealed) || !reflect.DeepEqual(got, audit.Event{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestForgotten: after a withdrawal the chain holds, and whom its events are about cannot be read in it.
func TestForgotten(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		db := storagetest.Open(t, c)
		id := storagetest.Person(t, db.People())
		e, last := known(id), audit.New(time.Now(), audit.PersonWithdrawn, audit.Citizen)
		last.Person = id
		check(t, db.Audit().Record(t.Context(), e))
		_, err := sealer(db.Audit()).Seal(t.Context())
		check(t, err)
		check(t, db.People().Withdraw(t.Context(), person.Withdrawal{Person: id, Event: last}))
		_, err = sealer(db.Audit()).Seal(t.Context())
		check(t, err)
		if _, err := audit.Verify(t.Context(), db.Audit(), ours); err != nil {
			t.Error(err)
		}
		links, err := db.Audit().Links(t.Context(), 0, 100)
		check(t, err)
		found := 0
		for _, l := range links {
			text, err := json.Marshal(l)
			check(t, err)
			if bytes.Contains(text, []byte(id)) || bytes.Contains(text, []byte(e.Address)) || bytes.Contains(text, []byte(e.Browser)) {
				t.Errorf("link %s", text)
			}
			if l.Event.ID == e.ID || l.Event.ID == last.ID {
				found++
			}
		}
		if found != 2 {
			t.Errorf("%d of the person's two events are in the chain", found)
		}
	})
}

// FuzzReveal: nothing opens but what was hidden for the event and person.
func FuzzReveal(f *testing.F) {
	v := veil(f, 1)
	e := known("person-1")
	e.ID = "fixed"
	hidden, err := v.Hide(e)
	if err != nil {
		f.Fatal(err)
	}
	// What Hide once gave for the event, since every process of the fuzzer begins here and has to know the same.
	hidden.Hidden = "1.s0U5QV0yOYjZJ6d0-Z9WNRFcUeOhuso0tDao-oYopNBfZ1pnvFxXDOWjIDn8jT2dubSFzRxz1Idtz2-Igm0uxXUiz08zCpQszBHK-nRnbA"
	if got, err := v.Reveal(hidden, "person-1"); err != nil || got.Address != e.Address {
		f.Fatalf("the seed opened as %+v, %v", got, err)
	}
	f.Add(hidden.Subject, hidden.Hidden)
	f.Add(hidden.Subject, "")
	f.Add("", "")
	f.Add(hidden.Subject, "1."+strings.Repeat("A", 80))
	f.Add(hidden.Subject, "2"+hidden.Hidden[1:])
	f.Fuzz(func(t *testing.T, subject, sealed string) {
		changed := hidden
		changed.Subject, changed.Hidden = subject, sealed
		got, err := v.Reveal(changed, "person-1")
		switch {
		case err != nil && !errors.Is(err, secret.ErrSealed):
			t.Errorf("an error of its own: %v", err)
		case err == nil && (subject != hidden.Subject || sealed != "" && sealed != hidden.Hidden):
			t.Errorf("%+v opened as %+v", changed, got)
		}
	})
}
