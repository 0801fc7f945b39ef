// Package seed is the block cipher SEED of RFC 4269: blocks of 16 bytes, keys of 16 bytes, 16 rounds. Modes
// of operation come from crypto/cipher.
//
// The flow of instructions depends on neither key nor data, but the S-boxes are looked up in tables at
// indexes that do; whoever shares a cache with the process may learn from that. It is meant for a person's
// own machine, and for the one-time keys of messages.
package seed

import (
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
	"strconv"
)

// BlockSize is the size of a block, KeySize that of a key, in bytes.
const (
	BlockSize = 16
	KeySize   = 16
)

const rounds = 16

// KeySizeError is the length of a key that has not KeySize bytes.
type KeySizeError int

func (k KeySizeError) Error() string { return "seed: key of " + strconv.Itoa(int(k)) + " bytes" }

// Cipher is SEED under one key; it implements cipher.Block.
type Cipher struct {
	keys [rounds][2]uint32
}

var _ cipher.Block = (*Cipher)(nil)

// New expands a key of KeySize bytes (RFC 4269 section 2.3).
func New(key []byte) (*Cipher, error) {
	if len(key) != KeySize {
		return nil, KeySizeError(len(key))
	}
	ab, cd := binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])
	c := new(Cipher)
	constant := uint32(0x9E3779B9)
	for i := range rounds {
		c.keys[i][0] = g(uint32(ab>>32) + uint32(cd>>32) - constant)
		c.keys[i][1] = g(uint32(ab) - uint32(cd) + constant)
		if i%2 == 0 { // the public round number, not the key
			ab = bits.RotateLeft64(ab, -8)
		} else {
			cd = bits.RotateLeft64(cd, 8)
		}
		constant = bits.RotateLeft32(constant, 1)
	}
	return c, nil
}

// BlockSize returns 16.
func (*Cipher) BlockSize() int { return BlockSize }

// Wipe overwrites the expanded key; the cipher is of no use afterwards.
func (c *Cipher) Wipe() { clear(c.keys[:]) }

// Encrypt encrypts the first block of src into dst.
func (c *Cipher) Encrypt(dst, src []byte) {
	l0, l1, r0, r1 := load(dst, src)
	for i := range rounds {
		f0, f1 := f(r0, r1, c.keys[i])
		l0, l1, r0, r1 = r0, r1, l0^f0, l1^f1
	}
	store(dst, r0, r1, l0, l1)
}

// Decrypt decrypts the first block of src into dst.
func (c *Cipher) Decrypt(dst, src []byte) {
	l0, l1, r0, r1 := load(dst, src)
	for i := rounds - 1; i >= 0; i-- {
		f0, f1 := f(r0, r1, c.keys[i])
		l0, l1, r0, r1 = r0, r1, l0^f0, l1^f1
	}
	store(dst, r0, r1, l0, l1)
}

func load(dst, src []byte) (a, b, c, d uint32) {
	if len(src) < BlockSize {
		panic("seed: input not full block")
	}
	if len(dst) < BlockSize {
		panic("seed: output not full block")
	}
	return binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:]),
		binary.BigEndian.Uint32(src[8:]), binary.BigEndian.Uint32(src[12:])
}

func store(dst []byte, a, b, c, d uint32) {
	binary.BigEndian.PutUint32(dst, a)
	binary.BigEndian.PutUint32(dst[4:], b)
	binary.BigEndian.PutUint32(dst[8:], c)
	binary.BigEndian.PutUint32(dst[12:], d)
}

// f is the round function (RFC 4269 section 2.1).
func f(c, d uint32, key [2]uint32) (uint32, uint32) {
	c ^= key[0]
	d ^= key[1]
	d = g(d ^ c)
	c = g(c + d)
	d = g(d + c)
	return c + d, d
}

// g is the function G (RFC 4269 section 2.2), each S-box and the four masks in one table.
func g(x uint32) uint32 {
	return tables[0][byte(x)] ^ tables[1][byte(x>>8)] ^ tables[2][byte(x>>16)] ^ tables[3][byte(x>>24)]
}

// tables[j][v] is what byte j of G's argument, with value v, adds to its result.
var tables = expand()

func expand() (t [4][256]uint32) {
	boxes := [2][256]byte{
		sbox(247, 0xA9, [8]byte{0b10001010, 0b11111110, 0b10000101, 0b01000010, 0b01000101, 0b00100001, 0b10001000, 0b00010100}),
		sbox(251, 0x38, [8]byte{0b01000101, 0b10000101, 0b11111110, 0b00100001, 0b10001010, 0b10001000, 0b01000010, 0b00010100}),
	}
	masks := [4]byte{0xFC, 0xF3, 0xCF, 0x3F}
	for j := range t {
		for v := range t[j] {
			y := boxes[j%2][v]
			for i := range 4 {
				t[j][v] |= uint32(y&masks[(i+j)%4]) << (8 * i)
			}
		}
	}
	return t
}

// sbox is M·x^power ⊕ offset over GF(2^8) (RFC 4269 section 2.2 and appendix A). A row of M gives one bit of
// the result, the first row the highest; its highest bit multiplies the highest bit of the power.
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

// multiply multiplies over GF(2^8) modulo x^8+x^6+x^5+x+1.
func multiply(a, b byte) (product byte) {
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			product ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x63
		}
	}
	return product
}
