package npki

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/hex"
	"io"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxVIDMsg is the length of the longest VidMsg: the RSA block, four blocks of SEED, in hex.
const maxVIDMsg = 2 * (maxModulus/8 + 64)

// VIDMsg is how R travels from a signer to the server (AnySign, XecureWeb).
type VIDMsg struct {
	IDN []byte // the number that the page supplied (option 8), or empty (option 16): the server has its own
	R   []byte // RSize bytes
}

// Wipe overwrites the number and R.
func (m *VIDMsg) Wipe() { clear(m.IDN); clear(m.R) }

// Seal encrypts the message for the owner of key: hex of RSAES-PKCS1-v1_5(K) ‖ SEED-CBC(K, 0, HashContent).
// Our own signer leaves IDN empty. random is where K comes from; nil stands for crypto/rand, which the RSA
// padding always uses.
func (m VIDMsg) Seal(random io.Reader, key *rsa.PublicKey) (string, error) {
	if len(m.IDN) != 0 && len(m.IDN) != 10 && len(m.IDN) != 13 || !digits(m.IDN) {
		return "", fail(ErrInput, "VidMsg: number")
	}
	if random == nil {
		random = rand.Reader
	}
	content, err := hashContent(m.IDN, m.R)
	if err != nil {
		return "", err
	}
	defer clear(content)
	k := make([]byte, ciphers[SEED].key)
	defer clear(k)
	if _, err := io.ReadFull(random, k); err != nil {
		return "", because(ErrInput, "VidMsg: randomness", err)
	}
	block, err := rsa.EncryptPKCS1v15(rand.Reader, key, k) //nolint:staticcheck // the format is what it is
	if err != nil {
		return "", because(ErrInput, "VidMsg: public key", err)
	}
	data, err := encryptCBC(SEED, k, make([]byte, ciphers[SEED].size), content)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(append(block, data...)), nil
}

// OpenVIDMsg opens a VidMsg with the server's key for such messages, which is for nothing else. Whatever is
// wrong with it, the error is the same, ErrDecrypt: a wrong RSA padding is answered with a random key, so that
// nobody learns about paddings from the answer or its time.
func OpenVIDMsg(key *rsa.PrivateKey, message string) (VIDMsg, error) {
	failed := fail(ErrDecrypt, "VidMsg")
	if len(message) > maxVIDMsg || len(message)%2 != 0 {
		return VIDMsg{}, failed
	}
	data, err := hex.DecodeString(message)
	n := key.Size()
	if err != nil || len(data) <= n || (len(data)-n)%ciphers[SEED].size != 0 {
		return VIDMsg{}, failed
	}
	k, err := unwrapPKCS1(key, data[:n], ciphers[SEED].key)
	if err != nil {
		return VIDMsg{}, failed
	}
	defer clear(k)
	padded, length, err := decryptCBC(SEED, k, make([]byte, ciphers[SEED].size), data[n:])
	if err != nil {
		return VIDMsg{}, failed
	}
	defer clear(padded)
	m, ok := readHashContent(padded[:max(length, 0)])
	if !ok || length < 0 {
		return VIDMsg{}, failed
	}
	return m, nil
}

// unwrapPKCS1 opens a key of size bytes, or gives a random one when the padding is not right.
func unwrapPKCS1(key *rsa.PrivateKey, block []byte, size int) ([]byte, error) {
	k := make([]byte, size)
	if _, err := rand.Read(k); err != nil {
		return nil, err
	}
	// Deprecated because few formats need it; this one does, and this call is the safe way.
	return k, rsa.DecryptPKCS1v15SessionKey(nil, key, block, k) //nolint:staticcheck // see above
}

func readHashContent(data []byte) (VIDMsg, bool) {
	if checkDER("HashContent", data, 64) != nil {
		return VIDMsg{}, false
	}
	s := cryptobyte.String(data)
	var idn cryptobyte.String
	var r []byte
	if !s.ReadASN1(&s, der.SEQUENCE) || !s.ReadASN1(&idn, der.PrintableString) || !s.ReadASN1BitStringAsBytes(&r) ||
		!s.Empty() || len(r) != RSize || !digits(idn) || len(idn) != 0 && len(idn) != 10 && len(idn) != 13 {
		return VIDMsg{}, false
	}
	return VIDMsg{IDN: bytes.Clone(idn), R: bytes.Clone(r)}, true
}

// VerifyVID checks a VID against the R of the message and a number; when the message brings a number as well,
// it must be the same one. Errors as in [VID.Verify].
func (m VIDMsg) VerifyVID(v VID, idn []byte) error {
	if len(m.IDN) != 0 && subtle.ConstantTimeCompare(m.IDN, idn) != 1 {
		return fail(ErrMismatch, "VidMsg: number")
	}
	return v.Verify(idn, m.R)
}
