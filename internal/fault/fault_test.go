package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestError(t *testing.T) {
	t.Parallel()
	err := New(Unavailable, "store %q: %w", "kv", io.ErrUnexpectedEOF)
	if err.Error() != `store "kv": unexpected EOF` || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %q", err)
	}
	if errors.Unwrap(New(Invalid, "plain")) != nil {
		t.Error("an error without cause has one")
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	inner := New(NotFound, "nothing there")
	for _, row := range []struct {
		err  error
		code Code
	}{
		{nil, ""},
		{io.EOF, Internal},
		{inner, NotFound},
		{fmt.Errorf("while looking: %w", inner), NotFound},
		{New(Unavailable, "outside: %w", inner), Unavailable},
		{errors.Join(io.EOF, inner), NotFound},
	} {
		if got := CodeOf(row.err); got != row.code {
			t.Errorf("CodeOf(%v) = %q, want %q", row.err, got, row.code)
		}
		if Is(row.err, row.code) != (row.err != nil) || Is(row.err, Limited) {
			t.Errorf("Is(%v, …) contradicts CodeOf", row.err)
		}
	}
	if !errors.Is(fmt.Errorf("x: %w", inner), inner) || errors.Is(New(NotFound, "nothing there"), inner) {
		t.Error("sentinels are compared by identity")
	}
}
