package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/notice/smtp"
	"github.com/anyid/anyid/internal/notice/webhook"
	"github.com/anyid/anyid/internal/oidc"
	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/web"
)

// terms are the versions of the texts that citizens agree to.
func (a *App) terms() string { return consent.Versions(a.documents.Texts(web.Korean)) }

// openCitizens makes what citizens have in hand: the end of sessions, messages to them, and their own registration.
func (a *App) openCitizens() error {
	c := a.Config
	guard, client, err := a.guard()
	if err != nil {
		return err
	}
	ports, err := a.openPorts(guard, client)
	if err != nil {
		return err
	}
	a.notices = &notice.Service{
		Box: a.box, Ports: ports, Issuer: c.Issuer, ServiceName: notice.Name{Korean: c.Branding.Name, English: c.Branding.NameEn},
		CallCentre: c.Branding.CallCenter, ProviderName: a.providerName, Now: time.Now,
	}
	a.runner = &outbox.Runner{
		Store: a.DB.Outbox(), Policy: outbox.Policy{Try: c.Logout.Timeout}, Now: time.Now, Log: a.log,
		Delivered: a.settled(audit.LogoutDelivered), GivenUp: a.settled(audit.LogoutGivenUp),
	}
	a.Logout = &logout.Service{
		Issuer: c.Issuer, Store: a.DB.Sessions(), Sessions: a.Sessions, Grants: a.Grants, Sites: a.Sites, Subjects: a.subjects, Box: a.box,
		Runner: a.runner, Within: c.Logout.Within, Now: time.Now, Log: a.log,
	}
	a.runner.Handlers = map[outbox.Kind]outbox.Handler{
		outbox.Logout: &oidc.Deliverer{Issuer: c.Issuer, Keys: a.Keys, Sites: a.Sites, Logout: a.Logout, Client: client, Now: time.Now},
		outbox.Notice: &notice.Handler{Box: a.box, Ports: ports},
	}
	a.Account = &account.Service{
		People: a.DB.People(), Grants: a.Grants, Sessions: a.DB.Sessions(), Logout: a.Logout, Audit: a.DB.Audit(), Veil: a.veil,
		Alerts: a.DB.Notices(), Notice: a.notices, Directory: a.Sites, Box: a.box, Now: time.Now, Log: a.log,
		Retention: account.Retention{History: c.Retention.History, Consents: c.Retention.Consents, ConsentBasis: c.Retention.ConsentsBasis},
	}
	return nil
}

// guard is how sites and channels of messages are reached.
func (a *App) guard() (outbound.Config, *http.Client, error) {
	roots, err := a.roots()
	guard := outbound.Config{Allow: a.Config.Outbound.Allow, RootCAs: roots}
	return guard, outbound.Client(guard), err
}

// openPorts makes the channels of messages that are configured.
func (a *App) openPorts(guard outbound.Config, client *http.Client) (notice.Ports, error) {
	n, ports := a.Config.Notice, notice.Ports{}
	if n.Webhook.URL != "" {
		port, err := webhook.New(webhook.Config{URL: n.Webhook.URL, Secret: string(n.Webhook.Secret), Client: client, Now: time.Now})
		if err != nil {
			return nil, fmt.Errorf("app: notice.webhook: %w", err)
		}
		ports[notice.Webhook] = port
	}
	if n.SMTP.Address != "" {
		port, err := smtp.New(smtp.Config{
			Address: n.SMTP.Address, TLS: smtp.TLS(n.SMTP.TLS), Username: n.SMTP.Username, Password: string(n.SMTP.Password), From: n.SMTP.From,
			Name:    notice.Name{Korean: a.Config.Branding.Name, English: a.Config.Branding.NameEn},
			RootCAs: guard.RootCAs, Dial: outbound.Dial(guard),
		})
		if err != nil {
			return nil, fmt.Errorf("app: notice.smtp: %w", err)
		}
		ports[notice.Mail] = port
	}
	return ports, nil
}

// providerName is a provider as its adapter shows it.
func (a *App) providerName(m method.Method, provider, locale string) string {
	adapter := a.Methods[m]
	if adapter == nil {
		return ""
	}
	for _, p := range adapter.Providers() {
		switch {
		case p.ID != provider:
		case locale == web.English:
			return p.English
		default:
			return p.Korean
		}
	}
	return ""
}

// settled writes down how it ended to tell a site of a logout.
func (a *App) settled(action audit.Action) func(context.Context, outbox.Item) {
	return func(ctx context.Context, i outbox.Item) {
		if i.Kind != outbox.Logout {
			return
		}
		event := audit.New(time.Now(), action, audit.System)
		event.Site = i.Target
		if action == audit.LogoutGivenUp {
			event.Detail = map[string]string{"code": i.Error}
		}
		if err := a.DB.Audit().Record(ctx, event); err != nil {
			a.log.LogAttrs(ctx, slog.LevelWarn, "app: what became of a logout is not on record", slog.Any("error", err))
		}
	}
}
