package qnet

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/demo/frame"
	"github.com/anyid/anyid/internal/demo/rp"
)

// methodACR is the acr that asks the broker for one method, and that its ID token then has.
const methodACR = "urn:anyid:method:"

// purpose is one thing that a signed-in member confirms by a fresh proof at the broker. A proof for one is
// none for another.
type purpose struct {
	name   string // in the authorization request's state and in the session
	method string // the broker's name of the method that is asked for
	page   string // where the member comes from, and goes on
}

const (
	nextConfirm    = "confirm-"
	simpleAuth     = "simple"
	jointCert      = "joint_cert"
	financialCert  = "financial_cert"
	cancelPurpose  = "cancel-"
	registerPrefix = "certificate-"
)

// profilePurpose is confirmed before personal data is shown for editing.
var profilePurpose = purpose{name: "profile", method: simpleAuth, page: "/my/profile"}

// cancelling is confirmed before an application is cancelled: this one and no other.
func cancelling(number int) purpose {
	n := strconv.Itoa(number)
	return purpose{name: cancelPurpose + n, method: simpleAuth, page: "/my/applications/" + n + "/cancel"}
}

// registering is the use of a certificate, by which it is registered.
func registering(kind string) purpose {
	return purpose{name: registerPrefix + kind, method: kind, page: "/my/certificates"}
}

// purposeNamed returns the purpose of a name.
func purposeNamed(name string) (purpose, bool) {
	for _, p := range []purpose{profilePurpose, registering(jointCert), registering(financialCert)} {
		if p.name == name {
			return p, true
		}
	}
	if n, ok := strings.CutPrefix(name, cancelPurpose); ok {
		if number, err := strconv.Atoi(n); err == nil && number > 0 && strconv.Itoa(number) == n {
			return cancelling(number), true
		}
	}
	return purpose{}, false
}

// purposeOf returns the purpose of a login by its Next.
func purposeOf(next string) (purpose, bool) {
	name, ok := strings.CutPrefix(next, nextConfirm)
	if !ok {
		return purpose{}, false
	}
	return purposeNamed(name)
}

// methodNames are the methods that are asked for here, for the citizen.
var methodNames = map[string]string{simpleAuth: "간편인증", jointCert: "공동인증서", financialCert: "금융인증서"}

// confirmView is the data of the page that asks for a fresh proof.
type confirmView struct {
	Purpose string // its name
	Why     string
	News    string
}

// declined is the news after a proof that the citizen did not want to give.
const declined = "본인 확인을 취소했습니다. 바뀐 것은 없습니다."

// askProof shows the page that asks for the proof, unless the session has it.
func (s *Site) askProof(w http.ResponseWriter, r *http.Request, session rp.Session, p purpose, title, why string) (has bool) {
	if session.Proved(p.name, s.freshSince()) {
		return true
	}
	view := confirmView{Purpose: p.name, Why: why}
	if r.FormValue("news") == "declined" {
		view.News = declined
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusForbidden
	}
	s.render(w, r, status, "confirm", title, view)
	return false
}

// freshSince is how old a proof may be.
func (s *Site) freshSince() time.Time { return s.now().Add(-freshFor) }

// confirm sends a signed-in member to the broker for a fresh proof.
func (s *Site) confirm(w http.ResponseWriter, r *http.Request) {
	p, ok := purposeNamed(r.FormValue("for"))
	if !ok {
		s.problem(w, r, http.StatusNotFound, "페이지를 찾을 수 없습니다", "주소가 바뀌었거나 없는 페이지입니다. 주소를 확인해 주세요.")
		return
	}
	if _, _, ok := s.personal(w, r); !ok {
		return
	}
	err := s.rp.Start(w, r, rp.Request{Next: nextConfirm + p.name, Fresh: true, ACR: methodACR + p.method})
	if err != nil {
		s.anyIDFailed(w, r, err)
	}
}

// confirmed takes the broker's answer to confirm: it counts only if it is fresh, by the method that was asked
// for, and the member's own.
func (s *Site) confirmed(w http.ResponseWriter, r *http.Request, p purpose, id rp.Identity, err error) {
	_, m, ok := s.personal(w, r)
	if !ok {
		return
	}
	name := methodNames[p.method]
	refuse := func(title, advice string) {
		s.log.WarnContext(r.Context(), "proof refused", "purpose", p.name, "error", err)
		s.render(w, r, http.StatusForbidden, "problem", title, problemView{Advice: advice, Again: frame.Link{Text: "본인 확인 다시 하기", Href: "/anyid/confirm?for=" + p.name}})
	}
	answer, _ := errors.AsType[*rp.AnswerError](err)
	switch {
	case answer != nil && answer.Code == "access_denied":
		http.Redirect(w, r, p.page+"?news=declined", http.StatusSeeOther)
		return
	case errors.Is(err, rp.ErrOtherACR), answer != nil && answer.Code == "unmet_authentication_requirements":
		refuse(korean(name, "으로", "로")+" 확인하지 않았습니다", "다른 인증수단으로 확인하여 진행하지 않았습니다. "+korean(name, "을", "를")+" 골라 본인 확인을 다시 해 주세요.")
		return
	case errors.Is(err, rp.ErrNotFresh):
		refuse("본인 확인을 새로 해야 합니다", "전에 한 인증이 그대로 전달되어 진행하지 않았습니다. 본인 확인을 다시 해 주세요.")
		return
	case err != nil:
		s.anyIDFailed(w, r, err)
		return
	}
	proved, known, err := s.who(id)
	switch {
	case errors.Is(err, errOtherself), err == nil && (!known || proved.ID != m.ID):
		refuse("본인이 아닙니다", "로그인한 회원과 본인 확인을 한 사람이 달라 진행하지 않았습니다. 회원 본인의 인증수단으로 다시 확인해 주세요.")
		return
	case err != nil:
		s.internal(w, r, "recognise the member", err)
		return
	}
	if !s.sessions.Prove(w, r, id, p.name) {
		s.signedOut(w, r)
		return
	}
	if kind, ok := strings.CutPrefix(p.name, registerPrefix); ok {
		if err := s.registerCertificate(m.ID, kind); err != nil {
			s.internal(w, r, "register the certificate", err)
			return
		}
		http.Redirect(w, r, p.page+"?news=registered", http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, p.page, http.StatusSeeOther)
}

// korean appends the particle that fits the last syllable: after a consonant, or after a vowel. ㄹ counts as a
// vowel before 으로.
func korean(word, consonant, vowel string) string {
	runes := []rune(word)
	final := (runes[len(runes)-1] - '가') % 28
	if final == 0 || (final == 8 && consonant == "으로") {
		return word + vowel
	}
	return word + consonant
}
