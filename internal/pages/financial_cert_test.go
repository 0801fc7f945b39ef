package pages

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
)

// cloudScript is the only script of another host that a page may load: on the page of the financial
// certificate.
const cloudScript = "https://signer.example/v1/fincert.js"

// cloudSign asks for a signature at the cloud signer in that format.
func cloudSign(format string) SignView {
	m := SignView{
		Site: qnet, Remaining: 4*time.Minute + 52*time.Second,
		SignURL: "/login/a1/financial-cert", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel",
		Request: authn.SignRequest{
			Agreement: "정부 통합인증(Any-ID)이 본인을 확인할 수 있도록, 금융인증서를 발급한 금융결제원이 나의 이름, 성별, 내·외국인 여부, 생년월일, 연계정보(CI)를 login.example.kr에 제공하는 것에 동의합니다.",
			Policies:  []string{"1.2.410.200005.1.1.1.10"},
			Cloud: &authn.Cloud{
				Script: cloudScript, Origins: []string{"https://parts.signer.example"}, OrgCode: "D000000001", APIKey: "7e57",
				Format: format, Site: "login.example.kr", Nonce: strings.Repeat("5a", 16),
			},
		},
	}
	if format == "PKCS1" {
		m.Request.Content = `anyid-login;v=1;nonce="<5a>"`
	}
	return m
}

func TestOnlyThePageOfTheFinancialCertificateLetsTheSignerIn(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	for _, s := range samples() {
		w := show(v, s, "")
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(s.name, "financial-cert") {
			if strings.Contains(policy, "signer.example") || strings.Contains(w.Body.String(), cloudScript) {
				t.Errorf("%s: %s", s.name, policy)
			}
			continue
		}
		for _, part := range []string{
			"script-src 'self' https://signer.example https://parts.signer.example;", "connect-src 'self' https://signer.example https://parts.signer.example;",
			"frame-src https://signer.example https://parts.signer.example", "form-action 'self';", "default-src 'none'",
		} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: no %q in %q", s.name, part, policy)
			}
		}
	}
}

func TestTheSignerIsToldWhatWasAsked(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	for _, format := range []string{"CMS", "PKCS1"} {
		m := cloudSign(format)
		w := httptest.NewRecorder()
		v.FinancialCert(w, httptest.NewRequest("GET", "/login/a1/financial-cert", nil), 200, m)
		p := parse(t, w.Body.String())
		data, _ := attr(p.byID["fincert-form"], "data-request")
		var got authn.SignRequest
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Fatal(err)
		}
		if got.Content != m.Request.Content || got.Agreement != m.Request.Agreement || got.Cloud == nil || got.Cloud.Nonce != m.Request.Cloud.Nonce {
			t.Errorf("%s: %s", format, data)
		}
		if twice := strings.Contains(w.Body.String(), "서명은 두 번 합니다."); twice != (format == "PKCS1") {
			t.Errorf("%s: tells of two signatures: %t", format, twice)
		}
	}
}

func TestASignerThatCSPCannotNameIsNotLetIn(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	for _, script := range []string{"", "//signer.example/x.js", "javascript:alert(1)", "https://a;b/x.js", "https://[::1]/x.js", "https://*/x.js"} {
		m := cloudSign("CMS")
		m.Request.Cloud.Script = script
		w := httptest.NewRecorder()
		v.FinancialCert(w, httptest.NewRequest("GET", "/login/a1/financial-cert", nil), 200, m)
		if w.Code != 500 || strings.Contains(w.Body.String(), "fincert-start") {
			t.Errorf("%q: %d", script, w.Code)
		}
	}
}
