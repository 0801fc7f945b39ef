package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// idTokenClaims is an ID token (OIDC Core §2, §3.1.3.6). Claims about the person are in it only when the claims
// parameter asks for them here; scopes bring them at userinfo (§5.4).
type idTokenClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	AuthTime int64    `json:"auth_time"`
	Nonce    string   `json:"nonce,omitempty"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr,omitempty"`
	AtHash   string   `json:"at_hash"`
	SID      string   `json:"sid"` // OIDC Back-Channel Logout §2.1
	personClaims
}

// personClaims are the claims about the person that scopes and the claims parameter can ask for.
type personClaims struct {
	Name          string `json:"name,omitempty"`
	Gender        string `json:"gender,omitempty"`
	BirthDate     string `json:"birthdate,omitempty"`
	Nationality   string `json:"nationality,omitempty"`
	UpdatedAt     int64  `json:"updated_at,omitempty"`
	Phone         string `json:"phone_number,omitempty"` // E.164
	PhoneVerified bool   `json:"phone_number_verified,omitempty"`
	CI            string `json:"ci,omitempty"`
}

// idToken mints the ID token that goes with an access token.
func (s *Server) idToken(ctx context.Context, registered *site.Registered, access grant.Access, token, nonce string, issued time.Time) (string, error) {
	var about personClaims
	if len(access.Claims.IDToken) > 0 {
		asked := grant.Request{Claims: grant.Claims{IDToken: access.Claims.IDToken}}
		var err error
		if about, err = s.about(ctx, registered, access, asked.Asked(registered.Scopes)); err != nil {
			return "", err
		}
	}
	expires := issued.Add(s.IDTokenLifetime)
	if !access.EndsAt.IsZero() && access.EndsAt.Before(expires) {
		expires = access.EndsAt
	}
	half := sha256.Sum256([]byte(token)) // both ES256 and RS256 hash with SHA-256
	claims, err := json.Marshal(&idTokenClaims{
		Issuer:       s.Issuer,
		Subject:      registered.Subject(s.Subjects, access.Authentication.Person),
		Audience:     registered.ID,
		Expires:      expires.Unix(),
		IssuedAt:     issued.Unix(),
		AuthTime:     access.Authentication.At.Unix(),
		Nonce:        nonce,
		ACR:          access.ACR,
		AMR:          access.Authentication.AMR,
		AtHash:       base64.RawURLEncoding.EncodeToString(half[:len(half)/2]),
		SID:          session.SID(access.Session, registered.ID),
		personClaims: about,
	})
	if err != nil {
		return "", fmt.Errorf("oidc: encode ID token: %w", err)
	}
	return s.Keys.Sign(keys.Algorithm(registered.SigningAlg), claims)
}

// about returns of the asked claims those that the person agreed to hand over to the site. Handing over
// the CI is written down before it happens. A person who is no more gives fault.NotFound.
func (s *Server) about(ctx context.Context, registered *site.Registered, access grant.Access, asked []string) (personClaims, error) {
	var c personClaims
	items := slices.DeleteFunc(grant.Items(asked), func(item string) bool { return !slices.Contains(access.Items, item) })
	if len(items) == 0 {
		return c, nil
	}
	p, err := s.People.ByID(ctx, access.Authentication.Person)
	if err != nil {
		return c, err
	}
	text, err := s.Box.Open(p.Sealed, "person:"+p.ID)
	if err != nil {
		return c, fmt.Errorf("oidc: attributes: %w", err)
	}
	var held authn.Attributes
	if err := json.Unmarshal(text, &held); err != nil {
		return c, errors.New("oidc: attributes do not decode") // the cause could quote them
	}
	for _, item := range items {
		switch item {
		case "name":
			c.Name = held.Name
		case "gender":
			c.Gender = held.Gender
		case "birthdate":
			c.BirthDate = held.BirthDate
		case "nationality":
			c.Nationality = held.Nationality
		case "phone_number":
			c.Phone = held.Phone
			c.PhoneVerified = held.Phone != "" && slices.Contains(asked, "phone_number_verified")
		case "ci":
			if c.CI, err = s.ci(ctx, registered, access, p.ID, p.SealedCI); err != nil {
				return personClaims{}, err
			}
		}
	}
	if slices.Contains(asked, "updated_at") {
		c.UpdatedAt = p.UpdatedAt.Unix()
	}
	return c, nil
}

// ci opens the CI, or returns nothing if the person has none, and writes the disclosure down.
func (s *Server) ci(ctx context.Context, registered *site.Registered, access grant.Access, personID, sealed string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	ci, err := s.Box.Open(sealed, "ci:"+personID)
	if err != nil {
		return "", fmt.Errorf("oidc: CI: %w", err)
	}
	event := audit.New(s.Now(), audit.CIDisclosed, audit.Site(registered.ID))
	event.Person, event.Site = personID, registered.ID
	event.Detail = map[string]string{"grant": access.Grant}
	return string(ci), s.Audit.Record(ctx, event)
}
