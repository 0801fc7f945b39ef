package certificate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// maxAnswer is the longest list or OCSP answer, in bytes.
const maxAnswer = npki.MaxFile

// maxEnvelope is what an LDAP answer may have around the list, in bytes.
const maxEnvelope = 16 << 10

// maxNesting is how deep an LDAP answer may be nested: a list lies five levels deep (RFC 4511 §4.5.2).
const maxNesting = 10

// The decoder of answers keeps the bytes of what lies inside at every level, so that each level costs the whole answer
// once more. It has one limit for the whole program, where nobody else decodes BER.
func init() { ber.MaxNestingDepth = maxNesting }

var errTooLarge = errors.New("certificate: answer is too large")

// fetcher asks directories and responders. Which of them may be asked is the checker's to decide.
type fetcher struct {
	client  *http.Client
	dial    Dial
	timeout time.Duration
}

var _ revocation.Fetcher = (*fetcher)(nil)

func newFetcher(client *http.Client, dial Dial, timeout time.Duration) *fetcher {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &fetcher{client: &own, dial: dial, timeout: timeout}
}

// FetchCRL implements revocation.Fetcher.
func (f *fetcher) FetchCRL(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("certificate: not a URL")
	}
	if u.Scheme == "ldap" {
		return f.search(ctx, u)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return f.do(req)
}

// QueryOCSP implements revocation.Fetcher (RFC 6960 appendix A.1).
func (f *fetcher) QueryOCSP(ctx context.Context, address string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Header.Set("Accept", "application/ocsp-response")
	return f.do(req)
}

// do sends one request and reads its answer of 200.
func (f *fetcher) do(req *http.Request) ([]byte, error) {
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("certificate: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errTooLarge
	}
	return body, nil
}

// entry is what an LDAP URL of a list names.
type entry struct {
	address   string // host:port
	dn        string
	attribute string // without options
}

// parseLDAP reads an LDAP URL (RFC 4516) that names one entry and one attribute with a list: no other
// scope than the entry, no filter but the one that always holds, no extension.
func parseLDAP(u *url.URL) (entry, error) {
	parts := strings.SplitN(u.RawQuery, "?", 4)
	for len(parts) < 4 {
		parts = append(parts, "")
	}
	for i, part := range parts {
		text, err := url.PathUnescape(part)
		if err != nil {
			return entry{}, errors.New("certificate: LDAP URL: escape")
		}
		parts[i] = text
	}
	attribute, option, _ := strings.Cut(parts[0], ";")
	e := entry{address: net.JoinHostPort(u.Hostname(), portOf(u)), dn: strings.TrimPrefix(u.Path, "/")}
	for _, known := range []string{"certificateRevocationList", "authorityRevocationList", "deltaRevocationList"} {
		if strings.EqualFold(attribute, known) {
			e.attribute = known
		}
	}
	switch {
	case u.Hostname() == "" || e.dn == "":
		return entry{}, errors.New("certificate: LDAP URL: no host, or no entry")
	case e.attribute == "" || option != "" && !strings.EqualFold(option, "binary"):
		return entry{}, errors.New("certificate: LDAP URL: not the attribute of a list")
	case parts[1] != "" && !strings.EqualFold(parts[1], "base"),
		parts[2] != "" && !strings.EqualFold(parts[2], "(objectClass=*)"), parts[3] != "":
		return entry{}, errors.New("certificate: LDAP URL: more than one entry")
	}
	return e, nil
}

// portOf is the port of a URL, its scheme's own where it names none.
func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "ldap":
		return "389"
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// search reads one list from a directory, without binding (RFC 4511 §4.2). Referrals are not followed: a
// directory that only refers is one without the list.
func (f *fetcher) search(ctx context.Context, u *url.URL) ([]byte, error) {
	want, err := parseLDAP(u)
	if err != nil {
		return nil, err
	}
	raw, err := f.dial(ctx, "tcp", want.address)
	if err != nil {
		return nil, err
	}
	// Nothing in there waits longer than the connection is open.
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn := ldap.NewConn(&bounded{Conn: raw, left: maxAnswer + maxEnvelope}, false)
	conn.Start()
	defer func() { _ = conn.Close() }()
	result, err := conn.Search(&ldap.SearchRequest{
		BaseDN: want.dn, Scope: ldap.ScopeBaseObject, DerefAliases: ldap.NeverDerefAliases,
		SizeLimit: 1, EnforceSizeLimit: true, TimeLimit: max(1, int(f.timeout/time.Second)),
		Filter: "(objectClass=*)", Attributes: []string{want.attribute + ";binary"},
	})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("certificate: search: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("certificate: search: %w", err)
	}
	if len(result.Entries) != 1 {
		return nil, errors.New("certificate: search: no entry")
	}
	for _, a := range result.Entries[0].Attributes {
		name, _, _ := strings.Cut(a.Name, ";")
		if !strings.EqualFold(name, want.attribute) || len(a.ByteValues) != 1 {
			continue
		}
		if len(a.ByteValues[0]) > maxAnswer {
			return nil, errTooLarge
		}
		return a.ByteValues[0], nil
	}
	return nil, errors.New("certificate: search: the entry has not one such list")
}

// bounded is a connection from which only so much is read.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
