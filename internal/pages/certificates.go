package pages

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/web"
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

// jointCertWords are the codes for which the script of the joint certificate's page finds words there: states of its
// own, and what the signer answers (package signer).
var jointCertWords = []string{
	"ready", "load-failed", "reading", "none", "found", "unusable", "signing", "sent", "until", "file", "locked",
	"too-large", "too-many", "unreadable", "choose", "no-password",
	"expired", "not-yet-valid", "not-accepted", "corporate", "no-key", "broken",
	"password", "unsupported", "mismatch", "several", "no-certificate", "failed",
}

// financialCertWords are those of the financial certificate's page.
var financialCertWords = []string{"opening", "signing", "second", "sent", "cancelled", "busy", "unsupported", "unreachable", "failed", "late"}

// JointCert shows the signer for files, which is WebAssembly: no other page may compile any.
func (v *Views) JointCert(w http.ResponseWriter, r *http.Request, status int, m SignView) {
	web.AllowWebAssembly(w)
	render(v, w, r, status, jointCertPage, &m)
}

// FinancialCert shows the way to the cloud signer, whose script and frame this page lets in and no other.
func (v *Views) FinancialCert(w http.ResponseWriter, r *http.Request, status int, m SignView) {
	cloud := m.Request.Cloud
	if err := web.AllowSigner(w, append([]string{cloud.Script}, cloud.Origins...)...); err != nil {
		v.log.LogAttrs(r.Context(), slog.LevelError, "page not rendered", slog.String("page", "financial-cert"), slog.String("error", err.Error()))
		v.Error(w, r, http.StatusInternalServerError, ErrorView{Code: ErrInternal})
		return
	}
	render(v, w, r, status, financialCertPage, &m)
}
