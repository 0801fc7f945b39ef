package npkitest_test

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

var person = npkitest.Applicant{Name: "홍길동", English: "HONG GILDONG", Number: "0101019000007", Policy: "1.2.410.200005.1.1.4", Units: []string{"KB"}}

// clock is a clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newPKI() (*npkitest.PKI, *clock) {
	c := &clock{time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)}
	return npkitest.New(npkitest.Options{Now: c.Now}), c
}

func authority(t *testing.T, p *npkitest.PKI) *npkitest.Authority {
	t.Helper()
	a, err := p.CA(npkitest.Yessign, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTicket(t *testing.T) {
	t.Parallel()
	p, c := newPKI()
	a := authority(t, p)
	key, err := p.NewKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	e := npkitest.Enrolment{PublicKey: &key.PublicKey, R: make([]byte, npki.RSize)}
	apply := func() npkitest.Ticket {
		ticket, err := a.Apply(person)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	ticket := apply()
	if len(ticket.Reference) != 10 || len(ticket.Authorization) != 20 {
		t.Errorf("ticket %+v", ticket)
	}
	if _, err := a.Issue(npkitest.Ticket{Reference: ticket.Reference, Authorization: "1"}, e); !errors.Is(err, npkitest.ErrTicket) {
		t.Errorf("wrong code: %v", err)
	}
	issued, err := a.Issue(ticket, e)
	if err != nil {
		t.Fatal(err)
	}
	id, err := issued.Identity()
	if err != nil || id.RealName != person.Name || id.VID.Verify([]byte(person.Number), e.R) != nil {
		t.Errorf("identity %v, %v", id, err)
	}
	if _, err := a.Issue(ticket, e); !errors.Is(err, npkitest.ErrTicket) {
		t.Errorf("a second certificate: %v", err)
	}
	late := apply()
	c.now = c.now.Add(15 * 24 * time.Hour)
	if _, err := a.Issue(late, e); !errors.Is(err, npkitest.ErrTicket) {
		t.Errorf("too late: %v", err)
	}
	guessed := apply()
	for range 5 {
		if _, err := a.Issue(npkitest.Ticket{Reference: guessed.Reference}, e); !errors.Is(err, npkitest.ErrTicket) {
			t.Errorf("guess: %v", err)
		}
	}
	if _, err := a.Issue(guessed, e); !errors.Is(err, npkitest.ErrTicket) {
		t.Errorf("after five guesses: %v", err)
	}
	for _, bad := range []npkitest.Applicant{{Policy: person.Policy}, {Name: "x"}, {Name: "x", Policy: "1.2.x"}} {
		if _, err := a.Apply(bad); err == nil {
			t.Errorf("%+v: taken", bad)
		}
	}
}

func TestLifeOfACertificate(t *testing.T) {
	t.Parallel()
	p, c := newPKI()
	a := authority(t, p)
	h, err := a.Enroll(person)
	if err != nil {
		t.Fatal(err)
	}
	serial := h.Certificate.SerialNumber
	for _, step := range []struct {
		name string
		do   func() error
		want error
	}{
		{"release a good one", func() error { return a.Release(serial) }, npkitest.ErrState},
		{"hold", func() error { return a.Hold(serial) }, nil},
		{"hold again", func() error { return a.Hold(serial) }, npkitest.ErrState},
		{"renew on hold", func() error { _, err := h.Renew(); return err }, npkitest.ErrState},
		{"release", func() error { return a.Release(serial) }, nil},
		{"renew", func() error { _, err := h.Renew(); return err }, nil},
		{"hold once more", func() error { return a.Hold(serial) }, nil},
		{"revoke on hold", func() error { return a.Revoke(serial, 1) }, nil},
		{"release a revoked one", func() error { return a.Release(serial) }, npkitest.ErrState},
		{"revoke again", func() error { return a.Revoke(serial, 1) }, npkitest.ErrState},
		{"unknown", func() error { return a.Revoke(big.NewInt(99), 1) }, npkitest.ErrUnknown},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
	other, err := a.Enroll(person)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Revoke(other.Certificate.SerialNumber, 6); !errors.Is(err, npkitest.ErrState) {
		t.Errorf("revoked for the reason of a hold: %v", err)
	}
	c.now = c.now.AddDate(2, 0, 0)
	if _, err := other.Renew(); !errors.Is(err, npkitest.ErrState) {
		t.Errorf("renewed after the end: %v", err)
	}
}

// The certificates have the shape of the real ones, and the roots are test roots.
func TestShape(t *testing.T) {
	t.Parallel()
	p, _ := newPKI()
	roots, authorities, err := p.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	if len(roots) != 2 || len(authorities) != 10 {
		t.Fatalf("%d roots, %d authorities", len(roots), len(authorities))
	}
	if _, err := npki.NewAnchors(roots, authorities); !errors.Is(err, npki.ErrTestRoot) {
		t.Errorf("as production anchors: %v", err)
	}
	for i, ca := range authorities {
		bits := ca.PublicKey.(*rsa.PublicKey).N.BitLen()
		if want := 2048 + i/5*1024; bits != want || !ca.RequireExplicitPolicyZero || ca.MaxPathLenZero != (want == 2048) {
			t.Errorf("%v: %d bits, %v, %v", ca.Subject, bits, ca.RequireExplicitPolicyZero, ca.MaxPathLenZero)
		}
	}
	h, err := authority(t, p).Enroll(person)
	if err != nil {
		t.Fatal(err)
	}
	name, err := h.Certificate.SubjectName()
	if err != nil {
		t.Fatal(err)
	}
	c := h.Certificate
	if got := name.All("ou"); len(got) != 2 || got[1] != "KB" || name.Last("c") != "kr" || name.BankCode() != "0088" {
		t.Errorf("subject %v", name)
	}
	if c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment || len(c.ExtKeyUsage) != 0 || len(c.CRLDistributionPoints) != 1 ||
		len(c.OCSPServer) != 1 || c.BasicConstraintsValid || c.NotAfter.Format("15:04:05") != "14:59:59" || len(c.Raw) < 1100 || len(c.Raw) > 1600 {
		t.Errorf("certificate of %d bytes: %+v", len(c.Raw), c.CRLDistributionPoints)
	}
	files, err := h.Files([]byte("Npki!Test#2026"), npki.Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := npki.ParsePair(files["signCert.der"], files["signPri.key"], []byte("Npki!Test#2026")); err != nil {
		t.Error(err)
	}
	if folder, err := h.Folder(); err != nil || folder != "yessign/USER/"+name.String() {
		t.Errorf("folder %q, %v", folder, err)
	}
	if _, err := p.CA("nobody", npkitest.RSA2048); err == nil {
		t.Error("an authority of nobody")
	}
}

// An own source of keys is used for everybody.
func TestNewKey(t *testing.T) {
	t.Parallel()
	wanted := errors.New("no keys today")
	p := npkitest.New(npkitest.Options{NewKey: func(int) (*rsa.PrivateKey, error) { return nil, wanted }})
	if _, err := p.CA(npkitest.KICA, npkitest.RSA3072); !errors.Is(err, wanted) {
		t.Errorf("error %v", err)
	}
	if _, err := p.NewKey(2048); !errors.Is(err, wanted) {
		t.Errorf("error %v", err)
	}
}

func TestSerialNumbersBeginElsewhere(t *testing.T) {
	t.Parallel()
	p := npkitest.New(npkitest.Options{Serial: 0x92345678})
	holder, err := authority(t, p).Enroll(person)
	if err != nil {
		t.Fatal(err)
	}
	if got := holder.Certificate.SerialNumber.Int64(); got != 0x92345679 {
		t.Errorf("serial number %x", got)
	}
	anchors, err := p.Anchors()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anchors.VerifyChain(holder.Certificate, npki.ChainOptions{Policies: []string{person.Policy}}); err != nil {
		t.Error(err)
	}
}

// TestWhatASimulatorAsks covers what a server around the PKI must know of a question before it answers.
func TestWhatASimulatorAsks(t *testing.T) {
	t.Parallel()
	p, c := newPKI()
	a := authority(t, p)
	var holders []*npkitest.Holder
	for range 2 {
		h, err := a.Enroll(person)
		if err != nil {
			t.Fatal(err)
		}
		holders = append(holders, h)
	}
	if err := a.Hold(holders[1].Certificate.SerialNumber); err != nil {
		t.Fatal(err)
	}
	records := a.Records()
	if len(records) != 2 || records[0].Certificate != holders[0].Certificate || !records[0].Revoked.IsZero() ||
		records[1].Applicant.Name != person.Name || records[1].Reason != 6 || !records[1].Revoked.Equal(c.now) {
		t.Errorf("records %+v", records)
	}
	if root := a.Root().Records(); len(root) != 2 || root[0].Certificate.SerialNumber.Int64() != 1 {
		t.Errorf("the root has %d records", len(root))
	}

	question := revocation.Question{Certificate: holders[1].Certificate.Certificate, Issuer: a.Certificate, Root: a.Root().Certificate}
	request, err := question.Request(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if asked, serial := p.Asked(request); asked != a || serial.Cmp(holders[1].Certificate.SerialNumber) != 0 {
		t.Errorf("the question is about %v of %v", serial, asked)
	}
	other, _ := newPKI()
	for _, request := range [][]byte{nil, request[:len(request)-1]} {
		if asked, _ := p.Asked(request); asked != nil {
			t.Error("understands what is no question")
		}
	}
	if asked, _ := other.Asked(request); asked != nil {
		t.Error("answers for an authority that it does not have")
	}

	want := holders[0].Certificate.CRLDistributionPoints[0]
	point, owner := p.Entry(strings.TrimPrefix(want, "ldap://directory.invalid:389/"))
	if point != want || owner != a {
		t.Errorf("the entry is %s of %v", point, owner)
	}
	if _, owner := p.Entry("ou=dp4p,o=nobody"); owner != nil {
		t.Error("an entry of nobody")
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	p, c := newPKI()
	old := person
	old.Since = c.now.AddDate(-2, 0, 0)
	holder, err := authority(t, p).Enroll(old)
	if err != nil {
		t.Fatal(err)
	}
	if got := holder.Certificate; !got.NotBefore.Equal(old.Since) || !got.NotAfter.Before(c.now) {
		t.Errorf("valid from %v to %v", got.NotBefore, got.NotAfter)
	}
	old.Since = c.now.AddDate(0, -6, 0)
	if holder, err = authority(t, p).Enroll(old); err != nil {
		t.Fatal(err)
	}
	renewed, err := holder.Renew()
	if err != nil || !renewed.Certificate.NotBefore.Equal(c.now) {
		t.Errorf("renewed: %v", err)
	}
}
