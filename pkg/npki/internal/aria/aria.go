// Package aria is the block cipher ARIA of RFC 5794: blocks of 16 bytes, keys of 16, 24 or 32. Modes of
// operation come from crypto/cipher.
//
// The flow of instructions depends on neither key nor data, but the S-boxes are looked up in tables at
// indexes that do; whoever shares a cache with the process may learn from that. It is written for clarity:
// it opens private keys, which are small.
package aria

import (
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
	"strconv"
)

// BlockSize is the size of a block in bytes.
const BlockSize = 16

// KeySizeError is the length of a key that has not 16, 24 or 32 bytes.
type KeySizeError int

func (k KeySizeError) Error() string { return "aria: key of " + strconv.Itoa(int(k)) + " bytes" }

type block [BlockSize]byte

// Cipher is ARIA under one key; it implements cipher.Block.
type Cipher struct {
	rounds   int
	enc, dec [17]block // one key for each round and one after the last
}

var _ cipher.Block = (*Cipher)(nil)

// New expands a key of 16, 24 or 32 bytes (RFC 5794 section 2.2).
func New(key []byte) (*Cipher, error) {
	var first int // which constant comes first
	switch len(key) {
	case 16:
		first = 0
	case 24:
		first = 1
	case 32:
		first = 2
	default:
		return nil, KeySizeError(len(key))
	}
	var padded [2]block
	copy(padded[0][:], key)
	if len(key) > BlockSize {
		copy(padded[1][:], key[BlockSize:])
	}
	var w [4]block
	w[0] = padded[0]
	w[1] = xor(diffuse(substitute(xor(w[0], constants[first]), 0)), padded[1])
	w[2] = xor(diffuse(substitute(xor(w[1], constants[(first+1)%3]), 2)), w[0])
	w[3] = xor(diffuse(substitute(xor(w[2], constants[(first+2)%3]), 0)), w[1])

	c := &Cipher{rounds: 12 + 2*first}
	for i := range c.rounds + 1 {
		c.enc[i] = xor(w[i%4], rotate(w[(i+1)%4], turns[i/4]))
	}
	c.dec[0], c.dec[c.rounds] = c.enc[c.rounds], c.enc[0]
	for i := 1; i < c.rounds; i++ {
		c.dec[i] = diffuse(c.enc[c.rounds-i])
	}
	return c, nil
}

// BlockSize returns 16.
func (*Cipher) BlockSize() int { return BlockSize }

// Wipe overwrites the expanded key; the cipher is of no use afterwards.
func (c *Cipher) Wipe() { clear(c.enc[:]); clear(c.dec[:]) }

// Encrypt encrypts the first block of src into dst.
func (c *Cipher) Encrypt(dst, src []byte) { c.crypt(dst, src, &c.enc) }

// Decrypt decrypts the first block of src into dst.
func (c *Cipher) Decrypt(dst, src []byte) { c.crypt(dst, src, &c.dec) }

// crypt is RFC 5794 section 2.3; decryption is the same with other keys.
func (c *Cipher) crypt(dst, src []byte, keys *[17]block) {
	if len(src) < BlockSize {
		panic("aria: input not full block")
	}
	if len(dst) < BlockSize {
		panic("aria: output not full block")
	}
	p := block(src[:BlockSize])
	for i := range c.rounds - 1 {
		p = diffuse(substitute(xor(p, keys[i]), i%2*2))
	}
	p = xor(substitute(xor(p, keys[c.rounds-1]), 2), keys[c.rounds])
	copy(dst, p[:])
}

// turns are the rotations of the key schedule, to the right; four round keys share one.
var turns = [5]int{19, 31, 128 - 61, 128 - 31, 128 - 19}

// constants are C1, C2 and C3.
var constants = [3]block{
	{0x51, 0x7c, 0xc1, 0xb7, 0x27, 0x22, 0x0a, 0x94, 0xfe, 0x13, 0xab, 0xe8, 0xfa, 0x9a, 0x6e, 0xe0},
	{0x6d, 0xb1, 0x4a, 0xcc, 0x9e, 0x21, 0xc8, 0x20, 0xff, 0x28, 0xb1, 0xd5, 0xef, 0x5d, 0xe2, 0xb0},
	{0xdb, 0x92, 0x37, 0x1d, 0x21, 0x26, 0xe9, 0x70, 0x03, 0x24, 0x97, 0x75, 0x04, 0xe8, 0xc9, 0x0e},
}

func xor(a, b block) block {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

// rotate turns a block to the right by n bits, 0 < n < 128, n not 64.
func rotate(b block, n int) block {
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if n > 64 {
		high, low, n = low, high, n-64
	}
	binary.BigEndian.PutUint64(b[:8], high>>n|low<<(64-n))
	binary.BigEndian.PutUint64(b[8:], low>>n|high<<(64-n))
	return b
}

// substitute is the substitution layer SL1 when shift is 0, SL2 when it is 2 (RFC 5794 section 2.4.2).
func substitute(b block, shift int) block {
	for i := range b {
		b[i] = boxes[(i+shift)%4][b[i]]
	}
	return b
}

// diffuse is the diffusion layer A (RFC 5794 section 2.4.3); it is its own inverse.
func diffuse(x block) (y block) {
	for i, from := range diffusion {
		for _, j := range from {
			y[i] ^= x[j]
		}
	}
	return y
}

var diffusion = [BlockSize][7]byte{
	{3, 4, 6, 8, 9, 13, 14}, {2, 5, 7, 8, 9, 12, 15}, {1, 4, 6, 10, 11, 12, 15}, {0, 5, 7, 10, 11, 13, 14},
	{0, 2, 5, 8, 11, 14, 15}, {1, 3, 4, 9, 10, 14, 15}, {0, 2, 7, 9, 10, 12, 13}, {1, 3, 6, 8, 11, 12, 13},
	{0, 1, 4, 7, 10, 13, 15}, {0, 1, 5, 6, 11, 12, 14}, {2, 3, 5, 6, 8, 13, 15}, {2, 3, 4, 7, 9, 12, 14},
	{1, 2, 6, 7, 9, 11, 12}, {0, 3, 6, 7, 8, 10, 13}, {0, 3, 4, 5, 9, 11, 14}, {1, 2, 4, 5, 8, 10, 15},
}

// boxes are SB1, which is that of AES, SB2, and the inverses of both.
var boxes = expand()

func expand() (t [4][256]byte) {
	t[0] = sbox(254, 0x63, [8]byte{0b11111000, 0b01111100, 0b00111110, 0b00011111, 0b10001111, 0b11000111, 0b11100011, 0b11110001})
	t[1] = sbox(247, 0xE2, [8]byte{0b11001011, 0b10111010, 0b10000001, 0b00110100, 0b10111001, 0b11101011, 0b10111100, 0b01111010})
	for i := range 2 {
		for x, y := range t[i] {
			t[i+2][y] = byte(x)
		}
	}
	return t
}

// sbox is M·x^power ⊕ offset over GF(2^8). A row of M gives one bit of the result, the first row the highest;
// its highest bit multiplies the highest bit of the power.
func sbox(power int, offset byte, m [8]byte) (box [256]byte) {
	for x := range box {
		p := byte(1)
		for range power {
			p = multiply(p, byte(x))
		}
		var y byte
		for _, row := range m {
			y = y<<1 | byte(bits.OnesCount8(row&p)&1)
		}
		box[x] = y ^ offset
	}
	return box
}

// multiply multiplies over GF(2^8) modulo x^8+x^4+x^3+x+1.
func multiply(a, b byte) (product byte) {
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			product ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x1B
		}
	}
	return product
}
