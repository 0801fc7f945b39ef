package notice

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

// Channel is a way on which people are told.
type Channel string

// The channels.
const (
	Mail    Channel = "mail"    // to those who gave an e-mail address
	Webhook Channel = "webhook" // the institution's messaging system, for those of whom an address or a number is known
)

// channels is the order in which messages are made.
var channels = []Channel{Mail, Webhook}

// Ports are the channels that are configured.
type Ports map[Channel]Port

// Name is a name in the languages of the broker.
type Name struct{ Korean, English string }

// In returns the name in the locale, "ko" or "en".
func (n Name) In(locale string) string {
	if locale == "en" {
		return cmp.Or(n.English, n.Korean)
	}
	return n.Korean
}

// Service makes alerts, and the messages that bring them.
type Service struct {
	Box         *secret.Box
	Ports       Ports
	Issuer      string // the link that disputes an alert is below it
	ServiceName Name
	CallCentre  string // whom to ask about a registration that has ended; may be empty
	// ProviderName is a provider as citizens know it, in the locale, or empty. It may be nil.
	ProviderName func(m method.Method, provider, locale string) string
	Within       time.Duration // how long a message is tried; 0: a day
	Now          func() time.Time
}

// NotMePath is the page, below the issuer, that takes an alert's code in the parameter "code".
const NotMePath = "/not-me"

const defaultWithin = 24 * time.Hour

// Tell makes the alert for the news, and one message for each channel that reaches the person, both to be stored with
// the change of which they tell. A Withdrawn registration leaves nothing to dispute: its Alert is the zero one, not to
// be stored, and its messages have no code.
func (s *Service) Tell(n News) (Alert, []outbox.Item, error) {
	var (
		alert Alert
		link  string
	)
	if n.Kind != Withdrawn {
		code := secret.NewHandle()
		link = s.Issuer + NotMePath + "?code=" + code
		origin, err := json.Marshal(n.Origin)
		if err != nil {
			return Alert{}, nil, errors.New("notice: the origin does not encode") // the cause may quote it
		}
		alert = Alert{
			ID: secret.Hash(code), Person: n.Person, Kind: n.Kind, Method: n.Method, Provider: n.Provider, Site: n.Site,
			Session: n.Session, At: n.At,
		}
		alert.Origin = s.Box.Seal(origin, alertRecord(alert.ID))
	}
	if n.Quiet {
		return alert, nil, nil
	}
	var items []outbox.Item
	for _, c := range channels {
		if s.Ports[c] == nil || !c.reaches(n) {
			continue
		}
		item := outbox.New(outbox.Notice, targetPrefix+string(c), "", s.Now(), cmp.Or(s.Within, defaultWithin))
		m := s.message(n, link)
		m.ID = item.ID
		text, err := json.Marshal(m)
		if err != nil {
			return Alert{}, nil, errors.New("notice: the message does not encode")
		}
		item.Payload = s.Box.Seal(text, itemRecord(item.ID))
		items = append(items, item)
	}
	return alert, items, nil
}

func (c Channel) reaches(n News) bool {
	return n.Email != "" || c == Webhook && n.Phone != ""
}

// OpenOrigin opens where the alert's cause came from.
func (a *Alert) OpenOrigin(box *secret.Box) (origin session.Origin, err error) {
	text, err := box.Open(a.Origin, alertRecord(a.ID))
	if err != nil {
		return origin, fmt.Errorf("notice: origin of an alert: %w", err)
	}
	if json.Unmarshal(text, &origin) != nil { // whose error could quote it
		return origin, errors.New("notice: origin of an alert does not decode")
	}
	return origin, nil
}

const targetPrefix = "notice:" // of Item.Target, before the channel

func alertRecord(id string) string { return "alert:" + id }
func itemRecord(id string) string  { return "notice:" + id }

// Handler hands the messages of outbox.Notice to their channels.
type Handler struct {
	Box   *secret.Box
	Ports Ports
}

var _ outbox.Handler = (*Handler)(nil)

// Deliver implements outbox.Handler.
func (h *Handler) Deliver(ctx context.Context, i outbox.Item) error {
	var channel Channel
	if len(i.Target) > len(targetPrefix) {
		channel = Channel(i.Target[len(targetPrefix):])
	}
	port := h.Ports[channel]
	if port == nil {
		return outbox.Temporary("no_channel", errors.New("notice: the channel is not configured"))
	}
	text, err := h.Box.Open(i.Payload, itemRecord(i.ID))
	if err != nil {
		return outbox.Permanent("sealed", fmt.Errorf("notice: message: %w", err))
	}
	var m Message
	if json.Unmarshal(text, &m) != nil {
		return outbox.Permanent("malformed", errors.New("notice: message does not decode"))
	}
	return port.Send(ctx, m)
}
