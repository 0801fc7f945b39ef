package site

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/secret"
)

// Change is what applying a document does to one site.
type Change struct {
	ID     string
	Kind   ChangeKind
	Fields []FieldChange // of an updated site
	// NewSecret is a client secret made for the site. It is shown once: the store keeps its hash only.
	NewSecret string
	AddSecret bool // the document's secret is added
}

// ChangeKind is the kind of a change.
type ChangeKind string

// The kinds of change.
const (
	Created   ChangeKind = "created"
	Updated   ChangeKind = "updated"
	Unchanged ChangeKind = "unchanged"
	Removed   ChangeKind = "removed"
)

// FieldChange is one field of a site before and after, as JSON.
type FieldChange struct{ Field, Before, After string }

// secretOverlap is how long a site's older secrets live on beside a new one.
const secretOverlap = 7 * 24 * time.Hour

// Apply makes the store hold the sites as documents describe them, and returns what that changes, by
// id. With prune, sites that no document describes are removed. With dry nothing is written. It is
// idempotent: a second call changes nothing.
func Apply(ctx context.Context, store Store, documents []Document, prune, dry bool, actor string, now time.Time) ([]Change, error) {
	stored, _, err := store.Sites(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Registered, len(stored))
	for _, s := range stored {
		byID[s.ID] = s
	}
	var changes []Change
	for _, d := range documents {
		before, exists := byID[d.ID]
		delete(byID, d.ID)
		change, err := apply(ctx, store, d, before, exists, dry, actor, now)
		if err != nil {
			return changes, err
		}
		changes = append(changes, change)
	}
	if prune {
		for _, id := range slices.Sorted(maps.Keys(byID)) {
			if !dry {
				event := audit.New(now, audit.SiteRemoved, actor)
				event.Site = id
				if err := store.RemoveSite(ctx, id, event); err != nil {
					return changes, err
				}
			}
			changes = append(changes, Change{ID: id, Kind: Removed})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.ID, b.ID) })
	return changes, nil
}

func apply(ctx context.Context, store Store, d Document, before Registered, exists, dry bool, actor string, now time.Time) (Change, error) {
	change := Change{ID: d.ID, Kind: Created}
	if exists {
		fields, err := diff(before.Site, d.Site)
		if err != nil {
			return change, err
		}
		change.Fields, change.Kind = fields, Unchanged
		if len(fields) > 0 {
			change.Kind = Updated
		}
	}
	if d.AuthMethod != Public {
		has := func(hash string) bool {
			return slices.ContainsFunc(before.Secrets, func(s Secret) bool { return s.Hash == hash })
		}
		switch {
		case d.Secret != "":
			change.AddSecret = !has(secret.Hash(d.Secret))
		case len(before.Secrets) == 0:
			change.NewSecret, change.AddSecret = secret.NewHandle(), true
		}
	}
	if dry {
		change.NewSecret = ""
		return change, nil
	}
	if change.Kind != Unchanged {
		event := audit.New(now, audit.SiteApplied, actor)
		event.Site = d.ID
		if err := store.PutSite(ctx, d.Site, now, event); err != nil {
			return change, err
		}
	}
	if change.AddSecret {
		value := d.Secret
		if value == "" {
			value = change.NewSecret
		}
		if err := addSecret(ctx, store, d.ID, value, secretOverlap, actor, now); err != nil {
			return change, err
		}
	}
	return change, nil
}

// NewSecret gives the site a new client secret and returns it; the older ones live on for the overlap.
func NewSecret(ctx context.Context, store Store, id string, overlap time.Duration, actor string, now time.Time) (string, error) {
	value := secret.NewHandle()
	return value, addSecret(ctx, store, id, value, overlap, actor, now)
}

func addSecret(ctx context.Context, store Store, id, value string, overlap time.Duration, actor string, now time.Time) error {
	event := audit.New(now, audit.SiteSecret, actor)
	event.Site = id
	return store.AddSecret(ctx, id, Secret{Hash: secret.Hash(value), CreatedAt: now}, now.Add(overlap), event)
}

// diff lists the fields in which two sites differ, by name.
func diff(before, after Site) ([]FieldChange, error) {
	old, err := fields(before)
	if err != nil {
		return nil, err
	}
	next, err := fields(after)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for name := range old {
		names[name] = true
	}
	for name := range next {
		names[name] = true
	}
	var changed []FieldChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if string(old[name]) != string(next[name]) {
			changed = append(changed, FieldChange{name, string(old[name]), string(next[name])})
		}
	}
	return changed, nil
}

// fields are a site's fields as JSON, by name.
func fields(s Site) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("site: encode %q: %w", s.ID, err)
	}
	var m map[string]json.RawMessage
	err = json.Unmarshal(text, &m)
	return m, err
}
