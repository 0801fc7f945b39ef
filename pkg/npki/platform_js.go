package npki

import (
	"crypto"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
)

// A browser loads what is compiled, so there certificates are read as far as a signer needs them, and keys are
// RSA, as all of NPKI's are.

func readCertificate(data []byte) (*x509.Certificate, error) { return readLight(data) }

func readOtherKey(what string, a algorithm, _ cryptobyte.String) (crypto.Signer, error) {
	return nil, fail(ErrUnsupported, what+": key algorithm "+a.OID.String())
}
