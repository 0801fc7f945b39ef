// Package smtp sends notices as mail: plain text in UTF-8, one recipient each, over a connection of its own.
package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
)

// TLS is how the connection is encrypted.
type TLS string

// The ways.
const (
	StartTLS TLS = "starttls" // after the greeting, and never without (RFC 3207)
	Implicit TLS = "implicit" // from the first byte (RFC 8314)
	None     TLS = "none"     // not at all: to a loopback host only
)

// Config says how mail is sent.
type Config struct {
	Address  string // host:port of the mail server
	TLS      TLS
	Username string // empty: no authentication
	Password string
	From     string      // the sender's address
	Name     notice.Name // the sender's name
	RootCAs  *x509.CertPool
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // such as outbound.Dial
}

// Port is a notice.Port.
type Port struct {
	c      Config
	host   string
	port   int
	domain string // of the sender
}

var _ notice.Port = (*Port)(nil)

// New returns a port, or an error that says what is wrong with the config. It connects to nothing.
func New(c Config) (*Port, error) {
	host, number, err := net.SplitHostPort(c.Address)
	port, numberErr := strconv.ParseUint(number, 10, 16)
	if err != nil || numberErr != nil || host == "" || port == 0 {
		return nil, errors.New("smtp: the address is not host:port")
	}
	switch {
	case c.TLS == StartTLS, c.TLS == Implicit:
	case c.TLS == None && loopback(host):
	default:
		return nil, fmt.Errorf("smtp: %q is no way to encrypt mail to this host", c.TLS)
	}
	if (c.Username == "") != (c.Password == "") {
		return nil, errors.New("smtp: a username without a password, or the other way round")
	}
	if c.From, err = notice.ParseEmail(c.From); err != nil {
		return nil, errors.New("smtp: the sender is not an e-mail address")
	}
	_, domain, _ := strings.Cut(c.From, "@")
	return &Port{c: c, host: host, port: int(port), domain: domain}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

const (
	longest  = 30 * time.Second // a mail may take, where the context has no end
	farewell = time.Second      // the answer to QUIT may take
)

// Send implements notice.Port. What a mail server says may name the recipient, so errors hold its code only.
func (p *Port) Send(ctx context.Context, m notice.Message) error {
	msg, err := p.compose(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	// The client forgets the context once it has dialled, and the connection when it cannot log in: both end here.
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := p.dial(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	client, err := mail.NewClient(p.host, p.options(dial)...)
	if err != nil {
		return outbox.Permanent("malformed", errors.New("smtp: the client does not take its options"))
	}
	open, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return outbox.Temporary(reason(ctx, err), errors.New("smtp: cannot log in to the mail server"))
	}
	err = client.SendWithSMTPClient(open, msg)
	ended := ctx.Err() != nil
	if open.UpdateDeadline(farewell) == nil {
		_ = client.CloseWithSMTPClient(open)
	}
	if msg.IsDelivered() { // whatever became of the connection
		return nil
	}
	if sent, ok := errors.AsType[*mail.SendError](err); ok && !ended && sent.ErrorCode() != 0 {
		return outcome(sent.ErrorCode())
	}
	return outbox.Temporary(reason(ctx, err), errors.New("smtp: the connection broke"))
}

// outcome is what a mail server's reply means for the message (RFC 5321 §4.2.1). 530 to 538 say that we are not who may
// send (RFC 4954 §6), which is no reason to give the message up.
func outcome(code int) error {
	word := "smtp_" + strconv.Itoa(code)
	if code/100 == 5 && (code < 530 || code > 538) {
		return outbox.Permanent(word, errors.New("smtp: refused"))
	}
	return outbox.Temporary(word, errors.New("smtp: not taken"))
}

// reason is the code of a failure that says nothing about the message.
func reason(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "timeout"
	}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return "smtp_" + strconv.Itoa(reply.Code)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "timeout"
	}
	return "unreachable"
}

// options are the client's. One client serves one mail: it changes itself while it logs in.
func (p *Port) options(dial mail.DialContextFunc) []mail.Option {
	options := []mail.Option{
		mail.WithPort(p.port), mail.WithTimeout(longest), mail.WithHELO(p.domain), mail.WithoutNoop(), mail.WithoutSMTPUTF8(),
		mail.WithDialContextFunc(dial),
	}
	if p.c.TLS == StartTLS {
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(p.tls()))
	} else {
		options = append(options, mail.WithTLSPolicy(mail.NoTLS)) // nothing more, that is
	}
	if p.c.Username != "" {
		// Those that show the password refuse to do so without TLS, but for a loopback host.
		options = append(options, mail.WithUsername(p.c.Username), mail.WithPassword(p.c.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return options
}

func (p *Port) tls() *tls.Config {
	return &tls.Config{ServerName: p.host, RootCAs: p.c.RootCAs, MinVersion: tls.VersionTLS12}
}

// dial connects to the mail server.
func (p *Port) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := p.c.Dial(ctx, network, address)
	if err != nil || p.c.TLS != Implicit {
		return conn, err
	}
	secure := tls.Client(conn, p.tls())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// compose is the message as mail. Every field is encoded or parsed, so that nothing in it becomes another field.
func (p *Port) compose(m notice.Message) (*mail.Msg, error) {
	to, err := notice.ParseEmail(m.To)
	if err != nil {
		return nil, outbox.Permanent("address", errors.New("smtp: the recipient is not an e-mail address"))
	}
	if m.ID == "" || strings.Trim(m.ID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return nil, outbox.Permanent("malformed", errors.New("smtp: the message's id is not one"))
	}
	msg := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingB64), mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&netmail.Address{Name: p.c.Name.In(m.Locale), Address: p.c.From})
	msg.ToMailAddress(&netmail.Address{Address: to})
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.At)
	msg.SetMessageIDWithValue(m.ID + "@" + p.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5.1
	msg.SetGenHeader(mail.HeaderContentLang, m.Locale)
	msg.SetBodyString(mail.TypeTextPlain, strings.ReplaceAll(strings.ReplaceAll(m.Text, "\r\n", "\n"), "\n", "\r\n"))
	return msg, nil
}
