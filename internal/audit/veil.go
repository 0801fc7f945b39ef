package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/anyid/anyid/internal/secret"
)

// Veil hides whom an event is about. The chain holds Subject, a keyed hash of the person's id, and Hidden, sealed
// under a key that is made of that id too. The id itself is random and stands with the person only: when the
// person withdraws it is gone, so that nobody can open Hidden or tell whose Subject it was (개인정보 보호법 21조),
// and the chain still verifies.
type Veil struct{ index *secret.Index }

// NewVeil returns a veil on the index.
func NewVeil(index *secret.Index) *Veil { return &Veil{index} }

// hidden is what Event.Hidden holds.
type hidden struct {
	Address string `json:"address,omitempty"`
	Browser string `json:"browser,omitempty"`
}

// Subject is how the chain knows the person: 43 characters.
func (v *Veil) Subject(person string) string { return v.index.Of("audit-subject", person) }

// Hide returns the event as it is stored: with a Person, Subject and Hidden stand for Person, Address and Browser.
// An event about nobody stays as it is.
func (v *Veil) Hide(e Event) (Event, error) {
	if e.Person == "" {
		return e, nil
	}
	box, err := v.box(e.Person)
	if err != nil {
		return Event{}, err
	}
	e.Subject = v.Subject(e.Person)
	if e.Address != "" || e.Browser != "" {
		text, err := json.Marshal(hidden{e.Address, e.Browser})
		if err != nil {
			return Event{}, fmt.Errorf("audit: encode event %s: %w", e.ID, err)
		}
		e.Hidden = box.Seal(text, "event:"+e.ID)
	}
	e.Person, e.Address, e.Browser = "", "", ""
	return e, nil
}

// Reveal undoes Hide for who knows the person's id. An event about somebody else gives secret.ErrSealed.
func (v *Veil) Reveal(e Event, person string) (Event, error) {
	if !secret.Equal(e.Subject, v.Subject(person)) {
		return Event{}, fmt.Errorf("audit: event %s: %w", e.ID, secret.ErrSealed)
	}
	if e.Hidden != "" {
		box, err := v.box(person)
		if err != nil {
			return Event{}, err
		}
		text, err := box.Open(e.Hidden, "event:"+e.ID)
		if err != nil {
			return Event{}, fmt.Errorf("audit: event %s: %w", e.ID, err)
		}
		var h hidden
		if err := json.Unmarshal(text, &h); err != nil {
			return Event{}, fmt.Errorf("audit: event %s does not decode", e.ID)
		}
		e.Address, e.Browser = h.Address, h.Browser
	}
	e.Person, e.Subject, e.Hidden = person, "", ""
	return e, nil
}

// box seals for one person.
func (v *Veil) box(person string) (*secret.Box, error) {
	key, err := base64.RawURLEncoding.DecodeString(v.index.Of("audit-key", person))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return secret.NewBox(secret.Key{ID: "1", Bytes: key})
}
