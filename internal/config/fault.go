package config

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Key     string // the key, or the variable or the flag that is none
	Problem string // continues a sentence that the key begins; never holds a secret
	Valid   string // what would be valid
}

// Error returns one line.
func (f Fault) Error() string { return fmt.Sprintf("%s %s; valid: %s", f.Key, f.Problem, f.Valid) }

// Faults are all faults of a configuration, at most one for each key. Load and Validate return them
// as their error.
type Faults []Fault

// Error returns a first line with the number of faults, and one line for each.
func (fs Faults) Error() string {
	var b strings.Builder
	if len(fs) == 1 {
		b.WriteString("config: one fault:")
	} else {
		fmt.Fprintf(&b, "config: %d faults:", len(fs))
	}
	for _, f := range fs {
		b.WriteString("\n  " + f.Error())
	}
	return b.String()
}

// Unwrap returns the faults one by one, for errors.As.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

// add keeps the first fault of a key: what follows from it is noise.
func (fs *Faults) add(key, problem, valid string) {
	for _, f := range *fs {
		if f.Key == key {
			return
		}
	}
	*fs = append(*fs, Fault{Key: key, Problem: problem, Valid: valid})
}

// err returns the faults as an error, nil when there are none.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}
