package pages

import (
	"net/http"
	"time"

	"github.com/anyid/anyid/internal/authn"
)

// SignView asks for a signature that is made in the browser: with a key from the citizen's files (joint
// certificate) or at the cloud signer (financial certificate). Its script reads Request, and sends the
// fields signed, ucpid, certificate and vid, those that there are, by a form.
type SignView struct {
	Page
	Site      Site
	Request   authn.SignRequest
	Remaining time.Duration // until the challenge expires
	SignURL   string        // POST signed, ucpid, certificate, vid
	ChooseURL string        // GET, back to the choice of a method
	CancelURL string        // POST, back to the site with access_denied
}

// JointCert shows the signer for files. The page needs 'wasm-unsafe-eval', which no other page has.
func (v *Views) JointCert(w http.ResponseWriter, r *http.Request, status int, m SignView) {
	v.render(w, r, status, "joint-cert", m.Page, &m)
}

// FinancialCert shows the way to the cloud signer, whose script and frame the page lets in.
func (v *Views) FinancialCert(w http.ResponseWriter, r *http.Request, status int, m SignView) {
	v.render(w, r, status, "financial-cert", m.Page, &m)
}
