package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
)

// Profile is a person as they are shown to themselves.
type Profile struct {
	Attributes   authn.Attributes // verified: only a new proof changes them
	Settings     person.Settings  // their own words
	First        method.Method    // of the first registration
	RegisteredAt time.Time
	UpdatedAt    time.Time
}

// Profile returns what is held of the visitor.
func (s *Service) Profile(ctx context.Context, v Visitor) (Profile, error) {
	p, err := s.People.ByID(ctx, v.Person)
	if err != nil {
		return Profile{}, err
	}
	return s.profile(&p)
}

func (s *Service) profile(p *person.Person) (Profile, error) {
	held := Profile{First: p.First, RegisteredAt: p.RegisteredAt, UpdatedAt: p.UpdatedAt}
	if err := s.open(p.Sealed, "person:"+p.ID, &held.Attributes); err != nil {
		return Profile{}, fmt.Errorf("account: attributes: %w", err)
	}
	var err error
	held.Settings, err = p.OpenSettings(s.Box)
	return held, err
}

// FieldError says which setting is not acceptable: "email", "locale" or "quiet". It is a fault.Invalid.
type FieldError struct{ Field string }

// Error implements error.
func (e *FieldError) Error() string { return "account: the setting " + e.Field + " is not acceptable" }

// Unwrap returns the fault.
func (e *FieldError) Unwrap() error { return fault.New(fault.Invalid, "%s", e.Error()) }

// SetSettings stores what the visitor says about themselves: an e-mail address or none, a language or none, and
// the kinds of notices that they do not want. A value that is not acceptable gives a *FieldError.
func (s *Service) SetSettings(ctx context.Context, v Visitor, next person.Settings) error {
	next, err := checked(next)
	if err != nil {
		return err
	}
	err = s.People.Update(ctx, v.Person, func(p *person.Person) error {
		held, err := p.OpenSettings(s.Box)
		switch {
		case err != nil:
			return err
		case held.Email == next.Email && held.Locale == next.Locale && slices.Equal(held.Quiet, next.Quiet):
			return errUnchanged
		}
		return p.SealSettings(s.Box, next)
	}, person.Along{Events: []audit.Event{s.event(v, audit.SettingsChanged)}})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// checked is the settings in their one form, or a *FieldError.
func checked(next person.Settings) (person.Settings, error) {
	if next.Email != "" {
		email, err := notice.ParseEmail(next.Email)
		if err != nil { // which may quote it
			return next, &FieldError{"email"}
		}
		next.Email = email
	}
	if next.Locale != "" && next.Locale != "ko" && next.Locale != "en" {
		return next, &FieldError{"locale"}
	}
	quiet := slices.Clone(next.Quiet)
	slices.Sort(quiet)
	quiet = slices.Compact(quiet)
	for _, kind := range quiet {
		if kind != string(notice.NewBrowser) && kind != string(notice.NewMethod) {
			return next, &FieldError{"quiet"}
		}
	}
	next.Quiet = quiet
	return next, nil
}
