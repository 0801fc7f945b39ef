// Package inbox simulates where an institution's messages arrive: a mail server, which takes every recipient's mail
// and offers STARTTLS and AUTH, the messaging system behind a webhook, which verifies the signature of what is posted
// to it, and a page with each person's messages. It follows RFC 5321 and RFC 5322 for mail, and for the webhook what
// the service's documentation promises to receivers.
package inbox

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

// Person is somebody whose messages stand together on one page.
type Person struct {
	Name  string
	Email string
	Phone string // 010…
}

// Config is what the simulator starts with. The zero value of each field has a use.
type Config struct {
	People   []Person
	Secret   string           // under which the webhook's messages are signed; empty: a fresh one
	Username string           // of the mail account; empty: no authentication is asked for
	Password string           // of the mail account
	NoTLS    bool             // the mail server does not offer STARTTLS
	Now      func() time.Time // nil: time.Now
	Most     int              // messages kept; 0: 1,000
}

// Message is a message that has arrived.
type Message struct {
	Channel  string    `json:"channel"` // "mail" or "webhook"
	ID       string    `json:"id"`      // Message-ID without its brackets, or Idempotency-Key
	Kind     string    `json:"kind,omitempty"`
	From     string    `json:"from,omitempty"` // as in the mail's header, decoded
	To       string    `json:"to,omitempty"`
	Phone    string    `json:"phone,omitempty"` // as it was sent
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	Link     string    `json:"link,omitempty"` // as the webhook tells it
	At       time.Time `json:"at"`             // Date of the mail, or the webhook's at
	Received time.Time `json:"received"`
	Times    int       `json:"times"`    // how often it arrived
	TLS      bool      `json:"tls"`      // mail: it came over TLS
	Account  string    `json:"account"`  // mail: who had authenticated
	Envelope string    `json:"envelope"` // mail: MAIL FROM
	Headers  []string  `json:"-"`        // mail: the names of its header fields
}

// Simulator is the mail server and the messaging system. It is safe for concurrent use.
type Simulator struct {
	people             []Person
	secret             string
	username, password string
	noTLS              bool
	now                func() time.Time
	most               int
	authority          *sim.Authority
	tls                *tls.Config
	faults             *sim.Faults

	mu       sync.Mutex // guards what follows
	messages []*Message // oldest first
	arrived  chan struct{}
}

// New returns a simulator with fresh keys.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{
		people: slices.Clone(cfg.People), secret: cfg.Secret, username: cfg.Username, password: cfg.Password, noTLS: cfg.NoTLS, now: cfg.Now, most: cfg.Most,
		faults: sim.NewFaults(faultTable...), arrived: make(chan struct{}),
	}
	if s.secret == "" {
		s.secret = rand.Text()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.most == 0 {
		s.most = 1000
	}
	var err error
	if s.authority, err = sim.NewAuthority("Inbox simulator root"); err != nil {
		return nil, err
	}
	cert, key, err := s.authority.Issue(pkix.Name{CommonName: "localhost"}, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	if err != nil {
		return nil, fmt.Errorf("sim/inbox: %w", err)
	}
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	return s, nil
}

// Secret is the key under which messages to the webhook are signed.
func (s *Simulator) Secret() string { return s.secret }

// Faults is the registry of faults.
func (s *Simulator) Faults() *sim.Faults { return s.faults }

// RootPEM is the certificate of the authority of the mail server's certificate, which is for localhost.
func (s *Simulator) RootPEM() []byte { return s.authority.PEM() }

// TLS is the mail server's side of TLS, for a listener that speaks it from the first byte.
func (s *Simulator) TLS() *tls.Config { return s.tls.Clone() }

// take keeps a message. One that arrives again is counted.
func (s *Simulator) take(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, old := range s.messages {
		if old.Channel == m.Channel && old.ID == m.ID {
			old.Times++
			s.announce()
			return
		}
	}
	m.Received, m.Times = s.now(), 1
	s.messages = append(s.messages, &m)
	if over := len(s.messages) - s.most; over > 0 {
		s.messages = slices.Delete(s.messages, 0, over)
	}
	s.announce()
}

// announce wakes who waits.
func (s *Simulator) announce() {
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// Messages lists, oldest first, what has arrived for an e-mail address or phone number, or for the person who has it;
// everything if it is empty.
func (s *Simulator) Messages(to string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(to)
}

func (s *Simulator) list(to string) []Message {
	list := []Message{}
	p := s.person(to)
	for _, m := range s.messages {
		if to == "" || p.Email != "" && strings.EqualFold(m.To, p.Email) || p.Phone != "" && national(m.Phone) == national(p.Phone) {
			list = append(list, *m)
		}
	}
	return list
}

// person is who has the address, or somebody without a name who has nothing but the address.
func (s *Simulator) person(to string) Person {
	for _, p := range s.people {
		if to != "" && strings.EqualFold(p.Email, to) || national(to) != "" && national(p.Phone) == national(to) {
			return p
		}
	}
	if strings.Contains(to, "@") {
		return Person{Email: to}
	}
	return Person{Phone: national(to)}
}

// national is a phone number as it is dialled in the country: "01012345678" for "+82 10-1234-5678"; empty if the text
// is none.
func national(number string) string {
	digits := strings.Map(func(r rune) rune {
		switch {
		case '0' <= r && r <= '9':
			return r
		case strings.ContainsRune("+- ", r):
			return -1
		}
		return 'x'
	}, number)
	if strings.Contains(digits, "x") {
		return ""
	}
	if rest, ok := strings.CutPrefix(digits, "82"); ok && strings.HasPrefix(number, "+") {
		return "0" + rest
	}
	return digits
}

// Wait returns what Messages does as soon as it is n messages or more, or the context's error.
func (s *Simulator) Wait(ctx context.Context, to string, n int) ([]Message, error) {
	for {
		s.mu.Lock()
		list, arrived := s.list(to), s.arrived
		s.mu.Unlock()
		if len(list) >= n {
			return list, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return list, fmt.Errorf("sim/inbox: %d of %d messages: %w", len(list), n, ctx.Err())
		}
	}
}
