package ca

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// maxRequest bounds an OCSP request, which has about 120 bytes, or 2 KB when it is signed.
const maxRequest = 16 << 10

// serveOCSP answers what a certificate's status is.
func (s *Simulator) serveOCSP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/ocsp-request" {
		http.Error(w, "application/ocsp-request is wanted", http.StatusUnsupportedMediaType)
		return
	}
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "too long", http.StatusRequestEntityTooLarge)
		return
	}
	keys := []string{opOCSP}
	asked, serial := s.pki.Asked(request)
	answer := func() ([]byte, error) { return s.pki.QueryOCSP(r.Context(), "", request) }
	if asked != nil {
		keys = append(keys, asked.Organization)
		for _, record := range asked.Records() {
			if record.Certificate.SerialNumber.Cmp(serial) == 0 {
				keys = append(keys, ID(record.Certificate))
			}
		}
	}
	if s.disturbHTTP(w, r, keys) {
		return
	}
	var out []byte
	if asked == nil {
		out, err = answer()
	} else {
		out, err = s.misbehaving(asked, "ocsp-", keys, answer)
	}
	if !delivered(w, err) {
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(out)
	if asked == nil {
		return
	}
	if _, struck := s.faults.Strike(FaultRevokedNext, keys...); struck {
		_ = asked.Revoke(serial, keyCompromise) // a certificate that is revoked already stays so
	}
}

// serveList answers with a revocation list. The address is that of the directory's entry, whatever the scheme
// that the certificates name: /ou=…,o=…,c=kr?certificateRevocationList.
func (s *Simulator) serveList(w http.ResponseWriter, r *http.Request) {
	entry := strings.TrimPrefix(r.URL.Path, "/") + "?" + r.URL.RawQuery
	point, owner := s.pki.Entry(entry)
	if owner == nil {
		http.NotFound(w, r)
		return
	}
	keys := []string{opCRL, owner.Organization}
	if s.disturbHTTP(w, r, keys) {
		return
	}
	list, err := s.misbehaving(owner, "crl-", keys, func() ([]byte, error) { return s.pki.FetchCRL(r.Context(), point) })
	if !delivered(w, err) {
		return
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	_, _ = w.Write(list)
}

// delivered answers an error of the PKI: one that stands for silence by silence.
func delivered(w http.ResponseWriter, err error) bool {
	switch {
	case errors.Is(err, npkitest.ErrDown):
		panic(http.ErrAbortHandler)
	case err != nil:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return false
	}
	return true
}
