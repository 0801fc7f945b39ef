package ca

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// serveCertificates lists what was issued.
func (s *Simulator) serveCertificates(w http.ResponseWriter, _ *http.Request) {
	list, err := s.Certificates()
	if err != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	s.show(w, http.StatusOK, "certificates.html", list)
}

// certificatePage is one certificate with what can be done to it.
type certificatePage struct {
	Certificate
	Status, List string // where the OCSP responder and the revocation list are
	Renewable    bool
	Errors       map[string]string
}

// serveCertificate shows a certificate.
func (s *Simulator) serveCertificate(w http.ResponseWriter, r *http.Request) {
	s.showCertificate(w, r, http.StatusOK, map[string]string{})
}

func (s *Simulator) showCertificate(w http.ResponseWriter, r *http.Request, status int, faults map[string]string) {
	c, err := s.find(r.PathValue("id"))
	if err != nil {
		s.gone(w, "그런 인증서가 없습니다.")
		return
	}
	s.show(w, status, "certificate.html", certificatePage{
		Certificate: c, Errors: faults, Renewable: c.State == Good && c.renewable,
		Status: cmp.Or(append(c.record.Certificate.OCSPServer, "")...), List: cmp.Or(append(c.record.Certificate.CRLDistributionPoints, "")...),
	})
}

// serveChange holds, releases or revokes.
func (s *Simulator) serveChange(w http.ResponseWriter, r *http.Request) {
	switch err := s.Change(r.PathValue("id"), r.PathValue("change")); {
	case errors.Is(err, npkitest.ErrState):
		s.showCertificate(w, r, http.StatusConflict, map[string]string{"state": "지금 상태의 인증서에는 할 수 없는 일입니다."})
	case err != nil:
		s.gone(w, "그런 인증서가 없습니다.")
	default:
		http.Redirect(w, r, "/certificates/"+r.PathValue("id"), http.StatusSeeOther)
	}
}

// serveRenew issues the holder of a good certificate another.
func (s *Simulator) serveRenew(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	c, err := s.find(r.PathValue("id"))
	if err != nil {
		s.gone(w, "그런 인증서가 없습니다.")
		return
	}
	password := []byte(r.PostFormValue("password"))
	defer clear(password)
	faults := map[string]string{}
	if checkPassword(faults, string(password), r.PostFormValue("password-again")); len(faults) > 0 {
		s.showCertificate(w, r, http.StatusUnprocessableEntity, faults)
		return
	}
	handle, err := s.renew(c, password)
	switch {
	case errors.Is(err, npkitest.ErrState):
		s.showCertificate(w, r, http.StatusConflict, map[string]string{"state": "창구에서 발급한, 효력이 있는 인증서만 갱신할 수 있습니다."})
	case err != nil:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
	default:
		http.Redirect(w, r, "/issued/"+handle, http.StatusSeeOther)
	}
}

func (s *Simulator) renew(c Certificate, password []byte) (handle string, err error) {
	if !c.renewable {
		return "", npkitest.ErrState
	}
	holder, err := enroll(s.pki, c.authority, func(e npkitest.Enrolment) (*npki.Certificate, error) {
		return c.authority.Renew(c.record.Certificate.SerialNumber, e)
	})
	if err != nil {
		return "", err
	}
	return s.pack(password, []*npkitest.Holder{holder})
}
