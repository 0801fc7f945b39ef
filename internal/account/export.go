package account

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
)

// exportFormat names the document that Export makes. A field that changes its meaning, or goes, makes a new one.
const exportFormat = "anyid-export/1"

// export is all that is held of a person, as they take it with them. Keyed hashes and sealed texts are not in it:
// they are the broker's tools, and mean nothing outside.
type export struct {
	Format       string            `json:"format"`
	MadeAt       time.Time         `json:"made_at"`
	RegisteredAt time.Time         `json:"registered_at"`
	UpdatedAt    time.Time         `json:"updated_at"`
	Profile      authn.Attributes  `json:"profile"`
	CI           exportedCI        `json:"linking_information"`
	Settings     person.Settings   `json:"settings"`
	Browsers     int               `json:"known_browsers"` // only keyed hashes are held
	FirstMethod  method.Method     `json:"first_method"`
	Methods      []exportedMethod  `json:"methods"`
	Blocks       []person.Block    `json:"blocks"`
	Consents     []exportedConsent `json:"consents"`
	Sites        []exportedSite    `json:"sites"`
	Sessions     []exportedSession `json:"sessions"`
	Alerts       []exportedAlert   `json:"alerts"`
	Cases        []exportedCase    `json:"cases"`
	History      []Record          `json:"history"`
}

type exportedCI struct {
	Held     bool   `json:"held"`
	Exported bool   `json:"exported"` // never
	Reason   string `json:"reason"`
}

// Why the CI is not in an export.
const (
	ciReason        = "연계정보(CI)는 모든 기관에서 같은 값으로 본인을 식별하므로, 유출을 막기 위해 암호화하여 보관하고 파일로 내보내지 않습니다."
	ciReasonEnglish = "The linking information (CI) identifies a person by the same value at every institution. It is kept encrypted, and is not exported, so that it cannot leak with a file."
)

type exportedMethod struct {
	Method   method.Method `json:"method"`
	Provider string        `json:"provider"`
	Rule     method.Rule   `json:"rule"`
	Policy   int           `json:"linking_matrix_version"`
	Binding  string        `json:"binding"`
	LinkedAt time.Time     `json:"linked_at"`
}

type exportedConsent struct {
	Recipient   string       `json:"recipient"`
	Kind        consent.Kind `json:"kind"`
	Version     string       `json:"version"`
	Digest      string       `json:"digest"` // SHA-256 of the text as shown
	Locale      string       `json:"locale"`
	Basis       string       `json:"basis,omitempty"`
	Purpose     string       `json:"purpose,omitempty"`
	Items       []string     `json:"items,omitempty"`
	Retention   string       `json:"retention,omitempty"`
	Method      string       `json:"method,omitempty"`
	GivenAt     time.Time    `json:"given_at"`
	WithdrawnAt time.Time    `json:"withdrawn_at,omitzero"`
}

type exportedSite struct {
	ID          string    `json:"client_id"`
	Name        string    `json:"name"`
	Institution string    `json:"institution,omitempty"`
	Since       time.Time `json:"since"`
	LastAt      time.Time `json:"last_at"`
	Logins      int64     `json:"logins"`
	Items       []string  `json:"items,omitempty"`
	Basis       string    `json:"basis,omitempty"`
}

type exportedSession struct {
	Method   method.Method  `json:"method"`
	Provider string         `json:"provider"`
	Level    method.Level   `json:"level"`
	At       time.Time      `json:"at"`
	Until    time.Time      `json:"until"`
	Origin   session.Origin `json:"origin"`
	Sites    []string       `json:"sites"`
}

type exportedAlert struct {
	Kind     notice.Kind    `json:"kind"`
	Method   method.Method  `json:"method"`
	Provider string         `json:"provider"`
	Site     string         `json:"site,omitempty"`
	At       time.Time      `json:"at"`
	Origin   session.Origin `json:"origin"`
	Case     string         `json:"case,omitempty"`
}

type exportedCase struct {
	ID       string           `json:"id"`
	State    notice.CaseState `json:"state"`
	Kind     notice.Kind      `json:"kind"`
	Method   method.Method    `json:"method"`
	Provider string           `json:"provider"`
	Site     string           `json:"site,omitempty"`
	OpenedAt time.Time        `json:"opened_at"`
	ClosedAt time.Time        `json:"closed_at,omitzero"`
	Note     string           `json:"note,omitempty"`
}

// Export returns what is held of the visitor, as one JSON document that names its format (개인정보 보호법 35조, 35조의2).
func (s *Service) Export(ctx context.Context, v Visitor) ([]byte, error) {
	p, err := s.People.ByID(ctx, v.Person)
	if err != nil {
		return nil, err
	}
	held, err := s.profile(&p)
	if err != nil {
		return nil, err
	}
	event := s.event(v, audit.DataExported)
	event.Detail = map[string]string{"format": exportFormat}
	if err := s.Audit.Record(ctx, event); err != nil {
		return nil, err
	}
	all := export{
		Format: exportFormat, MadeAt: event.At, RegisteredAt: p.RegisteredAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
		Profile: held.Attributes, CI: exportedCI{Held: p.SealedCI != "", Reason: ciReason}, Settings: held.Settings,
		Browsers: len(p.Browsers), FirstMethod: p.First, Blocks: append([]person.Block{}, p.Blocks...), History: []Record{},
	}
	if v.Locale == "en" {
		all.CI.Reason = ciReasonEnglish
	}
	for _, add := range []func(context.Context, Visitor, *export) error{
		s.exportMethods, s.exportConsents, s.exportSites, s.exportSessions, s.exportNotices,
	} {
		if err := add(ctx, v, &all); err != nil {
			return nil, err
		}
	}
	for r, err := range s.records(ctx, v, Filter{}, audit.Cursor{}) {
		if err != nil {
			return nil, err
		}
		all.History = append(all.History, r)
	}
	text, err := json.MarshalIndent(&all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("account: encode an export: %w", err)
	}
	return append(text, '\n'), nil
}

func (s *Service) exportMethods(ctx context.Context, v Visitor, all *export) error {
	links, err := s.People.Links(ctx, v.Person)
	all.Methods = make([]exportedMethod, 0, len(links))
	for _, l := range links {
		all.Methods = append(all.Methods, exportedMethod{l.Method, l.Provider, l.Rule, l.Policy, l.Binding, l.LinkedAt.UTC()})
	}
	return err
}

func (s *Service) exportConsents(ctx context.Context, v Visitor, all *export) error {
	consents, err := s.People.Consents(ctx, v.Person)
	all.Consents = make([]exportedConsent, 0, len(consents))
	for _, c := range consents {
		each := exportedConsent{
			Recipient: c.Recipient, Kind: c.Kind, Version: c.Version, Digest: c.Digest, Locale: c.Locale, Basis: c.Basis, Purpose: c.Purpose,
			Items: c.Items, Retention: c.Retention, Method: c.Method, GivenAt: c.At.UTC(),
		}
		if !c.WithdrawnAt.IsZero() {
			each.WithdrawnAt = c.WithdrawnAt.UTC()
		}
		all.Consents = append(all.Consents, each)
	}
	return err
}

func (s *Service) exportSites(ctx context.Context, v Visitor, all *export) error {
	sites, err := s.Sites(ctx, v)
	all.Sites = make([]exportedSite, 0, len(sites))
	for _, u := range sites {
		each := exportedSite{
			ID: u.ID, Name: s.named(u.ID, v.Locale), Since: u.Since.UTC(), LastAt: u.LastAt.UTC(), Logins: u.Logins, Items: u.Items, Basis: u.Basis,
		}
		if u.Site != nil {
			each.Institution = u.Site.Institution.LocalName(v.Locale)
		}
		all.Sites = append(all.Sites, each)
	}
	return err
}

func (s *Service) exportSessions(ctx context.Context, v Visitor, all *export) error {
	sessions, err := s.ListSessions(ctx, v)
	all.Sessions = make([]exportedSession, 0, len(sessions))
	for _, l := range sessions {
		each := exportedSession{
			Method: l.Method, Provider: l.Provider, Level: l.Level, At: l.At.UTC(), Until: l.Until.UTC(), Origin: l.Origin, Sites: []string{},
		}
		for _, at := range l.Sites {
			each.Sites = append(each.Sites, at.ID)
		}
		all.Sessions = append(all.Sessions, each)
	}
	return err
}

func (s *Service) exportNotices(ctx context.Context, v Visitor, all *export) error {
	alerts, err := s.Alerts.Alerts(ctx, v.Person)
	if err != nil {
		return err
	}
	all.Alerts = make([]exportedAlert, 0, len(alerts))
	for _, a := range alerts {
		origin, err := a.OpenOrigin(s.Box)
		if err != nil {
			return err
		}
		all.Alerts = append(all.Alerts, exportedAlert{a.Kind, a.Method, a.Provider, a.Site, a.At.UTC(), origin, a.Case})
	}
	cases, err := s.Alerts.CasesOf(ctx, v.Person)
	all.Cases = make([]exportedCase, 0, len(cases))
	for _, c := range cases {
		each := exportedCase{ID: c.ID, State: c.State, Kind: c.Kind, Method: c.Method, Provider: c.Provider, Site: c.Site, OpenedAt: c.OpenedAt.UTC(), Note: c.Note}
		if !c.ClosedAt.IsZero() {
			each.ClosedAt = c.ClosedAt.UTC()
		}
		all.Cases = append(all.Cases, each)
	}
	return err
}
