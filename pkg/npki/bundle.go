package npki

import (
	"bytes"
	"encoding/pem"
)

// maxPairs is how many keys and how many certificates one file may hold.
const maxPairs = 16

// Pair is a certificate with its private key.
type Pair struct {
	Certificate *Certificate
	Key         *PrivateKey
}

// ParsePair opens the two files of an NPKI folder, signCert.der and signPri.key or kmCert.der and kmPri.key.
// ErrMismatch says that the key is of another certificate. Files are matched by what is in them: names of
// folders differ between systems in case, in code page and in Unicode normal form.
func ParsePair(certificate, key, password []byte) (Pair, error) {
	c, err := ParseCertificate(certificate)
	if err != nil {
		return Pair{}, err
	}
	k, err := ParsePrivateKey(key, password)
	if err != nil {
		return Pair{}, err
	}
	if err := k.Matches(c.Certificate); err != nil {
		k.Wipe()
		return Pair{}, err
	}
	return Pair{c, k}, nil
}

// Bundle is what one file of several keys and certificates holds: a PFX, or PEM.
type Bundle struct {
	Pairs  []Pair         // in the order of the keys
	Others []*Certificate // certificates without a key: of CAs
	Keys   []*PrivateKey  // keys without a certificate
}

// NewBundle puts together what belongs together: each key with the first certificate of its public key.
func NewBundle(certificates []*Certificate, keys []*PrivateKey) *Bundle {
	b := new(Bundle)
	used := make([]bool, len(certificates))
next:
	for _, k := range keys {
		for i, c := range certificates {
			if !used[i] && k.Matches(c.Certificate) == nil {
				used[i] = true
				b.Pairs = append(b.Pairs, Pair{c, k})
				continue next
			}
		}
		b.Keys = append(b.Keys, k)
	}
	for i, c := range certificates {
		if !used[i] {
			b.Others = append(b.Others, c)
		}
	}
	return b
}

// Signing finds the pair that signs, by key usage; a file may hold a second pair for decryption. ErrMissing
// says that there is none.
func (b *Bundle) Signing() (Pair, error) {
	for _, p := range b.Pairs {
		if p.Certificate.Signs() {
			return p, nil
		}
	}
	return Pair{}, fail(ErrMissing, "pair for signing")
}

// Wipe wipes every key: [PrivateKey.Wipe].
func (b *Bundle) Wipe() {
	for _, p := range b.Pairs {
		p.Key.Wipe()
	}
	wipe(b.Keys)
}

func wipe(keys []*PrivateKey) {
	for _, k := range keys {
		k.Wipe()
	}
}

// The labels of PEM blocks (RFC 7468).
const (
	pemCertificate  = "CERTIFICATE"
	pemEncryptedKey = "ENCRYPTED PRIVATE KEY"
	pemKey          = "PRIVATE KEY"
)

// ParsePEM reads certificates and PKCS#8 keys, encrypted or not, from PEM (RFC 7468). Text between blocks is
// skipped, as OpenSSL writes some; a block of another kind is ErrUnsupported. All encrypted keys must have
// the one password.
func ParsePEM(text, password []byte) (_ *Bundle, err error) {
	if len(text) > MaxFile {
		return nil, fail(ErrTooLarge, "PEM")
	}
	var certificates []*Certificate
	var keys []*PrivateKey
	defer func() {
		if err != nil {
			wipe(keys)
		}
	}()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		text = rest
		if len(certificates) == maxPairs || len(keys) == maxPairs {
			return nil, fail(ErrTooLarge, "PEM: blocks")
		}
		switch block.Type {
		case pemCertificate:
			c, err := ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			certificates = append(certificates, c)
		case pemEncryptedKey:
			k, err := ParsePrivateKey(block.Bytes, password)
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		case pemKey:
			k, err := ParsePKCS8(block.Bytes)
			clear(block.Bytes)
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		default:
			return nil, fail(ErrUnsupported, "PEM: block of another kind")
		}
	}
	if bytes.Contains(text, []byte("-----BEGIN ")) {
		return nil, fail(ErrMalformed, "PEM")
	}
	if len(certificates)+len(keys) == 0 {
		return nil, fail(ErrMissing, "PEM: block")
	}
	return NewBundle(certificates, keys), nil
}

// MarshalPEM writes every pair, key after certificate, then the other certificates. The zero Encryption is
// AES-256 in PBES2, which OpenSSL reads; R stays inside.
func (b *Bundle) MarshalPEM(e Encryption, password []byte) ([]byte, error) {
	if e.Scheme == DefaultScheme {
		e.Scheme = SchemePBES2
	}
	var out []byte
	add := func(kind string, data []byte) {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})...)
	}
	key := func(k *PrivateKey) error {
		data, err := k.Marshal(e, password)
		if err == nil {
			add(pemEncryptedKey, data)
		}
		return err
	}
	for _, p := range b.Pairs {
		add(pemCertificate, p.Certificate.Raw)
		if err := key(p.Key); err != nil {
			return nil, err
		}
	}
	for _, k := range b.Keys {
		if err := key(k); err != nil {
			return nil, err
		}
	}
	for _, c := range b.Others {
		add(pemCertificate, c.Raw)
	}
	return out, nil
}
