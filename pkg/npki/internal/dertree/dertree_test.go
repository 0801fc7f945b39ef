package dertree

import (
	"bytes"
	"testing"
)

func TestTree(t *testing.T) {
	t.Parallel()
	raw := []byte{0x30, 9, 0x02, 1, 5, 0xA0, 4, 0x06, 2, 0x2A, 0x03}
	tree, err := Parse(raw)
	if err != nil || !bytes.Equal(tree.Bytes(), raw) {
		t.Fatalf("%+v, %v", tree, err)
	}
	if !bytes.Equal(tree.At(1, 0).Bytes(), OID(1, 2, 3).Bytes()) {
		t.Error("path")
	}
	var paths int
	tree.Walk(func([]int, *Node) { paths++ })
	if paths != 3 {
		t.Errorf("%d paths", paths)
	}
	changed := tree.Clone()
	changed.Replace([]int{1, 0}, &Node{Tag: 5}, &Node{Tag: 5})
	if !bytes.Equal(changed.At(1).Bytes(), []byte{0xA0, 4, 5, 0, 5, 0}) || !bytes.Equal(tree.Bytes(), raw) {
		t.Errorf("%x, %x", changed.Bytes(), tree.Bytes())
	}
	for _, bad := range [][]byte{nil, {0x30}, {0x30, 2, 5}, {5, 0, 0}, {0x30, 1, 5}} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%x: taken", bad)
		}
	}
}
