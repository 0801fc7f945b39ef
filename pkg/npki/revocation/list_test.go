package revocation_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/internal/dertree"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

type (
	publicKey = *rsa.PublicKey
	extension = pkix.Extension
)

func explicit(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }

// points is the value of CRLDistributionPoints or FreshestCRL with one URL.
func points(address string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { addPoint(b, address) })
	})
	return b.BytesOrPanic()
}

func addPoint(b *cryptobyte.Builder, address string) {
	b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(der.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(address)) })
		})
	})
}

func withPoint(address string) []extension {
	return []extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: points(address)}}
}

// scope is an issuingDistributionPoint with a point and flags after it.
func scope(address string, flags ...uint8) extension {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		if address != "" {
			addPoint(b, address)
		}
		for _, flag := range flags {
			b.AddASN1(der.Tag(flag).ContextSpecific(), func(b *cryptobyte.Builder) {
				if flag == 3 {
					b.AddBytes([]byte{6, 0x40})
				} else {
					b.AddUint8(0xFF)
				}
			})
		}
	})
	return extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: b.BytesOrPanic()}
}

// shelf serves the lists that a test has put there.
type shelf struct {
	*world
	lists map[string][]byte
}

func (s *shelf) FetchCRL(_ context.Context, url string) ([]byte, error) {
	if list := s.lists[url]; list != nil {
		return list, nil
	}
	return nil, errors.New("no such list")
}

func (w *world) list(l npkitest.List) []byte {
	w.t.Helper()
	out, err := w.ca.CRL(l)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// What a list may say of itself, and whether it then speaks of the person's certificate.
func TestScopeOfLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	point := w.person.Certificate.CRLDistributionPoints[0]
	for name, c := range map[string]struct {
		list npkitest.List
		code npki.Code
	}{
		"the point":              {npkitest.List{Point: point}, ""},
		"everything":             {npkitest.List{Whole: true}, ""},
		"users only":             {npkitest.List{Point: point, Extra: []extension{scope(point, 1)}}, ""},
		"users only, all points": {npkitest.List{Point: point, Extra: []extension{scope("", 1)}}, ""},
		"CAs only":               {npkitest.List{Point: point, Extra: []extension{scope(point, 2)}}, npki.ErrStatus},
		"both":                   {npkitest.List{Point: point, Extra: []extension{scope(point, 1, 2)}}, npki.ErrStatus},
		"some reasons":           {npkitest.List{Point: point, Extra: []extension{scope(point, 3)}}, npki.ErrStatus},
		"indirect":               {npkitest.List{Point: point, Extra: []extension{scope(point, 4)}}, npki.ErrStatus},
		"attribute certificates": {npkitest.List{Point: point, Extra: []extension{scope(point, 5)}}, npki.ErrStatus},
		"a flag twice":           {npkitest.List{Point: point, Extra: []extension{scope(point, 1, 1)}}, npki.ErrStatus},
		"an unknown flag":        {npkitest.List{Point: point, Extra: []extension{scope(point, 6)}}, npki.ErrStatus},
		"other letter case":      {npkitest.List{Point: point, Extra: []extension{scope(strings.ToUpper(point))}}, npki.ErrStatus},
		"not a scope":            {npkitest.List{Point: point, Extra: []extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{5, 0}}}}, npki.ErrStatus},
		"from the future":        {npkitest.List{Point: point, ThisUpdate: noon.Add(time.Hour)}, npki.ErrStatus},
		"our clock is late":      {npkitest.List{Point: point, ThisUpdate: noon.Add(4 * time.Minute)}, ""},
		"out of date":            {npkitest.List{Point: point, NextUpdate: noon.Add(-time.Second)}, npki.ErrStatus},
		"a delta":                {npkitest.List{Point: point, Number: 7, Base: 6}, npki.ErrStatus},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			w.want(w.checker(revocation.Config{Fetcher: &shelf{&w, map[string][]byte{point: w.list(c.list)}}}), c.code)
		})
	}
}

// A list that is older than the one before it does not replace it.
func TestOlderList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	point := w.person.Certificate.CRLDistributionPoints[0]
	before := w.list(npkitest.List{Point: point, Number: 5, ThisUpdate: noon.Add(-2 * time.Hour), NextUpdate: noon.Add(90 * time.Hour)})
	s := &shelf{w, map[string][]byte{point: w.list(npkitest.List{Point: point, Number: 6, NextUpdate: noon.Add(time.Hour)})}}
	c := w.checker(revocation.Config{Fetcher: s, Grace: 24 * time.Hour})
	w.want(c, "")
	w.advance(2 * time.Hour)
	s.lists[point] = before
	if evidence := w.want(c, ""); evidence == nil || evidence.Overdue != time.Hour {
		t.Errorf("evidence %+v", evidence)
	}
	w.want(w.checker(revocation.Config{Fetcher: s}), "") // to whom knows none before it, it is good
}

func TestDelta(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serial := w.person.Certificate.SerialNumber
	point := w.person.Certificate.CRLDistributionPoints[0]
	fresh := "ldap://directory.invalid:389/ou=delta"
	clean := w.list(npkitest.List{Point: point, Number: 10, Freshest: fresh})
	if err := w.ca.Hold(serial); err != nil {
		t.Fatal(err)
	}
	held := w.list(npkitest.List{Point: point, Number: 10, Freshest: fresh})
	heldDelta := w.list(npkitest.List{Point: point, Number: 12, Base: 10})
	if err := w.ca.Release(serial); err != nil {
		t.Fatal(err)
	}
	empty := npkitest.List{Point: point, Number: 12, Base: 10}
	with := func(change func(l *npkitest.List)) []byte {
		l := empty
		change(&l)
		return w.list(l)
	}
	removed := with(func(l *npkitest.List) { l.Removed = []*big.Int{serial} })
	for name, c := range map[string]struct {
		base, delta []byte
		grace       time.Duration
		code        npki.Code
	}{
		"nothing new":             {clean, w.list(empty), 0, ""},
		"held since":              {clean, heldDelta, 0, npki.ErrHeld},
		"still held":              {held, w.list(empty), 0, npki.ErrHeld},
		"released since":          {held, removed, 0, ""},
		"to an older base":        {clean, with(func(l *npkitest.List) { l.Base = 8 }), 0, ""},
		"to a newer base":         {clean, with(func(l *npkitest.List) { l.Base = 11 }), 0, npki.ErrStatus},
		"older than the base":     {clean, with(func(l *npkitest.List) { l.Number, l.Base = 9, 8 }), 0, npki.ErrStatus},
		"out of date":             {clean, with(func(l *npkitest.List) { l.NextUpdate = noon.Add(-time.Minute) }), 0, npki.ErrStatus},
		"not a delta":             {clean, clean, 0, npki.ErrStatus},
		"of another point":        {clean, with(func(l *npkitest.List) { l.Point += "x" }), 0, npki.ErrStatus},
		"missing":                 {clean, nil, 0, npki.ErrStatus},
		"missing, with a grace":   {clean, nil, 2 * time.Hour, ""},
		"missing, short grace":    {clean, nil, time.Minute, npki.ErrStatus},
		"missing, held by then":   {held, nil, 2 * time.Hour, npki.ErrStatus},
		"whole list, no delta":    {w.list(npkitest.List{Whole: true}), nil, 0, ""},
		"delta on another server": {w.list(npkitest.List{Point: point, Freshest: "ldap://other.invalid/x"}), nil, 0, npki.ErrStatus},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			checker := w.checker(revocation.Config{Fetcher: &shelf{&w, map[string][]byte{point: c.base, fresh: c.delta}}, Grace: c.grace})
			evidence := w.want(checker, c.code)
			if c.code == "" && (evidence == nil || (c.delta != nil) != (evidence.Delta != nil) || (c.grace > 0) != (evidence.Overdue > 0)) {
				t.Errorf("evidence %+v", evidence)
			}
		})
	}
}

// The certificate itself may say where the delta CRL is.
func TestFreshestInCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fresh := "ldap://directory.invalid:389/ou=delta"
	c, err := w.ca.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "cn", Value: "x"}}}, PublicKey: w.person.Certificate.PublicKey.(publicKey), Policies: []string{policy},
		Extra: []extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: points(fresh)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	point := c.CRLDistributionPoints[0]
	base := w.list(npkitest.List{Point: point, Number: 10})
	if err := w.ca.Revoke(c.SerialNumber, 1); err != nil {
		t.Fatal(err)
	}
	s := &shelf{w, map[string][]byte{point: base, fresh: w.list(npkitest.List{Point: point, Number: 11, Base: 10})}}
	if _, err := w.checker(revocation.Config{Fetcher: s}).Check(t.Context(), w.verify(c)); !errors.Is(err, npki.ErrRevoked) {
		t.Errorf("error %v", err)
	}
}

// resign signs a changed copy of a list.
func (w *world) resign(raw []byte, change func(tbs *dertree.Node)) []byte {
	w.t.Helper()
	tree, err := dertree.Parse(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	change(tree.At(0))
	sum := sha256.Sum256(tree.At(0).Bytes())
	signature, err := rsa.SignPKCS1v15(rand.Reader, w.ca.Key, crypto.SHA256, sum[:])
	if err != nil {
		w.t.Fatal(err)
	}
	tree.At(2).Body = append([]byte{0}, signature...)
	return tree.Bytes()
}

func TestParseList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.ca.Revoke(w.person.Certificate.SerialNumber, 1); err != nil {
		t.Fatal(err)
	}
	point := w.person.Certificate.CRLDistributionPoints[0]
	raw := w.list(npkitest.List{Point: point, Number: 3})
	list, err := revocation.ParseList(raw, w.ca.Certificate)
	if err != nil || list.Number.Int64() != 3 || list.Base != nil || !list.ThisUpdate.Equal(noon.Add(-time.Hour)) || !list.NextUpdate.Equal(noon.Add(23*time.Hour)) {
		t.Fatalf("%+v, %v", list, err)
	}
	stranger, err := w.CA(npkitest.KICA, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := revocation.ParseList(raw, stranger.Certificate); !errors.Is(err, npki.ErrUntrusted) {
		t.Errorf("another issuer: %v", err)
	}
	if _, err := revocation.ParseList(w.list(npkitest.List{Point: point, Key: stranger.Key}), w.ca.Certificate); !errors.Is(err, npki.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := revocation.ParseList(append(raw, 0), w.ca.Certificate); !errors.Is(err, npki.ErrMalformed) {
		t.Errorf("trailing byte: %v", err)
	}
	// tbsCertList: version, signature, issuer, thisUpdate, nextUpdate, revoked, [0] extensions
	critical := &dertree.Node{Tag: 0x30, Children: []*dertree.Node{dertree.OID(1, 2, 3), {Tag: 1, Body: []byte{0xFF}}, {Tag: 4, Body: []byte{5, 0}}}}
	for name, c := range map[string]struct {
		change func(tbs *dertree.Node)
		code   npki.Code
	}{
		"no nextUpdate": {func(tbs *dertree.Node) { tbs.Replace([]int{4}) }, npki.ErrUnsupported},
		"nextUpdate before thisUpdate": {func(tbs *dertree.Node) {
			tbs.Children[3], tbs.Children[4] = tbs.Children[4], tbs.Children[3]
		}, npki.ErrUnsupported},
		"an extension twice": {func(tbs *dertree.Node) {
			e := tbs.At(6, 0)
			e.Children = append(e.Children, e.Children[0])
		}, npki.ErrMalformed},
		"a critical extension": {func(tbs *dertree.Node) { e := tbs.At(6, 0); e.Children = append(e.Children, critical) }, npki.ErrUnsupported},
		"a critical extension of an entry": {func(tbs *dertree.Node) {
			e := tbs.At(5, 0, 2)
			e.Children = append(e.Children, critical)
		}, npki.ErrUnsupported},
		"a delta without a number": {func(tbs *dertree.Node) {
			tbs.At(6, 0).Children = []*dertree.Node{{Tag: 0x30, Children: []*dertree.Node{dertree.OID(2, 5, 29, 27), {Tag: 4, Body: []byte{2, 1, 1}}}}}
		}, npki.ErrMalformed},
	} {
		if _, err := revocation.ParseList(w.resign(raw, c.change), w.ca.Certificate); !errors.Is(err, c.code) {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
	if _, err := revocation.ParseList(w.resign(raw, func(*dertree.Node) {}), w.ca.Certificate); err != nil {
		t.Errorf("without a change: %v", err)
	}
	// Listed twice, as on hold and as revoked, it is revoked.
	twice := w.resign(raw, func(tbs *dertree.Node) {
		entries := tbs.At(5)
		hold := entries.At(0).Clone()
		hold.At(2, 0, 1).Body = []byte{0x0A, 1, 6}
		entries.Children = []*dertree.Node{hold, entries.At(0), hold}
	})
	s := &shelf{w, map[string][]byte{point: twice}}
	w.want(w.checker(revocation.Config{Fetcher: s}), npki.ErrRevoked)
	s.lists[point] = make([]byte, npki.MaxFile+1)
	w.want(w.checker(revocation.Config{Fetcher: s}), npki.ErrStatus)
}

// No piece of a list can be changed without the issuer.
func TestListMutations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw := w.list(npkitest.List{Point: w.person.Certificate.CRLDistributionPoints[0]})
	tree, err := dertree.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	refused, kept := 0, 0
	tree.Walk(func(path []int, node *dertree.Node) {
		for _, change := range []func(root *dertree.Node){
			func(root *dertree.Node) { root.Replace(path) },
			func(root *dertree.Node) { root.Replace(path, node, node) },
			func(root *dertree.Node) { root.At(path...).Tag ^= 1 },
			func(root *dertree.Node) {
				if body := root.At(path...).Body; len(body) > 0 {
					body[len(body)-1] ^= 1
				}
			},
		} {
			root := tree.Clone()
			change(root)
			mutant := root.Bytes()
			if bytes.Equal(mutant, raw) {
				continue
			}
			if _, err := revocation.ParseList(mutant, w.ca.Certificate); err == nil {
				kept++
			} else if _, ok := errors.AsType[*npki.Error](err); !ok {
				t.Errorf("%v: untyped error %v", path, err)
			} else {
				refused++
			}
		}
	})
	if refused < 80 || kept > 1 {
		t.Errorf("%d refused, %d accepted", refused, kept)
	}
}
