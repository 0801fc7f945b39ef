package inbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailChannel is the channel's name, in messages and as the key of faults.
const mailChannel = "mail"

const (
	maxMail    = 256 << 10
	idleInMail = time.Minute
)

// ServeMail speaks SMTP on the listener until the context ends, then closes every connection and returns nil.
func (s *Simulator) ServeMail(ctx context.Context, ln net.Listener) error {
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		session := &session{s: s, conn: c}
		if s.username == "" {
			return session, nil
		}
		return &authenticating{session}, nil
	}))
	server.Domain = "inbox.localhost"
	server.MaxRecipients, server.MaxMessageBytes = 1, maxMail
	server.ReadTimeout, server.WriteTimeout = idleInMail, idleInMail
	server.AllowInsecureAuth = true // on this machine
	server.ErrorLog = silent{}
	if !s.noTLS {
		server.TLSConfig = s.tls
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(ln); err != nil && ctx.Err() == nil {
		return fmt.Errorf("sim/inbox: serve mail: %w", err)
	}
	return nil
}

// silent is the log of the mail server: what peers do wrong is not this program's trouble.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// session is one mail transaction after the other on a connection.
type session struct {
	s        *Simulator
	conn     *smtp.Conn
	account  string
	from, to string
}

// authenticating is a session that asks for the account.
type authenticating struct{ *session }

var _ smtp.AuthSession = (*authenticating)(nil)

// AuthMechanisms implements smtp.AuthSession.
func (a *authenticating) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (a *authenticating) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != a.s.username || password != a.s.password {
			return smtp.ErrAuthFailed
		}
		a.account = username
		return nil
	}), nil
}

// Reset implements smtp.Session.
func (c *session) Reset() { c.from, c.to = "", "" }

// Logout implements smtp.Session.
func (c *session) Logout() error { return nil }

// Mail implements smtp.Session.
func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.s.username != "" && c.account == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	c.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if _, ok := c.s.faults.Strike(FaultRefuse, mailChannel, to); ok {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user: " + to}
	}
	c.to = to
	return nil
}

// Data implements smtp.Session.
func (c *session) Data(r io.Reader) error {
	strike := func(fault string) bool {
		_, ok := c.s.faults.Strike(fault, mailChannel, c.to)
		return ok
	}
	if strike(FaultDrop) {
		_, _ = io.CopyN(io.Discard, r, 64)
		reset(c.conn.Conn())
		return io.ErrUnexpectedEOF
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := parseMail(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	if !strings.EqualFold(m.To, c.to) {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "the header names another recipient"}
	}
	if strike(FaultHang) {
		_, _ = io.Copy(io.Discard, c.conn.Conn()) // until the peer leaves, or the server ends
		return io.ErrUnexpectedEOF
	}
	if strike(FaultServerError) {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Try again later, " + c.to}
	}
	if slow, ok := c.s.faults.Strike(FaultSlow, mailChannel, c.to); ok {
		time.Sleep(slow.Delay(usualDelay))
	}
	m.Account, m.Envelope = c.account, c.from
	_, m.TLS = c.conn.TLSConnectionState()
	c.s.take(m)
	if strike(FaultTwice) {
		reset(c.conn.Conn())
	}
	return nil
}

// parseMail reads a mail of plain text as it is sent (RFC 5322). It is stricter than mail servers are, so that what
// is wrong with a mail is seen here: each field that says who, when and what stands there once, lines end in CRLF,
// and text is UTF-8.
func parseMail(raw []byte) (Message, error) {
	head, _, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok || bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\n")) || bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\r")) {
		return Message{}, errors.New("lines do not end in CRLF, or there is no empty one")
	}
	for _, b := range head {
		if b >= utf8.RuneSelf || b < ' ' && b != '\r' && b != '\n' && b != '\t' {
			return Message{}, errors.New("the header is not plain ASCII")
		}
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, errors.New("the header does not read")
	}
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-Id", "Mime-Version", "Content-Type", "Content-Transfer-Encoding"} {
		if len(parsed.Header[name]) != 1 {
			return Message{}, fmt.Errorf("the field %s stands there %d times", name, len(parsed.Header[name]))
		}
	}
	m := Message{Channel: mailChannel, Headers: slices.Sorted(maps.Keys(parsed.Header))}
	from, err := parsed.Header.AddressList("From")
	to, err2 := parsed.Header.AddressList("To")
	if err != nil || err2 != nil || len(from) != 1 || len(to) != 1 {
		return Message{}, errors.New("the fields From and To are not one address each")
	}
	m.From, m.To = from[0].Address, to[0].Address
	if from[0].Name != "" {
		m.From = from[0].Name + " <" + from[0].Address + ">"
	}
	if m.At, err = parsed.Header.Date(); err != nil {
		return Message{}, errors.New("the field Date does not read")
	}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil || !utf8.ValidString(m.Subject) {
		return Message{}, errors.New("the field Subject does not read")
	}
	id := parsed.Header.Get("Message-Id")
	if m.ID = strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">"); len(m.ID) != len(id)-2 || strings.Count(m.ID, "@") != 1 || strings.ContainsAny(m.ID, "<> \t") {
		return Message{}, errors.New("the field Message-ID does not read")
	}
	m.Text, err = text(parsed)
	return m, err
}

// text is the mail's body.
func text(parsed *mail.Message) (string, error) {
	kind, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "text/plain" || !strings.EqualFold(params["charset"], "utf-8") {
		return "", errors.New("the body is not text/plain in UTF-8")
	}
	body := parsed.Body
	switch strings.ToLower(parsed.Header.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "7bit", "8bit":
	default:
		return "", errors.New("the body's encoding is not known")
	}
	plain, err := io.ReadAll(body)
	if err != nil || !utf8.Valid(plain) {
		return "", errors.New("the body does not decode")
	}
	return strings.ReplaceAll(string(plain), "\r\n", "\n"), nil
}
