package stage

import (
	"fmt"
	"net/http"

	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/sim/inbox"
)

// hookPath is where the institution's messaging system takes messages, beside the pages that show them.
const hookPath = "/hook"

// openInbox starts the mail server and the institution's messaging system, where messages to the people arrive.
func (s *Stage) openInbox() (err error) {
	var people []inbox.Person
	for _, p := range s.People {
		people = append(people, inbox.Person{Name: p.Name, Email: p.Email, Phone: p.Phone})
	}
	if s.Inbox, err = inbox.New(inbox.Config{People: people}); err != nil {
		return fmt.Errorf("stage: inbox: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(hookPath, s.Inbox.WebhookHandler())
	mux.Handle("/", s.Inbox.Handler())
	s.handlers[inboxPart] = mux
	return nil
}

// trustInbox configures the broker to send mail to those who gave an address, and everything to the messaging system,
// which reaches the phones.
func (s *Stage) trustInbox(settings *config.Config) {
	n := &settings.Notice
	n.Webhook.URL, n.Webhook.Secret = s.InboxURL+hookPath, config.Secret(s.Inbox.Secret())
	n.SMTP.Address, n.SMTP.TLS, n.SMTP.From = s.listeners[mailPart].Addr().String(), "none", "no-reply@anyid.example"
}
