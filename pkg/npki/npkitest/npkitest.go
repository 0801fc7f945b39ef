// Package npkitest is a Korean PKI for tests, demonstrations and simulators: roots, certification
// authorities with a registration desk, OCSP responders and partitioned CRLs, all in one process. Its
// certificates have the shape of the real ones, and its roots say "Test" in their names, so that
// npki.NewAnchors refuses them. It can also misbehave on request.
//
// The private keys that it uses by default lie in its source code: nothing that it signs proves anything.
package npkitest

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	_ "embed" // the keys
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/anyid/anyid/pkg/npki"
)

// Organizations of the authorities that issue certificates today.
const (
	Yessign    = "yessign"
	KICA       = "KICA"
	SignKorea  = "SignKorea"
	CrossCert  = "CrossCert"
	TradeSign  = "TradeSign"
	Government = "Government of Korea" // another PKI: its certificates are not for citizens
)

// A Generation is one of the two hierarchies that exist side by side.
type Generation int

// RSA2048 is the hierarchy of 2010, RSA3072 that of 2026.
const (
	RSA2048 Generation = iota
	RSA3072
)

func (g Generation) bits() int { return 2048 + 1024*int(g) }

// Options are what a PKI may be told. The zero value works without a network.
type Options struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// NewKey makes keys, of 2048 or 3072 bits; nil takes the public ones in this package, in turn, which
	// costs no time.
	NewKey func(bits int) (*rsa.PrivateKey, error)
	// Directory is where the CRLs are, as certificates state it: the beginning of a URL up to the
	// host and port, with the scheme ldap or http. Empty is ldap://directory.invalid:389.
	Directory string
	// Responder is the URL of the OCSP responder. Empty is http://ocsp.invalid:4612.
	Responder string
	// Serial is the number after which the serial numbers of holders' certificates begin; 0 is 4096. Who
	// makes a PKI again for people that remember certificates of the one before takes another.
	Serial int64
}

// PKI is both hierarchies and, apart from them, a governmental one. It is safe for concurrent use.
type PKI struct {
	options Options
	holders sequence

	mu          sync.Mutex
	roots       map[string]*Authority
	authorities map[authorityKey]*Authority
}

// firstSerial is the number after which serial numbers begin.
const firstSerial = 0x1000

type authorityKey struct {
	organization string
	generation   Generation
}

// New makes a PKI. Its authorities come into being when they are first asked for.
func New(options Options) *PKI {
	if options.Now == nil {
		options.Now = time.Now
	}
	options.Directory = cmp.Or(options.Directory, "ldap://directory.invalid:389")
	options.Responder = cmp.Or(options.Responder, "http://ocsp.invalid:4612")
	options.Serial = cmp.Or(options.Serial, firstSerial)
	return &PKI{options: options, roots: map[string]*Authority{}, authorities: map[authorityKey]*Authority{}}
}

// profile is what is particular to an authority.
type profile struct {
	class, country string
	key            int // its number among the authorities' keys
}

var profiles = map[authorityKey]profile{
	{Yessign, RSA2048}:    {"yessignCA-Test Class 4", "kr", 1},
	{KICA, RSA2048}:       {"signGATE FTCA06", "KR", 2},
	{SignKorea, RSA2048}:  {"SignKorea Test CA5", "KR", 3},
	{CrossCert, RSA2048}:  {"CrossCertTestCA5", "KR", 4},
	{TradeSign, RSA2048}:  {"TradeSignCA2020Test", "KR", 5},
	{Government, RSA2048}: {"CA131100001 Test", "KR", 7},
	{Yessign, RSA3072}:    {"yessignCA-Test Class 6", "kr", 1},
	{KICA, RSA3072}:       {"signGATE FTCA08", "KR", 2},
	{SignKorea, RSA3072}:  {"SignKorea Test CA7", "KR", 3},
	{CrossCert, RSA3072}:  {"CrossCertTestCA7", "KR", 4},
	{TradeSign, RSA3072}:  {"TradeSignCA2026Test", "KR", 5},
}

// organizations in the order in which they are listed.
var organizations = []string{Yessign, KICA, SignKorea, CrossCert, TradeSign}

// CA gives the authority of an organization, one of the constants; Government only exists as RSA2048.
func (p *PKI) CA(organization string, generation Generation) (*Authority, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ca(authorityKey{organization, generation})
}

func (p *PKI) ca(name authorityKey) (*Authority, error) {
	if a := p.authorities[name]; a != nil {
		return a, nil
	}
	what, ok := profiles[name]
	if !ok {
		return nil, fmt.Errorf("npkitest: no authority of %q", name.organization)
	}
	root, err := p.root(name)
	if err != nil {
		return nil, err
	}
	key, err := p.authorityKey(name.generation.bits(), what.key)
	if err != nil {
		return nil, err
	}
	now := p.options.Now()
	id := npki.Identity{RealName: "시험인증센터"}
	certificate, err := root.Sign(Template{
		Subject: npki.Name{
			{{Type: "c", Value: what.country}}, {{Type: "o", Value: name.organization}},
			{{Type: "ou", Value: "AccreditedCA"}}, {{Type: "cn", Value: what.class}},
		},
		PublicKey: &key.PublicKey, Identity: &id, CA: true,
		NotBefore: now.AddDate(-4, 0, 0), NotAfter: now.AddDate(6, 0, 0),
	})
	if err != nil {
		return nil, err
	}
	a := newAuthority(p, certificate.Certificate, key, root, name)
	p.authorities[name] = a
	return a, nil
}

// root gives the root above an authority.
func (p *PKI) root(name authorityKey) (*Authority, error) {
	cn, unit, organization := "Kisa Test RootCA 7", "Korea Certification Authority Central", "KISA"
	index := 0
	switch {
	case name.organization == Government:
		cn, unit, organization, index = "GPKI Test RootCA1", "GPKI", Government, 8
	case name.generation == RSA3072:
		cn = "Kisa Test RootCA 8"
	}
	if root := p.roots[cn]; root != nil {
		return root, nil
	}
	key, err := p.authorityKey(name.generation.bits(), index)
	if err != nil {
		return nil, err
	}
	now := p.options.Now()
	root := newAuthority(p, nil, key, nil, authorityKey{organization, name.generation})
	certificate, err := root.Sign(Template{
		Subject: npki.Name{
			{{Type: "c", Value: "KR"}}, {{Type: "o", Value: organization}},
			{{Type: "ou", Value: unit}}, {{Type: "cn", Value: cn}},
		},
		Serial: big.NewInt(1), PublicKey: &key.PublicKey, CA: true,
		NotBefore: now.AddDate(-5, 0, 0), NotAfter: now.AddDate(15, 0, 0),
	})
	if err != nil {
		return nil, err
	}
	root.Certificate = certificate.Certificate
	p.roots[cn] = root
	return root, nil
}

// Certificates gives the roots and the authorities of both hierarchies, as an operator would configure them;
// the governmental ones are not among them.
func (p *PKI) Certificates() (roots, authorities []*x509.Certificate, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, generation := range []Generation{RSA2048, RSA3072} {
		for i, organization := range organizations {
			a, err := p.ca(authorityKey{organization, generation})
			if err != nil {
				return nil, nil, err
			}
			if i == 0 {
				roots = append(roots, a.root.Certificate)
			}
			authorities = append(authorities, a.Certificate)
		}
	}
	return roots, authorities, nil
}

// Anchors gives the anchors that trust both hierarchies.
func (p *PKI) Anchors() (*npki.Anchors, error) {
	roots, authorities, err := p.Certificates()
	if err != nil {
		return nil, err
	}
	return npki.NewTestAnchors(roots, authorities)
}

// NewKey makes a key pair for a holder, or hands out one of the public ones, no two in a row being equal.
func (p *PKI) NewKey(bits int) (*rsa.PrivateKey, error) {
	if p.options.NewKey != nil {
		return p.options.NewKey(bits)
	}
	blocks := committed()[bits]
	if len(blocks) == 0 {
		return nil, fmt.Errorf("npkitest: no key of %d bits", bits)
	}
	blocks = blocks[reserved[bits]:]
	return x509.ParsePKCS1PrivateKey(blocks[p.holders.next()%len(blocks)])
}

// authorityKey gives the n-th of the keys that only authorities have.
func (p *PKI) authorityKey(bits, n int) (*rsa.PrivateKey, error) {
	if p.options.NewKey != nil {
		return p.options.NewKey(bits)
	}
	return x509.ParsePKCS1PrivateKey(committed()[bits][n])
}

// reserved is how many of the public keys of a size are for authorities alone; holders share the others.
var reserved = map[int]int{2048: 9, 3072: 7}

// responderKey is the number of the key that the responders have.
const responderKey = 6

// A sequence counts.
type sequence struct {
	mu sync.Mutex
	n  int
}

func (s *sequence) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.n - 1
}

//go:embed keys.pem
var keysPEM []byte

// committed reads the public keys: PKCS #1 by size.
var committed = sync.OnceValue(func() map[int][][]byte {
	keys := map[int][][]byte{}
	for block, rest := pem.Decode(keysPEM); block != nil; block, rest = pem.Decode(rest) {
		bits := 2048
		if block.Headers["Bits"] == "3072" {
			bits = 3072
		}
		keys[bits] = append(keys[bits], block.Bytes)
	}
	return keys
})
