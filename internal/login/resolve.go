package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// Visit is what the browser brings to a step that may end the attempt.
type Visit struct {
	SSO     bool   // the toggle 정부 통합로그인
	Session string // handle of the browser's present session, or empty
	Device  string // handle in the browser's long-lived cookie (session.DeviceCookie), or empty
	Address string // the client's
	Browser string // such as "Chrome, Windows"
	Locale  string
}

// found is what the evidence says about who came.
type found struct {
	person person.Person
	linked bool        // the credential is this person's already
	rule   method.Rule // of the matrix, when it is not
}

// errConflict says that credential and CI belong to different people.
var errConflict = fault.New(fault.Conflict, "login: the proof claims two people")

// resolve finds the person behind the evidence: by the credential, by the CI, or nobody yet
// (fault.NotFound). Both must lead to one person. Name and birth date join nobody.
func (s *Service) resolve(ctx context.Context, e authn.Evidence) (found, error) {
	ci := s.ciIndex(e)
	owner, err := s.People.ByLink(ctx, e.Method, s.subjectIndex(e))
	switch {
	case err == nil && (ci == "" || owner.CIIndex == ci):
		return found{person: owner, linked: true}, nil
	case err == nil:
		return found{}, errConflict
	case !fault.Is(err, fault.NotFound):
		return found{}, err
	case ci == "":
		return found{}, err
	}
	known, err := s.People.ByCI(ctx, ci)
	if err != nil {
		return found{}, err
	}
	rule := s.Matrix.Policy().Rule(known.First, e.Method)
	if rule == method.Register { // a further credential of a method that is the person's own: a renewed certificate
		links, err := s.People.Links(ctx, known.ID)
		if err != nil {
			return found{}, err
		}
		if slices.ContainsFunc(links, func(l person.Link) bool { return l.Method == e.Method }) {
			rule = method.Own
		}
	}
	return found{person: known, rule: rule}, nil
}

func (s *Service) ciIndex(e authn.Evidence) string {
	if e.CI == "" {
		return ""
	}
	return s.Index.Of("ci", e.CI)
}

func (s *Service) subjectIndex(e authn.Evidence) string {
	return s.Index.Of("subject", string(e.Method), e.Subject)
}

// proved goes on from a verified proof, or returns an error and leaves the attempt claimed. When the
// stores cannot take the proof further the attempt holds it, sealed, and the citizen goes on from there
// when they are back.
func (s *Service) proved(ctx context.Context, c claimed, e authn.Evidence, v Visit) error {
	before := c.State
	err := s.identified(ctx, c, e, v)
	if err == nil || c.State != before { // else only the new state is not stored yet
		return err
	}
	sealed, sealErr := s.seal(c.Attempt, "evidence", e)
	if sealErr != nil {
		return errors.Join(err, sealErr)
	}
	c.State, c.Evidence, c.Proof, c.Failure = Proved, sealed, nil, ""
	return err
}

// identified finds the person and goes on, or returns an error and leaves the attempt claimed.
func (s *Service) identified(ctx context.Context, c claimed, e authn.Evidence, v Visit) error {
	if !s.suffices(c.Attempt, e.Method, e.Level) {
		return s.fail(ctx, c, TooWeak)
	}
	who, err := s.resolve(ctx, e)
	if err == nil {
		if code := wrong(c.Attempt, &who.person, e); code != "" {
			return s.refuse(ctx, c, code, cmp.Or(c.Expect, who.person.ID), e, v)
		}
	}
	if c.Goal == ForSelf {
		return s.verified(ctx, c, e, who, err, v)
	}
	if err == nil && !who.linked && who.rule != method.Register {
		err = s.adds(ctx, c.Attempt, &who.person, e, who.rule, nil, v)
		if fault.Is(err, fault.Conflict) { // linked a moment ago, to the same person or to another
			who, err = s.resolve(ctx, e)
		}
	}
	switch {
	case errors.Is(err, errConflict):
		return s.conflict(ctx, c, e)
	case fault.Is(err, fault.NotFound) && c.Expect != "" && e.CI != "":
		return s.refuse(ctx, c, OtherPerson, c.Expect, e, v)
	case fault.Is(err, fault.NotFound):
		if !e.Number && underAge(e.Attributes.BirthDate, s.Now()) {
			return s.fail(ctx, c, TooYoung)
		}
		return s.keep(ctx, c, Registering, e)
	case err != nil:
		return err
	case !who.linked && who.rule == method.Register:
		return s.keep(ctx, c, Registering, e)
	}
	if err := s.refresh(ctx, who.person, e); err != nil {
		return err
	}
	return s.known(ctx, c, authentication(who.person.ID, e), &who.person, v)
}

// wrong is why a proof of the person does not serve the attempt, or empty.
func wrong(a *Attempt, p *person.Person, e authn.Evidence) authn.Code {
	switch {
	case a.Expect != "" && p.ID != a.Expect:
		return OtherPerson
	case p.Blocked(e.Method, e.Provider):
		return Blocked
	}
	return ""
}

// refuse ends a proof that was good, and tells the person in their history.
func (s *Service) refuse(ctx context.Context, c claimed, code authn.Code, about string, e authn.Evidence, v Visit) error {
	event := s.event(c.Attempt, audit.LoginRefused)
	event.Person, event.Browser = about, v.Browser
	event.Detail = map[string]string{"code": string(code), "method": string(e.Method), "provider": e.Provider}
	return s.failed(ctx, c, code, event)
}

// underAge reports whether somebody born on the day (YYYY-MM-DD) is not yet 14, the age from which one
// consents for oneself (개인정보 보호법 22조의2). A day that cannot be read is nobody's of age.
func underAge(birthDate string, now time.Time) bool {
	born, err := time.ParseInLocation(time.DateOnly, birthDate, authn.Korea)
	return err != nil || now.Before(born.AddDate(14, 0, 0))
}

// keep settles the attempt in a state that holds the evidence.
func (s *Service) keep(ctx context.Context, c claimed, state State, e authn.Evidence) error {
	sealed, err := s.seal(c.Attempt, "evidence", e)
	if err != nil {
		return err
	}
	c.State, c.Evidence, c.Proof, c.Failure = state, sealed, nil, ""
	return s.settle(ctx, c)
}

// suffices reports whether a proof by the method, which reached the level, is enough for the request and its site.
func (s *Service) suffices(a *Attempt, m method.Method, l method.Level) bool {
	registered, err := s.Sites.Lookup(a.Request.Site)
	return a.Request.Admits(m, l) && (err != nil || l >= registered.Level)
}

// conflict ends the proof; nothing is linked or merged.
func (s *Service) conflict(ctx context.Context, c claimed, e authn.Evidence) error {
	event := s.event(c.Attempt, audit.LoginConflict)
	event.Detail = map[string]string{"method": string(e.Method), "provider": e.Provider}
	if err := s.Audit.Record(ctx, event); err != nil {
		return err
	}
	c.State, c.Evidence, c.Proof = Conflicted, "", nil
	return s.settle(ctx, c)
}

// Pending returns the evidence of an attempt that is registering, for its page, and whether the citizen
// is registered already and only adds a method.
func (s *Service) Pending(ctx context.Context, a *Attempt) (e authn.Evidence, adds bool, err error) {
	if a.State != Registering {
		return e, false, ErrMoved
	}
	if err := s.open(a, "evidence", a.Evidence, &e); err != nil {
		return e, false, err
	}
	_, err = s.resolve(ctx, e)
	if fault.Is(err, fault.NotFound) {
		return e, false, nil
	}
	return e, true, err
}

// Register makes the proof's credential the citizen's own, who agreed to the texts: a new person, or a
// further method of a registered one. It is found again by the CI and the credential, so that racing or
// repeated calls register once. The number is used where the evidence asks for one (ErrNumber: it does not
// fit, and the citizen may try again).
func (s *Service) Register(ctx context.Context, id, browser string, agreed []consent.Text, number authn.ResidentNumber, v Visit) (*Attempt, error) {
	c, err := s.claim(ctx, id, browser, nil, Registering)
	if err != nil {
		return c.Attempt, err
	}
	ctx, done := undisturbed(ctx)
	defer done()
	switch err := s.registered(ctx, c, agreed, number, v); {
	case errors.Is(err, ErrNumber):
		return c.Attempt, err
	case err != nil:
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// registered registers and goes on, or returns an error and leaves the attempt claimed.
func (s *Service) registered(ctx context.Context, c claimed, agreed []consent.Text, number authn.ResidentNumber, v Visit) error {
	var e authn.Evidence
	if err := s.open(c.Attempt, "evidence", c.Evidence, &e); err != nil {
		return err
	}
	if e.Number {
		var err error
		if e, err = s.numbered(ctx, c, e, number); err != nil {
			return err
		}
		if underAge(e.Attributes.BirthDate, s.Now()) {
			return s.fail(ctx, c, TooYoung)
		}
	}
	p, code, err := s.enrol(ctx, c.Attempt, e, agreed, v)
	switch {
	case errors.Is(err, errConflict):
		return s.conflict(ctx, c, e)
	case err != nil:
		return err
	case code != "":
		return s.refuse(ctx, c, code, cmp.Or(c.Expect, p.ID), e, v)
	}
	return s.known(ctx, c, authentication(p.ID, e), p, v)
}

// enrol writes the registration, or finds that it is written, and returns the person, or why the proof does not
// serve. A race with another attempt of the same citizen is resolved by looking again.
func (s *Service) enrol(ctx context.Context, a *Attempt, e authn.Evidence, agreed []consent.Text, v Visit) (*person.Person, authn.Code, error) {
	for range 3 {
		who, err := s.resolve(ctx, e)
		if err == nil {
			if code := wrong(a, &who.person, e); code != "" {
				return &who.person, code, nil
			}
		}
		switch {
		case err == nil && who.linked:
			return &who.person, "", nil
		case err == nil:
			err = s.adds(ctx, a, &who.person, e, who.rule, agreed, v)
		case fault.Is(err, fault.NotFound) && a.Expect != "":
			return &person.Person{}, OtherPerson, nil
		case fault.Is(err, fault.NotFound):
			var r person.Registration
			if r, err = s.newPerson(a, e, agreed, v); err != nil {
				return nil, "", err
			}
			who.person = r.Person
			event := s.event(a, audit.PersonRegistered)
			event.Person, event.Browser = r.Person.ID, v.Browser
			event.Detail = map[string]string{"method": string(e.Method), "provider": e.Provider}
			err = s.People.Register(ctx, r, event)
		}
		if err == nil {
			return &who.person, "", nil
		}
		if errors.Is(err, errConflict) || !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) { // who was found may withdraw
			return nil, "", err
		}
	}
	return nil, "", fault.New(fault.Unavailable, "login: registration keeps racing")
}

// adds links a further method to the person, who is told of it. What they agreed to with it becomes theirs.
func (s *Service) adds(ctx context.Context, a *Attempt, p *person.Person, e authn.Evidence, rule method.Rule, agreed []consent.Text, v Visit) error {
	alert, items, err := s.tell(p, notice.News{Kind: notice.NewMethod, Method: e.Method, Provider: e.Provider, Site: a.Request.Site}, v)
	if err != nil {
		return err
	}
	event := s.linkEvent(a, p.ID, e, rule)
	event.Browser = v.Browser
	err = s.People.AddLink(ctx, s.link(a, p.ID, e, rule), person.Along{
		Consents: s.consents(a, p.ID, e.Method, agreed), Alerts: []notice.Alert{alert}, Items: items, Events: []audit.Event{event},
	})
	if terms := consent.Merge(p.Terms, agreed); err == nil && terms != p.Terms {
		p.Terms = terms
		err = s.People.Update(ctx, p.ID, func(p *person.Person) error {
			p.Terms = terms
			return nil
		}, person.Along{})
	}
	return err
}

// tell makes the alert for what was done in the person's name, and the messages that bring it.
func (s *Service) tell(p *person.Person, n notice.News, v Visit) (notice.Alert, []outbox.Item, error) {
	held, err := s.attributes(*p)
	if err != nil {
		return notice.Alert{}, nil, err
	}
	settings, err := p.OpenSettings(s.Box)
	if err != nil {
		return notice.Alert{}, nil, err
	}
	n.Person, n.At, n.Origin = p.ID, s.Now(), session.Origin{Address: v.Address, Browser: v.Browser}
	n.Email, n.Phone, n.Locale = settings.Email, held.Phone, cmp.Or(settings.Locale, v.Locale)
	n.Quiet = slices.Contains(settings.Quiet, string(n.Kind))
	if registered, err := s.Sites.Lookup(n.Site); err == nil {
		n.SiteName = registered.LocalName(n.Locale)
	}
	return s.Notices.Tell(n)
}

// newPerson is the registration of somebody whom the broker does not know.
func (s *Service) newPerson(a *Attempt, e authn.Evidence, agreed []consent.Text, v Visit) (person.Registration, error) {
	now := s.Now()
	p := person.Person{ID: secret.NewID(), First: e.Method, CIIndex: s.ciIndex(e), Terms: consent.Versions(agreed), RegisteredAt: now, UpdatedAt: now}
	if v.Device != "" {
		p.Browsers = []string{s.browserIndex(p.ID, v.Device)}
	}
	if e.CI != "" {
		p.SealedCI = s.Box.Seal([]byte(e.CI), "ci:"+p.ID)
	}
	attributes, err := json.Marshal(e.Attributes)
	if err != nil {
		return person.Registration{}, fmt.Errorf("login: encode attributes: %w", err)
	}
	p.Sealed = s.Box.Seal(attributes, "person:"+p.ID)
	return person.Registration{Person: p, Link: s.link(a, p.ID, e, method.Own), Consents: s.consents(a, p.ID, e.Method, agreed)}, nil
}

// browserIndex is how a person's record knows a browser. It is another for every person, so that records do not tell
// who shares one.
func (s *Service) browserIndex(personID, device string) string {
	return s.Index.Of("browser", personID, device)
}

// link is the credential's link to the person, with its proof.
func (s *Service) link(a *Attempt, personID string, e authn.Evidence, rule method.Rule) person.Link {
	return person.Link{
		Person: personID, Method: e.Method, Subject: s.subjectIndex(e), Provider: e.Provider,
		Rule: rule, Policy: s.Matrix.Policy().Version, Binding: string(e.Binding), Digest: e.Digest,
		Attempt: secret.Hash(a.ID), LinkedAt: s.Now(),
	}
}

func (s *Service) linkEvent(a *Attempt, personID string, e authn.Evidence, rule method.Rule) audit.Event {
	event := s.event(a, audit.MethodLinked)
	event.Person = personID
	event.Detail = map[string]string{
		"method": string(e.Method), "provider": e.Provider, "rule": string(rule),
		"policy": strconv.Itoa(s.Matrix.Policy().Version),
	}
	return event
}

// consents are the records of what the citizen agreed to at registration.
func (s *Service) consents(a *Attempt, personID string, m method.Method, agreed []consent.Text) []consent.Record {
	records := make([]consent.Record, 0, len(agreed))
	for _, t := range agreed {
		records = append(records, consent.Record{
			ID: secret.NewID(), Person: personID, Recipient: consent.Broker, Kind: t.Kind, Version: t.Version,
			Digest: t.Digest, Locale: t.Locale, Basis: t.Basis, Attempt: secret.Hash(a.ID), Method: string(m), At: s.Now(),
		})
	}
	return records
}

// refresh keeps the attributes as the newest proof has them.
func (s *Service) refresh(ctx context.Context, p person.Person, e authn.Evidence) error {
	held, err := s.attributes(p)
	if err != nil {
		return err
	}
	next := held
	for field, value := range map[*string]string{
		&next.Name: e.Attributes.Name, &next.BirthDate: e.Attributes.BirthDate, &next.Gender: e.Attributes.Gender, &next.Nationality: e.Attributes.Nationality, &next.Phone: e.Attributes.Phone,
	} {
		if value != "" { // what this counterpart does not tell is no news
			*field = value
		}
	}
	if next == held {
		return nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return s.People.Refresh(ctx, p.ID, s.Box.Seal(text, "person:"+p.ID), s.Now())
}

// attributes opens a person's attributes.
func (s *Service) attributes(p person.Person) (authn.Attributes, error) {
	var held authn.Attributes
	text, err := s.Box.Open(p.Sealed, "person:"+p.ID)
	if err != nil {
		return held, fmt.Errorf("login: attributes: %w", err)
	}
	if json.Unmarshal(text, &held) != nil { // whose error could quote them
		return held, errors.New("login: attributes do not decode")
	}
	return held, nil
}

// authentication is what relying sites are told of the proof.
func authentication(personID string, e authn.Evidence) *session.Authentication {
	return &session.Authentication{
		Person: personID, Method: e.Method, Provider: e.Provider, Level: e.Level, AMR: e.AMR, At: truncated(e.At),
	}
}

// known goes on when it is clear who came: to new versions of the broker's texts, to consent, if anything is to be
// handed over that was not agreed to before, or to the end. On an error the attempt is left claimed. p is nil for
// the person of a session that was found in order.
func (s *Service) known(ctx context.Context, c claimed, who *session.Authentication, p *person.Person, v Visit) error {
	if p != nil {
		c.person = p
		if v.Device != "" && c.Joined == "" {
			if index := s.browserIndex(p.ID, v.Device); !slices.Contains(p.Browsers, index) {
				c.Unseen, c.Alert = index, len(p.Browsers) > 0
			}
		}
		if p.Terms != s.Terms {
			c.State, c.Authentication, c.Proof, c.Evidence = Renewing, who, nil, ""
			return s.settle(ctx, c)
		}
	}
	if c.Goal == ForRegister {
		return s.prove(ctx, c, who, v)
	}
	registered, err := s.Sites.Lookup(c.Request.Site)
	if err != nil {
		return err
	}
	if want := c.Request.Subject; want != "" && want != registered.Subject(s.Subjects, who.Person) {
		return s.fail(ctx, c, OtherPerson)
	}
	if !slices.Contains(c.Request.Prompts, "consent") {
		items, required := grant.Items(c.Asked), c.Request.Required(c.Asked)
		if registered.HandOver.ByLaw(items, required) {
			return s.finish(ctx, c, who, &registered.Site, required, v)
		}
		agreed, decided, err := s.Grants.Agreed(ctx, who.Person, registered.ID, registered.HandOver.Version, items, required)
		if err != nil {
			return err
		}
		if decided {
			return s.finish(ctx, c, who, &registered.Site, agreed, v)
		}
	}
	c.State, c.Authentication, c.Proof, c.Evidence = Consenting, who, nil, ""
	return s.settle(ctx, c)
}

// Renewals returns which of the broker's texts have new versions that the person of a renewing attempt has not
// agreed to.
func (s *Service) Renewals(ctx context.Context, a *Attempt) ([]consent.Kind, error) {
	if a.State != Renewing {
		return nil, ErrMoved
	}
	p, err := s.person(ctx, a)
	if err != nil {
		return nil, err
	}
	return consent.Renewed(p.Terms, s.Terms), nil
}

// Renew makes the person's agreement that to the texts, in their new versions, and goes on.
func (s *Service) Renew(ctx context.Context, id, browser string, agreed []consent.Text, v Visit) (*Attempt, error) {
	c, err := s.claim(ctx, id, browser, nil, Renewing)
	if err != nil {
		return c.Attempt, err
	}
	ctx, done := undisturbed(ctx)
	defer done()
	switch err := s.renewed(ctx, c, agreed, v); {
	case errors.Is(err, errOtherWords):
		s.release(ctx, c)
		return c.Attempt, ErrMoved
	case err != nil:
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// errOtherWords says that the page showed other texts than the present ones; it is shown again.
var errOtherWords = fault.New(fault.Conflict, "login: other texts were agreed to")

// renewed writes the consents and goes on, or returns an error and leaves the attempt claimed.
func (s *Service) renewed(ctx context.Context, c claimed, agreed []consent.Text, v Visit) error {
	who := c.Authentication
	p, err := s.person(ctx, c.Attempt)
	if done, err := s.stopped(ctx, c, p, err, v); done {
		return err
	}
	changed := consent.Renewed(p.Terms, s.Terms)
	agreed = slices.DeleteFunc(slices.Clone(agreed), func(t consent.Text) bool { return !slices.Contains(changed, t.Kind) })
	terms := consent.Merge(p.Terms, agreed)
	if terms != s.Terms {
		return errOtherWords
	}
	if len(changed) > 0 {
		event := s.event(c.Attempt, audit.ConsentGiven)
		event.Browser, event.Detail = v.Browser, map[string]string{"version": consent.Versions(agreed)}
		err := s.People.Update(ctx, p.ID, func(p *person.Person) error {
			p.Terms = terms
			return nil
		}, person.Along{Consents: s.consents(c.Attempt, p.ID, who.Method, agreed), Events: []audit.Event{event}})
		if err != nil {
			return err
		}
	}
	return s.known(ctx, c, who, nil, v)
}

// stopped ends the attempt of a person, found with err, who withdrew since they were proved, or wants no login by this
// way any more, and reports whether it did, or could not find out.
func (s *Service) stopped(ctx context.Context, c claimed, p person.Person, err error, v Visit) (bool, error) {
	who := c.Authentication
	switch {
	case errors.Is(err, ErrGone):
		return true, s.startOver(ctx, c)
	case err != nil:
		return true, err
	case p.Blocked(who.Method, who.Provider):
		return true, s.refuse(ctx, c, Blocked, p.ID, authn.Evidence{Method: who.Method, Provider: who.Provider}, v)
	}
	return false, nil
}

// Person returns the attributes of the person in an attempt that is consenting or selecting, for its
// page.
func (s *Service) Person(ctx context.Context, a *Attempt) (authn.Attributes, error) {
	if a.Authentication == nil {
		return authn.Attributes{}, ErrMoved
	}
	p, err := s.person(ctx, a)
	if err != nil {
		return authn.Attributes{}, err
	}
	return s.attributes(p)
}

// person is who an attempt has found, or ErrGone once they have withdrawn.
func (s *Service) person(ctx context.Context, a *Attempt) (person.Person, error) {
	p, err := s.People.ByID(ctx, a.Authentication.Person)
	if fault.Is(err, fault.NotFound) {
		return p, ErrGone
	}
	return p, err
}

// Select goes on as the person who is signed in at this browser.
func (s *Service) Select(ctx context.Context, id, browser string, v Visit) (*Attempt, error) {
	c, err := s.claim(ctx, id, browser, nil, Selecting)
	if err != nil {
		return c.Attempt, err
	}
	ctx, done := undisturbed(ctx)
	defer done()
	p, err := s.person(ctx, c.Attempt)
	switch {
	case err == nil:
		err = s.known(ctx, c, c.Authentication, &p, v)
	case errors.Is(err, ErrGone):
		err = s.startOver(ctx, c)
	}
	if err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// Consent hands the required attributes, and those of the optional ones that the citizen ticked, over to
// the site, in words that were shown, and ends the attempt.
func (s *Service) Consent(ctx context.Context, id, browser string, ticked []string, v Visit) (*Attempt, error) {
	c, err := s.claim(ctx, id, browser, nil, Consenting)
	if err != nil {
		return c.Attempt, err
	}
	ctx, done := undisturbed(ctx)
	defer done()
	if err := s.consented(ctx, c, ticked, v); err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// consented writes the consent and ends the attempt, or returns an error and leaves it claimed.
func (s *Service) consented(ctx context.Context, c claimed, ticked []string, v Visit) error {
	registered, err := s.Sites.Lookup(c.Request.Site)
	if err != nil {
		return err
	}
	p, err := s.person(ctx, c.Attempt)
	if done, err := s.stopped(ctx, c, p, err, v); done {
		return err
	}
	required := c.Request.Required(c.Asked)
	items := slices.DeleteFunc(grant.Items(c.Asked), func(item string) bool {
		return !slices.Contains(required, item) && !slices.Contains(ticked, item)
	})
	record := s.handOver(c.Attempt, &registered.Site, items, v.Locale)
	event := s.event(c.Attempt, audit.ConsentGiven)
	event.Browser = v.Browser
	event.Detail = map[string]string{"items": strings.Join(items, " "), "version": record.Version}
	holding, err := s.Grants.Store.HandOvers(ctx, record.Person, record.Recipient)
	if err != nil {
		return err
	}
	// What was asked for again has been decided anew. The consent to something else that the site asks for at times
	// holds on, while the terms are the same.
	var replaced []string
	for _, old := range holding {
		if old.Version != record.Version || grant.Covers(grant.Items(c.Asked), old.Items) {
			replaced = append(replaced, old.ID)
		}
	}
	err = s.Grants.Store.AddConsent(ctx, record, replaced, event)
	if fault.Is(err, fault.NotFound) { // the person has withdrawn
		return s.startOver(ctx, c)
	}
	if err != nil {
		return err
	}
	if c.Again { // the consent on record may be that of a caller before
		holding, err := s.Grants.Store.HandOvers(ctx, record.Person, record.Recipient)
		if err != nil {
			return err
		}
		for _, given := range holding {
			if given.Attempt == record.Attempt {
				items = given.Items
			}
		}
	}
	return s.finish(ctx, c, c.Authentication, &registered.Site, items, v)
}

// handOver is the record of the consent to hand items over to the site.
func (s *Service) handOver(a *Attempt, to *site.Site, items []string, locale string) consent.Record {
	text := handOverText(to, items, locale)
	return consent.Record{
		ID: secret.NewID(), Person: a.Authentication.Person, Recipient: to.ID, Kind: consent.HandOver,
		Version: text.Version, Digest: text.Digest, Locale: locale, Basis: text.Basis,
		Purpose: to.HandOver.Purpose, Items: items, Retention: to.HandOver.Retention,
		Attempt: secret.Hash(a.ID), Method: string(a.Authentication.Method), At: s.Now(),
	}
}

// handOverText is the hand-over terms of a site: recipient, purpose, items and retention (개인정보 보호법
// 17조 2항).
func handOverText(to *site.Site, items []string, locale string) consent.Text {
	words := strings.Join([]string{to.Institution.Name, to.Name, to.HandOver.Purpose, strings.Join(items, " "), to.HandOver.Retention, to.HandOver.CIBasis}, "\n")
	return consent.Text{Kind: consent.HandOver, Version: to.HandOver.Version, Locale: locale, Digest: consent.Digest(words), Basis: to.HandOver.CIBasis}
}

// finish joins the session or makes one, records the login for good, issues the code and ends the attempt.
// On an error the attempt is left claimed. The login is recorded first, so that no site is forgotten by a session; a
// new session ends the browser's present one.
func (s *Service) finish(ctx context.Context, c claimed, who *session.Authentication, to *site.Site, items []string, v Visit) error {
	used := &session.Session{ID: c.ID, Authentication: *who} // without SSO it lives in the code only
	at := session.AtSite{Consent: to.HandOver.Version, Items: items}
	login := grant.Login{Event: s.event(c.Attempt, audit.SiteLogin)}
	login.Event.Browser = v.Browser
	use := func() error { return nil } // what makes or joins the session, once the login is recorded
	var o Outcome
	switch {
	case c.Joined != "":
		found, err := s.Sessions.Find(ctx, v.Session)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err != nil || found.ID != c.Joined || !s.suffices(c.Attempt, found.Method, found.Level) {
			// The session ended or is another one's by now, or was proved anew more weakly: prove again.
			return s.startOver(ctx, c)
		}
		used, login.Joins = found, found.Joins(to.ID)
		use = func() error {
			_, err := s.Sessions.Join(ctx, session.Known{Handle: v.Session, Session: found}, to.ID, at, s.Terms)
			return err
		}
	case v.SSO && !to.NoSSO:
		made, err := s.Sessions.Prepare(ctx, *who, v.Session, to.ID, at, s.Terms)
		if err != nil {
			return err
		}
		if made.Entry.Origin, err = s.sealOrigin(made.Entry.ID, v); err != nil {
			return err
		}
		used, login.Session = made.Session, &made.Entry
		use = func() error {
			o.Session = made.Handle
			s.replaced(ctx, made.Replaced, v)
			return s.Sessions.Put(ctx, made)
		}
	}
	if c.Unseen != "" {
		login.Browser = c.Unseen
		if err := s.alarm(ctx, c, &login, used, v); err != nil {
			return err
		}
	}
	err := s.Grants.RecordLogin(ctx, login, used.Authentication)
	if err == nil {
		err = use()
	}
	if fault.Is(err, fault.NotFound) { // the session has ended, or the person withdrew
		return s.startOver(ctx, c)
	}
	if err != nil {
		return err
	}
	if o.Code, err = s.Grants.IssueCode(ctx, grant.Code{Request: c.Request, Items: items}, used); err != nil {
		return err
	}
	return s.conclude(ctx, c, o)
}

// startOver asks for a proof again.
func (s *Service) startOver(ctx context.Context, c claimed) error {
	c.State, c.Joined, c.Authentication, c.Unseen, c.Alert = Choosing, "", nil, "", false
	return s.settle(ctx, c)
}

// sealOrigin is where a session was begun from, as its entry holds it.
func (s *Service) sealOrigin(id string, v Visit) (string, error) {
	text, err := json.Marshal(session.Origin{Address: v.Address, Browser: v.Browser})
	if err != nil {
		return "", fmt.Errorf("login: encode origin: %w", err)
	}
	return s.Box.Seal(text, "session:"+id), nil
}

// alarm lets the person know of a login from a browser that is new to them.
func (s *Service) alarm(ctx context.Context, c claimed, l *grant.Login, used *session.Session, v Visit) error {
	if !c.Alert {
		return nil
	}
	p := c.person
	if p == nil {
		read, err := s.People.ByID(ctx, used.Person)
		if fault.Is(err, fault.NotFound) {
			return nil // RecordLogin says so too
		}
		if err != nil {
			return err
		}
		p = &read
	}
	alert, items, err := s.tell(p, notice.News{
		Kind: notice.NewBrowser, Method: used.Method, Provider: used.Provider, Site: c.Request.Site, Session: used.ID,
	}, v)
	if err != nil {
		return err
	}
	l.Alerts, l.Items = []notice.Alert{alert}, items
	return nil
}

// replaced ends the session of another person that was in the browser before. The login stands whatever becomes of
// it: the session's record is gone already, and its sites are told at the latest when its time is over.
func (s *Service) replaced(ctx context.Context, old *session.Session, v Visit) {
	if old == nil {
		return
	}
	_, err := s.Logout.End(ctx, old.ID, logout.Why{Cause: logout.Replaced, Actor: audit.Citizen, Address: v.Address, Browser: v.Browser})
	if err != nil && !fault.Is(err, fault.NotFound) {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "login: the session before is not ended yet", slog.Any("error", err))
	}
}
