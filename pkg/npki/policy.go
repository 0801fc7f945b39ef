package npki

import (
	"crypto/x509"
	"strings"
)

// CA is a certification authority that issues or issued NPKI certificates.
type CA struct {
	ID           string // "yessign"; the folder of its certificates on a disk
	Organization string // the O of its certificates and of their holders'
	Name         string // 금융결제원
	English      string // Korea Financial Telecommunications and Clearings Institute
	Site         string
	Defunct      bool // its CA certificates have expired; nothing of it is accepted
}

// Holder is the kind of subject that a policy is issued to.
type Holder string

// The kinds of holders.
const (
	Person       Holder = "개인"
	Corporation  Holder = "법인"
	Business     Holder = "사업자"
	Organization Holder = "기관"
	AnyHolder    Holder = "" // the policy does not say
)

// English gives the kind in English.
func (h Holder) English() string {
	switch h {
	case Person:
		return "person"
	case Corporation:
		return "corporation"
	case Business:
		return "business"
	case Organization:
		return "organization"
	}
	return "holder not stated"
}

// Kind is the purpose that a policy is limited to, in coarse classes: 용도.
type Kind string

// The classes of purposes.
const (
	General    Kind = "범용"    // for every purpose
	Bank       Kind = "은행"    // banking, insurance, cards and petitions
	Securities Kind = "증권"    // financial investment
	Card       Kind = "신용카드"  // card payments only
	Special    Kind = "특수"    // one named purpose
	Financial  Kind = "금융인증서" // the key lies in the cloud of KFTC
	Server     Kind = "서버"    // of a machine
	Encipher   Kind = "암호용"   // not for signatures
)

// English gives the class in English.
func (k Kind) English() string {
	switch k {
	case General:
		return "general use"
	case Bank:
		return "banking"
	case Securities:
		return "securities"
	case Card:
		return "credit card"
	case Special:
		return "special purpose"
	case Financial:
		return "financial certificate"
	case Server:
		return "server"
	case Encipher:
		return "encryption"
	}
	return string(k)
}

// Policy is what is known of a certificate policy.
type Policy struct {
	OID    string
	CA     *CA
	Holder Holder
	Kind   Kind
	Scope  string // the purpose in the CA's words: 은행/보험
	Module bool   // the variant for keys in a security token (보안매체, HSM)

	// What a deployment takes unless it says otherwise: for a citizen's login by joint certificate, or by
	// financial certificate. Never both.
	Joint, Cloud bool
}

// Label is the policy for people: "개인 범용", "법인 은행 (보안매체)".
func (p Policy) Label() string {
	text := strings.TrimSpace(string(p.Holder) + " " + p.Scope)
	if p.Module {
		text += " (보안매체)"
	}
	return text
}

var (
	yessign   = &CA{"yessign", "yessign", "금융결제원", "Korea Financial Telecommunications and Clearings Institute (KFTC)", "https://www.yessign.or.kr", false}
	signGATE  = &CA{"KICA", "KICA", "한국정보인증", "Korea Information Certificate Authority (KICA)", "https://www.signgate.com", false}
	signKorea = &CA{"SignKorea", "SignKorea", "코스콤", "KOSCOM", "https://www.signkorea.com", false}
	crossCert = &CA{"CrossCert", "CrossCert", "한국전자인증", "Korea Electronic Certification Authority (CrossCert)", "https://www.crosscert.com", false}
	tradeSign = &CA{"TradeSign", "TradeSign", "한국무역정보통신", "Korea Trade Network (KTNET)", "https://www.tradesign.net", false}
	ncaSign   = &CA{"NCASign", "NCASign", "한국지능정보사회진흥원 (옛 한국정보사회진흥원)", "National Information Society Agency (NIA)", "http://sign.nia.or.kr", true}
	iniPass   = &CA{"INIPASS", "INIPASS", "이니텍", "INITECH", "https://www.inipass.com", true}
)

// CAs lists the certification authorities, the defunct ones last.
func CAs() []CA {
	return []CA{*yessign, *signGATE, *signKorea, *crossCert, *tradeSign, *ncaSign, *iniPass}
}

// Infrastructure is the policy of OCSP responders, timestamp servers and CAs. It stands first in some old
// certificates and says nothing about their holders.
const Infrastructure = "1.2.410.200004.2.1"

// policies is the table, read once; a row's flags are J (joint login), F (financial login), M (token).
var policies = readPolicies(
	policyRows{yessign, "1.2.410.200005.1.1.", []policyRow{
		{"1", Person, General, "범용", "J"},
		{"1.1", Person, General, "범용", "M"},
		{"2", Corporation, Bank, "은행", ""},
		{"2.1", Corporation, Bank, "은행", "M"},
		{"3", AnyHolder, Server, "서버", ""},
		{"4", Person, Bank, "은행/보험/카드/민원", "J"},
		{"4.1", Person, Bank, "은행/보험/카드/민원", "M"},
		{"4.8", Person, Special, "조합번호", ""},
		{"5", Corporation, General, "범용", ""},
		{"5.1", Corporation, General, "범용", "M"},
		{"6.1", Corporation, Special, "기업뱅킹", ""},
		{"6.2", AnyHolder, Card, "신용카드", ""},
		{"6.3", AnyHolder, Special, "조달", ""},
		{"6.4", AnyHolder, Special, "퇴직연금", ""},
		{"6.5", AnyHolder, Special, "CTR", ""},
		{"6.6", Person, Special, "신탁", ""},
		{"6.7", Corporation, Special, "신탁", ""},
		{"6.8", AnyHolder, Special, "전자세금", ""},
		{"6.9", Person, Special, "보안", ""},
		{"6.0", Corporation, Special, "보안", ""},
		{"7.1", AnyHolder, Special, "ERS", ""},
		{"1.10", Person, Financial, "금융인증서", "F"},
		{"8.11", Business, Financial, "금융인증서", ""},
		{"8.12", Business, Financial, "금융인증서", ""},
		{"8.13", Business, Financial, "금융인증서", ""},
	}},
	policyRows{signGATE, "1.2.410.200004.5.2.1.", []policyRow{
		{"1", Corporation, General, "범용", ""},
		{"2", Person, General, "범용", "J"},
		{"3", AnyHolder, Special, "특별등급(전자입찰)", ""},
		{"4", AnyHolder, Server, "서버", ""},
		{"5", Corporation, Special, "특별", ""},
		{"7.1", Person, Bank, "은행/보험", "J"},
		{"7.2", Person, Securities, "증권", ""},
		{"7.3", Person, Card, "신용카드", ""},
		{"6.257", AnyHolder, Special, "전자세금", ""},
		{"6.115", AnyHolder, Special, "국세청", ""},
		{"5001", AnyHolder, Special, "국세청", ""},
		{"6.141", AnyHolder, Special, "조달", ""},
	}},
	policyRows{signKorea, "1.2.410.200004.5.1.1.", []policyRow{
		{"1", AnyHolder, Special, "스페셜", ""},
		{"2", AnyHolder, Special, "스페셜", ""},
		{"3", AnyHolder, Special, "스페셜", ""},
		{"4", AnyHolder, Special, "스페셜", ""},
		{"5", Person, General, "범용", "J"},
		{"6", Person, Server, "서버", ""},
		{"7", Corporation, General, "범용", ""},
		{"8", AnyHolder, Server, "서버", ""},
		{"9", Person, Securities, "증권/보험/민원", "J"},
		{"9.2", Person, Card, "신용카드", ""},
		{"10", Corporation, Securities, "증권", ""},
		{"11", Corporation, Special, "등급", ""},
		{"12", Corporation, Special, "등급", ""},
		{"12.908", Corporation, Special, "카드세금", ""},
	}},
	policyRows{crossCert, "1.2.410.200004.5.4.1.", []policyRow{
		{"1", Person, General, "범용", "J"},
		{"2", Corporation, General, "범용", ""},
		{"3", AnyHolder, Server, "서버", ""},
		{"4", Person, Special, "특수목적", ""},
		{"5", Corporation, Special, "특수목적", ""},
		{"101", Person, Bank, "은행/보험", "J"},
		{"102", Person, Securities, "증권", ""},
		{"103", Person, Card, "신용카드", ""},
		{"104", Person, Special, "전자민원", ""},
		{"105", AnyHolder, Special, "특수목적", ""},
		{"106", AnyHolder, Special, "특수목적", ""},
		{"107", AnyHolder, Special, "특수목적", ""},
		{"108", AnyHolder, Special, "특수목적", ""},
		{"109", AnyHolder, Special, "특수목적", ""},
		{"200", AnyHolder, Special, "특수목적", ""},
	}},
	policyRows{tradeSign, "1.2.410.200012.", []policyRow{
		{"1.1.1", Person, General, "범용", "J"},
		{"1.1.2", AnyHolder, Encipher, "암호용", ""},
		{"1.1.3", Corporation, General, "범용", ""},
		{"1.1.4", AnyHolder, Encipher, "암호용", ""},
		{"1.1.5", AnyHolder, Server, "서버", ""},
		{"1.1.6", AnyHolder, Encipher, "암호용", ""},
		{"1.1.7", AnyHolder, Special, "전자무역", ""},
		{"1.1.8", AnyHolder, Special, "전자무역", ""},
		{"1.1.9", AnyHolder, Special, "전자무역", ""},
		{"1.1.10", AnyHolder, Special, "전자무역", ""},
		{"1.1.11", AnyHolder, Special, "전자무역", ""},
		{"1.1.12", AnyHolder, Special, "전자무역", ""},
		{"1.1.101", Person, Bank, "은행/보험", "J"},
		{"1.1.103", Person, Securities, "증권", ""},
		{"1.1.105", Person, Card, "신용카드", ""},
		{"5.19.1.1", AnyHolder, Special, "전자세금", ""},
	}},
	policyRows{ncaSign, "1.2.410.200004.5.3.1.", []policyRow{
		{"1", Organization, Special, "기관", ""},
		{"2", Corporation, General, "범용", ""},
		{"3", AnyHolder, Server, "서버", ""},
		{"4", Person, Special, "소속직원", ""},
		{"5", AnyHolder, Special, "특수", ""},
		{"6", AnyHolder, Special, "특수", ""},
		{"7", AnyHolder, Special, "특수", ""},
		{"8", AnyHolder, Special, "특수", ""},
		{"9", Person, General, "범용", ""},
	}},
	policyRows{iniPass, "1.2.410.200004.5.5.1.", []policyRow{
		{"1", Person, General, "범용", ""},
		{"2", Corporation, General, "범용", ""},
		{"3.1", Person, Special, "제휴", ""},
		{"4.1", Person, Special, "제휴", ""},
		{"4.2", AnyHolder, Special, "전자세금", ""},
	}},
)

type (
	policyRows struct {
		ca   *CA
		arc  string
		rows []policyRow
	}
	policyRow struct {
		rest   string
		holder Holder
		kind   Kind
		scope  string
		flags  string
	}
)

func readPolicies(tables ...policyRows) []Policy {
	var list []Policy
	for _, t := range tables {
		for _, r := range t.rows {
			list = append(list, Policy{
				OID: t.arc + r.rest, CA: t.ca, Holder: r.holder, Kind: r.kind, Scope: r.scope,
				Joint: r.flags == "J", Cloud: r.flags == "F", Module: r.flags == "M",
			})
		}
	}
	return list
}

// Policies lists every policy that is known by itself.
func Policies() []Policy { return append([]Policy(nil), policies...) }

// crossCertOwn is the arc below which CrossCert numbers policies of single companies.
const crossCertOwn = "1.2.410.200004.5.4.2."

// PolicyByOID finds a policy by its exact object identifier, in dotted decimals; no policy stands for those
// below it: 1.2.410.200005.1.1.1 is a person's joint certificate, …1.1.1.10 a financial certificate.
func PolicyByOID(oid string) (Policy, bool) {
	for _, p := range policies {
		if p.OID == oid {
			return p, true
		}
	}
	if own, ok := strings.CutPrefix(oid, crossCertOwn); ok && own != "" && digits([]byte(own)) {
		return Policy{OID: oid, CA: crossCert, Holder: Corporation, Kind: Special, Scope: "전용"}, true
	}
	return Policy{}, false
}

// PolicyOf finds the first known policy among those that a certificate lists. It does not look at who issued
// the certificate: whether a CA may issue under a policy of another one is for the verification of its chain.
func PolicyOf(c *x509.Certificate) (Policy, bool) {
	for _, id := range c.Policies {
		if p, ok := PolicyByOID(id.String()); ok {
			return p, true
		}
	}
	return Policy{}, false
}

// Foreign names another Korean public key infrastructure to which a policy belongs, or "": GPKI of the
// government, EPKI of the schools, MPKI of the forces. A certificate of one of these is never an NPKI
// certificate.
func Foreign(oid string) string {
	for _, f := range []struct{ arc, name string }{
		{"1.2.410.100001.5.", "EPKI"}, {"1.2.410.100001.", "GPKI"}, {"1.2.410.300001.", "MPKI"},
	} {
		if strings.HasPrefix(oid, f.arc) {
			return f.name
		}
	}
	return ""
}
