package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/browse"
)

// Citizen is a person at a browser of their own, with their phone in the other hand.
type Citizen struct {
	*browse.Browser
	Person
	stage *Stage
}

// Citizen returns a person at a new browser.
func (s *Stage) Citizen(p Person) (*Citizen, error) {
	b, err := browse.New(s.Client)
	if err != nil {
		return nil, err
	}
	return &Citizen{Browser: b, Person: p, stage: s}, nil
}

// Prove goes from the choice of a method through simple authentication by the provider, approving on the
// phone, to whatever comes after it.
func (c *Citizen) Prove(ctx context.Context, provider string) error {
	if err := c.Request(ctx, provider); err != nil {
		return err
	}
	if err := c.Approve(ctx); err != nil {
		return err
	}
	return c.Click(ctx, "auth-complete")
}

// Request goes from the choice of a method to the wait for the phone.
func (c *Citizen) Request(ctx context.Context, provider string) error {
	if err := c.Click(ctx, "method-simple"); err != nil {
		return err
	}
	for _, step := range []error{
		c.Check("provider-" + provider), c.Fill("name", c.Name), c.Fill("birthdate", c.BirthDate), c.Fill("phone", c.Phone),
	} {
		if step != nil {
			return step
		}
	}
	return c.Click(ctx, "request-auth")
}

// Approve presses 승인 on the phone for what waits there, unless phones answer by themselves.
func (c *Citizen) Approve(ctx context.Context) error {
	if c.stage.auto {
		return nil
	}
	for {
		for _, w := range c.stage.Phones.Waiting(c.Phone) {
			if err := c.stage.Phones.Approve(w.ReceiptID); err != nil {
				return err
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stage: nothing came to the phone: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Agree registers, if the page is the registration's, with the resident number where it is asked for, and
// consents, if it is the consent's.
func (c *Citizen) Agree(ctx context.Context) error {
	if c.Has("register") {
		if c.Has("rrn-front") {
			number := c.ResidentNumber()
			if err := errors.Join(c.Fill("rrn-front", number[:6]), c.Fill("rrn-back", number[6:])); err != nil {
				return err
			}
		}
		for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
			if err := c.Check(id); err != nil {
				return err
			}
		}
		if err := c.Click(ctx, "register"); err != nil {
			return err
		}
	}
	if c.Has("consent-allow") {
		return c.Click(ctx, "consent-allow")
	}
	return nil
}

// register lets those people register who are to be known to the broker when the play begins: by the
// petition portal, as anybody would.
func (s *Stage) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, p := range s.People {
		if !p.Registered || p.Phone == "" {
			continue
		}
		c, err := s.Citizen(p)
		if err != nil {
			return err
		}
		if err := errors.Join(c.Open(ctx, s.PetitionURL+"/"), c.Click(ctx, "anyid-login")); err != nil {
			return fmt.Errorf("stage: register %s: %w", p.Phone, err)
		}
		if err := c.Prove(ctx, "kakao"); err != nil {
			return fmt.Errorf("stage: register %s: %w", p.Phone, err)
		}
		if err := c.Agree(ctx); err != nil {
			return fmt.Errorf("stage: register %s: %w", p.Phone, err)
		}
		if !strings.HasPrefix(c.URL().String(), s.PetitionURL) || c.Status() >= 400 {
			return fmt.Errorf("stage: register %s: ended at %s with %d", p.Phone, c.URL().Path, c.Status())
		}
	}
	return nil
}
