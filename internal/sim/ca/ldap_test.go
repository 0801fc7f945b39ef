package ca

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

func connect(t *testing.T, x *setting) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL("ldap://"+x.ldap, ldap.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	c.SetTimeout(5 * time.Second)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	h := x.enrolled(npkitest.Yessign)
	entry := strings.TrimPrefix(h.Certificate.CRLDistributionPoints[0], "ldap://"+x.ldap+"/")
	base, attribute, _ := strings.Cut(entry, "?")
	rootEntry := strings.TrimPrefix(h.Authority.Certificate.CRLDistributionPoints[0], "ldap://"+x.ldap+"/")
	rootBase, rootAttribute, _ := strings.Cut(rootEntry, "?")
	if attribute != "certificateRevocationList" || rootAttribute != "authorityRevocationList" {
		t.Fatalf("distribution points %s, %s", entry, rootEntry)
	}
	c := connect(t, x)
	if err := c.UnauthenticatedBind(""); err != nil {
		t.Error(err)
	}
	search := func(base, filter string, scope int, typesOnly bool, attributes ...string) (*ldap.SearchResult, error) {
		return c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 1, 5, typesOnly, filter, attributes, nil))
	}
	const all = "(objectClass=*)"
	for name, q := range map[string]struct {
		base, attribute string
		issuer          *npkitest.Authority
	}{
		"a list":             {base, "certificateRevocationList", h.Authority},
		"with its option":    {base, "CertificateRevocationList;binary", h.Authority},
		"everything":         {base, "*", h.Authority},
		"the root's list":    {rootBase, "authorityRevocationList;binary", h.Authority.Root()},
		"another partition":  {strings.Replace(base, "dp4p64", "dp4p7", 1), "certificateRevocationList", h.Authority},
		"nothing named":      {base, "", h.Authority},
		"one of many wanted": {base, "deltaRevocationList;binary certificateRevocationList;binary", h.Authority},
	} {
		found, err := search(q.base, all, ldap.ScopeBaseObject, false, strings.Fields(q.attribute)...)
		if err != nil || len(found.Entries) != 1 || found.Entries[0].DN != q.base || len(found.Entries[0].Attributes) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := revocation.ParseList(found.Entries[0].Attributes[0].ByteValues[0], q.issuer.Certificate); err != nil || !strings.HasSuffix(found.Entries[0].Attributes[0].Name, "List;binary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found, err := search(base, all, ldap.ScopeBaseObject, false, "deltaRevocationList;binary"); err != nil || len(found.Entries) != 1 || len(found.Entries[0].Attributes) != 0 {
		t.Errorf("a list that is not there: %v", err)
	}
	if found, err := search(base, all, ldap.ScopeBaseObject, true, attribute); err != nil || len(found.Entries[0].Attributes[0].Values) != 0 {
		t.Errorf("types only: %v", err)
	}
	if found, err := search(base, "(cn=x)", ldap.ScopeBaseObject, false, attribute); err != nil || len(found.Entries) != 0 {
		t.Errorf("another filter: %v", err)
	}

	refused := func(what string, err error, want uint16) {
		t.Helper()
		if !ldap.IsErrorWithCode(err, want) {
			t.Errorf("%s: %v, want %d", what, err, want)
		}
	}
	_, err := search("ou=dp4p64,ou=AccreditedCA,o=nobody,c=kr", all, ldap.ScopeBaseObject, false, attribute)
	refused("no entry", err, ldap.LDAPResultNoSuchObject)
	_, err = search(base, all, ldap.ScopeWholeSubtree, false, attribute)
	refused("a subtree", err, ldap.LDAPResultUnwillingToPerform)
	refused("a password", c.Bind("cn=x", "y"), ldap.LDAPResultInvalidCredentials)
	refused("SASL", c.ExternalBind(), ldap.LDAPResultAuthMethodNotSupported)
	refused("a change", c.Del(ldap.NewDelRequest(base, nil)), ldap.LDAPResultUnwillingToPerform)
	_, err = c.Compare(base, "ou", "x")
	refused("a comparison", err, ldap.LDAPResultUnwillingToPerform)
	_, err = c.WhoAmI(nil)
	refused("an extended operation", err, ldap.LDAPResultProtocolError)
	_, err = c.Search(ldap.NewSearchRequest(base, ldap.ScopeBaseObject, 0, 1, 5, false, all, nil, []ldap.Control{ldap.NewControlString("1.2.3", true, "")}))
	refused("a control that matters", err, ldap.LDAPResultUnavailableCriticalExtension)
	if _, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeBaseObject, 0, 1, 5, false, all, nil, []ldap.Control{ldap.NewControlString("1.2.3", false, "")})); err != nil {
		t.Errorf("a control that does not: %v", err)
	}
	// All on one connection, which is still there.
	if _, err := search(base, all, ldap.ScopeBaseObject, false, attribute); err != nil {
		t.Error(err)
	}
	if err := x.Faults().Set(sim.Switch{Name: FaultServerError, Only: opCRL, Uses: 1}); err != nil {
		t.Fatal(err)
	}
	_, err = search(base, all, ldap.ScopeBaseObject, false, attribute)
	refused("a broken server", err, ldap.LDAPResultUnavailable)
	if err := x.Faults().Set(sim.Switch{Name: string(npkitest.CRLDown), Uses: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := search(base, all, ldap.ScopeBaseObject, false, attribute); err == nil || !strings.HasSuffix(err.Error(), "EOF") {
		t.Errorf("silence: %v", err)
	}
}

// TestNoMessages sends what is not LDAP: the notice of disconnection comes back, and then nothing.
func TestNoMessages(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	for name, sent := range map[string]string{
		"another protocol":  "GET / HTTP/1.1\r\n\r\n",
		"indefinite length": "\x30\x80\x02\x01\x01",
		"too long":          "\x30\x82\x20\x01",
		"length of lengths": "\x30\x85\x01\x01\x01\x01\x01",
		"no operation":      "\x30\x03\x02\x01\x01",
		"trailing bytes":    "\x30\x06\x02\x01\x01\x42\x01\x00",
		"no such operation": "\x30\x05\x02\x01\x01\x5e\x00",
		"an empty bind":     "\x30\x05\x02\x01\x01\x60\x00",
	} {
		connection, err := net.Dial("tcp", x.ldap)
		if err != nil {
			t.Fatal(err)
		}
		_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(connection, sent); err != nil {
			t.Error(err)
		}
		if name == "trailing bytes" { // inside the unbind request: it is one all the same
			if answer, err := io.ReadAll(connection); err != nil || len(answer) > 0 {
				t.Errorf("%s: %x, %v", name, answer, err)
			}
			connection.Close()
			continue
		}
		answer := make([]byte, 200)
		n, err := connection.Read(answer)
		if err != nil || !bytes.Contains(answer[:n], []byte("1.3.6.1.4.1.1466.20036")) {
			t.Errorf("%s: %x, %v", name, answer[:n], err)
		}
		if _, err := io.Copy(io.Discard, connection); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the connection stays: %v", name, err)
		}
		connection.Close()
	}
}

// TestLongLengths: some programs write every length in four bytes.
func TestLongLengths(t *testing.T) {
	t.Parallel()
	message, err := hex.DecodeString("3084000000100201016084000000070201030400" + "8000")
	if err != nil {
		t.Fatal(err)
	}
	read, err := readMessage(bufio.NewReader(bytes.NewReader(message)))
	if err != nil {
		t.Fatal(err)
	}
	q, err := parseRequest(read)
	if err != nil || q.operation != opBind || !q.anonymous || q.version != 3 {
		t.Errorf("%+v, %v", q, err)
	}
}

// FuzzParseRequest feeds the directory what comes over the network. What it takes is a request that it could
// answer.
func FuzzParseRequest(f *testing.F) {
	bind := ber.Encode(ber.ClassApplication, ber.TypeConstructed, opBind, nil, "")
	bind.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 3, ""))
	bind.AppendChild(octets(""))
	bind.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "", ""))
	f.Add(envelope(1, bind).Bytes())

	search := ber.Encode(ber.ClassApplication, ber.TypeConstructed, opSearch, nil, "")
	search.AppendChild(octets("ou=dp4p64,ou=AccreditedCA,o=yessign,c=kr"))
	for _, n := range []int{0, 0} {
		search.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, n, ""))
	}
	for _, n := range []int{1, 5} {
		search.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, n, ""))
	}
	search.AppendChild(ber.NewLDAPBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, false, ""))
	search.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 7, "objectClass", ""))
	attributes := ber.NewSequence("")
	attributes.AppendChild(octets("certificateRevocationList;binary"))
	search.AppendChild(attributes)
	whole := envelope(2, search)
	controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	control := ber.NewSequence("")
	control.AppendChild(octets("1.2.3"))
	control.AppendChild(ber.NewLDAPBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, ""))
	controls.AppendChild(control)
	f.Add(whole.Bytes())
	whole.AppendChild(controls)
	f.Add(whole.Bytes())
	f.Add([]byte("\x30\x05\x02\x01\x03\x42\x00")) // unbind
	f.Add([]byte("\x30\x06\x02\x01\x04\x50\x01\x03"))
	f.Add([]byte(strings.Repeat("\x30\x80", 4000)))
	f.Add([]byte("\x30\x84\x7f\xff\xff\xff\x02"))

	f.Fuzz(func(t *testing.T, message []byte) {
		framed, err := readMessage(bufio.NewReader(bytes.NewReader(message)))
		if err == nil && (len(framed) > maxMessage+6 || !bytes.HasPrefix(message, framed)) {
			t.Fatalf("%d bytes of %d", len(framed), len(message))
		}
		q, err := parseRequest(message)
		if err != nil {
			return
		}
		if q.id < 0 || q.id > 1<<31-1 || len(message) > maxMessage+6 || len(q.attributes) > len(message) {
			t.Fatalf("%+v", q)
		}
		s := &Simulator{pki: npkitest.New(npkitest.Options{}), faults: sim.NewFaults(faultTable...)}
		answers, more := s.reply(t.Context(), q)
		if more == (q.operation == opUnbind) || len(answers) > 1 {
			t.Fatalf("%d answers to %+v", len(answers), q)
		}
	})
}
