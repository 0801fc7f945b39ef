package mdoc

// ReadValue is for the fuzz test, which would otherwise have to sign each value.
func ReadValue(raw []byte) (any, error) { return readValue(raw, "value") }
