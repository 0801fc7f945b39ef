// Package dertree takes a DER value apart, so that a test can change one piece of it and put it together
// again.
package dertree

import (
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Node is a DER value.
type Node struct {
	Tag      byte
	Body     []byte  // of a primitive value
	Children []*Node // of a constructed one
}

// Parse takes a value apart.
func Parse(data []byte) (*Node, error) {
	s := cryptobyte.String(data)
	n, err := read(&s)
	if err == nil && !s.Empty() {
		err = fmt.Errorf("dertree: %d bytes too many", len(s))
	}
	return n, err
}

func read(s *cryptobyte.String) (*Node, error) {
	var body cryptobyte.String
	var tag der.Tag
	if !s.ReadAnyASN1(&body, &tag) {
		return nil, fmt.Errorf("dertree: not DER")
	}
	n := &Node{Tag: byte(tag)}
	if tag&0x20 == 0 {
		n.Body = append([]byte{}, body...)
		return n, nil
	}
	for !body.Empty() {
		child, err := read(&body)
		if err != nil {
			return nil, err
		}
		n.Children = append(n.Children, child)
	}
	return n, nil
}

// Bytes puts the value together.
func (n *Node) Bytes() []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.Tag(n.Tag), func(b *cryptobyte.Builder) {
		b.AddBytes(n.Body)
		for _, child := range n.Children {
			b.AddBytes(child.Bytes())
		}
	})
	return b.BytesOrPanic()
}

// Clone copies the value.
func (n *Node) Clone() *Node {
	c := &Node{Tag: n.Tag, Body: append([]byte(nil), n.Body...)}
	for _, child := range n.Children {
		c.Children = append(c.Children, child.Clone())
	}
	return c
}

// At is the node at a path of indices, which must exist.
func (n *Node) At(path ...int) *Node {
	for _, i := range path {
		n = n.Children[i]
	}
	return n
}

// Walk calls f with the path of every node below n, parents first.
func (n *Node) Walk(f func(path []int, node *Node)) { n.walk(nil, f) }

func (n *Node) walk(path []int, f func([]int, *Node)) {
	for i, child := range n.Children {
		here := slices.Concat(path, []int{i})
		f(here, child)
		child.walk(here, f)
	}
}

// Replace puts others in the place of the node at a path: none, one or several.
func (n *Node) Replace(path []int, others ...*Node) {
	parent, i := n.At(path[:len(path)-1]...), path[len(path)-1]
	parent.Children = append(append(parent.Children[:i:i], others...), parent.Children[i+1:]...)
}

// OID is an OBJECT IDENTIFIER.
func OID(numbers ...int) *Node {
	raw, err := asn1.Marshal(asn1.ObjectIdentifier(numbers))
	if err != nil {
		panic(err)
	}
	return &Node{Tag: raw[0], Body: raw[2:]}
}
