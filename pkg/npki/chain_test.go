package npki_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/internal/dertree"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// parse reads a certificate, which must be well formed.
func parse(t testing.TB, raw []byte) *npki.Certificate {
	t.Helper()
	c, err := npki.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reissue signs a changed copy of a certificate with the key of its authority.
func reissue(t testing.TB, a *npkitest.Authority, raw []byte, change func(tbs *dertree.Node)) []byte {
	t.Helper()
	tree, err := dertree.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	change(tree.At(0))
	sum := sha256.Sum256(tree.At(0).Bytes())
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.Key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	tree.At(2).Body = append([]byte{0}, signature...)
	return tree.Bytes()
}

func with(options npki.ChainOptions, change func(o *npki.ChainOptions)) npki.ChainOptions {
	change(&options)
	return options
}

// A certificate of every authority of both hierarchies is accepted under its policy.
func TestVerifyChain(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, generation := range []npkitest.Generation{npkitest.RSA2048, npkitest.RSA3072} {
		for organization, policy := range map[string]string{
			npkitest.Yessign: personBank, npkitest.KICA: kicaGeneral, npkitest.SignKorea: "1.2.410.200004.5.1.1.9",
			npkitest.CrossCert: "1.2.410.200004.5.4.1.101", npkitest.TradeSign: "1.2.410.200012.1.1.1",
		} {
			ca, err := w.pki.CA(organization, generation)
			if err != nil {
				t.Fatal(err)
			}
			person := enroll(t, ca, npkitest.Applicant{Name: "홍길동", Number: residentNumber, Policy: policy})
			chain, err := w.anchors.VerifyChain(person.Certificate, npki.ChainOptions{
				Policies: []string{policy}, Holder: npki.Person, Time: noon, NonRepudiation: true,
			})
			if err != nil {
				t.Errorf("%s: %v", organization, err)
				continue
			}
			if chain.Policy.OID != policy || chain.Policy.CA.Organization != organization || !chain.CA.Equal(ca.Certificate) ||
				!chain.Root.Equal(ca.Root().Certificate) || chain.Certificate != person.Certificate {
				t.Errorf("%s: %+v", organization, chain.Policy)
			}
		}
	}
}

// What is wrong with a certificate, or with the options, is told apart.
func TestVerifyChainRefuses(t *testing.T) {
	t.Parallel()
	w := shared()
	person := npkitest.Applicant{Name: "홍길동", Number: residentNumber, Policy: personGeneral}
	government, err := w.pki.CA(npkitest.Government, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	kica, err := w.pki.CA(npkitest.KICA, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	issued := func(a *npkitest.Authority, change func(p *npkitest.Applicant)) *npki.Certificate {
		p := person
		change(&p)
		return enroll(t, a, p).Certificate
	}
	key, err := w.pki.NewKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	template := func(a *npkitest.Authority, change func(t *npkitest.Template)) *npki.Certificate {
		one := npkitest.Template{
			Subject: npki.Name{{{Type: "cn", Value: "홍길동"}}}, PublicKey: &key.PublicKey, Policies: []string{personGeneral}, NotBefore: noon,
		}
		change(&one)
		c, err := a.Sign(one)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	usage := func(oids ...asn1.ObjectIdentifier) pkix.Extension {
		value, err := asn1.Marshal(oids)
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: value}
	}
	server, client := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	good := w.person.Certificate
	for _, c := range []struct {
		name        string
		certificate *npki.Certificate
		options     npki.ChainOptions
		code        npki.Code // empty: accepted
	}{
		{"good", good, loginChain, ""},
		{"last second", good, with(loginChain, func(o *npki.ChainOptions) { o.Time = good.NotAfter }), ""},
		{"expired", good, with(loginChain, func(o *npki.ChainOptions) { o.Time = good.NotAfter.Add(time.Second) }), npki.ErrExpired},
		{"not yet valid", good, with(loginChain, func(o *npki.ChainOptions) { o.Time = noon.Add(-time.Second) }), npki.ErrNotYetValid},
		{"CA expired", template(w.yessign, func(t *npkitest.Template) { t.NotAfter = noon.AddDate(9, 0, 0) }), with(loginChain, func(o *npki.ChainOptions) { o.Time = noon.AddDate(7, 0, 0) }), npki.ErrUntrusted},
		{"another policy", issued(w.yessign, func(p *npkitest.Applicant) { p.Policy = "1.2.410.200005.1.1.6.9" }), loginChain, npki.ErrPolicy},
		{"no policy", template(w.yessign, func(t *npkitest.Template) { t.Policies = nil }), loginChain, npki.ErrPolicy},
		{"anyPolicy", template(w.yessign, func(t *npkitest.Template) { t.Policies = []string{"2.5.29.32.0"} }), with(loginChain, func(o *npki.ChainOptions) { o.Policies = []string{personGeneral} }), npki.ErrPolicy},
		{"policy of another CA", issued(kica, func(*npkitest.Applicant) {}), loginChain, npki.ErrPolicy},
		{"a company where a person is wanted", issued(w.yessign, func(p *npkitest.Applicant) { p.Policy, p.Number = corporateBank, "1234567891" }), with(loginChain, func(o *npki.ChainOptions) { o.Policies = []string{corporateBank} }), npki.ErrPolicy},
		{"a company where one is wanted", issued(w.yessign, func(p *npkitest.Applicant) { p.Policy, p.Number = corporateBank, "1234567891" }), with(loginChain, func(o *npki.ChainOptions) { o.Policies, o.Holder = []string{corporateBank}, npki.Corporation }), ""},
		{"a policy that only the operator knows", issued(w.yessign, func(p *npkitest.Applicant) { p.Policy = "1.2.410.200005.1.1.99" }), npki.ChainOptions{Policies: []string{"1.2.410.200005.1.1.99"}, Time: noon}, ""},
		{"no policies wanted", good, npki.ChainOptions{Time: noon}, npki.ErrInput},
		{"encryption certificate", issued(w.yessign, func(p *npkitest.Applicant) { p.Encipherment = true }), loginChain, npki.ErrUsage},
		{"no nonRepudiation", template(w.yessign, func(t *npkitest.Template) { t.KeyUsage = x509.KeyUsageDigitalSignature }), with(loginChain, func(o *npki.ChainOptions) { o.NonRepudiation = true }), npki.ErrUsage},
		{"no key usage", template(w.yessign, func(t *npkitest.Template) {
			t.Extra = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 5, 0x20}}}
		}), loginChain, npki.ErrUsage},
		{"for servers", template(w.yessign, func(t *npkitest.Template) { t.Extra = []pkix.Extension{usage(server)} }), loginChain, npki.ErrUsage},
		{"for clients", template(w.yessign, func(t *npkitest.Template) { t.Extra = []pkix.Extension{usage(server, client)} }), loginChain, ""},
		{"unknown critical extension", template(w.yessign, func(t *npkitest.Template) {
			t.Extra = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), loginChain, npki.ErrUnsupported},
		{"unknown extension", template(w.yessign, func(t *npkitest.Template) {
			t.Extra = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}}
		}), loginChain, ""},
		{"a CA's own certificate", parse(t, w.yessign.Certificate.Raw), with(loginChain, func(o *npki.ChainOptions) { o.Policies = []string{"2.5.29.32.0"} }), npki.ErrUsage},
		{"issued by the root itself", template(w.yessign.Root(), func(*npkitest.Template) {}), loginChain, npki.ErrUntrusted},
		{"a small key", template(w.yessign, func(t *npkitest.Template) { t.PublicKey = &small.PublicKey }), loginChain, npki.ErrUnsupported},
		{"of the government", template(government, func(*npkitest.Template) {}), loginChain, npki.ErrUntrusted},
	} {
		_, err := w.anchors.VerifyChain(c.certificate, c.options)
		switch {
		case c.code == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.code != "":
			if e, ok := errorsAs(err); !ok || e.Code != c.code {
				t.Errorf("%s: %v, want %q", c.name, err, c.code)
			}
		}
	}
	var nobody npki.Anchors
	_, err = nobody.VerifyChain(good, loginChain)
	wantCode(t, err, npki.ErrUntrusted)
	// Only one CA configured: the others' certificates are strangers.
	one, err := npki.NewTestAnchors([]*x509.Certificate{kica.Root().Certificate}, []*x509.Certificate{kica.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	_, err = one.VerifyChain(good, loginChain)
	wantCode(t, err, npki.ErrUntrusted)
}

// Old signatures with SHA-1, and every change of a certificate that its CA has not signed, are refused.
func TestCertificateMutations(t *testing.T) {
	t.Parallel()
	w := shared()
	raw := w.person.Certificate.Raw
	tree, err := dertree.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	refused, kept := 0, 0
	try := func(name string, path []int, change func(root *dertree.Node)) {
		root := tree.Clone()
		change(root)
		mutant := root.Bytes()
		if bytes.Equal(mutant, raw) {
			return
		}
		c, err := npki.ParseCertificate(mutant)
		if err == nil {
			_, err = w.anchors.VerifyChain(c, loginChain)
		}
		if err == nil {
			// Only the parameters of the algorithm outside of what is signed can go unnoticed.
			if !bytes.Equal(c.RawTBSCertificate, w.person.Certificate.RawTBSCertificate) {
				t.Errorf("%s %v: accepted", name, path)
			}
			kept++
			return
		}
		if _, ok := errorsAs(err); !ok {
			t.Errorf("%s %v: untyped error %v", name, path, err)
		}
		refused++
	}
	tree.Walk(func(path []int, node *dertree.Node) {
		try("drop", path, func(root *dertree.Node) { root.Replace(path) })
		try("duplicate", path, func(root *dertree.Node) { root.Replace(path, node, node) })
		try("retype", path, func(root *dertree.Node) { root.At(path...).Tag ^= 0x01 })
		if node.Children == nil {
			try("flip", path, func(root *dertree.Node) {
				if body := root.At(path...).Body; len(body) > 0 {
					body[len(body)-1] ^= 1
				}
			})
			try("empty", path, func(root *dertree.Node) { root.At(path...).Body = nil })
		}
	})
	if refused < 200 || kept > 2 {
		t.Errorf("%d mutants refused, %d accepted", refused, kept)
	}

	// Changes that the CA has signed for, by mistake or by force.
	sha1RSA := dertree.OID(1, 2, 840, 113549, 1, 1, 5)
	extensions := func(tbs *dertree.Node) *dertree.Node { return tbs.Children[len(tbs.Children)-1].At(0) }
	for name, change := range map[string]func(tbs *dertree.Node){
		"another issuer":      func(tbs *dertree.Node) { tbs.Children[3] = tbs.Children[5] },
		"no validity":         func(tbs *dertree.Node) { tbs.Replace([]int{4}) },
		"an extension twice":  func(tbs *dertree.Node) { e := extensions(tbs); e.Children = append(e.Children, e.Children[0]) },
		"no extensions":       func(tbs *dertree.Node) { tbs.Replace([]int{len(tbs.Children) - 1}) },
		"version 1":           func(tbs *dertree.Node) { tbs.Replace([]int{0}) },
		"algorithms differ":   func(tbs *dertree.Node) { tbs.At(2).Children[0] = sha1RSA },
		"negative serial":     func(tbs *dertree.Node) { tbs.At(1).Body = []byte{0x80} },
		"key of another kind": func(tbs *dertree.Node) { tbs.At(6, 0).Children[0] = dertree.OID(1, 2, 840, 10045, 2, 1) },
	} {
		c, err := npki.ParseCertificate(reissue(t, w.yessign, raw, change))
		if err == nil {
			_, err = w.anchors.VerifyChain(c, loginChain)
		}
		if _, ok := errorsAs(err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	same := parse(t, reissue(t, w.yessign, raw, func(*dertree.Node) {}))
	if _, err := w.anchors.VerifyChain(same, loginChain); err != nil {
		t.Errorf("reissued without a change: %v", err)
	}
	old := reissue(t, w.yessign, raw, func(tbs *dertree.Node) { tbs.At(2).Children[0] = sha1RSA })
	outer, err := dertree.Parse(old)
	if err != nil {
		t.Fatal(err)
	}
	outer.At(1).Children[0] = sha1RSA
	_, err = w.anchors.VerifyChain(parse(t, outer.Bytes()), loginChain)
	wantCode(t, err, npki.ErrUnsupported)
}

func TestNewAnchors(t *testing.T) {
	t.Parallel()
	w := shared()
	roots, authorities, err := w.pki.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	government, err := w.pki.CA(npkitest.Government, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	person := w.person.Certificate.Certificate
	for name, c := range map[string]struct {
		roots, subordinates []*x509.Certificate
		code                npki.Code
	}{
		"no root":               {nil, authorities, npki.ErrInput},
		"no CA":                 {roots, nil, npki.ErrInput},
		"a person as a root":    {[]*x509.Certificate{person}, authorities, npki.ErrUsage},
		"a person as a CA":      {roots, []*x509.Certificate{person}, npki.ErrUsage},
		"a CA as a root":        {authorities, authorities, npki.ErrUsage},
		"a root as a CA":        {roots, roots, npki.ErrUntrusted},
		"CA of another root":    {roots, []*x509.Certificate{government.Certificate}, npki.ErrUntrusted},
		"CA of the second root": {roots[1:], authorities[:1], npki.ErrUntrusted},
	} {
		_, err := npki.NewTestAnchors(c.roots, c.subordinates)
		if e, ok := errorsAs(err); !ok || e.Code != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
	// A root without "Test" in its name is fit for production.
	key := w.yessign.Root().Key
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example RootCA"}, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: w.yessign.Root().Certificate.SubjectKeyId,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root := parse(t, raw)
	ca := parse(t, reissue(t, w.yessign.Root(), w.yessign.Certificate.Raw, func(tbs *dertree.Node) {
		issuer, err := dertree.Parse(root.RawSubject)
		if err != nil {
			t.Fatal(err)
		}
		tbs.Children[3] = issuer
	}))
	anchors, err := npki.NewAnchors([]*x509.Certificate{root.Certificate}, []*x509.Certificate{ca.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anchors.VerifyChain(w.person.Certificate, loginChain); err != nil {
		t.Error(err)
	}
}

func TestSubjectKey(t *testing.T) {
	t.Parallel()
	w := shared()
	renewed, err := w.person.Renew()
	if err != nil {
		t.Fatal(err)
	}
	keys := [][]byte{npki.SubjectKey(w.person.Certificate.Certificate), npki.SubjectKey(renewed.Certificate.Certificate), npki.SubjectKey(w.yessign.Certificate)}
	slices.SortFunc(keys, bytes.Compare)
	if len(slices.CompactFunc(keys, bytes.Equal)) != 3 {
		t.Error("two certificates with one key")
	}
}
