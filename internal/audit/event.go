package audit

import (
	"crypto/rand"
	"strings"
	"time"
)

// New returns an event with a fresh id.
func New(at time.Time, action Action, actor string) Event {
	return Event{ID: strings.ToLower(rand.Text()), At: at.UTC().Truncate(time.Millisecond), Action: action, Actor: actor}
}

// The actors that are no named person.
const (
	Citizen = "citizen"
	System  = "system"
)

// Operator is the actor of whoever works on the command line or the admin console.
func Operator(name string) string { return "operator:" + name }

// Site is the actor of a relying site.
func Site(id string) string { return "site:" + id }
