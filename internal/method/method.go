// Package method names the ways to prove who one is: authentication methods, assurance levels, the
// acr and amr values that relying sites see, and the linking matrix. It is a leaf without clock, store
// or context, so that an auditor can read it and a test can print it.
package method

import "fmt"

// Method is a way of proving identity (인증수단).
type Method string

// The four methods that log in, in the order in which the citizen is offered them.
const (
	MobileID      Method = "mobile_id"      // 모바일 신분증
	Simple        Method = "simple"         // 간편인증
	JointCert     Method = "joint_cert"     // 공동인증서
	FinancialCert Method = "financial_cert" // 금융인증서
)

// The methods that verify an identity, for whoever manages a registration, and never log in.
const (
	Phone Method = "phone" // 휴대폰 인증
	IPIN  Method = "ipin"  // 아이핀
)

// Verifying lists the ways of identity verification (본인 확인), in the order of its page.
func Verifying() []Method { return []Method{MobileID, Simple, Phone, IPIN} }

// All lists the methods that log in, in the order of the method page.
func All() []Method { return []Method{MobileID, Simple, JointCert, FinancialCert} }

// Parse returns the method of that name.
func Parse(name string) (Method, error) {
	for _, m := range All() {
		if string(m) == name {
			return m, nil
		}
	}
	return "", fmt.Errorf("method: unknown method %q", name)
}

// Korean is the method's name as the citizen knows it.
func (m Method) Korean() string {
	switch m {
	case MobileID:
		return "모바일 신분증"
	case Simple:
		return "간편인증"
	case JointCert:
		return "공동인증서"
	case FinancialCert:
		return "금융인증서"
	case Phone:
		return "휴대폰 인증"
	case IPIN:
		return "아이핀(i-PIN)"
	}
	return string(m)
}

// English is the method's name on English pages.
func (m Method) English() string {
	switch m {
	case MobileID:
		return "Mobile ID"
	case Simple:
		return "Simple authentication"
	case JointCert:
		return "Joint certificate"
	case FinancialCert:
		return "Financial certificate"
	case Phone:
		return "Mobile phone"
	case IPIN:
		return "i-PIN"
	}
	return string(m)
}

// CertificateKind is what a joint certificate may be used for (용도제한용, 범용), by which sites accept it.
type CertificateKind string

// The kinds of joint certificates.
const (
	General    CertificateKind = "general"    // 범용
	Bank       CertificateKind = "bank"       // 은행·보험용
	Securities CertificateKind = "securities" // 증권(금융투자)용
	Card       CertificateKind = "card"       // 신용카드용
	Special    CertificateKind = "special"    // 특수목적용
)

// CertificateKinds lists the kinds.
func CertificateKinds() []CertificateKind {
	return []CertificateKind{General, Bank, Securities, Card, Special}
}
