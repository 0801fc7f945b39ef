package mobileid

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// keySizes are the lengths of AES keys by encryptType.
var keySizes = map[int]int{1: 16, 2: 32}

// keyTypeRSA is the only one of which the simulated institution has a key.
const keyTypeRSA = 2

// seal makes vp.data, the container that the package comment defines.
func seal(public *rsa.PublicKey, encryptType int, plain []byte) (string, error) {
	size := keySizes[encryptType]
	if size == 0 {
		return "", errors.New("sim/mobileid: encryptType is neither 1 nor 2")
	}
	key := make([]byte, size)
	rand.Read(key)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, key, nil)
	if err != nil {
		return "", fmt.Errorf("sim/mobileid: container: %w", err)
	}
	aead, err := newGCM(key)
	if err != nil {
		return "", err
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(len(wrapped)))
	out = append(out, wrapped...)
	return hex.EncodeToString(aead.Seal(out, nil, plain, nil)), nil
}

// newGCM is AES-GCM with a random nonce of 12 bytes in front.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sim/mobileid: container: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sim/mobileid: container: %w", err)
	}
	return aead, nil
}

// errContainer says that a container is not ours, and not why.
var errContainer = errors.New("sim/mobileid: the container does not open")

// unseal opens vp.data.
func unseal(private *rsa.PrivateKey, encryptType int, text string) ([]byte, error) {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) < 2 {
		return nil, errContainer
	}
	size, data := int(binary.BigEndian.Uint16(data)), data[2:]
	if len(data) < size {
		return nil, errContainer
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, private, data[:size], nil)
	if err != nil || len(key) != keySizes[encryptType] {
		return nil, errContainer
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, errContainer
	}
	plain, err := aead.Open(nil, nil, data[size:], nil)
	if err != nil {
		return nil, errContainer
	}
	return plain, nil
}
