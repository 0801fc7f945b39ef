package web

import (
	"fmt"
	"testing"
)

func TestMemoIsBounded(t *testing.T) {
	t.Parallel()
	m := memo{limit: 3}
	for i := range 100 {
		m.put(fmt.Sprint(i), fmt.Sprint(-i))
		if v, ok := m.get(fmt.Sprint(i)); !ok || v != fmt.Sprint(-i) || len(m.held) > 3 {
			t.Fatalf("%d: %s, %t, %d held", i, v, ok, len(m.held))
		}
	}
	if _, ok := m.get("0"); ok {
		t.Error("nothing is forgotten")
	}
}
