package revocation

// ReadPoints and ReadScope are for fuzzing: whole certificates and lists are signed, so that a fuzzer would
// never get past the signature.
func ReadPoints(value []byte) error {
	_, err := readPoints(value)
	return err
}

// ReadScope is like ReadPoints.
func ReadScope(value []byte) error {
	_, err := readScope(value)
	return err
}
